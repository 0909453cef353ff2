/* For tests: messages of the Policy Sync API as short text, so that what is expected can stand in a table. What is absent
 * is left out. */
#ifndef TESTS_MESSAGE_SHOW_H
#define TESTS_MESSAGE_SHOW_H

#include <stdlib.h>

#include "base/mem.h"
#include "policysync/message.h"

static inline int compare_strings(const void *a, const void *b)
{
    return str_cmp(*(const struct str *)a, *(const struct str *)b);
}

/* " NAME{a b}", sorted. */
static inline void show_names(struct buf *out, const char *name, const struct psync_strings *names)
{
    CLEANUP_ARENA struct arena arena = {0};
    struct str *sorted = arena_array(&arena, names->count, sizeof(*sorted));
    if (names->count == 0)
        return;
    memcpy(sorted, names->items, names->count * sizeof(*sorted));
    qsort(sorted, names->count, sizeof(*sorted), compare_strings);
    buf_printf(out, " %s{", name);
    for (size_t i = 0; i < names->count; i++)
        buf_printf(out, "%s%.*s", i > 0 ? " " : "", STR_ARG(sorted[i]));
    buf_append_byte(out, '}');
}

static inline void show_value(struct buf *out, const char *name, struct str value)
{
    if (value.len > 0)
        buf_printf(out, " %s=<%.*s>", name, STR_ARG(value));
}

static inline void show_ranges(struct buf *out, const char *name,
                               const struct psync_port_ranges *ranges)
{
    for (size_t i = 0; i < ranges->count; i++)
        buf_printf(out, "%s%d-%d", i > 0 ? "," : name, ranges->items[i].first,
                   ranges->items[i].last);
}

static inline void show_rule_side(struct buf *out, const char *name,
                                  const struct psync_rule_side *side)
{
    CLEANUP_BUF struct buf text = {0};
    show_names(&text, "nets", &side->nets);
    show_names(&text, "!nets", &side->not_nets);
    show_ranges(&text, " ports=", &side->ports);
    show_ranges(&text, " !ports=", &side->not_ports);
    show_names(&text, "sets", &side->set_ids);
    show_names(&text, "!sets", &side->not_set_ids);
    show_names(&text, "named", &side->named_port_set_ids);
    show_names(&text, "!named", &side->not_named_port_set_ids);
    show_names(&text, "services", &side->ip_port_set_ids);
    show_value(&text, "selector", side->selector);
    show_value(&text, "!selector", side->not_selector);
    show_value(&text, "namespaces", side->namespace_selector);
    show_value(&text, "service", side->service);
    show_value(&text, "service-namespace", side->service_namespace);
    show_value(&text, "accounts", side->account.selector);
    show_names(&text, "accounts", &side->account.names);
    if (text.len > 0)
        buf_printf(out, " %s(%.*s)", name, STR_ARG(str_from(buf_str(&text), 1)));
}

static inline void show_psync_protocol(struct buf *out, const char *name,
                                       const struct psync_protocol *protocol)
{
    if (protocol->present && protocol->choice == PSYNC_NAME)
        buf_printf(out, " %s%.*s", name, STR_ARG(protocol->name));
    else if (protocol->present)
        buf_printf(out, " %s%d", name, protocol->number);
}

static inline void show_psync_icmp(struct buf *out, const char *name, const struct psync_icmp *icmp)
{
    if (!icmp->present)
        return;
    buf_printf(out, " %s%d", name, icmp->type);
    if (icmp->has_code)
        buf_printf(out, "/%d", icmp->code);
}

static inline void show_rule(struct buf *out, const struct psync_rule *rule)
{
    buf_append_str(out, rule->action);
    if (rule->ip_version != 0)
        buf_printf(out, " v%d", rule->ip_version);
    show_psync_protocol(out, "", &rule->protocol);
    show_psync_protocol(out, "!", &rule->not_protocol);
    show_psync_icmp(out, "icmp ", &rule->icmp);
    show_psync_icmp(out, "!icmp ", &rule->not_icmp);
    show_rule_side(out, "from", &rule->source);
    show_rule_side(out, "to", &rule->destination);
    show_names(out, "methods", &rule->http.methods);
    for (size_t i = 0; i < rule->http.path_count; i++)
        show_value(out, rule->http.paths[i].kind == PSYNC_PATH_PREFIX ? "prefix" : "exact",
                   rule->http.paths[i].text);
    for (size_t i = 0; i < rule->annotations.count; i++)
        buf_printf(out, " note %.*s=%.*s", STR_ARG(rule->annotations.items[i].key),
                   STR_ARG(rule->annotations.items[i].value));
}

static inline void show_rule_list(struct buf *out, const char *name,
                                  const struct psync_rules *rules)
{
    for (size_t i = 0; i < rules->count; i++) {
        buf_printf(out, "\n  %s ", name);
        show_rule(out, &rules->items[i]);
    }
}

/* "KIND NAMESPACE/NAME", "KIND NAME" */
static inline void show_policy_id(struct buf *out, const struct psync_policy_id *id)
{
    buf_printf(out, "%.*s %.*s%s%.*s", STR_ARG(id->kind), STR_ARG(id->namespace),
               id->namespace.len > 0 ? "/" : "", STR_ARG(id->name));
}

static inline void show_policy_ids(struct buf *out, const char *name,
                                   const struct psync_policy_ids *ids)
{
    for (size_t i = 0; i < ids->count; i++) {
        buf_append_str(out, str_from_c(i > 0 ? ", " : name));
        show_policy_id(out, &ids->items[i]);
    }
}

static inline void show_psync_endpoint(struct buf *out, const struct psync_endpoint *endpoint)
{
    show_value(out, "state", endpoint->state);
    show_value(out, "interface", endpoint->name);
    show_names(out, "v4", &endpoint->ipv4_nets);
    show_names(out, "v6", &endpoint->ipv6_nets);
    for (size_t i = 0; i < endpoint->profile_ids.count; i++)
        buf_printf(out, "%s%.*s",
                   i > 0 ? "," : " profiles=", STR_ARG(endpoint->profile_ids.items[i]));
    for (size_t i = 0; i < endpoint->tier_count; i++) {
        const struct psync_tier *tier = &endpoint->tiers[i];
        buf_printf(out, "\n  tier %.*s %.*s", STR_ARG(tier->name), STR_ARG(tier->default_action));
        show_policy_ids(out, " in: ", &tier->ingress);
        show_policy_ids(out, " out: ", &tier->egress);
    }
}

static inline void show_labelled(struct buf *out, const struct psync_labelled *item)
{
    for (size_t i = 0; i < item->labels.count; i++)
        buf_printf(out, " %.*s=%.*s", STR_ARG(item->labels.items[i].key),
                   STR_ARG(item->labels.items[i].value));
}

/* The kind of a message and what it is about: "set s:all()", "-policy NetworkPolicy bank/web" (a removal). */
static inline void show_subject(struct buf *out, const struct psync_message *m)
{
    static const char *const kinds[] = {
        [PSYNC_IGNORED] = "ignored",
        [PSYNC_IN_SYNC] = "in sync",
        [PSYNC_IPSET_UPDATE] = "set ",
        [PSYNC_IPSET_DELTA] = "delta ",
        [PSYNC_IPSET_REMOVE] = "-set ",
        [PSYNC_PROFILE_UPDATE] = "profile ",
        [PSYNC_PROFILE_REMOVE] = "-profile ",
        [PSYNC_POLICY_UPDATE] = "policy ",
        [PSYNC_POLICY_REMOVE] = "-policy ",
        [PSYNC_ENDPOINT_UPDATE] = "endpoint ",
        [PSYNC_ENDPOINT_REMOVE] = "-endpoint ",
        [PSYNC_ACCOUNT_UPDATE] = "account ",
        [PSYNC_ACCOUNT_REMOVE] = "-account ",
        [PSYNC_NAMESPACE_UPDATE] = "namespace ",
        [PSYNC_NAMESPACE_REMOVE] = "-namespace ",
    };
    buf_append_str(out, str_from_c(kinds[m->kind]));
    /* All of these begin with what they are called. */
    if (m->kind == PSYNC_POLICY_UPDATE || m->kind == PSYNC_POLICY_REMOVE)
        show_policy_id(out, &m->policy.id);
    else if (m->kind == PSYNC_ENDPOINT_UPDATE || m->kind == PSYNC_ENDPOINT_REMOVE)
        buf_printf(out, "%.*s/%.*s/%.*s", STR_ARG(m->endpoint.id.orchestrator),
                   STR_ARG(m->endpoint.id.workload), STR_ARG(m->endpoint.id.endpoint));
    else if (m->kind == PSYNC_NAMESPACE_UPDATE || m->kind == PSYNC_NAMESPACE_REMOVE)
        buf_append_str(out, m->namespace.name);
    else if (m->kind == PSYNC_ACCOUNT_UPDATE || m->kind == PSYNC_ACCOUNT_REMOVE)
        buf_printf(out, "%.*s/%.*s", STR_ARG(m->account.namespace), STR_ARG(m->account.name));
    else if (m->kind != PSYNC_IN_SYNC && m->kind != PSYNC_IGNORED)
        buf_append_str(out, m->ipset_update.id);
}

/* The whole message. */
static inline void show_message(struct buf *out, const struct psync_message *m)
{
    show_subject(out, m);
    switch (m->kind) {
    case PSYNC_IPSET_UPDATE:
        buf_printf(out, " type=%d", m->ipset_update.type);
        show_names(out, "", &m->ipset_update.members);
        return;
    case PSYNC_IPSET_DELTA:
        show_names(out, "+", &m->ipset_delta.added);
        show_names(out, "-", &m->ipset_delta.removed);
        return;
    case PSYNC_POLICY_UPDATE:
        show_value(out, "tier", m->policy.tier);
        show_value(out, "for", m->policy.original_selector);
        show_rule_list(out, "<", &m->policy.inbound);
        show_rule_list(out, ">", &m->policy.outbound);
        return;
    case PSYNC_PROFILE_UPDATE:
        show_rule_list(out, "<", &m->profile.inbound);
        show_rule_list(out, ">", &m->profile.outbound);
        return;
    case PSYNC_ENDPOINT_UPDATE:
        show_psync_endpoint(out, &m->endpoint);
        return;
    case PSYNC_ACCOUNT_UPDATE:
    case PSYNC_NAMESPACE_UPDATE:
        show_labelled(out, m->kind == PSYNC_NAMESPACE_UPDATE ? &m->namespace : &m->account);
        return;
    default:
        return;
    }
}

#endif
