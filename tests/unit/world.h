/* For the tests of the store and the interpreter: telling a store in few words, and asking its
 * snapshots. */
#ifndef TESTS_WORLD_H
#define TESTS_WORLD_H

#include <stdio.h>
#include <stdlib.h>

#include "authz/interpreter.h"
#include "authz/store.h"
#include "base/mem.h"

#include "check.h"

static inline void tell(struct authz_store *store, struct psync_message message)
{
    authz_store_apply(store, &message);
}

/* `members`: texts between blanks. */
static inline struct psync_strings split(struct arena *arena, const char *members)
{
    struct psync_strings list = {arena_array(arena, strlen(members), sizeof(struct str)), 0};
    struct str word, rest = arena_copy(arena, str_from_c(members));
    while (rest.len > 0) {
        str_cut(rest, ' ', &word, &rest);
        list.items[list.count++] = word;
    }
    return list;
}

static inline void tell_set(struct authz_store *store, const char *id, int type,
                            const char *members)
{
    CLEANUP_ARENA struct arena arena = {0};
    tell(store,
         (struct psync_message){.kind = PSYNC_IPSET_UPDATE,
                                .ipset_update = {str_from_c(id), type, split(&arena, members)}});
}

static inline void tell_delta(struct authz_store *store, const char *id, const char *added,
                              const char *removed)
{
    CLEANUP_ARENA struct arena arena = {0};
    tell(store, (struct psync_message){
                    .kind = PSYNC_IPSET_DELTA,
                    .ipset_delta = {str_from_c(id), split(&arena, added), split(&arena, removed)}});
}

static inline void tell_no_set(struct authz_store *store, const char *id)
{
    tell(store, (struct psync_message){.kind = PSYNC_IPSET_REMOVE, .ipset_remove = str_from_c(id)});
}

static inline void tell_in_sync(struct authz_store *store)
{
    tell(store, (struct psync_message){.kind = PSYNC_IN_SYNC});
}

static inline struct psync_policy_id policy_id(const char *name)
{
    return (struct psync_policy_id){.name = str_from_c(name), .kind = STR("GlobalNetworkPolicy")};
}

static inline void tell_policy(struct authz_store *store, const char *name,
                               struct psync_rule *rules, size_t count)
{
    tell(store,
         (struct psync_message){.kind = PSYNC_POLICY_UPDATE,
                                .policy = {.id = policy_id(name), .inbound = {rules, count}}});
}

static inline void tell_no_policy(struct authz_store *store, const char *name)
{
    tell(store,
         (struct psync_message){.kind = PSYNC_POLICY_REMOVE, .policy_remove = policy_id(name)});
}

static inline void tell_profile(struct authz_store *store, const char *name,
                                struct psync_rule *rules, size_t count)
{
    tell(store,
         (struct psync_message){.kind = PSYNC_PROFILE_UPDATE,
                                .profile = {.name = str_from_c(name), .inbound = {rules, count}}});
}

/* An endpoint with one tier "t"; `policies` and `profiles` are names between blanks. */
static inline void tell_endpoint(struct authz_store *store, const char *policies,
                                 const char *profiles)
{
    CLEANUP_ARENA struct arena arena = {0};
    struct psync_strings names = split(&arena, policies);
    struct psync_tier tier = {.name = STR("t")};
    tier.ingress.items = arena_array(&arena, names.count, sizeof(struct psync_policy_id));
    for (size_t i = 0; i < names.count; i++)
        tier.ingress.items[tier.ingress.count++] =
            (struct psync_policy_id){.name = names.items[i], .kind = STR("GlobalNetworkPolicy")};
    tell(store, (struct psync_message){.kind = PSYNC_ENDPOINT_UPDATE,
                                       .endpoint = {.id = {STR("k8s"), STR("ns/pod"), STR("eth0")},
                                                    .profile_ids = split(&arena, profiles),
                                                    .tiers = &tier,
                                                    .tier_count = 1}});
}

/* A request; what is NULL or 0 has the value that `ask` says. */
struct question {
    const char *source, *destination;       /* "10.0.0.1", "10.0.0.2" */
    uint32_t source_port, destination_port; /* 40000, 80 */
    bool named_port;                        /* the destination's port is given by name */
    bool udp, tcp_filter;
    const char *principal, *destination_principal; /* "spiffe://td/ns/client/sa/ann", "" */
    struct label *labels;                          /* of the source, one */
    const char *method, *path;                     /* "GET", "/" */
};

static inline const char *or_else(const char *given, const char *other)
{
    return given != NULL ? given : other;
}

static inline struct authz_verdict ask(const struct authz_snapshot *snapshot,
                                       const struct question *q,
                                       const struct authz_observer *observer)
{
    struct identity_domains any = {NULL, 0};
    struct authz_request r = {
        .source = {.address_text = str_from_c(or_else(q->source, "10.0.0.1")),
                   .port_value = q->source_port > 0 ? q->source_port : 40000,
                   .principal = str_from_c(or_else(q->principal, "spiffe://td/ns/client/sa/ann"))},
        .destination = {.address_text = str_from_c(or_else(q->destination, "10.0.0.2")),
                        .port_value = q->destination_port > 0 ? q->destination_port : 80,
                        .port_is_named = q->named_port,
                        .principal = str_from_c(q->destination_principal)},
        .protocol_value = q->udp,
        .has_http = !q->tcp_filter,
        .method = str_from_c(or_else(q->method, "GET")),
        .path = str_from_c(or_else(q->path, "/")),
    };
    r.source.labels = q->labels;
    r.source.label_count = q->labels != NULL;
    authz_request_prepare(&r, &any);
    struct authz_verdict verdict = authz_interpret(snapshot, &r, observer);
    r.source.labels = NULL; /* the question's */
    authz_request_free(&r);
    return verdict;
}

/* "CODE reason tier policy rule": "0 allowed_by_rule t web 0"; what did not decide is "-". */
static inline struct str show_verdict(struct arena *arena, const struct authz_verdict *v)
{
    struct str tier = v->tier.len > 0 ? v->tier : STR("-");
    struct str policy = v->policy != NULL ? v->policy->name : STR("-");
    return arena_printf(arena, "%d %.*s %.*s %.*s %d", v->code,
                        STR_ARG(authz_reason_name(v->reason)), STR_ARG(tier), STR_ARG(policy),
                        v->rule);
}

static inline void check_verdict(const char *name, const struct authz_snapshot *snapshot,
                                 const struct question *q, const char *expected)
{
    CLEANUP_ARENA struct arena arena = {0};
    struct authz_verdict verdict = ask(snapshot, q, NULL);
    check_text(name, show_verdict(&arena, &verdict), str_from_c(expected));
}

#endif
