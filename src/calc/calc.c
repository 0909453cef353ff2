#include "calc/calc.h"

#include <stdlib.h>

#include "base/log.h"

struct calc {
    struct ipsets *ipsets;
    struct profiles *profiles;
    struct label_index *local; /* this node's endpoints, and the policies' selectors */
    struct endpoints *endpoints;
    struct policies *policies;
    bool in_sync, told_in_sync;
    char *workload; /* NULL, or the one workload that is asked about: its absence is logged */
    bool told_missing;
    uint64_t updates, messages, flushes;
};

/* ---- what the parts ask of each other ---- */

static struct labels parent_labels(void *ctx, struct str parent, struct str *prefix)
{
    return profiles_labels(((struct calc *)ctx)->profiles, parent, prefix);
}

static void on_labels_changed(void *ctx, struct str profile)
{
    struct calc *calc = ctx;
    ipsets_parent_changed(calc->ipsets, profile);
    label_index_parent_changed(calc->local, profile);
}

static void on_policy_match(void *ctx, struct label_selector *selector, struct label_group *group,
                            bool matches)
{
    struct calc *calc = ctx;
    policies_count(calc->policies, (struct policy *)selector, group->members.count, matches);
    endpoints_group_changed(calc->endpoints, group);
}

struct calc *calc_new(const struct endpoints_scope *scope)
{
    struct calc *calc = mem_zalloc(sizeof(*calc));
    const struct label_index_events events = {on_policy_match, parent_labels, calc};
    calc->ipsets = ipsets_new(parent_labels, calc);
    calc->profiles = profiles_new(calc->ipsets, on_labels_changed, calc);
    calc->local = label_index_new(&events);
    calc->endpoints = endpoints_new(scope, calc->local, calc->profiles);
    const struct policies_context context = {calc->local, calc->ipsets, endpoints_group_changed,
                                             calc->endpoints};
    calc->policies = policies_new(&context);
    endpoints_set_policies(calc->endpoints, calc->policies);
    calc->workload = scope->workload.len > 0 ? mem_strndup(scope->workload) : NULL;
    return calc;
}

void calc_free(struct calc *calc)
{
    if (calc == NULL)
        return;
    label_index_free(calc->local);
    policies_free(calc->policies);
    endpoints_free(calc->endpoints);
    ipsets_free(calc->ipsets);
    profiles_free(calc->profiles);
    free(calc->workload);
    free(calc);
}

/* ---- changes come in ---- */

void calc_update(struct calc *calc, struct model_resource *resource)
{
    calc->updates++;
    switch (resource->key.kind) {
    case MODEL_NAMESPACE:
    case MODEL_SERVICE_ACCOUNT:
    case MODEL_PROFILE:
        profiles_put(calc->profiles, resource);
        return;
    case MODEL_POD:
    case MODEL_WORKLOAD_ENDPOINT:
        ipsets_put_peer(calc->ipsets, resource);
        endpoints_put(calc->endpoints, resource);
        return;
    case MODEL_HOST_ENDPOINT:
    case MODEL_NETWORK_SET:
    case MODEL_GLOBAL_NETWORK_SET:
        ipsets_put_peer(calc->ipsets, resource);
        break;
    case MODEL_ENDPOINT_SLICE:
        ipsets_put_slice(calc->ipsets, resource);
        break;
    case MODEL_TIER:
        policies_set_tier(calc->policies, resource->key.name, resource);
        break;
    default:
        if (model_kind_is_policy(resource->key.kind)) {
            policies_put(calc->policies, resource);
            return;
        }
    }
    model_resource_free(resource);
}

void calc_remove(struct calc *calc, const struct model_key *key)
{
    calc->updates++;
    switch (key->kind) {
    case MODEL_NAMESPACE:
    case MODEL_SERVICE_ACCOUNT:
    case MODEL_PROFILE:
        profiles_remove(calc->profiles, key);
        return;
    case MODEL_POD:
    case MODEL_WORKLOAD_ENDPOINT:
        ipsets_remove_peer(calc->ipsets, key);
        endpoints_remove(calc->endpoints, key);
        return;
    case MODEL_HOST_ENDPOINT:
    case MODEL_NETWORK_SET:
    case MODEL_GLOBAL_NETWORK_SET:
        ipsets_remove_peer(calc->ipsets, key);
        return;
    case MODEL_ENDPOINT_SLICE:
        ipsets_remove_slice(calc->ipsets, key);
        return;
    case MODEL_TIER:
        policies_set_tier(calc->policies, key->name, NULL);
        return;
    default:
        if (model_kind_is_policy(key->kind))
            policies_remove(calc->policies, key);
    }
}

void calc_set_interface_prefix(struct calc *calc, struct str prefix)
{
    endpoints_set_interface_prefix(calc->endpoints, prefix);
}

void calc_set_in_sync(struct calc *calc)
{
    calc->in_sync = true;
}

/* ---- flush ---- */

static void report_presence(struct calc *calc)
{
    bool is_present = endpoints_count(calc->endpoints) > 0;
    if (calc->workload == NULL || is_present == !calc->told_missing)
        return;
    calc->told_missing = !is_present;
    if (is_present)
        log_event(LOG_INFO, "The workload appeared", LOG_C("workload", calc->workload));
    else
        log_event(
            LOG_WARNING,
            "No such workload: no Pod that runs on a node with an address of its own, and not "
            "exactly one WorkloadEndpoint, of that name; all requests are refused until there is",
            LOG_C("workload", calc->workload));
}

/* Passes on to the sink of the caller and counts. */
struct counting_sink {
    const struct psync_sink *sink;
    uint64_t count;
};

static void count_message(void *ctx, const struct psync_message *message)
{
    struct counting_sink *counting = ctx;
    counting->count++;
    counting->sink->message(counting->sink->ctx, message);
}

/* Everything is worked out before anything is sent, since what is used goes first. */
static void send_changes(struct calc *calc, const struct psync_sink *sink)
{
    CLEANUP_ARENA struct arena arena = {0};
    policies_settle(calc->policies);
    policies_prepare(calc->policies, &arena);
    profiles_prepare(calc->profiles, &arena);

    ipsets_send_updates(calc->ipsets, sink);
    policies_send_updates(calc->policies, sink);
    profiles_send_updates(calc->profiles, sink);
    endpoints_send_updates(calc->endpoints, sink);
    profiles_send_labelled(calc->profiles, sink);

    endpoints_send_removals(calc->endpoints, sink);
    profiles_send_removals(calc->profiles, sink);
    policies_send_removals(calc->policies, sink);
    ipsets_send_removals(calc->ipsets, sink);
    profiles_send_labelled_removals(calc->profiles, sink);
}

void calc_flush(struct calc *calc, const struct psync_sink *sink)
{
    if (!calc->in_sync)
        return;
    struct counting_sink counting = {sink, 0};
    const struct psync_sink inner = {.message = count_message, .ctx = &counting};
    report_presence(calc);
    send_changes(calc, &inner);
    if (!calc->told_in_sync)
        count_message(&counting, &(struct psync_message){.kind = PSYNC_IN_SYNC});
    calc->told_in_sync = true;
    calc->flushes++;
    calc->messages += counting.count;
    if (counting.count > 0)
        sink->batch_end(sink->ctx);
}

/* ---- looking in ---- */

bool calc_set_members(const struct calc *calc, struct str id, struct arena *arena, int *type,
                      struct psync_strings *members)
{
    const struct ipset *set = ipsets_find(calc->ipsets, id);
    if (set == NULL || !set->is_sent)
        return false;
    *type = set->is_sent_unreadable ? (int)PSYNC_SET_UNREADABLE : (int)set->type;
    *members = members_told(&set->members, arena);
    return true;
}

struct calc_stats calc_stats(const struct calc *calc)
{
    return (struct calc_stats){.policies = policies_stats(calc->policies),
                               .profiles = profiles_stats(calc->profiles),
                               .ipsets = ipsets_stats(calc->ipsets),
                               .endpoints = endpoints_count(calc->endpoints),
                               .updates = calc->updates,
                               .messages = calc->messages,
                               .flushes = calc->flushes};
}
