/* Private to doc*.c: the two languages behind doc_load. */
#ifndef MODEL_DOC_PARSE_H
#define MODEL_DOC_PARSE_H

#include "model/doc.h"

/* Reads one document. `text` begins on line `line` of its file. `taker`: whose `item` is called; NULL: all items stay. On success
 * entry->root is the tree, or NULL if there is nothing in the text; on failure entry->failed and entry->error are set. */
void doc_parse_yaml(struct arena *arena, struct str text, unsigned line,
                    const struct doc_taker *taker, struct doc_entry *entry);
void doc_parse_json(struct arena *arena, struct str text, unsigned line,
                    const struct doc_taker *taker, struct doc_entry *entry);

/* The list whose elements are offered to a taker. */
#define DOC_ITEMS STR("items")

/* Gives a plain (unquoted) YAML scalar, of which only `text` is set, its type and value. */
void doc_resolve_plain(struct arena *arena, struct doc_node *node);

/* A space, a tab, or part of a line break. */
static inline bool doc_is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

/* entry->failed, and entry->error = "line N: message"; returns false. */
bool doc_fail(struct doc_entry *entry, unsigned line, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

#endif
