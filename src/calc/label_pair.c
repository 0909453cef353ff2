#include <stdlib.h>

#include "calc/label_private.h"

struct label_key *label_key_use(struct label_index *index, struct str name)
{
    struct label_key *key = map_get(&index->keys, name);
    if (key == NULL) {
        key = mem_zalloc(sizeof(*key) + name.len);
        if (name.len > 0)
            memcpy(key->text, name.ptr, name.len);
        key->name = str_make(key->text, name.len);
        map_set(&index->keys, key->name, key);
    }
    key->users++;
    return key;
}

void label_key_release(struct label_index *index, struct label_key *key)
{
    if (--key->users > 0)
        return;
    map_remove(&index->keys, key->name);
    map_free(&key->pairs);
    list_free(&key->selectors);
    list_free(&key->mentions);
    free(key);
}

/* NULL: nothing uses it. */
static struct label_pair *find_pair(const struct label_index *index, struct str name,
                                    struct str value)
{
    const struct label_key *key = map_get(&index->keys, name);
    return key != NULL ? map_get(&key->pairs, value) : NULL;
}

struct label_pair *label_pair_use(struct label_index *index, struct str name, struct str value)
{
    struct label_pair *pair = find_pair(index, name, value);
    if (pair == NULL) {
        pair = mem_zalloc(sizeof(*pair) + value.len);
        if (value.len > 0)
            memcpy(pair->text, value.ptr, value.len);
        pair->value = str_make(pair->text, value.len);
        pair->key = label_key_use(index, name);
        map_set(&pair->key->pairs, pair->value, pair);
    }
    pair->users++;
    return pair;
}

void label_pair_release(struct label_index *index, struct label_pair *pair)
{
    if (--pair->users > 0)
        return;
    map_remove(&pair->key->pairs, pair->value);
    label_key_release(index, pair->key);
    list_free(&pair->groups);
    list_free(&pair->parents);
    list_free(&pair->selectors);
    free(pair);
}
