#include "datastore/claims.h"

#include <stdlib.h>

struct claims_file *claims_file(struct claims *claims, const char *name)
{
    struct claims_file *file = map_get(&claims->files, str_from_c(name));
    if (file == NULL) {
        file = mem_zalloc(sizeof(*file));
        file->name = mem_strndup(str_from_c(name));
        map_set(&claims->files, str_from_c(file->name), file);
    }
    return file;
}

/* The key, made if it is new. */
static struct claim_key *have_key(struct claims *claims, const struct model_key *key)
{
    CLEANUP_BUF struct buf buf = {0};
    struct str text = model_key_text(&buf, key);
    struct claim_key *k = map_get(&claims->keys, text);
    if (k != NULL)
        return k;
    k = mem_zalloc(sizeof(*k) + text.len);
    k->text_len = text.len;
    memcpy(k->text, text.ptr, text.len);
    k->key = model_key_of_text(str_make(k->text, k->text_len));
    map_set(&claims->keys, str_make(k->text, k->text_len), k);
    return k;
}

static void link_to_key(struct claim *claim, struct claim_key *key)
{
    claim->key = key;
    claim->next_of_key = key->claims;
    if (key->claims != NULL)
        key->claims->prev_of_key = claim;
    key->claims = claim;
}

static void unlink_from_key(struct claim *claim)
{
    if (claim->prev_of_key != NULL)
        claim->prev_of_key->next_of_key = claim->next_of_key;
    else
        claim->key->claims = claim->next_of_key;
    if (claim->next_of_key != NULL)
        claim->next_of_key->prev_of_key = claim->prev_of_key;
}

static void link_to_file(struct claim *claim, struct claims_file *file)
{
    claim->file = file;
    claim->next_of_file = file->claims;
    if (file->claims != NULL)
        file->claims->prev_of_file = claim;
    file->claims = claim;
}

static void unlink_from_file(struct claim *claim)
{
    if (claim->prev_of_file != NULL)
        claim->prev_of_file->next_of_file = claim->next_of_file;
    else
        claim->file->claims = claim->next_of_file;
    if (claim->next_of_file != NULL)
        claim->next_of_file->prev_of_file = claim->prev_of_file;
}

struct claim *claims_make(struct claims *claims, struct claims_file *file,
                          const struct model_key *key)
{
    struct claim_key *k = have_key(claims, key);
    struct claim *claim = k->claims;
    while (claim != NULL && claim->file != file)
        claim = claim->next_of_key;
    if (claim != NULL)
        return claim;
    claim = mem_zalloc(sizeof(*claim));
    claim->is_void = true;
    link_to_key(claim, k);
    link_to_file(claim, file);
    return claim;
}

void claims_assert(struct claims *claims, struct claim *claim, uint64_t digest, bool is_sound)
{
    claim->digest = digest;
    claim->age = ++claims->clock;
    claim->is_void = false;
    claim->key->is_told = true;
    claim->key->is_sound = is_sound;
    claims_settle(claims, claim->key);
}

struct claim *claims_newest(const struct claim_key *key)
{
    struct claim *newest = key->claims;
    for (struct claim *claim = newest; claim != NULL; claim = claim->next_of_key) {
        if (claim->age > newest->age)
            newest = claim;
    }
    return newest;
}

void claims_make_orphan(struct claims *claims, struct claim_key *key)
{
    key->is_sound = false;
    key->orphaned = ++claims->clock;
    if (key->is_orphan)
        return;
    key->is_orphan = true;
    key->prev_orphan = NULL;
    key->next_orphan = claims->orphans;
    if (claims->orphans != NULL)
        claims->orphans->prev_orphan = key;
    claims->orphans = key;
}

void claims_settle(struct claims *claims, struct claim_key *key)
{
    if (!key->is_orphan)
        return;
    key->is_orphan = false;
    if (key->prev_orphan != NULL)
        key->prev_orphan->next_orphan = key->next_orphan;
    else
        claims->orphans = key->next_orphan;
    if (key->next_orphan != NULL)
        key->next_orphan->prev_orphan = key->prev_orphan;
}

void claims_drop(struct claims *claims, struct claim *claim)
{
    struct claim_key *key = claim->key;
    bool counted = claims_newest(key) == claim;
    unlink_from_key(claim);
    unlink_from_file(claim);
    free(claim);
    if (key->claims == NULL) {
        claims_settle(claims, key);
        map_remove(&claims->keys, str_make(key->text, key->text_len));
        free(key);
    } else if (counted) {
        claims_make_orphan(claims, key);
    }
}

void claims_forget_file(struct claims *claims, struct claims_file *file)
{
    map_remove(&claims->files, str_from_c(file->name));
    free(file->name);
    free(file);
}

void claims_free(struct claims *claims)
{
    size_t position = 0;
    struct map_entry *entry;
    while ((entry = map_next(&claims->files, &position)) != NULL) {
        struct claims_file *file = entry->value;
        struct claim *next;
        for (struct claim *claim = file->claims; claim != NULL; claim = next) {
            next = claim->next_of_file;
            claims_drop(claims, claim);
        }
        free(file->name);
        free(file);
    }
    map_free(&claims->files);
    map_free(&claims->keys);
}
