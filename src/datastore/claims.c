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

static struct str key_text(struct buf *out, const struct model_key *key)
{
    buf_printf(out, "%d/", key->kind);
    buf_append_str(out, key->namespace);
    buf_append_byte(out, '/');
    buf_append_str(out, key->name);
    return buf_str(out);
}

static struct claim_key *find_key(const struct claims *claims, const struct model_key *key)
{
    CLEANUP_BUF struct buf text = {0};
    return map_get(&claims->keys, key_text(&text, key));
}

static struct claim_key *add_key(struct claims *claims, const struct model_key *key)
{
    CLEANUP_BUF struct buf text = {0};
    key_text(&text, key);
    struct claim_key *k = mem_zalloc(sizeof(*k) + text.len);
    k->text_len = text.len;
    memcpy(k->text, text.data, text.len);
    /* "KIND/NAMESPACE/NAME": the names are the tail of the text. */
    const char *name = k->text + text.len - key->name.len;
    k->key =
        (struct model_key){key->kind, str_make(name - 1 - key->namespace.len, key->namespace.len),
                           str_make(name, key->name.len)};
    map_set(&claims->keys, str_make(k->text, k->text_len), k);
    return k;
}

struct claim *claims_find(const struct claims *claims, const struct claims_file *file,
                          const struct model_key *key)
{
    struct claim_key *k = find_key(claims, key);
    struct claim *claim = k != NULL ? k->claims : NULL;
    while (claim != NULL && claim->file != file)
        claim = claim->next_of_key;
    return claim;
}

struct claim *claims_assert(struct claims *claims, struct claims_file *file,
                            const struct model_key *key, uint64_t digest)
{
    struct claim *claim = claims_find(claims, file, key);
    if (claim == NULL) {
        struct claim_key *k = find_key(claims, key);
        if (k == NULL)
            k = add_key(claims, key);
        claim = mem_zalloc(sizeof(*claim));
        claim->key = k;
        claim->file = file;
        claim->next_of_key = k->claims;
        k->claims = claim;
        claim->next_of_file = file->claims;
        file->claims = claim;
    }
    claim->digest = digest;
    claim->age = ++claims->clock;
    return claim;
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

void claims_drop(struct claims *claims, struct claim *claim)
{
    struct claim_key *key = claim->key;
    struct claim **link = &key->claims;
    while (*link != claim)
        link = &(*link)->next_of_key;
    *link = claim->next_of_key;
    link = &claim->file->claims;
    while (*link != claim)
        link = &(*link)->next_of_file;
    *link = claim->next_of_file;
    free(claim);
    if (key->claims == NULL) {
        map_remove(&claims->keys, str_make(key->text, key->text_len));
        free(key);
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
