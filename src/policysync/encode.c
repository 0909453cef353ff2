#include "policysync/encode.h"

#include "pb/writer.h"

/* Numbers in this file are the field numbers of proto/felix.proto. */

/* proto3 leaves out what is empty. */
static void put_string(struct buf *out, uint32_t field, struct str value)
{
    if (value.len > 0)
        pb_write_bytes(out, field, value);
}

static void put_number(struct buf *out, uint32_t field, int64_t value)
{
    if (value != 0)
        pb_write_varint(out, field, (uint64_t)value);
}

/* Elements of a list are written even if they are empty. */
static void put_strings(struct buf *out, uint32_t field, const struct psync_strings *list)
{
    for (size_t i = 0; i < list->count; i++)
        pb_write_bytes(out, field, list->items[i]);
}

static void put_map(struct buf *out, uint32_t field, const struct labels *map)
{
    for (size_t i = 0; i < map->count; i++) {
        size_t mark = pb_begin(out, field);
        put_string(out, 1, map->items[i].key);
        put_string(out, 2, map->items[i].value);
        pb_end(out, mark);
    }
}

static void put_ports(struct buf *out, uint32_t field, const struct psync_port_ranges *ranges)
{
    for (size_t i = 0; i < ranges->count; i++) {
        size_t mark = pb_begin(out, field);
        put_number(out, 1, ranges->items[i].first);
        put_number(out, 2, ranges->items[i].last);
        pb_end(out, mark);
    }
}

static void put_protocol(struct buf *out, uint32_t field, const struct psync_protocol *protocol)
{
    if (!protocol->present)
        return;
    size_t mark = pb_begin(out, field);
    if (protocol->choice == PSYNC_NUMBER)
        pb_write_varint(out, 1, (uint64_t)(int64_t)protocol->number);
    else if (protocol->choice == PSYNC_NAME)
        pb_write_bytes(out, 2, protocol->name);
    pb_end(out, mark);
}

/* `type_field` is followed by the field that has type and code. */
static void put_icmp(struct buf *out, uint32_t type_field, const struct psync_icmp *icmp)
{
    if (!icmp->present)
        return;
    if (!icmp->has_code) {
        pb_write_varint(out, type_field, (uint64_t)(int64_t)icmp->type);
        return;
    }
    size_t mark = pb_begin(out, type_field + 1);
    put_number(out, 1, icmp->type);
    put_number(out, 2, icmp->code);
    pb_end(out, mark);
}

static void put_account(struct buf *out, uint32_t field, const struct psync_account_match *match)
{
    if (match->selector.len == 0 && match->names.count == 0)
        return;
    size_t mark = pb_begin(out, field);
    put_string(out, 1, match->selector);
    put_strings(out, 2, &match->names);
    pb_end(out, mark);
}

static void put_http(struct buf *out, const struct psync_http_match *http)
{
    if (http->methods.count == 0 && http->path_count == 0)
        return;
    size_t mark = pb_begin(out, 122);
    put_strings(out, 1, &http->methods);
    for (size_t i = 0; i < http->path_count; i++) {
        size_t path = pb_begin(out, 2);
        if (http->paths[i].kind != PSYNC_PATH_NONE)
            pb_write_bytes(out, http->paths[i].kind == PSYNC_PATH_EXACT ? 1 : 2,
                           http->paths[i].text);
        pb_end(out, path);
    }
    pb_end(out, mark);
}

static void put_rule(struct buf *out, uint32_t field, const struct psync_rule *rule)
{
    const struct psync_rule_side *src = &rule->source, *dst = &rule->destination;
    size_t mark = pb_begin(out, field);
    put_string(out, 1, rule->action);
    put_number(out, 2, rule->ip_version);
    put_protocol(out, 3, &rule->protocol);
    put_strings(out, 4, &src->nets);
    put_ports(out, 5, &src->ports);
    put_strings(out, 6, &dst->nets);
    put_ports(out, 7, &dst->ports);
    put_icmp(out, 8, &rule->icmp);
    put_strings(out, 10, &src->set_ids);
    put_strings(out, 11, &dst->set_ids);
    put_strings(out, 12, &src->named_port_set_ids);
    put_strings(out, 13, &dst->named_port_set_ids);
    put_strings(out, 15, &dst->ip_port_set_ids);
    put_protocol(out, 102, &rule->not_protocol);
    put_strings(out, 103, &src->not_nets);
    put_ports(out, 104, &src->not_ports);
    put_strings(out, 105, &dst->not_nets);
    put_ports(out, 106, &dst->not_ports);
    put_icmp(out, 107, &rule->not_icmp);
    put_strings(out, 109, &src->not_set_ids);
    put_strings(out, 110, &dst->not_set_ids);
    put_strings(out, 112, &src->not_named_port_set_ids);
    put_strings(out, 113, &dst->not_named_port_set_ids);
    put_string(out, 114, src->selector);
    put_string(out, 115, dst->selector);
    put_string(out, 116, src->namespace_selector);
    put_string(out, 117, dst->namespace_selector);
    put_string(out, 118, src->not_selector);
    put_string(out, 119, dst->not_selector);
    put_account(out, 120, &src->account);
    put_account(out, 121, &dst->account);
    put_http(out, &rule->http);
    if (rule->annotations.count > 0) {
        size_t metadata = pb_begin(out, 123);
        put_map(out, 1, &rule->annotations);
        pb_end(out, metadata);
    }
    put_string(out, 130, dst->service);
    put_string(out, 131, dst->service_namespace);
    put_string(out, 132, src->service);
    put_string(out, 133, src->service_namespace);
    put_string(out, 201, rule->rule_id);
    pb_end(out, mark);
}

static void put_rules(struct buf *out, uint32_t field, const struct psync_rules *rules)
{
    for (size_t i = 0; i < rules->count; i++)
        put_rule(out, field, &rules->items[i]);
}

static void put_policy_id(struct buf *out, uint32_t field, const struct psync_policy_id *id)
{
    size_t mark = pb_begin(out, field);
    put_string(out, 1, id->tier);
    put_string(out, 2, id->name);
    put_string(out, 3, id->namespace);
    put_string(out, 4, id->kind);
    pb_end(out, mark);
}

/* An id message that is one name. */
static void put_name_id(struct buf *out, uint32_t field, struct str name)
{
    size_t mark = pb_begin(out, field);
    put_string(out, 1, name);
    pb_end(out, mark);
}

static void put_policy(struct buf *out, const struct psync_policy *policy)
{
    put_policy_id(out, 1, &policy->id);
    size_t mark = pb_begin(out, 2);
    put_rules(out, 1, &policy->inbound);
    put_rules(out, 2, &policy->outbound);
    put_number(out, 3, policy->untracked);
    put_number(out, 4, policy->pre_dnat);
    put_string(out, 5, policy->namespace);
    put_string(out, 6, policy->original_selector);
    put_string(out, 8, policy->tier);
    pb_end(out, mark);
}

static void put_profile(struct buf *out, const struct psync_profile *profile)
{
    put_name_id(out, 1, profile->name);
    size_t mark = pb_begin(out, 2);
    put_rules(out, 1, &profile->inbound);
    put_rules(out, 2, &profile->outbound);
    pb_end(out, mark);
}

static void put_tier(struct buf *out, uint32_t field, const struct psync_tier *tier)
{
    size_t mark = pb_begin(out, field);
    put_string(out, 1, tier->name);
    for (size_t i = 0; i < tier->ingress.count; i++)
        put_policy_id(out, 2, &tier->ingress.items[i]);
    for (size_t i = 0; i < tier->egress.count; i++)
        put_policy_id(out, 3, &tier->egress.items[i]);
    put_string(out, 4, tier->default_action);
    pb_end(out, mark);
}

static void put_endpoint_id(struct buf *out, const struct psync_endpoint_id *id)
{
    size_t mark = pb_begin(out, 1);
    put_string(out, 2, id->orchestrator);
    put_string(out, 3, id->workload);
    put_string(out, 4, id->endpoint);
    pb_end(out, mark);
}

static void put_endpoint(struct buf *out, const struct psync_endpoint *endpoint)
{
    put_endpoint_id(out, &endpoint->id);
    size_t mark = pb_begin(out, 5);
    put_string(out, 1, endpoint->state);
    put_string(out, 2, endpoint->name);
    put_string(out, 3, endpoint->mac);
    put_strings(out, 4, &endpoint->profile_ids);
    put_strings(out, 5, &endpoint->ipv4_nets);
    put_strings(out, 6, &endpoint->ipv6_nets);
    for (size_t i = 0; i < endpoint->tier_count; i++)
        put_tier(out, 7, &endpoint->tiers[i]);
    pb_end(out, mark);
}

static void put_labelled(struct buf *out, const struct psync_labelled *item, bool is_account)
{
    size_t id = pb_begin(out, 1);
    if (is_account)
        put_string(out, 1, item->namespace);
    put_string(out, is_account ? 2 : 1, item->name);
    pb_end(out, id);
    put_map(out, 2, &item->labels);
}

/* The field of ToDataplane that carries a kind of message. */
static uint32_t payload_field(enum psync_kind kind)
{
    static const uint8_t fields[] = {
        [PSYNC_IN_SYNC] = 1,           [PSYNC_IPSET_UPDATE] = 2,      [PSYNC_IPSET_DELTA] = 3,
        [PSYNC_IPSET_REMOVE] = 4,      [PSYNC_PROFILE_UPDATE] = 5,    [PSYNC_PROFILE_REMOVE] = 6,
        [PSYNC_POLICY_UPDATE] = 7,     [PSYNC_POLICY_REMOVE] = 8,     [PSYNC_ENDPOINT_UPDATE] = 11,
        [PSYNC_ENDPOINT_REMOVE] = 12,  [PSYNC_ACCOUNT_UPDATE] = 19,   [PSYNC_ACCOUNT_REMOVE] = 20,
        [PSYNC_NAMESPACE_UPDATE] = 21, [PSYNC_NAMESPACE_REMOVE] = 22,
    };
    return fields[kind];
}

static void put_payload(struct buf *out, const struct psync_message *m)
{
    switch (m->kind) {
    case PSYNC_IGNORED:
    case PSYNC_IN_SYNC:
        return;
    case PSYNC_IPSET_UPDATE:
        put_string(out, 1, m->ipset_update.id);
        put_strings(out, 2, &m->ipset_update.members);
        put_number(out, 3, m->ipset_update.type);
        return;
    case PSYNC_IPSET_DELTA:
        put_string(out, 1, m->ipset_delta.id);
        put_strings(out, 2, &m->ipset_delta.added);
        put_strings(out, 3, &m->ipset_delta.removed);
        return;
    case PSYNC_IPSET_REMOVE:
        put_string(out, 1, m->ipset_remove);
        return;
    case PSYNC_PROFILE_UPDATE:
        put_profile(out, &m->profile);
        return;
    case PSYNC_PROFILE_REMOVE:
        put_name_id(out, 1, m->profile_remove);
        return;
    case PSYNC_POLICY_UPDATE:
        put_policy(out, &m->policy);
        return;
    case PSYNC_POLICY_REMOVE:
        put_policy_id(out, 1, &m->policy_remove);
        return;
    case PSYNC_ENDPOINT_UPDATE:
        put_endpoint(out, &m->endpoint);
        return;
    case PSYNC_ENDPOINT_REMOVE:
        put_endpoint_id(out, &m->endpoint_remove);
        return;
    case PSYNC_ACCOUNT_UPDATE:
    case PSYNC_ACCOUNT_REMOVE:
        put_labelled(out, &m->account, true);
        return;
    case PSYNC_NAMESPACE_UPDATE:
    case PSYNC_NAMESPACE_REMOVE:
        put_labelled(out, &m->namespace, false);
        return;
    }
}

void psync_encode(struct buf *out, const struct psync_message *m)
{
    if (m->kind != PSYNC_IGNORED) {
        size_t mark = pb_begin(out, payload_field(m->kind));
        put_payload(out, m);
        pb_end(out, mark);
    }
    put_number(out, 15, (int64_t)m->sequence_number);
}
