/* Private to label_*.c: the nodes of the label index (calc/label_index.h), and the two parts of it that stand by themselves.
 */
#ifndef CALC_LABEL_PRIVATE_H
#define CALC_LABEL_PRIVATE_H

#include "calc/label_index.h"

/* A label's name. Lives while something uses it. */
struct label_key {
    struct str name;
    uint32_t users;
    uint32_t group_count;  /* groups that have the label of their own */
    uint32_t parent_count; /* parents that pass it on */
    struct map pairs;      /* value -> struct label_pair */
    struct list selectors; /* filed under "has this label" */
    struct list mentions;  /* all that name it */
    uint64_t stamp;
    char text[];
};

/* A label's name and value. Lives while something uses it. */
struct label_pair {
    struct label_key *key;
    struct str value;
    uint32_t users;
    struct list groups;    /* that have it of their own */
    struct list parents;   /* that pass it on */
    struct list selectors; /* filed under it */
    char text[];
};

/* Where a selector is filed. */
struct label_entry {
    struct label_key *key;
    struct label_pair *pair; /* NULL: under the label with any value */
};

struct label_parent {
    struct str name;
    struct str prefix;      /* see label_index_events; a constant */
    struct list pairs;      /* what it passes on, sorted by label */
    struct list groups;     /* under it */
    uint32_t groups_rivals; /* those of them that have rivals */
    char text[];
};

struct label_index {
    struct label_index_events events;
    struct map keys;           /* name -> struct label_key */
    struct map parents;        /* name -> struct label_parent */
    struct map groups;         /* the bytes of parts[] -> struct label_group */
    struct label_group *first; /* all groups */
    struct list unrestricted;  /* struct label_selector */
    size_t selector_count;
    uint64_t round; /* what was stamped with it was seen in this walk */
};

/* label_pair.c: names and values, each once. */

struct label_key *label_key_use(struct label_index *index, struct str name);
void label_key_release(struct label_index *index, struct label_key *key);
struct label_pair *label_pair_use(struct label_index *index, struct str name, struct str value);
void label_pair_release(struct label_index *index, struct label_pair *pair);

/* label_group.c: who has which labels. */

size_t label_group_part_count(const struct label_group *group);
struct label_pair *label_group_pair(const struct label_group *group, size_t i);
struct label_parent *label_group_parent(const struct label_group *group, size_t i);

/* The group with these labels; a new one matches nothing yet. */
struct label_group *label_group_use(struct label_index *index, const struct labels *labels,
                                    const struct model_strings *parents, bool *is_new);
/* Frees the group if it has no members. */
void label_group_release(struct label_index *index, struct label_group *group);

bool label_group_has_parent(const struct label_group *group, const struct label_parent *parent);

/* The value of a label in a list of pairs that is sorted by label. */
bool label_pairs_get(const struct list *pairs, struct str label, struct str *value);
void label_pairs_release(struct label_index *index, struct list *pairs);

/* Asks for what a parent passes on, into `pairs` (empty before). */
void label_parent_read(struct label_index *index, struct label_parent *parent, struct list *pairs);
/* Gives the parent these pairs (the list becomes its own); takes the links to those that it has. */
void label_parent_link(struct label_parent *parent, const struct list *pairs);
void label_parent_unlink(struct label_parent *parent);

/* label_match.c: which selectors match which groups. */

/* Whether they match by the labels that the group has now. */
bool label_matches(const struct label_selector *selector, const struct label_group *group);
/* Notes that they match, and did not before. */
void label_match_add(struct label_selector *selector, struct label_group *group);
/* Notes that they do not match any more; the match is freed. */
void label_match_drop(struct label_match *match);

/* label_filing.c: where a selector can match at all. */

/* Finds the rarest labels of which a group must have one, and files the selector under them and under all labels that it
 * names. */
void label_file(struct label_index *index, struct label_selector *selector);
void label_unfile(struct label_index *index, struct label_selector *selector);
/* Whether a walk over the groups where the selector is filed takes less than so many steps. */
bool label_filing_is_less(const struct label_selector *selector, size_t steps);
/* Files a selector that is filed under labels under those that are the rarest by now. */
void label_refile(struct label_index *index, struct label_selector *selector);

#endif
