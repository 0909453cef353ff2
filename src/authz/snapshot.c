#include "authz/snapshot.h"

#include <stdlib.h>

static void unref_labels(struct map *labels)
{
    size_t position = 0;
    struct map_entry *entry;
    while ((entry = map_next(labels, &position)) != NULL)
        authz_labels_unref(entry->value);
    map_free(labels);
}

void authz_directory_unref(struct authz_directory *directory)
{
    if (directory == NULL || --directory->references > 0)
        return;
    unref_labels(&directory->accounts);
    unref_labels(&directory->namespaces);
    free(directory);
}

void authz_snapshot_unref(struct authz_snapshot *snapshot)
{
    if (snapshot == NULL || --snapshot->references > 0)
        return;
    for (size_t i = 0; i < snapshot->tier_count; i++) {
        for (size_t j = 0; j < snapshot->tiers[i].policy_count; j++)
            authz_policy_unref(snapshot->tiers[i].policies[j].policy);
    }
    for (size_t i = 0; i < snapshot->profile_count; i++)
        authz_policy_unref(snapshot->profiles[i].policy);
    for (size_t i = 0; i < snapshot->set_count; i++)
        authz_ipset_unref(snapshot->sets[i]);
    free(snapshot->sets);
    authz_directory_unref(snapshot->directory);
    arena_free(&snapshot->arena);
    free(snapshot);
}
