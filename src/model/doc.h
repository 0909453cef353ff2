/* A document: YAML or JSON text as a tree of nodes that know their line.
 *
 * One tree for both languages, so that the decoder of resources is written once and can say where a value
 * stands. YAML is read with libyaml (events), JSON with jansson; both strictly: doubled keys, keys that are
 * not strings, NUL, text that is not UTF-8, nesting deeper than DOC_DEPTH and alias bombs are errors.
 *
 * A file of several YAML documents is cut at its `---` lines first, as kubectl does, so that a syntax error in one
 * document takes only that document with it.
 *
 * Plain YAML scalars have the types of YAML 1.1 as Kubernetes' tools read them: `true`, `no`, `on`, `y` are booleans,
 * `12`, `0x1f` integers, `1.5`, `1e3` numbers, `~` and nothing null; all else, and all quoted text, strings. Integers
 * beyond 64 bits are numbers (in JSON an error).
 * Anchors, aliases and merge keys (`<<`) work. An aliased value is one node that stands in many places; its lines are
 * those of the anchor.
 *
 * Ownership: nodes live in the arena given to the loader.
 */
#ifndef MODEL_DOC_H
#define MODEL_DOC_H

#include "base/error.h"
#include "base/mem.h"
#include "base/str.h"

enum { DOC_DEPTH = 100 };
/* Nodes, and bytes of their text, in one document, after aliases are expanded. */
enum { DOC_NODE_LIMIT = 1000 * 1000, DOC_TEXT_LIMIT = 64 * 1024 * 1024 };

enum doc_type { DOC_NULL, DOC_BOOL, DOC_INT, DOC_FLOAT, DOC_STRING, DOC_LIST, DOC_MAP };

struct doc_node {
    enum doc_type type;
    unsigned line;   /* 1-based, in the file */
    struct str text; /* of every scalar: as written (a string: its value) */
    bool boolean;
    int64_t integer;
    double number;           /* of DOC_INT too */
    struct doc_node **items; /* LIST: elements; MAP: values, in the order of the text */
    struct str *keys;        /* MAP */
    unsigned *key_lines;     /* MAP: the line of each key */
    size_t count;
};

/* One document of a file. */
struct doc_entry {
    unsigned line;         /* where it begins, 1-based */
    struct doc_node *root; /* NULL if `error` is set; documents with nothing in them are left out */
    struct error error;    /* "line N: what is wrong" */
    unsigned error_line;   /* that N */
    bool failed;
};

struct doc_file {
    struct doc_entry *entries;
    size_t count;
};

/* Reads all documents of a text. `json`: by the file's name; else YAML (of which JSON text is a part). A JSON text is
 * one document. */
struct doc_file doc_load(struct arena *arena, struct str text, bool json);

/* The value of `key`, or NULL (absent, or node is no map). */
const struct doc_node *doc_get(const struct doc_node *node, struct str key);

/* A number that equal trees share and different ones, but for bad luck of 1 in 2^64, do not. Lines do not count. It holds
 * for one run of the program. */
uint64_t doc_digest(const struct doc_node *node);

/* For messages: "the string \"x\"", "a list", "the boolean `on`", "the number `12`", "nothing", …; constant or in the
 * arena. */
struct str doc_describe(struct arena *arena, const struct doc_node *node);

#endif
