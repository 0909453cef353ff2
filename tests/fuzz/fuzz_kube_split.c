/* Any bytes as a list or as events: the same pieces however they are cut, and those that jansson sees. The first byte chooses: bit 0 the
 * mode, bit 1 whether fields are dropped, the others how large the parts are. */
#include <assert.h>
#include <jansson.h>

#include "fuzz.h"
#include "kube/split.h"

static const char *const drops[] = {"a", "b.a", "b.b.a", "secrets", NULL};

struct pieces {
    struct buf text; /* each with its length before it */
    json_t *items;   /* what each should be; NULL: anything */
    size_t count;
    bool ok;
};

static bool on_piece(void *ctx, struct str json)
{
    struct pieces *pieces = ctx;
    buf_printf(&pieces->text, "%zu:", json.len);
    buf_append_str(&pieces->text, json);
    if (pieces->items != NULL) {
        json_t *value = json_loadb(json.ptr, json.len, JSON_DECODE_ANY, NULL);
        assert(json_equal(value, json_array_get(pieces->items, pieces->count)));
        json_decref(value);
    }
    pieces->count++;
    return true;
}

static bool on_field(void *ctx, struct str name, struct str json)
{
    struct pieces *pieces = ctx;
    buf_printf(&pieces->text, "%zu=", name.len);
    buf_append_str(&pieces->text, name);
    buf_append_str(&pieces->text, json);
    return true;
}

static void run(struct pieces *pieces, unsigned flags, size_t part, struct str text)
{
    const struct kube_split_events events = {on_piece, on_field, pieces};
    struct kube_split *split = kube_split_new((flags & 1) != 0 ? SPLIT_LIST : SPLIT_VALUES,
                                              (flags & 2) != 0 ? drops : NULL, NULL, &events);
    struct error err = {""};
    pieces->ok = true;
    while (pieces->ok && text.len > 0) {
        pieces->ok = kube_split_feed(split, str_head(text, part), &err);
        text = str_from(text, part);
    }
    assert(pieces->ok == (err.text[0] == '\0'));
    pieces->ok = pieces->ok && kube_split_is_complete(split);
    kube_split_free(split);
}

static unsigned depth_of(const json_t *value)
{
    unsigned depth = 0, inner;
    const char *name;
    json_t *element;
    size_t i;
    json_object_foreach ((json_t *)value, name, element) {
        inner = depth_of(element);
        depth = inner > depth ? inner : depth;
    }
    json_array_foreach (value, i, element) {
        inner = depth_of(element);
        depth = inner > depth ? inner : depth;
    }
    return depth + 1;
}

/* The items of a text that is a list; NULL: it is none, or one on which the two need not agree: names are compared as they are
 * written. */
static json_t *list_items(struct str text)
{
    json_t *list = json_loadb(text.ptr, text.len, JSON_REJECT_DUPLICATES, NULL);
    json_t *items = json_incref(json_object_get(list, "items")), *item;
    size_t i;
    bool is_list =
        json_is_array(items) && !str_contains(text, STR("\\u")) && depth_of(list) <= SPLIT_DEPTH;
    json_array_foreach (items, i, item)
        is_list &= json_is_object(item);
    json_decref(list);
    if (!is_list)
        json_decref(items);
    return is_list ? items : NULL;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0)
        return 0;
    struct pieces whole = {0}, parts = {0};
    struct str text = str_make((const char *)data + 1, size - 1);
    run(&parts, data[0], data[0] / 4 + 1u, text);
    if ((data[0] & 3) == 1)
        whole.items = list_items(text);
    run(&whole, data[0], SIZE_MAX, text);
    assert(whole.items == NULL || (whole.ok && whole.count == json_array_size(whole.items)));
    assert(whole.ok == parts.ok && whole.count == parts.count);
    assert(str_eq(buf_str(&whole.text), buf_str(&parts.text)));
    json_decref(whole.items);
    buf_free(&whole.text);
    buf_free(&parts.text);
    return 0;
}
