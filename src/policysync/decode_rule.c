/* Rules: most of what there is to decode. */
#include "policysync/decode_private.h"

/* Numbers in this file are the field numbers of proto/felix.proto. */

static bool decode_port_range(struct str bytes, struct psync_port_range *range)
{
    struct pb_reader r = pb_reader(bytes);
    struct pb_field f;
    while (pb_next(&r, &f)) {
        if (f.number == 1)
            range->first = psync_decode_int32(&r, &f);
        else if (f.number == 2)
            range->last = psync_decode_int32(&r, &f);
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
            protocol->number = psync_decode_int32(&r, &f);
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
            icmp->type = psync_decode_int32(&r, &f);
        else if (f.number == 2)
            icmp->code = psync_decode_int32(&r, &f);
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
            *APPEND(arena, &match->names) = pb_bytes(&r, &f);
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
            *APPEND(arena, &http->methods) = pb_bytes(&r, &f);
        } else if (f.number == 2) {
            http->paths =
                psync_decode_append(arena, http->paths, &http->path_count, sizeof(*http->paths));
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
        *APPEND(arena, list) = pb_bytes(r, f);
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
        rule->ip_version = psync_decode_int32(r, f);
        return true;
    case 3:
        return decode_protocol(pb_bytes(r, f), &rule->protocol);
    case 8:
        rule->icmp = (struct psync_icmp){.present = true, .type = psync_decode_int32(r, f)};
        return true;
    case 9:
        return decode_icmp_type_code(pb_bytes(r, f), &rule->icmp);
    case 102:
        return decode_protocol(pb_bytes(r, f), &rule->not_protocol);
    case 107:
        rule->not_icmp = (struct psync_icmp){.present = true, .type = psync_decode_int32(r, f)};
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

bool psync_decode_rule(struct arena *arena, struct str bytes, struct psync_rule *rule)
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
