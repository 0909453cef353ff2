/* Which file says what: the resources of a directory, by key and by file.
 *
 * Each file that holds a resource has a claim on its key. Of several claims the one that was made or changed last counts;
 * when it goes, the next newest takes its place. A claim that stays as it was, because only other parts of its file
 * changed, keeps its age.
 */
#ifndef DATASTORE_CLAIMS_H
#define DATASTORE_CLAIMS_H

#include "base/map.h"
#include "model/resource.h"

struct claims_file;

struct claim {
    struct claim_key *key;
    struct claims_file *file;
    uint64_t digest; /* of the document behind it */
    uint64_t age;    /* larger is newer */
    bool seen;       /* in the reading of its file that is under way */
    struct claim *next_of_key;
    struct claim *next_of_file;
};

struct claim_key {
    struct model_key key;
    struct claim *claims; /* of all files, in no order */
    size_t text_len;
    char text[]; /* owns what `key` points to; its place in the map */
};

struct claims_file {
    char *name;
    struct claim *claims;
};

/* {0} is empty and valid. */
struct claims {
    struct map keys;  /* -> struct claim_key */
    struct map files; /* -> struct claims_file */
    uint64_t clock;
};

/* The file of this name, made if it is new. */
struct claims_file *claims_file(struct claims *claims, const char *name);

/* The file's claim on a key, or NULL. */
struct claim *claims_find(const struct claims *claims, const struct claims_file *file,
                          const struct model_key *key);

/* Makes a claim, or makes one that exists the newest. */
struct claim *claims_assert(struct claims *claims, struct claims_file *file,
                            const struct model_key *key, uint64_t digest);

/* The newest claim on the same key. */
struct claim *claims_newest(const struct claim_key *key);

/* Takes a claim back. A key without claims is freed with it. */
void claims_drop(struct claims *claims, struct claim *claim);

/* Forgets a file that has no claims any more. */
void claims_forget_file(struct claims *claims, struct claims_file *file);

void claims_free(struct claims *claims);

#endif
