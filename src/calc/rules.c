#include "calc/rules.h"

#include "base/log.h"
#include "calc/scope.h"
#include "policysync/encode.h"

static struct str action_name(enum model_action action)
{
    switch (action) {
    case MODEL_ALLOW:
        return STR("allow");
    case MODEL_DENY:
        return STR("deny");
    case MODEL_LOG:
        return STR("log");
    case MODEL_PASS:
        return STR("next-tier");
    }
    return STR("");
}

static struct psync_protocol convert_protocol(const struct model_protocol *from)
{
    if (!from->present)
        return (struct psync_protocol){.present = false};
    if (from->name.len > 0)
        return (struct psync_protocol){.present = true, .choice = PSYNC_NAME, .name = from->name};
    return (struct psync_protocol){.present = true, .choice = PSYNC_NUMBER, .number = from->number};
}

static struct psync_icmp convert_icmp(const struct model_icmp *from)
{
    /* A code without a type, or neither, says nothing that the wire could carry. */
    if (!from->present || from->type < 0)
        return (struct psync_icmp){.present = false};
    return (struct psync_icmp){
        .present = true, .has_code = from->code >= 0, .type = from->type, .code = from->code};
}

static struct psync_strings convert_nets(const struct rules_context *c,
                                         const struct model_nets *nets)
{
    struct psync_strings texts = {arena_array(c->arena, nets->count, sizeof(*texts.items)),
                                  nets->count};
    for (size_t i = 0; i < nets->count; i++)
        texts.items[i] = arena_copy(c->arena, str_from_c(ip_format_net(&nets->items[i]).text));
    return texts;
}

/* Notes the use of a set; returns its id. */
static struct str use(const struct rules_context *c, struct ipset *set)
{
    list_add(c->uses, set);
    return set->id;
}

static struct psync_strings one_set(const struct rules_context *c, struct ipset *set)
{
    struct psync_strings list = {arena_array(c->arena, 1, sizeof(*list.items)), 1};
    list.items[0] = use(c, set);
    return list;
}

/* Numeric ports into `ranges`, named ones into sets. */
static void convert_ports(const struct rules_context *c, const struct model_ports *ports,
                          int protocol, const struct selector *positive,
                          struct psync_port_ranges *ranges, struct psync_strings *sets)
{
    ranges->items = arena_array(c->arena, ports->count, sizeof(*ranges->items));
    sets->items = arena_array(c->arena, ports->count, sizeof(*sets->items));
    for (size_t i = 0; i < ports->count; i++) {
        const struct model_port *port = &ports->items[i];
        if (port->name.len == 0)
            ranges->items[ranges->count++] = (struct psync_port_range){port->first, port->last};
        else
            sets->items[sets->count++] =
                use(c, ipsets_use_named_port(c->ipsets, positive, protocol, port->name));
    }
}

/* A service stands alone on its side: no selector, nets or ports beside it. */
static void convert_service(const struct rules_context *c, const struct model_entity *from,
                            bool is_source, struct psync_rule_side *side)
{
    struct str namespace = from->service_namespace.len > 0 ? from->service_namespace : c->namespace;
    struct psync_strings *sets = is_source ? &side->set_ids : &side->ip_port_set_ids;
    side->service = from->service_name;
    side->service_namespace = from->service_namespace;
    *sets = one_set(c, ipsets_use_service(c->ipsets, namespace, from->service_name, !is_source));
}

static struct psync_rule_side convert_side(const struct rules_context *c,
                                           const struct model_entity *from, int protocol,
                                           bool is_source)
{
    struct scope scope = scope_of_entity(c->arena, from, c->namespace);
    struct psync_rule_side side = {
        .nets = convert_nets(c, &from->nets),
        .not_nets = convert_nets(c, &from->not_nets),
        .selector = from->selector.text,
        .not_selector = from->not_selector.text,
        .namespace_selector = from->namespace_selector.text,
        .account = {.selector = from->account_selector.text,
                    .names = {from->account_names.items, from->account_names.count}},
    };
    convert_ports(c, &from->ports, protocol, scope.positive, &side.ports, &side.named_port_set_ids);
    convert_ports(c, &from->not_ports, protocol, scope.positive, &side.not_ports,
                  &side.not_named_port_set_ids);
    /* Sets of named ports are narrowed by the selector already. */
    bool only_named_ports = side.named_port_set_ids.count > 0 && side.ports.count == 0;
    if (scope.positive != NULL && !only_named_ports)
        side.set_ids = one_set(c, ipsets_use_selector(c->ipsets, scope.positive));
    if (scope.negative != NULL)
        side.not_set_ids = one_set(c, ipsets_use_selector(c->ipsets, scope.negative));
    if (from->has_services)
        convert_service(c, from, is_source, &side);
    return side;
}

static struct psync_http_match convert_http(const struct rules_context *c,
                                            const struct model_rule *from)
{
    struct psync_http_match http = {
        .methods = {from->methods.items, from->methods.count},
        .paths = arena_array(c->arena, from->path_count, sizeof(*http.paths)),
        .path_count = from->path_count,
    };
    for (size_t i = 0; i < from->path_count; i++) {
        http.paths[i].kind = from->paths[i].prefix ? PSYNC_PATH_PREFIX : PSYNC_PATH_EXACT;
        http.paths[i].text = from->paths[i].text;
    }
    return http;
}

/* ICMP by name says the family as well. */
static int32_t ip_version(const struct model_rule *from)
{
    if (from->ip_version != 0 || from->protocol.name.len == 0)
        return from->ip_version;
    if (from->protocol.number == 1)
        return 4;
    return from->protocol.number == 58 ? 6 : 0;
}

static struct psync_rule convert_rule(const struct rules_context *c, const struct model_rule *from)
{
    int protocol = from->protocol.present ? from->protocol.number : -1;
    return (struct psync_rule){
        .action = action_name(from->action),
        .ip_version = ip_version(from),
        .protocol = convert_protocol(&from->protocol),
        .not_protocol = convert_protocol(&from->not_protocol),
        .icmp = convert_icmp(&from->icmp),
        .not_icmp = convert_icmp(&from->not_icmp),
        .source = convert_side(c, &from->source, protocol, true),
        .destination = convert_side(c, &from->destination, protocol, false),
        .http = convert_http(c, from),
        .annotations = from->annotations,
    };
}

struct psync_rules rules_convert(const struct rules_context *context,
                                 const struct model_rules *rules)
{
    struct psync_rules converted = {
        arena_array(context->arena, rules->count, sizeof(*converted.items)), rules->count};
    for (size_t i = 0; i < rules->count; i++)
        converted.items[i] = convert_rule(context, &rules->items[i]);
    return converted;
}

struct psync_rules rules_always(struct arena *arena, struct str action)
{
    struct psync_rules rules = {arena_array(arena, 1, sizeof(*rules.items)), 1};
    rules.items[0].action = action;
    return rules;
}

struct psync_rules rules_malformed(struct arena *arena)
{
    return rules_always(arena, STR("malformed"));
}

void rules_encode(const struct rules_context *context, struct psync_message *message,
                  const struct model_key *key, struct buf *bytes)
{
    bool is_policy = message->kind == PSYNC_POLICY_UPDATE;
    psync_encode(bytes, message);
    if (bytes->len <= PSYNC_MESSAGE_LIMIT)
        return;
    log_event(LOG_ERROR,
              is_policy ? "Policy takes more than 4 MiB on the wire; it refuses instead"
                        : "Profile takes more than 4 MiB on the wire; it refuses instead",
              LOG_STR(is_policy ? "policy" : "profile", model_key_format(context->arena, key)),
              LOG_INT("bytes", bytes->len));
    *(is_policy ? &message->policy.inbound : &message->profile.inbound) =
        rules_malformed(context->arena);
    *(is_policy ? &message->policy.outbound : &message->profile.outbound) =
        rules_malformed(context->arena);
    ipsets_release_all(context->ipsets, context->uses);
    bytes->len = 0;
    psync_encode(bytes, message);
}
