/* Whose volume it is: the credentials file that a volume driver writes, and by which the node agent knows who calls on the
 * socket of that volume.
 *
 *     P/creds/NAME.json      {"UID":"…","Workload":"web-0","Namespace":"bank","ServiceAccount":"web"}
 *     P/mount/NAME/          the node agent puts `socket` here, and the pod sees it
 *
 * P is the prefix of the Policy Sync API, for example /var/run/nodeagent. The FlexVolume driver takes the pod's UID for NAME, the
 * CSI driver the volume's id. The node agent takes NAME from the file's name; the UID in it is for people.
 *
 * What a file says is believed: it decides whose policy goes to whoever reaches the socket. So reading is strict, and
 * all values are checked, when they are written as when they are read.
 *
 * Source of the layout: upstream's pod2daemon/flexvol/creds and pod2daemon/binder.
 */
#ifndef NODE_CREDENTIALS_H
#define NODE_CREDENTIALS_H

#include "base/disk.h"
#include "base/error.h"
#include "base/mem.h"

enum {
    /* Bytes of NAME and of UID. UIDs have 36, ids of CSI's ephemeral volumes 68. */
    CREDENTIALS_NAME_LIMIT = 128,
    CREDENTIALS_FILE_LIMIT = 64 * 1024,
};

struct credentials {
    struct str uid;       /* of the pod; a plain name, see credentials_check_name */
    struct str workload;  /* the pod's name: a DNS subdomain */
    struct str namespace; /* a DNS label */
    struct str account;   /* the service account's name: a DNS subdomain, or empty */
};

/* What the values are called where they come from. */
struct credentials_keys {
    const char *uid, *workload, *namespace, *account;
};
extern const struct credentials_keys credentials_file_keys;

/* Whether a text may be NAME or UID: 1 to CREDENTIALS_NAME_LIMIT bytes of printable ASCII, without blanks, `/`, `\`, `"`
 * and `..`, and not beginning with a dot. `what` names it in the error. */
bool credentials_check_name(const char *what, struct str name, struct error *err);

/* Whether both are the same pod's. */
bool credentials_eq(const struct credentials *a, const struct credentials *b);

/* Whether all values are what they should be. The error names the first bad one by its key. */
bool credentials_check(const struct credentials *c, const struct credentials_keys *keys,
                       struct error *err);

/* Takes the values out of a JSON object that has them as strings, and checks them. Other keys are passed over; a key that is
 * missing or doubled, and a value that is not a string, is an error. The values live in the arena. */
bool credentials_parse(struct arena *arena, struct str text, const struct credentials_keys *keys,
                       struct credentials *c, struct error *err);

/* Appends the JSON object that a file holds. The credentials must have passed credentials_check. */
void credentials_format(struct buf *out, const struct credentials *c);

/* Reads FOLDER/NAME.json. The values live in the arena. A link is not followed. */
enum disk_result credentials_read(const char *folder, struct str name, struct arena *arena,
                                  struct credentials *c, struct error *err);
/* The same, in an open folder, which the error does not name. */
enum disk_result credentials_read_at(int folder, struct str name, struct arena *arena,
                                     struct credentials *c, struct error *err);

/* Writes FOLDER/NAME.json in one step, with mode 0644; the folder is made if it is missing. If it fails, an old file stays, and
 * of the new one nothing. Writers of the same NAME must take turns. */
bool credentials_write(const char *folder, struct str name, const struct credentials *c,
                       struct error *err);

/* Removes FOLDER/NAME.json and what a killed writer left of it. True if neither was there. */
bool credentials_remove(const char *folder, struct str name, struct error *err);

#endif
