/* Rules of Calico's policies and profiles (projectcalico.org/v3 Rule). */
#include "model/decode_kinds.h"
#include "model/decode_values.h"

#include "base/map.h"

static const struct str rule_fields[] = {
    STR_INIT("action"),      STR_INIT("ipVersion"), STR_INIT("protocol"), STR_INIT("icmp"),
    STR_INIT("notProtocol"), STR_INIT("notICMP"),   STR_INIT("source"),   STR_INIT("destination"),
    STR_INIT("http"),        STR_INIT("metadata"),
};
static const struct str entity_fields[] = {
    STR_INIT("nets"),        STR_INIT("selector"), STR_INIT("namespaceSelector"),
    STR_INIT("services"),    STR_INIT("ports"),    STR_INIT("notNets"),
    STR_INIT("notSelector"), STR_INIT("notPorts"), STR_INIT("serviceAccounts"),
};
static const struct str icmp_fields[] = {STR_INIT("type"), STR_INIT("code")};
static const struct str http_fields[] = {STR_INIT("methods"), STR_INIT("paths")};
static const struct str path_fields[] = {STR_INIT("exact"), STR_INIT("prefix")};
static const struct str service_fields[] = {STR_INIT("name"), STR_INIT("namespace")};
static const struct str account_fields[] = {STR_INIT("names"), STR_INIT("selector")};
static const struct str metadata_fields[] = {STR_INIT("annotations")};
/* In the order of enum model_action. */
static const struct str actions[] = {STR_INIT("Allow"), STR_INIT("Deny"), STR_INIT("Log"),
                                     STR_INIT("Pass")};

enum { PROTOCOL_ICMP = 1, PROTOCOL_TCP = 6, PROTOCOL_ICMPV6 = 58 };

static void read_ports(struct decoder *d, const struct field *entity, struct str key,
                       struct model_ports *out)
{
    struct field f = field_get(entity, key);
    size_t count = field_list(d, &f);
    out->items = arena_array(&d->resource->arena, count, sizeof(*out->items));
    for (size_t i = 0; i < count; i++) {
        struct field item = field_item(&f, i);
        if (value_port(d, &item, true, &out->items[out->count]))
            out->count++;
    }
}

/* A net that holds every address, negated, would match nothing. */
static void check_not_nets(struct decoder *d, const struct field *entity,
                           const struct model_nets *nets)
{
    struct field f = field_get(entity, STR("notNets"));
    for (size_t i = 0; i < nets->count; i++) {
        if (nets->items[i].length == 0)
            decode_error(d, &f, "\"%s\" leaves nothing that could match",
                         ip_format_net(&nets->items[i]).text);
    }
}

static void read_accounts(struct decoder *d, const struct field *entity, struct model_entity *out)
{
    struct field f = field_get(entity, STR("serviceAccounts"));
    if (!field_map_of(d, &f, FIELD_NAMES(account_fields)))
        return;
    struct field names = field_get(&f, STR("names"));
    struct field selector = field_get(&f, STR("selector"));
    out->account_names = value_names(d, &names);
    value_selector(d, &selector, false, &out->account_selector);
}

/* The fields that may not stand next to `services`, if they say anything. */
static void check_services_alone(struct decoder *d, const struct field *entity, bool destination)
{
    static const struct str excluded[] = {
        STR_INIT("selector"), STR_INIT("notSelector"), STR_INIT("namespaceSelector"),
        STR_INIT("nets"),     STR_INIT("notNets"),     STR_INIT("serviceAccounts"),
        STR_INIT("ports"),    STR_INIT("notPorts"),
    };
    size_t count = sizeof(excluded) / sizeof(excluded[0]) - (destination ? 0 : 2);
    for (size_t i = 0; i < count; i++) {
        struct field f = field_get(entity, excluded[i]);
        if (!field_is_set(&f) || (f.node->type == DOC_STRING && f.node->text.len == 0) ||
            (f.node->type == DOC_LIST && f.node->count == 0))
            continue;
        decode_error(d, &f, "may not stand next to services");
    }
}

static void read_services(struct decoder *d, const struct field *entity,
                          const struct rule_side *side, bool destination, struct model_entity *out)
{
    struct field f = field_get(entity, STR("services"));
    if (!field_map_of(d, &f, FIELD_NAMES(service_fields)))
        return;
    struct field name = field_get(&f, STR("name"));
    struct field namespace = field_get_filled(&f, STR("namespace"));
    out->has_services = true;
    if (field_require(d, &name))
        value_subdomain(d, &name, &out->service_name);
    value_subdomain(d, &namespace, &out->service_namespace);
    if (!field_is_set(&namespace) && !side->namespaced)
        decode_error(d, &namespace, "missing; only a namespaced policy has one of its own");
    if (!side->profile && destination != side->egress)
        decode_error(d, &f,
                     "stands on the wrong side: ingress rules match services as source, "
                     "egress rules as destination");
    check_services_alone(d, entity, destination);
}

static void read_entity(struct decoder *d, const struct field *rule, struct str key,
                        const struct rule_side *side, struct model_entity *out)
{
    struct field f = field_get(rule, key);
    if (!field_map_of(d, &f, FIELD_NAMES(entity_fields)))
        return;
    struct field nets = field_get(&f, STR("nets"));
    struct field not_nets = field_get(&f, STR("notNets"));
    struct field selector = field_get(&f, STR("selector"));
    struct field not_selector = field_get(&f, STR("notSelector"));
    struct field namespace_selector = field_get(&f, STR("namespaceSelector"));
    value_nets(d, &nets, false, true, &out->nets);
    value_nets(d, &not_nets, false, true, &out->not_nets);
    check_not_nets(d, &f, &out->not_nets);
    value_selector(d, &selector, false, &out->selector);
    value_selector(d, &not_selector, false, &out->not_selector);
    value_selector(d, &namespace_selector, true, &out->namespace_selector);
    read_ports(d, &f, STR("ports"), &out->ports);
    read_ports(d, &f, STR("notPorts"), &out->not_ports);
    read_accounts(d, &f, out);
    read_services(d, &f, side, str_eq(key, STR("destination")), out);
}

static void read_icmp(struct decoder *d, const struct field *rule, struct str key,
                      struct model_icmp *out)
{
    struct field f = field_get(rule, key);
    if (!field_map_of(d, &f, FIELD_NAMES(icmp_fields)))
        return;
    struct field type = field_get(&f, STR("type"));
    struct field code = field_get(&f, STR("code"));
    int64_t type_value = -1, code_value = -1;
    field_int(d, &type, 0, 254, &type_value);
    field_int(d, &code, 0, 255, &code_value);
    if (field_is_set(&code) && !field_is_set(&type))
        decode_error(d, &code, "a code needs a type next to it");
    *out = (struct model_icmp){true, (int)type_value, (int)code_value};
}

/* The marks in a method (RFC 9110, "token"). */
#define METHOD_MARKS "!#$%&'*+-.^_`|~"

/* All letters that it has. */
static bool is_lower_case(struct str method)
{
    bool has_letter = false;
    for (size_t i = 0; i < method.len; i++) {
        if (method.ptr[i] >= 'A' && method.ptr[i] <= 'Z')
            return false;
        has_letter |= method.ptr[i] >= 'a' && method.ptr[i] <= 'z';
    }
    return has_letter;
}

static void read_methods(struct decoder *d, const struct field *http, struct model_strings *out)
{
    struct field f = field_get(http, STR("methods"));
    size_t count = field_list(d, &f);
    __attribute__((cleanup(map_free))) struct map seen = {0};
    out->items = arena_array(&d->resource->arena, count, sizeof(*out->items));
    for (size_t i = 0; i < count; i++) {
        struct field item = field_item(&f, i);
        struct str *method = &out->items[out->count];
        if (!field_string(d, &item, method))
            continue;
        if (!name_is_of(*method, METHOD_MARKS))
            decode_error(d, &item, "%s is not an HTTP method", quote(*method).text);
        else if (map_set(&seen, *method, method) != NULL)
            decode_error(d, &item, "%s is listed twice", quote(*method).text);
        else if (is_lower_case(*method))
            decode_warning(d, &item,
                           "%s is not the method that requests have: those of HTTP are in "
                           "capital letters",
                           quote(*method).text);
        out->count++;
    }
}

static bool is_path(struct str text)
{
    for (size_t i = 0; i < text.len; i++) {
        unsigned char c = (unsigned char)text.ptr[i];
        if (c <= ' ' || c == 0x7f || c == '?' || c == '#')
            return false;
    }
    return text.len > 0 && text.ptr[0] == '/';
}

static bool read_path(struct decoder *d, const struct field *f, struct model_path *out)
{
    if (!field_map_of(d, f, FIELD_NAMES(path_fields)))
        return false;
    struct field exact = field_get(f, STR("exact"));
    struct field prefix = field_get(f, STR("prefix"));
    struct str exact_text = {NULL, 0}, prefix_text = {NULL, 0};
    field_string(d, &exact, &exact_text);
    field_string(d, &prefix, &prefix_text);
    /* To upstream an empty string is the same as none. */
    if ((exact_text.len > 0) == (prefix_text.len > 0)) {
        decode_error(d, f, "expected one of exact and prefix, found %s",
                     exact_text.len > 0 ? "both" : "none");
        return false;
    }
    out->prefix = prefix_text.len > 0;
    out->text = out->prefix ? prefix_text : exact_text;
    if (!is_path(out->text))
        decode_error(d, out->prefix ? &prefix : &exact,
                     "%s is not a path (it begins with / and has no ?, # or blank)",
                     quote(out->text).text);
    return true;
}

static void read_paths(struct decoder *d, const struct field *http, struct model_rule *out)
{
    struct field f = field_get(http, STR("paths"));
    size_t count = field_list(d, &f);
    out->paths = arena_array(&d->resource->arena, count, sizeof(*out->paths));
    for (size_t i = 0; i < count; i++) {
        struct field item = field_item(&f, i);
        if (read_path(d, &item, &out->paths[out->path_count]))
            out->path_count++;
    }
}

static void read_http(struct decoder *d, const struct field *f, const struct rule_side *side,
                      struct model_rule *out)
{
    if (!field_map_of(d, f, FIELD_NAMES(http_fields)))
        return;
    read_methods(d, f, &out->methods);
    read_paths(d, f, out);
    if (side->egress)
        decode_error(d, f, "only ingress rules can look at HTTP");
    if (out->protocol.present && out->protocol.number != PROTOCOL_TCP)
        decode_error(d, f, "needs protocol TCP, or none");
}

static void read_annotations(struct decoder *d, const struct field *rule, struct labels *out)
{
    struct field f = field_get(rule, STR("metadata"));
    if (!field_map_of(d, &f, FIELD_NAMES(metadata_fields)))
        return;
    struct field annotations = field_get(&f, STR("annotations"));
    value_annotations(d, &annotations, out);
}

static void check_ports_of(struct decoder *d, const struct field *rule, struct str entity_key,
                           struct str key, const struct model_ports *ports,
                           const struct model_protocol *protocol)
{
    bool numeric = false;
    for (size_t i = 0; i < ports->count; i++)
        numeric = numeric || ports->items[i].name.len == 0;
    bool wrong =
        protocol->present ? ports->count > 0 && !protocol_has_ports(protocol->number) : numeric;
    if (!wrong)
        return;
    struct field entity = field_get(rule, entity_key);
    struct field f = field_get(&entity, key);
    decode_error(d, &f, "needs protocol TCP, UDP or SCTP in the same rule");
}

static void check_ports(struct decoder *d, const struct field *rule, const struct model_rule *out)
{
    const struct str source = STR("source"), destination = STR("destination");
    const struct str ports = STR("ports"), not_ports = STR("notPorts");
    check_ports_of(d, rule, source, ports, &out->source.ports, &out->protocol);
    check_ports_of(d, rule, source, not_ports, &out->source.not_ports, &out->protocol);
    check_ports_of(d, rule, destination, ports, &out->destination.ports, &out->protocol);
    check_ports_of(d, rule, destination, not_ports, &out->destination.not_ports, &out->protocol);
}

static void check_icmp(struct decoder *d, const struct field *rule, const struct model_rule *out)
{
    struct field icmp = field_get(rule, STR("icmp"));
    struct field version = field_get(rule, STR("ipVersion"));
    const struct model_protocol *protocols[] = {&out->protocol, &out->not_protocol};
    if (out->icmp.present && out->protocol.number != PROTOCOL_ICMP &&
        out->protocol.number != PROTOCOL_ICMPV6)
        decode_error(d, &icmp, "needs protocol ICMP or ICMPv6 in the same rule");
    for (size_t i = 0; i < 2 && out->ip_version != 0; i++) {
        uint8_t number = protocols[i]->number;
        if (number == PROTOCOL_ICMP && out->ip_version != 4)
            decode_error(d, &version, "protocol ICMP needs ipVersion 4");
        if (number == PROTOCOL_ICMPV6 && out->ip_version != 6)
            decode_error(d, &version, "protocol ICMPv6 needs ipVersion 6");
    }
}

/* All nets of a rule are of one family, that of its ipVersion if it has one. */
static void check_families(struct decoder *d, const struct field *rule,
                           const struct model_rule *out)
{
    const struct model_nets *lists[] = {&out->source.nets, &out->source.not_nets,
                                        &out->destination.nets, &out->destination.not_nets};
    static const struct str names[] = {STR_INIT("nets"), STR_INIT("notNets")};
    uint8_t family = out->ip_version;
    for (size_t i = 0; i < 4; i++) {
        for (size_t j = 0; j < lists[i]->count; j++) {
            const struct ip_net *net = &lists[i]->items[j];
            if (family == 0)
                family = net->addr.family;
            if (net->addr.family == family)
                continue;
            struct field entity = field_get(rule, i < 2 ? STR("source") : STR("destination"));
            struct field f = field_get(&entity, names[i % 2]);
            decode_error(d, &f, "\"%s\" is of another IP version than %s", ip_format_net(net).text,
                         out->ip_version != 0 ? "the rule's ipVersion" : "other nets of the rule");
            return;
        }
    }
}

static void read_ip_version(struct decoder *d, const struct field *rule, uint8_t *out)
{
    struct field f = field_get(rule, STR("ipVersion"));
    int64_t version;
    if (!field_int(d, &f, 0, INT64_MAX, &version))
        return;
    if (version != 4 && version != 6)
        decode_error(d, &f, "%lld is neither 4 nor 6", (long long)version);
    else
        *out = (uint8_t)version;
}

static void read_rule(struct decoder *d, const struct field *f, const struct rule_side *side,
                      struct model_rule *out)
{
    if (!field_map_of(d, f, FIELD_NAMES(rule_fields)))
        return;
    struct field action = field_get(f, STR("action"));
    struct field protocol = field_get(f, STR("protocol"));
    struct field not_protocol = field_get(f, STR("notProtocol"));
    struct field http = field_get(f, STR("http"));
    size_t index = MODEL_DENY;
    bool action_bad =
        !field_require(d, &action) || !field_enum(d, &action, FIELD_NAMES(actions), &index);
    out->action = (enum model_action)index;
    read_ip_version(d, f, &out->ip_version);
    bool protocol_bad = !value_protocol(d, &protocol, &out->protocol) && field_is_set(&protocol);
    value_protocol(d, &not_protocol, &out->not_protocol);
    read_icmp(d, f, STR("icmp"), &out->icmp);
    read_icmp(d, f, STR("notICMP"), &out->not_icmp);
    read_entity(d, f, STR("source"), side, &out->source);
    read_entity(d, f, STR("destination"), side, &out->destination);
    read_http(d, &http, side, out);
    if (field_is_set(&http) && !action_bad && out->action != MODEL_ALLOW)
        decode_warning(d, &http, "on a rule that does not Allow; Calico's own API refuses this");
    read_annotations(d, f, &out->annotations);
    /* With a protocol that could not be read, what follows would only repeat the complaint. */
    if (!protocol_bad) {
        check_ports(d, f, out);
        check_icmp(d, f, out);
    }
    check_families(d, f, out);
}

void decode_rules(struct decoder *d, const struct field *list, const struct rule_side *side,
                  struct model_rules *out)
{
    size_t count = field_list(d, list);
    out->items = arena_array(&d->resource->arena, count, sizeof(*out->items));
    for (out->count = 0; out->count < count; out->count++) {
        struct field item = field_item(list, out->count);
        read_rule(d, &item, side, &out->items[out->count]);
    }
}
