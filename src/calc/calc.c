#include "calc/calc.h"

#include <stdlib.h>

#include "base/log.h"
#include "calc/endpoint_labels.h"
#include "calc/order.h"
#include "calc/rules.h"
#include "calc/scope.h"
#include "calc/sent.h"

struct calc {
    char *workload_name;
    struct str workload; /* "NAMESPACE/NAME" */
    struct inventory inventory;
    struct sent *sent;
    bool in_sync;
    bool told_in_sync;
    bool told_missing;           /* the endpoint's absence was logged */
    struct map denying_profiles; /* names that were logged -> char * */
};

/* One flush. */
struct round {
    struct calc *calc;
    struct arena arena;
    struct ipset_requests sets;
    struct psync_message *policies;
    size_t policy_count, policy_capacity;
};

struct calc *calc_new(struct str workload)
{
    struct calc *calc = mem_zalloc(sizeof(*calc));
    calc->workload_name = mem_strndup(workload);
    calc->workload = str_make(calc->workload_name, workload.len);
    calc->sent = sent_new();
    return calc;
}

static void free_denying_profiles(struct calc *calc)
{
    size_t position = 0;
    struct map_entry *entry;
    while ((entry = map_next(&calc->denying_profiles, &position)) != NULL)
        free(entry->value);
    map_free(&calc->denying_profiles);
}

void calc_free(struct calc *calc)
{
    if (calc == NULL)
        return;
    inventory_free(&calc->inventory);
    sent_free(calc->sent);
    free_denying_profiles(calc);
    free(calc->workload_name);
    free(calc);
}

static bool uses_services(const struct model_rules *rules)
{
    for (size_t i = 0; i < rules->count; i++) {
        if (rules->items[i].source.has_services || rules->items[i].destination.has_services)
            return true;
    }
    return false;
}

/* Whether the policy must refuse: it is wrong, or says what this calculation does not know. */
static bool is_closed(const struct model_resource *policy)
{
    return policy->broken.len > 0 || uses_services(&policy->policy.ingress) ||
           uses_services(&policy->policy.egress);
}

void calc_update(struct calc *calc, struct model_resource *resource)
{
    /* What is broken was reported by the datastore, which knows file and line. */
    if (model_kind_is_policy(resource->key.kind) && resource->broken.len == 0 &&
        is_closed(resource)) {
        CLEANUP_ARENA struct arena arena = {0};
        log_event(LOG_WARNING, "Rules with `services` are not supported yet; the policy refuses",
                  LOG_STR("policy", model_key_format(&arena, &resource->key)));
    }
    inventory_put(&calc->inventory, resource);
}

void calc_remove(struct calc *calc, const struct model_key *key)
{
    inventory_remove(&calc->inventory, key);
}

void calc_set_in_sync(struct calc *calc)
{
    calc->in_sync = true;
}

/* ---- the endpoint ---- */

static const struct model_resource *find_endpoint(const struct calc *calc)
{
    struct str namespace, name;
    str_cut(calc->workload, '/', &namespace, &name);
    const struct model_resource *pod = inventory_get(&calc->inventory, MODEL_POD, namespace, name);
    if (pod != NULL && pod->endpoint.live)
        return pod;
    const struct model_resource *found = NULL;
    CLEANUP_ARENA struct arena arena = {0};
    struct inventory_list list = inventory_list(&calc->inventory, &arena, MODEL_WORKLOAD_ENDPOINT);
    for (size_t i = 0; i < list.count; i++) {
        const struct model_resource *other = list.items[i];
        if (!other->endpoint.live || !str_eq(other->endpoint.workload, calc->workload))
            continue;
        if (found != NULL)
            return NULL; /* which of them is meant is not known */
        found = other;
    }
    return found;
}

static void report_presence(struct calc *calc, bool present)
{
    if (!present && !calc->told_missing)
        log_event(
            LOG_WARNING,
            "No such workload: no Pod with an address and not exactly one WorkloadEndpoint of "
            "that name; all requests are refused until there is",
            LOG_STR("workload", calc->workload));
    if (present && calc->told_missing)
        log_event(LOG_INFO, "The workload appeared", LOG_STR("workload", calc->workload));
    calc->told_missing = !present;
}

static void split_nets(struct arena *arena, const struct model_endpoint *from,
                       struct psync_endpoint *to)
{
    to->ipv4_nets.items = arena_array(arena, from->net_count, sizeof(struct str));
    to->ipv6_nets.items = arena_array(arena, from->net_count, sizeof(struct str));
    for (size_t i = 0; i < from->net_count; i++) {
        struct psync_strings *list =
            from->nets[i].addr.family == 4 ? &to->ipv4_nets : &to->ipv6_nets;
        list->items[list->count++] =
            arena_copy(arena, str_from_c(ip_format_net(&from->nets[i]).text));
    }
}

/* ---- policies ---- */

static struct psync_policy_id policy_id(const struct model_resource *resource)
{
    return (struct psync_policy_id){.namespace = resource->key.namespace,
                                    .name = resource->key.name,
                                    .kind = model_kind_name(resource->key.kind)};
}

static void add_policy(struct round *r, const struct model_resource *resource, bool tier_is_broken)
{
    const struct model_policy *policy = &resource->policy;
    CLEANUP_BUF struct buf selector = {0};
    selector_format(&selector, scope_of_policy(&r->arena, resource));
    struct psync_message message = {
        .kind = PSYNC_POLICY_UPDATE,
        .policy = {.id = policy_id(resource),
                   .namespace = resource->key.namespace,
                   .tier = policy->tier,
                   .original_selector = arena_copy(&r->arena, buf_str(&selector))},
    };
    if (tier_is_broken || is_closed(resource)) {
        message.policy.inbound = rules_malformed(&r->arena);
        message.policy.outbound = rules_malformed(&r->arena);
    } else {
        message.policy.inbound = rules_convert(&r->sets, &policy->ingress, resource->key.namespace);
        message.policy.outbound = rules_convert(&r->sets, &policy->egress, resource->key.namespace);
    }
    MEM_GROW(r->policies, r->policy_count, r->policy_capacity);
    r->policies[r->policy_count++] = message;
}

/* Whether pods' endpoints are ever told of it: not of what acts on host endpoints before them, . */
static bool is_for_pods(const struct model_policy *policy)
{
    return !policy->do_not_track && !policy->pre_dnat &&
           policy->staged_action != MODEL_STAGED_DELETE;
}

static bool applies(struct round *r, const struct model_resource *policy,
                    const struct model_resource *endpoint)
{
    return is_for_pods(&policy->policy) &&
           endpoint_labels_match(&r->calc->inventory, endpoint, scope_of_policy(&r->arena, policy));
}

/* The tier as the endpoint sees it; false if none of its policies applies. */
static bool add_tier(struct round *r, const struct ordered_tier *from,
                     const struct model_resource *endpoint, struct psync_tier *tier)
{
    struct psync_policy_id *ingress = arena_array(&r->arena, from->policy_count, sizeof(*ingress));
    struct psync_policy_id *egress = arena_array(&r->arena, from->policy_count, sizeof(*egress));
    *tier = (struct psync_tier){.name = from->name,
                                .default_action = from->default_pass ? STR("Pass") : STR("Deny"),
                                .ingress = {ingress, 0},
                                .egress = {egress, 0}};
    for (size_t i = 0; i < from->policy_count; i++) {
        const struct model_resource *resource = from->policies[i];
        if (!applies(r, resource, endpoint))
            continue;
        add_policy(r, resource, from->is_broken);
        if (resource->policy.applies_ingress)
            ingress[tier->ingress.count++] = policy_id(resource);
        if (resource->policy.applies_egress)
            egress[tier->egress.count++] = policy_id(resource);
    }
    return tier->ingress.count + tier->egress.count > 0;
}

/* ---- profiles ---- */

/* Once for each profile: a hand-written directory often lacks the service accounts that its pods name. */
static void report_denying(struct calc *calc, struct str name)
{
    if (map_get(&calc->denying_profiles, name) != NULL)
        return;
    char *copy = mem_strndup(name);
    map_set(&calc->denying_profiles, str_make(copy, name.len), copy);
    log_event(LOG_WARNING,
              "Profile denies, since its namespace or service account is not in the datastore",
              LOG_STR("profile", name));
}

static struct psync_profile convert_profile(struct round *r, struct str name)
{
    const struct inventory *inventory = &r->calc->inventory;
    struct psync_profile profile = {.name = name};
    struct str namespace, account;
    str_cut(str_from(name, 4), '.', &namespace, &account);
    if (str_starts_with(name, STR("kns.")) &&
        inventory_get(inventory, MODEL_NAMESPACE, str_make(NULL, 0), str_from(name, 4)) != NULL) {
        profile.inbound = profile.outbound = rules_always(&r->arena, STR("allow"));
        return profile;
    }
    if (str_starts_with(name, STR("ksa.")) &&
        inventory_get(inventory, MODEL_SERVICE_ACCOUNT, namespace, account) != NULL)
        return profile; /* it only passes labels on */
    const struct model_resource *resource =
        inventory_get(inventory, MODEL_PROFILE, str_make(NULL, 0), name);
    if (resource == NULL) {
        report_denying(r->calc, name);
        profile.inbound = profile.outbound = rules_always(&r->arena, STR("deny"));
    } else if (resource->broken.len > 0) {
        profile.inbound = profile.outbound = rules_malformed(&r->arena);
    } else {
        profile.inbound = rules_convert(&r->sets, &resource->profile.ingress, str_make(NULL, 0));
        profile.outbound = rules_convert(&r->sets, &resource->profile.egress, str_make(NULL, 0));
    }
    return profile;
}

/* ---- what should be in force ---- */

static int compare_requests(const void *a, const void *b)
{
    return str_cmp((*(struct ipset_request *const *)a)->id,
                   (*(struct ipset_request *const *)b)->id);
}

static void offer_sets(struct round *r)
{
    struct ipset_request **requests =
        arena_array(&r->arena, r->sets.by_id.count, sizeof(struct ipset_request *));
    size_t count = 0, position = 0;
    struct map_entry *entry;
    while ((entry = map_next(&r->sets.by_id, &position)) != NULL)
        requests[count++] = entry->value;
    if (count > 1)
        qsort(requests, count, sizeof(struct ipset_request *), compare_requests);
    for (size_t i = 0; i < count; i++) {
        struct psync_message message = {
            .kind = PSYNC_IPSET_UPDATE,
            .ipset_update = ipset_contents(&r->arena, &r->calc->inventory, requests[i]),
        };
        sent_offer(r->calc->sent, &message);
    }
}

/* Policies are converted before anything is offered, since the sets that they need go first. */
static void offer_endpoint(struct round *r, const struct model_resource *resource)
{
    const struct model_endpoint *from = &resource->endpoint;
    struct ordered_tiers tiers = order_policies(&r->calc->inventory, &r->arena);
    struct psync_message message = {.kind = PSYNC_ENDPOINT_UPDATE};
    struct psync_endpoint *endpoint = &message.endpoint;
    *endpoint = (struct psync_endpoint){
        .id = {from->orchestrator, from->workload, from->endpoint},
        .state = STR("active"),
        .name = from->interface,
        .profile_ids = {from->profiles.items, from->profiles.count},
        .tiers = arena_array(&r->arena, tiers.count, sizeof(*endpoint->tiers)),
    };
    split_nets(&r->arena, from, endpoint);
    for (size_t i = 0; i < tiers.count; i++) {
        if (add_tier(r, &tiers.items[i], resource, &endpoint->tiers[endpoint->tier_count]))
            endpoint->tier_count++;
    }
    struct psync_message *profiles =
        arena_array(&r->arena, from->profiles.count, sizeof(*profiles));
    for (size_t i = 0; i < from->profiles.count; i++) {
        profiles[i].kind = PSYNC_PROFILE_UPDATE;
        profiles[i].profile = convert_profile(r, from->profiles.items[i]);
    }
    offer_sets(r);
    for (size_t i = 0; i < r->policy_count; i++)
        sent_offer(r->calc->sent, &r->policies[i]);
    for (size_t i = 0; i < from->profiles.count; i++)
        sent_offer(r->calc->sent, &profiles[i]);
    sent_offer(r->calc->sent, &message);
}

/* A resource's own labels and its name as one more. */
static struct psync_labels synced_labels(struct arena *arena, const struct model_resource *resource)
{
    struct psync_labels labels = {
        arena_array(arena, resource->labels.count + 1, sizeof(*labels.items)), 0};
    const struct str name_label = STR("projectcalico.org/name");
    for (size_t i = 0; i < resource->labels.count; i++) {
        const struct model_label *label = &resource->labels.items[i];
        if (!str_eq(label->key, name_label))
            labels.items[labels.count++] = (struct psync_label){label->key, label->value};
    }
    labels.items[labels.count++] = (struct psync_label){name_label, resource->key.name};
    return labels;
}

static void offer_labelled(struct round *r, enum model_kind kind)
{
    struct inventory_list list = inventory_list(&r->calc->inventory, &r->arena, kind);
    for (size_t i = 0; i < list.count; i++) {
        const struct model_resource *resource = list.items[i];
        struct psync_labelled item = {.namespace = resource->key.namespace,
                                      .name = resource->key.name,
                                      .labels = synced_labels(&r->arena, resource)};
        struct psync_message message = {.kind = PSYNC_NAMESPACE_UPDATE, .namespace = item};
        if (kind == MODEL_SERVICE_ACCOUNT)
            message = (struct psync_message){.kind = PSYNC_ACCOUNT_UPDATE, .account = item};
        sent_offer(r->calc->sent, &message);
    }
}

/* ---- flush ---- */

/* Passes on to the sink of the caller and notes whether anything was sent. */
struct counting_sink {
    const struct psync_sink *sink;
    bool sent;
};

static void count_message(void *ctx, const struct psync_message *message)
{
    struct counting_sink *counting = ctx;
    counting->sent = true;
    counting->sink->message(counting->sink->ctx, message);
}

void calc_flush(struct calc *calc, const struct psync_sink *sink)
{
    if (!calc->in_sync)
        return;
    struct counting_sink counting = {sink, false};
    struct psync_sink inner = {.message = count_message, .ctx = &counting};
    struct round r = {.calc = calc};
    r.sets.arena = &r.arena;
    const struct model_resource *endpoint = find_endpoint(calc);
    report_presence(calc, endpoint != NULL);
    sent_begin(calc->sent, &inner);
    if (endpoint != NULL)
        offer_endpoint(&r, endpoint);
    offer_labelled(&r, MODEL_SERVICE_ACCOUNT);
    offer_labelled(&r, MODEL_NAMESPACE);
    sent_end(calc->sent);
    if (!calc->told_in_sync) {
        count_message(&counting, &(struct psync_message){.kind = PSYNC_IN_SYNC});
        calc->told_in_sync = true;
    }
    if (counting.sent)
        sink->batch_end(sink->ctx);
    ipset_requests_free(&r.sets);
    free(r.policies);
    arena_free(&r.arena);
}
