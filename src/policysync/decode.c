#include "policysync/decode.h"

#include "pb/reader.h"

/* Numbers in this file are the field numbers of proto/felix.proto. */

/* Appends to an array in the arena. Arrays double; the old copy stays behind in the arena, which is
 * short-lived. Capacity is derived: it is the smallest power of two that holds the count. */
static void *append(struct arena *arena, void *items, size_t *count, size_t size)
{
    char *array = items;
    if ((*count & (*count - 1)) == 0) {
        char *larger = arena_array(arena, *count > 0 ? *count * 2 : 1, size);
        if (*count > 0)
            memcpy(larger, array, *count * size);
        array = larger;
    }
    ++*count;
    return array;
}

#define APPEND(arena, list)                                                                        \
    ((list)->items = append((arena), (list)->items, &(list)->count, sizeof(*(list)->items)),       \
     &(list)->items[(list)->count - 1])

static void add_string(struct arena *arena, struct psync_strings *list, struct str s)
{
    *APPEND(arena, list) = s;
}

static int32_t int32_of(struct pb_reader *r, const struct pb_field *f)
{
    return (int32_t)(uint32_t)pb_varint(r, f);
}

static bool decode_port_range(struct str bytes, struct psync_port_range *range)
{
    struct pb_reader r = pb_reader(bytes);
    struct pb_field f;
    while (pb_next(&r, &f)) {
        if (f.number == 1)
            range->first = int32_of(&r, &f);
        else if (f.number == 2)
            range->last = int32_of(&r, &f);
    }
    return !r.failed;
}

static bool decode_protocol(struct str bytes, struct psync_protocol *protocol)
{
    struct pb_reader r = pb_reader(bytes);
    struct pb_field f;
    protocol->present = true;
    while (pb_next(&r, &f)) {
        if (f.number == 1) {
            protocol->choice = PSYNC_NUMBER;
            protocol->number = int32_of(&r, &f);
        } else if (f.number == 2) {
            protocol->choice = PSYNC_NAME;
            protocol->name = pb_bytes(&r, &f);
        }
    }
    return !r.failed;
}

static bool decode_icmp_type_code(struct str bytes, struct psync_icmp *icmp)
{
    struct pb_reader r = pb_reader(bytes);
    struct pb_field f;
    *icmp = (struct psync_icmp){.present = true, .has_code = true};
    while (pb_next(&r, &f)) {
        if (f.number == 1)
            icmp->type = int32_of(&r, &f);
        else if (f.number == 2)
            icmp->code = int32_of(&r, &f);
    }
    return !r.failed;
}

static bool decode_account_match(struct arena *arena, struct str bytes,
                                 struct psync_account_match *match)
{
    struct pb_reader r = pb_reader(bytes);
    struct pb_field f;
    while (pb_next(&r, &f)) {
        if (f.number == 1)
            match->selector = pb_bytes(&r, &f);
        else if (f.number == 2)
            add_string(arena, &match->names, pb_bytes(&r, &f));
    }
    return !r.failed;
}

static bool decode_path(struct str bytes, struct psync_path *path)
{
    struct pb_reader r = pb_reader(bytes);
    struct pb_field f;
    while (pb_next(&r, &f)) {
        if (f.number == 1 || f.number == 2) {
            path->kind = f.number == 1 ? PSYNC_PATH_EXACT : PSYNC_PATH_PREFIX;
            path->text = pb_bytes(&r, &f);
        }
    }
    return !r.failed;
}

static bool decode_http_match(struct arena *arena, struct str bytes, struct psync_http_match *http)
{
    struct pb_reader r = pb_reader(bytes);
    struct pb_field f;
    while (pb_next(&r, &f)) {
        if (f.number == 1) {
            add_string(arena, &http->methods, pb_bytes(&r, &f));
        } else if (f.number == 2) {
            http->paths = append(arena, http->paths, &http->path_count, sizeof(*http->paths));
            if (!decode_path(pb_bytes(&r, &f), &http->paths[http->path_count - 1]))
                return false;
        }
    }
    return !r.failed;
}

/* The list of a side that a field of a Rule adds to, or NULL. */
static struct psync_strings *list_of_field(struct psync_rule *rule, uint32_t number)
{
    struct psync_rule_side *src = &rule->source, *dst = &rule->destination;
    switch (number) {
    case 4:
        return &src->nets;
    case 6:
        return &dst->nets;
    case 10:
        return &src->set_ids;
    case 11:
        return &dst->set_ids;
    case 12:
        return &src->named_port_set_ids;
    case 13:
        return &dst->named_port_set_ids;
    case 15:
        return &dst->ip_port_set_ids;
    case 103:
        return &src->not_nets;
    case 105:
        return &dst->not_nets;
    case 109:
        return &src->not_set_ids;
    case 110:
        return &dst->not_set_ids;
    case 112:
        return &src->not_named_port_set_ids;
    case 113:
        return &dst->not_named_port_set_ids;
    default:
        return NULL;
    }
}

/* The text of a side that a field of a Rule is, or NULL. */
static struct str *text_of_field(struct psync_rule *rule, uint32_t number)
{
    struct psync_rule_side *src = &rule->source, *dst = &rule->destination;
    switch (number) {
    case 114:
        return &src->selector;
    case 115:
        return &dst->selector;
    case 116:
        return &src->namespace_selector;
    case 117:
        return &dst->namespace_selector;
    case 118:
        return &src->not_selector;
    case 119:
        return &dst->not_selector;
    case 130:
        return &dst->service;
    case 131:
        return &dst->service_namespace;
    case 132:
        return &src->service;
    case 133:
        return &src->service_namespace;
    default:
        return NULL;
    }
}

/* What a field of a Rule means for its side. */
static bool decode_rule_side(struct arena *arena, struct pb_reader *r, const struct pb_field *f,
                             struct psync_rule *rule, bool *known)
{
    struct psync_rule_side *src = &rule->source, *dst = &rule->destination;
    struct psync_strings *list = list_of_field(rule, f->number);
    struct str *text = text_of_field(rule, f->number);
    *known = true;
    if (list != NULL)
        add_string(arena, list, pb_bytes(r, f));
    if (text != NULL)
        *text = pb_bytes(r, f);
    if (list != NULL || text != NULL)
        return true;
    switch (f->number) {
    case 5:
        return decode_port_range(pb_bytes(r, f), APPEND(arena, &src->ports));
    case 7:
        return decode_port_range(pb_bytes(r, f), APPEND(arena, &dst->ports));
    case 104:
        return decode_port_range(pb_bytes(r, f), APPEND(arena, &src->not_ports));
    case 106:
        return decode_port_range(pb_bytes(r, f), APPEND(arena, &dst->not_ports));
    case 120:
        return decode_account_match(arena, pb_bytes(r, f), &src->account);
    case 121:
        return decode_account_match(arena, pb_bytes(r, f), &dst->account);
    default:
        *known = false;
        return true;
    }
}

static bool decode_rule_field(struct arena *arena, struct pb_reader *r, const struct pb_field *f,
                              struct psync_rule *rule)
{
    switch (f->number) {
    case 1:
        rule->action = pb_bytes(r, f);
        return true;
    case 2:
        rule->ip_version = int32_of(r, f);
        return true;
    case 3:
        return decode_protocol(pb_bytes(r, f), &rule->protocol);
    case 8:
        rule->icmp = (struct psync_icmp){.present = true, .type = int32_of(r, f)};
        return true;
    case 9:
        return decode_icmp_type_code(pb_bytes(r, f), &rule->icmp);
    case 102:
        return decode_protocol(pb_bytes(r, f), &rule->not_protocol);
    case 107:
        rule->not_icmp = (struct psync_icmp){.present = true, .type = int32_of(r, f)};
        return true;
    case 108:
        return decode_icmp_type_code(pb_bytes(r, f), &rule->not_icmp);
    case 122:
        return decode_http_match(arena, pb_bytes(r, f), &rule->http);
    case 201:
        rule->rule_id = pb_bytes(r, f);
        return true;
    default:
        return true;
    }
}

static bool decode_rule(struct arena *arena, struct str bytes, struct psync_rule *rule)
{
    struct pb_reader r = pb_reader(bytes);
    struct pb_field f;
    while (pb_next(&r, &f)) {
        bool known;
        if (!decode_rule_side(arena, &r, &f, rule, &known))
            return false;
        if (!known && !decode_rule_field(arena, &r, &f, rule))
            return false;
    }
    return !r.failed;
}

static bool decode_policy_id(struct str bytes, struct psync_policy_id *id)
{
    struct pb_reader r = pb_reader(bytes);
    struct pb_field f;
    while (pb_next(&r, &f)) {
        switch (f.number) {
        case 1:
            id->tier = pb_bytes(&r, &f);
            break;
        case 2:
            id->name = pb_bytes(&r, &f);
            break;
        case 3:
            id->namespace = pb_bytes(&r, &f);
            break;
        case 4:
            id->kind = pb_bytes(&r, &f);
            break;
        }
    }
    return !r.failed;
}

static bool decode_policy_body(struct arena *arena, struct str bytes, struct psync_policy *policy)
{
    struct pb_reader r = pb_reader(bytes);
    struct pb_field f;
    while (pb_next(&r, &f)) {
        switch (f.number) {
        case 1:
            if (!decode_rule(arena, pb_bytes(&r, &f), APPEND(arena, &policy->inbound)))
                return false;
            break;
        case 3:
            policy->untracked = pb_varint(&r, &f) != 0;
            break;
        case 4:
            policy->pre_dnat = pb_varint(&r, &f) != 0;
            break;
        case 5:
            policy->namespace = pb_bytes(&r, &f);
            break;
        case 6:
            policy->original_selector = pb_bytes(&r, &f);
            break;
        case 8:
            policy->tier = pb_bytes(&r, &f);
            break;
        }
    }
    return !r.failed;
}

static bool decode_policy(struct arena *arena, struct str bytes, struct psync_policy *policy)
{
    struct pb_reader r = pb_reader(bytes);
    struct pb_field f;
    while (pb_next(&r, &f)) {
        if (f.number == 1 && !decode_policy_id(pb_bytes(&r, &f), &policy->id))
            return false;
        if (f.number == 2 && !decode_policy_body(arena, pb_bytes(&r, &f), policy))
            policy->malformed = true;
    }
    policy->malformed |= r.failed;
    return !r.failed || policy->id.name.len > 0;
}

/* Several messages are wrapped like this: an id message (field 1) with the name in its field 1. */
static bool decode_wrapped_name(struct str bytes, struct str *name)
{
    struct pb_reader r = pb_reader(bytes);
    struct pb_field f;
    while (pb_next(&r, &f)) {
        if (f.number == 1)
            *name = pb_bytes(&r, &f);
    }
    return !r.failed;
}

static bool decode_profile_body(struct arena *arena, struct str bytes,
                                struct psync_profile *profile)
{
    struct pb_reader r = pb_reader(bytes);
    struct pb_field f;
    while (pb_next(&r, &f)) {
        if (f.number == 1 &&
            !decode_rule(arena, pb_bytes(&r, &f), APPEND(arena, &profile->inbound)))
            return false;
    }
    return !r.failed;
}

static bool decode_profile(struct arena *arena, struct str bytes, struct psync_profile *profile)
{
    struct pb_reader r = pb_reader(bytes);
    struct pb_field f;
    while (pb_next(&r, &f)) {
        if (f.number == 1 && !decode_wrapped_name(pb_bytes(&r, &f), &profile->name))
            return false;
        if (f.number == 2 && !decode_profile_body(arena, pb_bytes(&r, &f), profile))
            profile->malformed = true;
    }
    profile->malformed |= r.failed;
    return !r.failed || profile->name.len > 0;
}

/* Older senders put plain names where newer ones put PolicyIDs. */
static struct psync_policy_id tier_policy(struct str bytes)
{
    struct psync_policy_id id = {0};
    if (decode_policy_id(bytes, &id) && id.name.len > 0)
        return id;
    return (struct psync_policy_id){.name = bytes};
}

static bool decode_tier(struct arena *arena, struct str bytes, struct psync_tier *tier)
{
    struct pb_reader r = pb_reader(bytes);
    struct pb_field f;
    while (pb_next(&r, &f)) {
        switch (f.number) {
        case 1:
            tier->name = pb_bytes(&r, &f);
            break;
        case 2:
            *APPEND(arena, &tier->ingress) = tier_policy(pb_bytes(&r, &f));
            break;
        case 4:
            tier->default_action = pb_bytes(&r, &f);
            break;
        }
    }
    /* The tier's name may stand behind its policies on the wire. */
    for (size_t i = 0; i < tier->ingress.count; i++) {
        struct psync_policy_id *id = &tier->ingress.items[i];
        if (id->kind.len == 0 && id->tier.len == 0)
            id->tier = tier->name;
    }
    return !r.failed;
}

static bool decode_endpoint_id(struct str bytes, struct psync_endpoint_id *id)
{
    struct pb_reader r = pb_reader(bytes);
    struct pb_field f;
    while (pb_next(&r, &f)) {
        if (f.number == 2)
            id->orchestrator = pb_bytes(&r, &f);
        else if (f.number == 3)
            id->workload = pb_bytes(&r, &f);
        else if (f.number == 4)
            id->endpoint = pb_bytes(&r, &f);
    }
    return !r.failed;
}

static bool decode_endpoint_body(struct arena *arena, struct str bytes,
                                 struct psync_endpoint *endpoint)
{
    struct pb_reader r = pb_reader(bytes);
    struct pb_field f;
    while (pb_next(&r, &f)) {
        switch (f.number) {
        case 1:
            endpoint->state = pb_bytes(&r, &f);
            break;
        case 2:
            endpoint->name = pb_bytes(&r, &f);
            break;
        case 3:
            endpoint->mac = pb_bytes(&r, &f);
            break;
        case 4:
            add_string(arena, &endpoint->profile_ids, pb_bytes(&r, &f));
            break;
        case 5:
            add_string(arena, &endpoint->ipv4_nets, pb_bytes(&r, &f));
            break;
        case 6:
            add_string(arena, &endpoint->ipv6_nets, pb_bytes(&r, &f));
            break;
        case 7:
            endpoint->tiers =
                append(arena, endpoint->tiers, &endpoint->tier_count, sizeof(*endpoint->tiers));
            if (!decode_tier(arena, pb_bytes(&r, &f), &endpoint->tiers[endpoint->tier_count - 1]))
                return false;
            break;
        }
    }
    return !r.failed;
}

static bool decode_endpoint(struct arena *arena, struct str bytes, struct psync_endpoint *endpoint)
{
    struct pb_reader r = pb_reader(bytes);
    struct pb_field f;
    while (pb_next(&r, &f)) {
        if (f.number == 1 && !decode_endpoint_id(pb_bytes(&r, &f), &endpoint->id))
            return false;
        if (f.number == 5 && !decode_endpoint_body(arena, pb_bytes(&r, &f), endpoint))
            endpoint->malformed = true;
    }
    endpoint->malformed |= r.failed;
    return !r.failed || endpoint->id.workload.len > 0;
}

static bool decode_ipset_update(struct arena *arena, struct str bytes,
                                struct psync_ipset_update *update)
{
    struct pb_reader r = pb_reader(bytes);
    struct pb_field f;
    while (pb_next(&r, &f)) {
        if (f.number == 1)
            update->id = pb_bytes(&r, &f);
        else if (f.number == 2)
            add_string(arena, &update->members, pb_bytes(&r, &f));
        else if (f.number == 3)
            update->type = int32_of(&r, &f);
    }
    return !r.failed;
}

static bool decode_ipset_delta(struct arena *arena, struct str bytes,
                               struct psync_ipset_delta *delta)
{
    struct pb_reader r = pb_reader(bytes);
    struct pb_field f;
    while (pb_next(&r, &f)) {
        if (f.number == 1)
            delta->id = pb_bytes(&r, &f);
        else if (f.number == 2)
            add_string(arena, &delta->added, pb_bytes(&r, &f));
        else if (f.number == 3)
            add_string(arena, &delta->removed, pb_bytes(&r, &f));
    }
    return !r.failed;
}

static bool decode_label(struct str bytes, struct psync_label *label)
{
    struct pb_reader r = pb_reader(bytes);
    struct pb_field f;
    while (pb_next(&r, &f)) {
        if (f.number == 1)
            label->key = pb_bytes(&r, &f);
        else if (f.number == 2)
            label->value = pb_bytes(&r, &f);
    }
    return !r.failed;
}

/* The id of a service account has namespace 1 and name 2, that of a namespace only a name, as 1. */
static bool decode_labelled_id(struct str bytes, bool is_account, struct psync_labelled *item)
{
    struct pb_reader r = pb_reader(bytes);
    struct pb_field f;
    while (pb_next(&r, &f)) {
        if (is_account && f.number == 1)
            item->namespace = pb_bytes(&r, &f);
        else if (f.number == (is_account ? 2 : 1))
            item->name = pb_bytes(&r, &f);
    }
    return !r.failed;
}

static bool decode_labelled(struct arena *arena, struct str bytes, bool is_account,
                            struct psync_labelled *item)
{
    struct pb_reader r = pb_reader(bytes);
    struct pb_field f;
    while (pb_next(&r, &f)) {
        if (f.number == 1 && !decode_labelled_id(pb_bytes(&r, &f), is_account, item))
            return false;
        if (f.number == 2 && !decode_label(pb_bytes(&r, &f), APPEND(arena, &item->labels)))
            return false;
    }
    return !r.failed;
}

static bool decode_policy_remove(struct str bytes, struct psync_policy_id *id)
{
    struct pb_reader r = pb_reader(bytes);
    struct pb_field f;
    while (pb_next(&r, &f)) {
        if (f.number == 1 && !decode_policy_id(pb_bytes(&r, &f), id))
            return false;
    }
    return !r.failed;
}

static bool decode_endpoint_remove(struct str bytes, struct psync_endpoint_id *id)
{
    struct pb_reader r = pb_reader(bytes);
    struct pb_field f;
    while (pb_next(&r, &f)) {
        if (f.number == 1 && !decode_endpoint_id(pb_bytes(&r, &f), id))
            return false;
    }
    return !r.failed;
}

static bool decode_profile_remove(struct str bytes, struct str *name)
{
    struct pb_reader r = pb_reader(bytes);
    struct pb_field f;
    while (pb_next(&r, &f)) {
        if (f.number == 1 && !decode_wrapped_name(pb_bytes(&r, &f), name))
            return false;
    }
    return !r.failed;
}

/* What the payload field `number` carries. */
static enum psync_kind payload_kind(uint32_t number)
{
    static const uint8_t kinds[] = {
        [1] = PSYNC_IN_SYNC,           [2] = PSYNC_IPSET_UPDATE,      [3] = PSYNC_IPSET_DELTA,
        [4] = PSYNC_IPSET_REMOVE,      [5] = PSYNC_PROFILE_UPDATE,    [6] = PSYNC_PROFILE_REMOVE,
        [7] = PSYNC_POLICY_UPDATE,     [8] = PSYNC_POLICY_REMOVE,     [11] = PSYNC_ENDPOINT_UPDATE,
        [12] = PSYNC_ENDPOINT_REMOVE,  [19] = PSYNC_ACCOUNT_UPDATE,   [20] = PSYNC_ACCOUNT_REMOVE,
        [21] = PSYNC_NAMESPACE_UPDATE, [22] = PSYNC_NAMESPACE_REMOVE,
    };
    return number < sizeof(kinds) ? (enum psync_kind)kinds[number] : PSYNC_IGNORED;
}

/* One payload a message; a later one replaces. */
static bool decode_payload(struct arena *arena, enum psync_kind kind, struct str bytes,
                           struct psync_message *m)
{
    *m = (struct psync_message){.kind = kind, .sequence_number = m->sequence_number};
    switch (m->kind) {
    case PSYNC_IGNORED:
    case PSYNC_IN_SYNC:
        return true;
    case PSYNC_IPSET_UPDATE:
        return decode_ipset_update(arena, bytes, &m->ipset_update);
    case PSYNC_IPSET_DELTA:
        return decode_ipset_delta(arena, bytes, &m->ipset_delta);
    case PSYNC_IPSET_REMOVE:
        return decode_wrapped_name(bytes, &m->ipset_remove);
    case PSYNC_PROFILE_UPDATE:
        return decode_profile(arena, bytes, &m->profile);
    case PSYNC_PROFILE_REMOVE:
        return decode_profile_remove(bytes, &m->profile_remove);
    case PSYNC_POLICY_UPDATE:
        return decode_policy(arena, bytes, &m->policy);
    case PSYNC_POLICY_REMOVE:
        return decode_policy_remove(bytes, &m->policy_remove);
    case PSYNC_ENDPOINT_UPDATE:
        return decode_endpoint(arena, bytes, &m->endpoint);
    case PSYNC_ENDPOINT_REMOVE:
        return decode_endpoint_remove(bytes, &m->endpoint_remove);
    case PSYNC_ACCOUNT_UPDATE:
    case PSYNC_ACCOUNT_REMOVE:
        return decode_labelled(arena, bytes, true, &m->account);
    case PSYNC_NAMESPACE_UPDATE:
    case PSYNC_NAMESPACE_REMOVE:
        return decode_labelled(arena, bytes, false, &m->namespace);
    }
    return false;
}

bool psync_decode(struct arena *arena, struct str bytes, struct psync_message *message,
                  struct error *err)
{
    struct pb_reader r = pb_reader(bytes);
    struct pb_field f;
    *message = (struct psync_message){0};
    while (pb_next(&r, &f)) {
        enum psync_kind kind = payload_kind(f.number);
        if (f.number == 15)
            message->sequence_number = pb_varint(&r, &f);
        else if (kind != PSYNC_IGNORED && !decode_payload(arena, kind, pb_bytes(&r, &f), message))
            return error_set(err, "message %u of the Policy Sync stream does not decode", f.number);
    }
    if (r.failed)
        return error_set(err, "a message of the Policy Sync stream does not decode");
    return true;
}
