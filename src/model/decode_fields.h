/* Private to decode*.c: reading the fields of a document, with problems that say where they are.
 *
 * A `struct field` is a value together with the way to it. Fields live on the stack of whoever looks at them and
 * point at their parent's, so that a path costs nothing until a problem asks for its text.
 *
 * The readers (field_string, …) answer whether there was a value of the right type. Absent fields are false without
 * a word; values of another type are false with an error. What they hand out is copied into the arena of the
 * resource, so that it outlives the document.
 */
#ifndef MODEL_DECODE_FIELDS_H
#define MODEL_DECODE_FIELDS_H

#include "model/decode.h"

struct field {
    const struct field *parent; /* NULL: the document itself */
    struct str name;            /* its key; no pointer: it is element `index` of a list */
    size_t index;
    unsigned line;
    const struct doc_node
        *node; /* NULL: absent. The null of YAML and JSON counts as absent in a map. */
};

/* A problem while decoding goes on; `order` keeps problems of one line in the order in which they were found. */
struct noted_problem {
    struct model_problem problem;
    size_t order;
};

struct decoder {
    struct arena *messages; /* the caller's arena */
    struct noted_problem *problems;
    size_t problem_count, problem_capacity;
    size_t errors; /* so far, also those that were not told */
    struct model_resource **resources;
    size_t resource_count, resource_capacity;
    unsigned skipped; /* kinds of which it was already said that they are not used: a bit each */
    size_t taken;     /* items of the document that were decoded ahead of it */
    bool is_list;     /* the document is a list, as far as was seen */
    bool is_partial;  /* see struct model_decoded */

    /* Of the resource being decoded; both NULL until its key is known. */
    struct model_resource *resource;
    const struct field *base; /* paths begin below this field */
    unsigned broken_line;     /* of the error that resource->broken tells */
};

/* Notes an error, by which the resource is broken; a warning. */
void decode_error(struct decoder *d, const struct field *at, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
void decode_warning(struct decoder *d, const struct field *at, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* The member `key` of a map; absent if `map` is no map. */
struct field field_get(const struct field *map, struct str key);
/* The same, where an empty text says no more than none, since upstream's programs leave it out. */
struct field field_get_filled(const struct field *map, struct str key);
/* Element `index` of a list. */
struct field field_item(const struct field *list, size_t index);
/* Member number `index` of a map. */
struct field field_member(const struct field *map, size_t index);

static inline bool field_is_set(const struct field *f)
{
    return f->node != NULL;
}

/* Error "missing" if the field is absent. */
bool field_require(struct decoder *d, const struct field *f);

bool field_string(struct decoder *d, const struct field *f, struct str *value);
/* The same, not copied: for texts that are only looked at. */
bool field_text(struct decoder *d, const struct field *f, struct str *value);
bool field_bool(struct decoder *d, const struct field *f, bool *value);
bool field_int(struct decoder *d, const struct field *f, int64_t min, int64_t max, int64_t *value);
/* A finite number. */
bool field_number(struct decoder *d, const struct field *f, double *value);
bool field_map(struct decoder *d, const struct field *f);
/* The elements of a list; 0 if it is absent or no list. */
size_t field_list(struct decoder *d, const struct field *f);

/* For messages where a string was expected: advice, if the value is only no string for want of quotes; else "". */
const char *field_quote_hint(const struct field *f);

/* A set of names: the fields of a map, or the values that a field may have. */
struct field_names {
    const struct str *items;
    size_t count;
};
#define FIELD_NAMES(array) ((struct field_names){(array), sizeof(array) / sizeof((array)[0])})

/* One of the names, exactly. The error lists them, and points out one that was nearly hit. */
bool field_enum(struct decoder *d, const struct field *f, struct field_names names, size_t *index);

/* A map (or nothing); warns of every field of it that is none of the names. */
bool field_map_of(struct decoder *d, const struct field *f, struct field_names names);

/* " (did you mean X?)" if one of the names is much like `text`, else "". */
struct quoted field_suggest(struct field_names names, struct str text);

#endif
