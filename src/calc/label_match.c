#include <stdlib.h>

#include "calc/label_private.h"

static bool get_label(const void *ctx, struct str label, struct str *value)
{
    return label_group_get(ctx, label, value);
}

bool label_matches(const struct label_selector *selector, const struct label_group *group)
{
    struct selector_labels labels = {get_label, group};
    return selector_matches(selector->selector, &labels);
}

void label_match_add(struct label_selector *selector, struct label_group *group)
{
    struct label_match *match = mem_alloc(sizeof(*match));
    *match = (struct label_match){selector, group, selector->matches.count, group->matches.count};
    list_add(&selector->matches, match);
    list_add(&group->matches, match);
}

void label_match_drop(struct label_match *match)
{
    struct label_match *moved = list_remove(&match->selector->matches, match->in_selector);
    if (moved != NULL)
        moved->in_selector = match->in_selector;
    moved = list_remove(&match->group->matches, match->in_group);
    if (moved != NULL)
        moved->in_group = match->in_group;
    free(match);
}
