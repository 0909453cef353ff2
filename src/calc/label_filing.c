/* Where a selector can match at all: the labels of which a group must have one. */
#include <stdlib.h>

#include "calc/label_private.h"

/* One label that would do; value.ptr NULL: with any value. */
struct term {
    struct str name, value;
};

/* Terms of which a group must have one. None at all: the selector matches nothing. */
struct terms {
    struct term *items;
    size_t count, capacity;
};

/* How much is to be looked at if a selector is filed under some terms. */
struct cost {
    uint64_t groups;
    uint64_t
        selectors; /* filed there already: each new group of that label is tested against them */
};

static void add_term(struct terms *terms, struct str name, struct str value)
{
    MEM_GROW(terms->items, terms->count, terms->capacity);
    terms->items[terms->count++] = (struct term){name, value};
}

static void add_key_cost(const struct label_key *key, struct cost *cost)
{
    /* How many groups are under its parents is not counted; a guess is good enough to choose by. */
    cost->groups += key->group_count + (uint64_t)key->parent_count * 8;
    cost->selectors += key->selectors.count;
}

static void add_pair_cost(const struct label_pair *pair, struct cost *cost)
{
    cost->groups += pair->groups.count;
    for (uint32_t i = 0; i < pair->parents.count; i++)
        cost->groups += ((const struct label_parent *)pair->parents.items[i])->groups.count;
    cost->selectors += pair->selectors.count;
}

static void add_term_cost(const struct label_index *index, const struct term *term,
                          struct cost *cost)
{
    const struct label_key *key = map_get(&index->keys, term->name);
    const struct label_pair *pair =
        key != NULL && term->value.ptr != NULL ? map_get(&key->pairs, term->value) : NULL;
    if (pair != NULL)
        add_pair_cost(pair, cost);
    else if (key != NULL && term->value.ptr == NULL)
        add_key_cost(key, cost);
}

static struct cost cost_of(const struct label_index *index, const struct terms *terms)
{
    struct cost cost = {0};
    for (size_t i = 0; i < terms->count; i++)
        add_term_cost(index, &terms->items[i], &cost);
    return cost;
}

static bool is_less(struct cost a, struct cost b)
{
    return a.groups != b.groups ? a.groups < b.groups : a.selectors < b.selectors;
}

static bool find_terms(const struct label_index *index, const struct selector *s,
                       struct terms *terms);

/* Any operand's terms will do; the cheapest are taken. */
static bool find_and_terms(const struct label_index *index, const struct selector *s,
                           struct terms *terms)
{
    struct cost least = {0};
    bool found = false;
    for (size_t i = 0; i < s->operand_count; i++) {
        struct terms other = {0};
        if (!find_terms(index, s->operands[i], &other)) {
            free(other.items);
            continue;
        }
        struct cost cost = cost_of(index, &other);
        if (!found || is_less(cost, least)) {
            struct terms swap = *terms;
            *terms = other;
            other = swap;
            least = cost;
            found = true;
        }
        free(other.items);
    }
    return found;
}

/* Appends to the (empty) terms; false if there are none: it may match groups without any of its labels. What is in
 * the terms then is of no use. */
static bool find_terms(const struct label_index *index, const struct selector *s,
                       struct terms *terms)
{
    switch (s->op) {
    case SELECTOR_EQ:
    case SELECTOR_IN:
        for (size_t i = 0; i < s->value_count; i++)
            add_term(terms, s->label, s->values[i]);
        return true;
    case SELECTOR_HAS:
    case SELECTOR_CONTAINS:
    case SELECTOR_STARTS_WITH:
    case SELECTOR_ENDS_WITH:
        add_term(terms, s->label, str_make(NULL, 0));
        return true;
    case SELECTOR_AND:
        return find_and_terms(index, s, terms);
    case SELECTOR_OR:
        for (size_t i = 0; i < s->operand_count; i++) {
            struct terms more = {0};
            bool found = find_terms(index, s->operands[i], &more);
            for (size_t j = 0; j < more.count; j++)
                add_term(terms, more.items[j].name, more.items[j].value);
            free(more.items);
            if (!found)
                return false;
        }
        return true;
    default: /* all(), global(), !, != and `not in` hold for groups without the label, too */
        return false;
    }
}

static void file_under(struct label_index *index, struct label_selector *selector,
                       const struct terms *terms)
{
    selector->entries = mem_alloc(terms->count * sizeof(*selector->entries));
    for (size_t i = 0; i < terms->count; i++) {
        struct label_entry entry = {0};
        if (terms->items[i].value.ptr == NULL) {
            entry.key = label_key_use(index, terms->items[i].name);
            list_add(&entry.key->selectors, selector);
        } else {
            entry.pair = label_pair_use(index, terms->items[i].name, terms->items[i].value);
            entry.key = entry.pair->key;
            list_add(&entry.pair->selectors, selector);
        }
        selector->entries[selector->entry_count++] = entry;
    }
}

/* Notes each label once in a round. */
static void note_mentions(struct label_index *index, struct label_selector *selector,
                          const struct selector *s)
{
    if (s->label.len > 0) {
        struct label_key *key = label_key_use(index, s->label);
        if (key->stamp != index->round) {
            key->stamp = index->round;
            list_add(&selector->mentioned, key);
            list_add(&key->mentions, selector);
        } else {
            label_key_release(index, key);
        }
    }
    for (size_t i = 0; i < s->operand_count; i++)
        note_mentions(index, selector, s->operands[i]);
}

void label_file(struct label_index *index, struct label_selector *selector)
{
    struct terms terms = {0};
    selector->is_unrestricted = !find_terms(index, selector->selector, &terms);
    if (selector->is_unrestricted)
        list_add(&index->unrestricted, selector);
    else
        file_under(index, selector, &terms);
    free(terms.items);
    index->round++;
    note_mentions(index, selector, selector->selector);
}

static void leave_entries(struct label_index *index, struct label_selector *selector)
{
    for (uint32_t i = 0; i < selector->entry_count; i++) {
        struct label_entry entry = selector->entries[i];
        if (entry.pair == NULL) {
            list_remove_item(&entry.key->selectors, selector);
            label_key_release(index, entry.key);
        } else {
            list_remove_item(&entry.pair->selectors, selector);
            label_pair_release(index, entry.pair);
        }
    }
    free(selector->entries);
    selector->entries = NULL;
    selector->entry_count = 0;
}

void label_unfile(struct label_index *index, struct label_selector *selector)
{
    if (selector->is_unrestricted)
        list_remove_item(&index->unrestricted, selector);
    leave_entries(index, selector);
    for (uint32_t i = 0; i < selector->mentioned.count; i++) {
        struct label_key *key = selector->mentioned.items[i];
        list_remove_item(&key->mentions, selector);
        label_key_release(index, key);
    }
    list_free(&selector->mentioned);
    list_free(&selector->matches);
}

/* Takes from *steps what it takes to look at the groups of a pair. False: it is more. */
static bool take_pair(const struct label_pair *pair, size_t *steps)
{
    for (uint32_t i = 0; i <= pair->parents.count; i++) {
        size_t groups = i < pair->parents.count
                            ? ((const struct label_parent *)pair->parents.items[i])->groups.count
                            : pair->groups.count + 1; /* to look there at all is a step, too */
        if (groups >= *steps)
            return false;
        *steps -= groups;
    }
    return true;
}

static bool take_key(const struct label_key *key, size_t *steps)
{
    size_t position = 0;
    const struct map_entry *item;
    while ((item = map_next(&key->pairs, &position)) != NULL) {
        if (!take_pair(item->value, steps))
            return false;
    }
    return true;
}

bool label_filing_is_less(const struct label_selector *selector, size_t steps)
{
    bool is_less = !selector->is_unrestricted;
    for (uint32_t i = 0; is_less && i < selector->entry_count; i++) {
        const struct label_entry *entry = &selector->entries[i];
        is_less =
            entry->pair != NULL ? take_pair(entry->pair, &steps) : take_key(entry->key, &steps);
    }
    return is_less;
}

void label_refile(struct label_index *index, struct label_selector *selector)
{
    struct terms terms = {0};
    struct cost now = {0};
    for (uint32_t i = 0; i < selector->entry_count; i++) {
        const struct label_entry *entry = &selector->entries[i];
        if (entry->pair != NULL)
            add_pair_cost(entry->pair, &now);
        else
            add_key_cost(entry->key, &now);
    }
    if (!selector->is_unrestricted && find_terms(index, selector->selector, &terms) &&
        cost_of(index, &terms).groups < now.groups) {
        leave_entries(index, selector);
        file_under(index, selector, &terms);
    }
    free(terms.items);
}
