/* A document: YAML or JSON text as a tree of nodes that know their line.
 *
 * One tree for both languages, so that the decoder of resources is written once and can say where a value
 * stands. YAML is read with libyaml (events), JSON with jansson; both strictly: doubled keys, keys that are
 * not strings, NUL, text that is not UTF-8, nesting deeper than DOC_DEPTH and alias bombs are errors.
 *
 * How large a tree may be has a limit, since it takes up to fifty times the room of its text, and with aliases any number of
 * times. How large a text may be has none: a cluster's dump is one document, a list of all its pods. So doc_read hands out the
 * elements of a document's `items` one by one, and each may be as large as a document; what is held is the tree of one.
 *
 * A file of several YAML documents is cut at its `---` lines first, as kubectl does, so that a syntax error in one
 * document takes only that document with it.
 *
 * Plain YAML scalars have the types of YAML 1.1 as Kubernetes' tools read them: `true`, `no`, `on`, `y` are booleans,
 * `12`, `0x1f` integers, `1.5`, `1e3` numbers, `~` and nothing null; all else, and all quoted text, strings. Integers
 * beyond 64 bits are numbers, in JSON too.
 * Anchors, aliases and merge keys (`<<`) work. An aliased value is one node that stands in many places; its lines are
 * those of the anchor.
 *
 * Ownership: nodes live in the arena given to doc_load, or as long as doc_read's taker looks at them.
 */
#ifndef MODEL_DOC_H
#define MODEL_DOC_H

#include "base/error.h"
#include "base/mem.h"
#include "base/str.h"

enum { DOC_DEPTH = 100 };
/* Nodes, and bytes of their text (YAML only), after aliases are expanded: of a document without the items that were taken, and
 * of each of these. */
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

/* Who takes what is read. */
struct doc_taker {
    /* An element of the list `items` of a document that is a map. Whether the document is good is not known before its end.
     * `document`: what is known of it, without this list: in JSON all, in YAML what stands before `items`. `index`: the
     * element's place in the list. True: it is taken; it is gone when the call returns, and the list of the document goes
     * without it. False: it stays in its document, and so do all that follow it. Elements of documents with anchors stay:
     * there what is an alias may be needed again. */
    bool (*item)(void *ctx, const struct doc_node *document, const struct doc_node *item,
                 size_t index);
    /* A document, whole but for the items that were taken, or why it cannot be read. */
    void (*document)(void *ctx, const struct doc_entry *entry);
    void *ctx;
};

/* Reads all documents of a text, one after the other. `json` as with doc_load. */
void doc_read(struct str text, bool json, const struct doc_taker *taker);

/* Reads all documents of a text. `json`: by the file's name; else YAML (of which JSON text is a part). A JSON text is
 * one document. */
struct doc_file doc_load(struct arena *arena, struct str text, bool json);

/* The value of `key`, or NULL (absent, or node is no map). */
const struct doc_node *doc_get(const struct doc_node *node, struct str key);

/* That value, if it is a string; else nothing. */
struct str doc_get_text(const struct doc_node *node, struct str key);

/* A number that equal trees share and different ones, but for bad luck of 1 in 2^64, do not. Lines do not count. It holds
 * for one run of the program. */
uint64_t doc_digest(const struct doc_node *node);

/* For messages: "the string \"x\"", "a list", "the boolean `on`", "the number `12`", "nothing", …; constant or in the
 * arena. */
struct str doc_describe(struct arena *arena, const struct doc_node *node);

#endif
