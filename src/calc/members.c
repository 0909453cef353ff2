#include "calc/members.h"

#include <stdlib.h>
#include <sys/random.h>

/* An entry is a key of one or three words, and a word with the count and these marks. */
enum { V4_KEY = 1, V6_KEY = 3, KEY_LIMIT = 3 };
#define TOLD     (UINT64_C(1) << 32) /* the receiver has it */
#define LISTED   (UINT64_C(1) << 33) /* it is in the list of changes */
#define COUNT(w) ((uint32_t)(w))

/* Not 0, by which empty places are known. */
#define KEY_MARK (UINT64_C(1) << 63)
#define KEY_PORT (UINT64_C(1) << 62)

struct key {
    uint64_t words[KEY_LIMIT];
    unsigned len;
};

/* Tenants choose the nets of their sets, and must not be able to pile them up in one bucket. */
static uint64_t hash_key;

__attribute__((constructor)) static void draw_hash_key(void)
{
    if (getrandom(&hash_key, sizeof(hash_key), GRND_NONBLOCK) != (ssize_t)sizeof(hash_key))
        hash_key = (uint64_t)(uintptr_t)&hash_key * UINT64_C(0x9e3779b97f4a7c15);
}

/* Multiply-and-fold (as in wyhash): the secret is in every word before it is multiplied. */
static uint64_t hash(const uint64_t *words, unsigned len)
{
    uint64_t h = hash_key;
    for (unsigned i = 0; i < len; i++) {
        __extension__ unsigned __int128 product =
            (unsigned __int128)(words[i] ^ h) * (hash_key | 1);
        h = (uint64_t)product ^ (uint64_t)(product >> 64);
    }
    return h ^ h >> 29;
}

static struct key key_of(const struct member *member)
{
    struct key key = {.len = member->addr.family == 4 ? V4_KEY : V6_KEY};
    uint64_t low = (uint64_t)(member->has_port ? member->protocol : member->prefix) << 16 |
                   (member->has_port ? member->port : 0);
    uint32_t v4 = 0;
    if (member->addr.family == 4) {
        for (int i = 0; i < 4; i++)
            v4 = v4 << 8 | member->addr.bytes[i];
    } else {
        memcpy(&key.words[1], member->addr.bytes, 16);
    }
    key.words[0] = KEY_MARK | (member->has_port ? KEY_PORT : 0) | (uint64_t)v4 << 24 | low;
    return key;
}

static struct member member_of(const uint64_t *words, unsigned len)
{
    struct member member = {.has_port = (words[0] & KEY_PORT) != 0};
    uint8_t prefix_or_protocol = (uint8_t)(words[0] >> 16);
    member.addr.family = len == V4_KEY ? 4 : 6;
    if (len == V4_KEY) {
        for (int i = 0; i < 4; i++)
            member.addr.bytes[i] = (uint8_t)(words[0] >> (48 - 8 * i));
    } else {
        memcpy(member.addr.bytes, &words[1], 16);
    }
    if (member.has_port) {
        member.protocol = prefix_or_protocol;
        member.port = (uint16_t)words[0];
    } else {
        member.prefix = prefix_or_protocol;
    }
    return member;
}

/* ---- a table: open addressing, linear probing ---- */

static uint64_t *entry_at(const struct member_table *table, size_t place, unsigned key_len)
{
    return table->words + place * (key_len + 1);
}

/* The entry of a key, or the empty place for it. Capacity must not be 0. */
static uint64_t *find_place(const struct member_table *table, const uint64_t *key, unsigned key_len)
{
    size_t mask = table->capacity - 1;
    size_t place = (size_t)hash(key, key_len) & mask;
    uint64_t *entry = entry_at(table, place, key_len);
    while (entry[0] != 0 && memcmp(entry, key, key_len * sizeof(*key)) != 0) {
        place = (place + 1) & mask;
        entry = entry_at(table, place, key_len);
    }
    return entry;
}

static void resize(struct member_table *table, size_t capacity, unsigned key_len)
{
    struct member_table old = *table;
    table->capacity = capacity;
    table->words = mem_zalloc(capacity * (key_len + 1) * sizeof(*table->words));
    for (size_t i = 0; i < old.capacity; i++) {
        const uint64_t *entry = entry_at(&old, i, key_len);
        if (entry[0] != 0)
            memcpy(find_place(table, entry, key_len), entry, (key_len + 1) * sizeof(*entry));
    }
    free(old.words);
}

/* The entry of a key, made if it is not there. */
static uint64_t *get_or_make(struct member_table *table, const struct key *key)
{
    if ((table->count + 1) * 4 > table->capacity * 3)
        resize(table, table->capacity > 0 ? table->capacity * 2 : 2, key->len);
    uint64_t *entry = find_place(table, key->words, key->len);
    if (entry[0] == 0) {
        memcpy(entry, key->words, key->len * sizeof(*entry));
        table->count++;
    }
    return entry;
}

/* Empties the place of an entry; those behind it that had to give way move up. */
static void drop_entry(struct member_table *table, const uint64_t *entry, unsigned key_len)
{
    size_t mask = table->capacity - 1, stride = key_len + 1;
    size_t hole = (size_t)(entry - table->words) / stride;
    for (size_t i = (hole + 1) & mask; entry_at(table, i, key_len)[0] != 0; i = (i + 1) & mask) {
        size_t home = (size_t)hash(entry_at(table, i, key_len), key_len) & mask;
        if (((i - home) & mask) >= ((i - hole) & mask)) {
            memcpy(entry_at(table, hole, key_len), entry_at(table, i, key_len),
                   stride * sizeof(uint64_t));
            hole = i;
        }
    }
    memset(entry_at(table, hole, key_len), 0, stride * sizeof(uint64_t));
    table->count--;
    if (table->capacity > 16 && table->count * 8 < table->capacity)
        resize(table, table->capacity / 2, key_len);
}

/* ---- the set ---- */

static struct member_table *table_of(struct members *members, unsigned key_len)
{
    return key_len == V4_KEY ? &members->v4 : &members->v6;
}

void members_free(struct members *members)
{
    free(members->v4.words);
    free(members->v6.words);
    buf_free(&members->changed);
    *members = (struct members){0};
}

/* Notes that the receiver may have to be told of an entry. */
static void note_change(struct members *members, uint64_t *entry, const struct key *key)
{
    uint64_t *state = &entry[key->len];
    if (!members->is_told || (*state & LISTED) != 0)
        return;
    *state |= LISTED;
    buf_append(&members->changed, key, sizeof(*key));
}

void members_add(struct members *members, const struct member *member)
{
    struct key key = key_of(member);
    uint64_t *entry = get_or_make(table_of(members, key.len), &key);
    if (COUNT(entry[key.len]++) > 0)
        return;
    members->count++;
    note_change(members, entry, &key);
}

void members_remove(struct members *members, const struct member *member)
{
    struct key key = key_of(member);
    struct member_table *table = table_of(members, key.len);
    uint64_t *entry = find_place(table, key.words, key.len);
    if (COUNT(--entry[key.len]) > 0)
        return;
    members->count--;
    if (members->is_told)
        note_change(members, entry, &key); /* the entry goes when the change is taken */
    else
        drop_entry(table, entry, key.len);
}

static struct str format(struct arena *arena, const uint64_t *words, unsigned len)
{
    struct member member = member_of(words, len);
    if (!member.has_port) {
        struct ip_net net = {.addr = member.addr, .length = member.prefix};
        return arena_copy(arena, str_from_c(ip_format_net(&net).text));
    }
    const char *protocol = member.protocol == 17 ? "udp" : member.protocol == 132 ? "sctp" : "tcp";
    return arena_printf(arena, "%s,%s:%u", ip_format_addr(&member.addr).text, protocol,
                        member.port);
}

/* `told`: of what the receiver has; else of what has a source. */
static void format_table(const struct member_table *table, unsigned key_len, bool told,
                         struct arena *arena, struct psync_strings *list)
{
    for (size_t i = 0; i < table->capacity; i++) {
        const uint64_t *entry = entry_at(table, i, key_len);
        uint64_t state = entry[key_len];
        if (told ? (state & TOLD) != 0 : COUNT(state) > 0)
            list->items[list->count++] = format(arena, entry, key_len);
    }
}

static struct psync_strings format_tables(const struct members *members, bool told,
                                          struct arena *arena)
{
    size_t most = members->v4.count + members->v6.count;
    struct psync_strings list = {arena_array(arena, most, sizeof(*list.items)), 0};
    format_table(&members->v4, V4_KEY, told, arena, &list);
    format_table(&members->v6, V6_KEY, told, arena, &list);
    return list;
}

struct psync_strings members_all(const struct members *members, struct arena *arena)
{
    return format_tables(members, false, arena);
}

struct psync_strings members_told(const struct members *members, struct arena *arena)
{
    return format_tables(members, true, arena);
}

/* Sets the mark of each entry that counts, or of none. */
static void mark_table(struct member_table *table, unsigned key_len, uint64_t mark)
{
    for (size_t i = 0; i < table->capacity; i++) {
        uint64_t *entry = entry_at(table, i, key_len);
        if (entry[0] != 0)
            entry[key_len] = COUNT(entry[key_len]) | mark;
    }
}

void members_set_told(struct members *members)
{
    mark_table(&members->v4, V4_KEY, TOLD);
    mark_table(&members->v6, V6_KEY, TOLD);
    members->is_told = true;
}

void members_set_untold(struct members *members)
{
    CLEANUP_ARENA struct arena arena = {0};
    struct psync_strings ignored;
    if (!members->is_told)
        return;
    members_take_changes(members, &arena, &ignored, &ignored); /* drops what nobody counts */
    mark_table(&members->v4, V4_KEY, 0);
    mark_table(&members->v6, V6_KEY, 0);
    members->is_told = false;
}

void members_take_changes(struct members *members, struct arena *arena, struct psync_strings *added,
                          struct psync_strings *removed)
{
    const struct key *keys = (const struct key *)(const void *)members->changed.data;
    size_t count = members->changed.len / sizeof(*keys);
    *added = (struct psync_strings){arena_array(arena, count, sizeof(*added->items)), 0};
    *removed = (struct psync_strings){arena_array(arena, count, sizeof(*removed->items)), 0};
    for (size_t i = 0; i < count; i++) {
        struct member_table *table = table_of(members, keys[i].len);
        uint64_t *entry = find_place(table, keys[i].words, keys[i].len);
        uint64_t state = entry[keys[i].len];
        struct psync_strings *list = (state & TOLD) != 0 ? removed : added;
        if ((COUNT(state) > 0) != ((state & TOLD) != 0))
            list->items[list->count++] = format(arena, keys[i].words, keys[i].len);
        if (COUNT(state) > 0)
            entry[keys[i].len] = COUNT(state) | TOLD;
        else
            drop_entry(table, entry, keys[i].len);
    }
    buf_free(&members->changed);
}
