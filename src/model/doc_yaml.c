/* YAML with libyaml's events. An alias is the very node of its anchor (nodes never change once they are whole), but
 * it is counted with all that is below it, so that a small text cannot stand for a huge tree.
 *
 * An item that is offered to a taker has an arena of its own until it is known whether it stays. */
#include "model/doc_parse.h"

#include "base/map.h"

#include <stdlib.h>
#include <yaml.h>

/* How deep a document's list `items` stands. */
enum { ITEMS_DEPTH = 2 };

struct anchor {
    struct str name;
    struct doc_node *node; /* NULL while its value is being read */
    size_t nodes, bytes;   /* below it, it included, aliases expanded */
    unsigned height;       /* 1: no children */
};

/* A member of a map, or (without key) an element of a list. */
struct member {
    struct str key;
    unsigned line;
    struct doc_node *value;
};

struct loader {
    struct arena *arena;
    yaml_parser_t parser;
    struct str text;
    unsigned first_line;
    struct doc_entry *entry;
    const struct doc_taker *taker; /* NULL: all stays */
    const struct doc_node
        *document;      /* not NULL: elements of its `items` are offered to the taker */
    struct map anchors; /* struct anchor by name */
    size_t nodes;       /* so far, aliases expanded */
    size_t bytes;       /* of text, the same */
    /* What was read of the lists and maps that have not ended yet: the innermost one's is on top. */
    struct member *members;
    size_t member_count, member_capacity;
};

/* What was read: a node, and the height of the tree below it. */
struct subtree {
    struct doc_node *node;
    unsigned height;
};

static unsigned line_of(const struct loader *l, yaml_mark_t mark)
{
    return l->first_line + (unsigned)mark.line;
}

static unsigned line_at(const struct loader *l, size_t offset)
{
    unsigned line = l->first_line;
    for (size_t i = 0; i < offset && i < l->text.len; i++)
        line += l->text.ptr[i] == '\n';
    return line;
}

static bool fail_parser(struct loader *l)
{
    const yaml_parser_t *p = &l->parser;
    if (p->error == YAML_READER_ERROR)
        return doc_fail(l->entry, line_at(l, p->problem_offset), "%s (byte 0x%02x)", p->problem,
                        (unsigned)p->problem_value);
    const char *problem = p->problem != NULL ? p->problem : "not YAML";
    if (p->context == NULL)
        return doc_fail(l->entry, line_of(l, p->problem_mark), "%s", problem);
    return doc_fail(l->entry, line_of(l, p->problem_mark), "%s, %s that begins on line %u", problem,
                    p->context, line_of(l, p->context_mark));
}

static bool next_event(struct loader *l, yaml_event_t *event)
{
    return yaml_parser_parse(&l->parser, event) ? true : fail_parser(l);
}

static bool count(struct loader *l, unsigned line, size_t nodes, size_t bytes)
{
    l->nodes += nodes;
    l->bytes += bytes;
    if (l->nodes > DOC_NODE_LIMIT)
        return doc_fail(l->entry, line, "more than %d values in one document, aliases expanded",
                        DOC_NODE_LIMIT);
    if (l->bytes > DOC_TEXT_LIMIT)
        return doc_fail(l->entry, line,
                        "more than %d bytes of text in one document, aliases expanded",
                        DOC_TEXT_LIMIT);
    return true;
}

static bool check_depth(struct loader *l, unsigned line, unsigned depth)
{
    return depth <= DOC_DEPTH ||
           doc_fail(l->entry, line, "nested deeper than %d levels", DOC_DEPTH);
}

static struct str c_text(const yaml_char_t *text)
{
    return str_from_c((const char *)text);
}

static struct anchor *open_anchor(struct loader *l, const yaml_char_t *name)
{
    if (name == NULL)
        return NULL;
    struct anchor *anchor = arena_alloc(l->arena, sizeof(*anchor));
    anchor->name = arena_copy(l->arena, c_text(name));
    map_set(&l->anchors, anchor->name, anchor);
    return anchor;
}

static bool read_alias(struct loader *l, const yaml_event_t *event, unsigned depth,
                       struct subtree *out)
{
    unsigned line = line_of(l, event->start_mark);
    struct str name = c_text(event->data.alias.anchor);
    const struct anchor *anchor = map_get(&l->anchors, name);
    if (anchor == NULL)
        return doc_fail(l->entry, line, "no anchor %s stands before this alias", quote(name).text);
    if (anchor->node == NULL)
        return doc_fail(l->entry, line, "the alias %s stands within its own anchor",
                        quote(name).text);
    *out = (struct subtree){anchor->node, anchor->height};
    return count(l, line, anchor->nodes, anchor->bytes) &&
           check_depth(l, line, depth + anchor->height - 1);
}

static bool is_tag(struct str tag, struct str name)
{
    struct str prefix = STR("tag:yaml.org,2002:");
    return str_starts_with(tag, prefix) && str_eq(str_from(tag, prefix.len), name);
}

/* A scalar with a tag has the type that the tag says, if its text allows. */
static bool apply_tag(struct loader *l, struct doc_node *node, struct str tag)
{
    if (is_tag(tag, STR("str")) || str_eq(tag, STR("!"))) {
        node->type = DOC_STRING;
        return true;
    }
    doc_resolve_plain(l->arena, node);
    if (is_tag(tag, STR("float")) && node->type == DOC_INT)
        node->type = DOC_FLOAT;
    if ((is_tag(tag, STR("bool")) && node->type == DOC_BOOL) ||
        (is_tag(tag, STR("int")) && node->type == DOC_INT) ||
        (is_tag(tag, STR("float")) && node->type == DOC_FLOAT) ||
        (is_tag(tag, STR("null")) && node->type == DOC_NULL))
        return true;
    return doc_fail(l->entry, node->line, "the tag %s is not known or does not fit the value %s",
                    quote(tag).text, quote(node->text).text);
}

static bool read_scalar(struct loader *l, const yaml_event_t *event, struct subtree *out)
{
    struct str text = str_make((const char *)event->data.scalar.value, event->data.scalar.length);
    struct str tag = c_text(event->data.scalar.tag);
    struct doc_node *node = arena_alloc(l->arena, sizeof(*node));
    node->line = line_of(l, event->start_mark);
    node->type = DOC_STRING;
    if (str_find(text, '\0') < text.len)
        return doc_fail(l->entry, node->line, "a string with a NUL byte");
    node->text = arena_copy(l->arena, text);
    *out = (struct subtree){node, 1};
    if (tag.len > 0)
        return apply_tag(l, node, tag);
    if (event->data.scalar.plain_implicit)
        doc_resolve_plain(l->arena, node);
    return true;
}

static bool read_node(struct loader *l, yaml_event_t *event, unsigned depth, struct subtree *out);

/* Reads the node that the next event begins; the event may also end a list or map (*ended). */
static bool read_next(struct loader *l, unsigned depth, struct subtree *out, bool *ended)
{
    yaml_event_t event;
    if (!next_event(l, &event))
        return false;
    *ended = event.type == YAML_SEQUENCE_END_EVENT || event.type == YAML_MAPPING_END_EVENT;
    if (!*ended)
        return read_node(l, &event, depth, out);
    yaml_event_delete(&event);
    return true;
}

static void push(struct loader *l, struct member member)
{
    MEM_GROW(l->members, l->member_count, l->member_capacity);
    l->members[l->member_count++] = member;
}

/* Offers an item that was read into an arena of its own. True: it is taken. */
static bool offer(struct loader *l, const struct doc_node *item, size_t index)
{
    return l->anchors.count == 0 && l->taker->item(l->taker->ctx, l->document, item, index);
}

/* Reads the elements of the document's `items` that are taken, until one stays (*item) or the list ends. */
static bool read_items(struct loader *l, struct subtree *item, bool *ended)
{
    struct arena *arena = l->arena;
    size_t nodes = l->nodes, bytes = l->bytes;
    for (size_t index = 0;; index++) {
        CLEANUP_ARENA struct arena own = {0};
        l->arena = &own;
        bool ok = read_next(l, ITEMS_DEPTH + 1, item, ended);
        l->arena = arena;
        if (ok && !*ended && offer(l, item->node, index)) {
            l->nodes = nodes;
            l->bytes = bytes;
            continue;
        }
        arena_adopt(arena, &own);
        l->document = NULL;
        return ok;
    }
}

static bool read_list(struct loader *l, struct doc_node *node, unsigned depth, unsigned *height)
{
    size_t first = l->member_count;
    for (;;) {
        struct subtree item = {0};
        bool ended = false;
        if (!(depth == ITEMS_DEPTH && l->document != NULL ? read_items(l, &item, &ended)
                                                          : read_next(l, depth + 1, &item, &ended)))
            return false;
        if (ended)
            break;
        if (item.height + 1 > *height)
            *height = item.height + 1;
        push(l, (struct member){.value = item.node});
    }
    node->count = l->member_count - first;
    node->items = arena_array(l->arena, node->count, sizeof(*node->items));
    for (size_t i = 0; i < node->count; i++)
        node->items[i] = l->members[first + i].value;
    l->member_count = first;
    return true;
}

/* A map in the making: its members are those of the loader from `first` on. */
struct open_map {
    size_t first;
    struct map index; /* key -> anything; of large maps only */
};

/* As many keys are compared one by one; more are indexed. */
enum { INDEXED_FROM = 16 };

static void open_map_free(struct open_map *m)
{
    map_free(&m->index);
}

static bool has_key(const struct loader *l, const struct open_map *m, struct str key)
{
    if (m->index.count > 0)
        return map_get(&m->index, key) != NULL;
    for (size_t i = m->first; i < l->member_count; i++) {
        if (str_eq(l->members[i].key, key))
            return true;
    }
    return false;
}

static void add_member(struct loader *l, struct open_map *m, struct member member)
{
    push(l, member);
    size_t unindexed = m->first + m->index.count;
    if (l->member_count - m->first < INDEXED_FROM)
        return;
    for (size_t i = unindexed; i < l->member_count; i++)
        map_set(&m->index, l->members[i].key, l->members[i].value);
}

/* `<<`: adds what the map itself does not say. `value` is a map or a list of maps, of which the earlier wins. */
static bool merge(struct loader *l, struct open_map *m, const struct doc_node *value, unsigned line)
{
    if (value->type == DOC_MAP) {
        for (size_t i = 0; i < value->count; i++) {
            if (!has_key(l, m, value->keys[i]))
                add_member(l, m,
                           (struct member){value->keys[i], value->key_lines[i], value->items[i]});
        }
        return true;
    }
    bool is_list_of_maps = value->type == DOC_LIST;
    for (size_t i = 0; is_list_of_maps && i < value->count; i++)
        is_list_of_maps = value->items[i]->type == DOC_MAP;
    if (!is_list_of_maps)
        return doc_fail(l->entry, line, "the value of << is neither a map nor a list of maps");
    for (size_t i = 0; i < value->count; i++)
        merge(l, m, value->items[i], line);
    return true;
}

static bool check_key(struct loader *l, const struct open_map *m, const struct doc_node *key)
{
    // NOLINTNEXTLINE(clang-analyzer-core.NullDereference): a node that was read is not NULL
    if (key->type != DOC_STRING)
        return doc_fail(l->entry, key->line, "a key must be a string, this one is %.*s%s",
                        STR_ARG(doc_describe(l->arena, key)),
                        key->type != DOC_LIST && key->type != DOC_MAP ? " (quote it)" : "");
    if (has_key(l, m, key->text))
        return doc_fail(l->entry, key->line, "the key %s stands twice in one map",
                        quote(key->text).text);
    return true;
}

/* Whether the event is the plain scalar `<<`; quoted, it is a key like any other. */
static bool is_merge_key(const yaml_event_t *event)
{
    return event->type == YAML_SCALAR_EVENT &&
           event->data.scalar.style == YAML_PLAIN_SCALAR_STYLE && event->data.scalar.tag == NULL &&
           event->data.scalar.length == 2 && memcmp(event->data.scalar.value, "<<", 2) == 0;
}

/* The members that were read so far. */
static struct doc_node *gather(struct loader *l, struct doc_node *node, size_t first)
{
    node->type = DOC_MAP;
    node->count = l->member_count - first;
    node->keys = arena_array(l->arena, node->count, sizeof(*node->keys));
    node->key_lines = arena_array(l->arena, node->count, sizeof(*node->key_lines));
    node->items = arena_array(l->arena, node->count, sizeof(*node->items));
    for (size_t i = 0; i < node->count; i++) {
        const struct member *member = &l->members[first + i];
        node->keys[i] = member->key;
        node->key_lines[i] = member->line;
        node->items[i] = member->value;
    }
    return node;
}

/* Reads the value of a key, of which the document's `items` is read in its own way. */
static bool read_value(struct loader *l, const struct open_map *m, struct str key, unsigned depth,
                       struct subtree *value)
{
    yaml_event_t event;
    if (!next_event(l, &event))
        return false;
    if (l->taker != NULL && depth == 1 && event.type == YAML_SEQUENCE_START_EVENT &&
        str_eq(key, DOC_ITEMS))
        l->document = gather(l, arena_alloc(l->arena, sizeof(*l->document)), m->first);
    return read_node(l, &event, depth + 1, value);
}

/* Reads members until the map ends. *merged gets the value of `<<`, if there is one. */
static bool read_members(struct loader *l, struct open_map *m, unsigned depth, unsigned *height,
                         struct member *merged)
{
    for (;;) {
        yaml_event_t event;
        struct subtree key = {0}, value = {0};
        if (!next_event(l, &event))
            return false;
        if (event.type == YAML_MAPPING_END_EVENT) {
            yaml_event_delete(&event);
            return true;
        }
        unsigned line = line_of(l, event.start_mark);
        bool is_merge = is_merge_key(&event);
        if (!read_node(l, &event, depth + 1, &key) || !check_key(l, m, key.node))
            return false;
        if (is_merge && merged->value != NULL)
            return doc_fail(l->entry, line, "the key \"<<\" stands twice in one map");
        /* No map ends between a key and its value: libyaml would say that the value is null. */
        if (!read_value(l, m, key.node->text, depth, &value))
            return false;
        if (value.height + 1 > *height)
            *height = value.height + 1;
        struct member member = {key.node->text, line, value.node};
        if (is_merge)
            *merged = member;
        else
            add_member(l, m, member);
    }
}

static bool read_map(struct loader *l, struct doc_node *node, unsigned depth, unsigned *height)
{
    __attribute__((cleanup(open_map_free))) struct open_map m = {.first = l->member_count};
    struct member merged = {0};
    if (!read_members(l, &m, depth, height, &merged) ||
        (merged.value != NULL && !merge(l, &m, merged.value, merged.line)))
        return false;
    gather(l, node, m.first);
    l->member_count = m.first;
    return true;
}

static bool read_collection(struct loader *l, const yaml_event_t *event, unsigned depth,
                            struct subtree *out)
{
    struct doc_node *node = arena_alloc(l->arena, sizeof(*node));
    node->line = line_of(l, event->start_mark);
    *out = (struct subtree){node, 1};
    if (event->type == YAML_SEQUENCE_START_EVENT) {
        node->type = DOC_LIST;
        return read_list(l, node, depth, &out->height);
    }
    return read_map(l, node, depth, &out->height);
}

static bool read_anchored(struct loader *l, const yaml_event_t *event, unsigned depth,
                          struct subtree *out)
{
    unsigned line = line_of(l, event->start_mark);
    size_t nodes = l->nodes, bytes = l->bytes;
    bool is_scalar = event->type == YAML_SCALAR_EVENT;
    if (!check_depth(l, line, depth) ||
        !count(l, line, 1, is_scalar ? event->data.scalar.length : 0))
        return false;
    struct anchor *anchor = open_anchor(l, is_scalar ? event->data.scalar.anchor
                                           : event->type == YAML_SEQUENCE_START_EVENT
                                               ? event->data.sequence_start.anchor
                                               : event->data.mapping_start.anchor);
    if (!(is_scalar ? read_scalar(l, event, out) : read_collection(l, event, depth, out)))
        return false;
    if (anchor != NULL) {
        anchor->node = out->node;
        anchor->nodes = l->nodes - nodes;
        anchor->bytes = l->bytes - bytes;
        anchor->height = out->height;
    }
    return true;
}

/* Reads the node that `event` begins, and deletes the event. */
static bool read_node(struct loader *l, yaml_event_t *event, unsigned depth, struct subtree *out)
{
    bool ok = event->type == YAML_ALIAS_EVENT ? read_alias(l, event, depth, out)
                                              : read_anchored(l, event, depth, out);
    yaml_event_delete(event);
    return ok;
}

/* The events of one text: the stream begins, a document may begin with its node and end, the stream ends. */
static bool read_stream(struct loader *l)
{
    for (;;) {
        yaml_event_t event;
        if (!next_event(l, &event))
            return false;
        yaml_event_type_t type = event.type;
        unsigned line = line_of(l, event.start_mark);
        struct subtree root = {0};
        if (type != YAML_STREAM_START_EVENT && type != YAML_STREAM_END_EVENT &&
            type != YAML_DOCUMENT_START_EVENT && type != YAML_DOCUMENT_END_EVENT) {
            if (!read_node(l, &event, 1, &root))
                return false;
            /* Only by line breaks that are not "\n" can a second document hide from the splitter. */
            if (l->entry->root != NULL)
                return doc_fail(l->entry, line,
                                "a second document without \"---\" on a line of its own");
            l->entry->root = root.node;
            continue;
        }
        yaml_event_delete(&event);
        if (type == YAML_STREAM_END_EVENT)
            return true;
    }
}

void doc_parse_yaml(struct arena *arena, struct str text, unsigned line,
                    const struct doc_taker *taker, struct doc_entry *entry)
{
    struct loader l = {
        .arena = arena, .text = text, .first_line = line, .entry = entry, .taker = taker};
    if (!yaml_parser_initialize(&l.parser)) {
        doc_fail(entry, line, "out of memory");
        return;
    }
    yaml_parser_set_encoding(&l.parser, YAML_UTF8_ENCODING);
    yaml_parser_set_input_string(&l.parser, (const unsigned char *)text.ptr, text.len);
    if (!read_stream(&l))
        entry->root = NULL;
    map_free(&l.anchors);
    free(l.members);
    yaml_parser_delete(&l.parser);
}
