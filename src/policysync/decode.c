#include "policysync/decode.h"

#include "policysync/decode_private.h"

/* Numbers in this file are the field numbers of proto/felix.proto. */

void *psync_decode_append(struct arena *arena, void *items, size_t *count, size_t size)
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
            if (!psync_decode_rule(arena, pb_bytes(&r, &f), APPEND(arena, &policy->inbound)))
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
            !psync_decode_rule(arena, pb_bytes(&r, &f), APPEND(arena, &profile->inbound)))
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
            *APPEND(arena, &endpoint->profile_ids) = pb_bytes(&r, &f);
            break;
        case 5:
            *APPEND(arena, &endpoint->ipv4_nets) = pb_bytes(&r, &f);
            break;
        case 6:
            *APPEND(arena, &endpoint->ipv6_nets) = pb_bytes(&r, &f);
            break;
        case 7:
            endpoint->tiers = psync_decode_append(arena, endpoint->tiers, &endpoint->tier_count,
                                                  sizeof(*endpoint->tiers));
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
            *APPEND(arena, &update->members) = pb_bytes(&r, &f);
        else if (f.number == 3)
            update->type = psync_decode_int32(&r, &f);
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
            *APPEND(arena, &delta->added) = pb_bytes(&r, &f);
        else if (f.number == 3)
            *APPEND(arena, &delta->removed) = pb_bytes(&r, &f);
    }
    return !r.failed;
}

static bool decode_label(struct str bytes, struct label *label)
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
            return error_set(err,
                             "a message of the Policy Sync stream does not decode (its field %u)",
                             f.number);
    }
    if (r.failed)
        return error_set(err, "a message of the Policy Sync stream does not decode");
    return true;
}
