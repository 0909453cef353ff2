/* Which file says what: the resources of a directory, by key and by file.
 *
 * Each file that holds a resource has a claim on its key. Of several claims the one that was made or changed last counts;
 * when it goes, the next newest takes its place. A claim that stays as it was, because only other parts of its file
 * changed, keeps its age. A claim whose version is wrong and not used is older than all others.
 *
 * When the claim that counts goes and others are left, what they say must be read again, since only digests are kept: until it is,
 * their key is an orphan.
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
    uint64_t age;    /* by the clock; larger is newer; 0: it never counted */
    bool
        is_void; /* what it says is not in force, so the next reading is news whatever its digest */
    bool seen;   /* in the reading of its file that is under way */
    struct claim *prev_of_key, *next_of_key;
    struct claim *prev_of_file, *next_of_file;
};

struct claim_key {
    struct model_key key;
    struct claim *claims; /* of all files, in no order */
    bool is_told;         /* the sink has a version of it */
    bool is_sound;        /* that version is a sound one, and some file still says it */
    bool is_orphan;
    uint64_t orphaned; /* when, by the clock */
    struct claim_key *prev_orphan, *next_orphan;
    size_t text_len;
    char text[]; /* owns what `key` points to; its place in the map */
};

struct claims_file {
    char *name;
    struct claim *claims;
    uint64_t read; /* when last, by the clock */
    bool is_busy;  /* it could not be read for a reason that passes */
};

/* {0} is empty and valid. */
struct claims {
    struct map keys;  /* -> struct claim_key */
    struct map files; /* -> struct claims_file */
    struct claim_key *orphans;
    uint64_t clock; /* counts whatever has to be told before or after something else */
};

/* The file of this name, made if it is new. */
struct claims_file *claims_file(struct claims *claims, const char *name);

/* The file's claim on a key, made if it is new, and then void and of age 0. */
struct claim *claims_make(struct claims *claims, struct claims_file *file,
                          const struct model_key *key);

/* What it says is told now: it is the newest, and its key is no orphan. */
void claims_assert(struct claims *claims, struct claim *claim, uint64_t digest, bool is_sound);

/* The newest claim on the same key. */
struct claim *claims_newest(const struct claim_key *key);

/* Takes a claim back. A key without claims is freed with it; if others are left and this one counted, it is an orphan. */
void claims_drop(struct claims *claims, struct claim *claim);

void claims_make_orphan(struct claims *claims, struct claim_key *key);
/* The key is no orphan any more. */
void claims_settle(struct claims *claims, struct claim_key *key);

/* Forgets a file that has no claims any more. */
void claims_forget_file(struct claims *claims, struct claims_file *file);

void claims_free(struct claims *claims);

#endif
