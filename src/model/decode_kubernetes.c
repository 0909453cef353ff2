/* Kubernetes' NetworkPolicy (networking.k8s.io/v1), turned into a policy of Calico's default tier; and Calico's staged
 * form of it. The texts of the selectors are those that upstream's conversion makes, since the wire shows them. */
#include "model/decode_kinds.h"
#include "model/decode_values.h"

#include <stdlib.h>

static const struct str spec_fields[] = {STR_INIT("stagedAction"), STR_INIT("podSelector"),
                                         STR_INIT("ingress"), STR_INIT("egress"),
                                         STR_INIT("policyTypes")};
static const struct str ingress_fields[] = {STR_INIT("ports"), STR_INIT("from")};
static const struct str egress_fields[] = {STR_INIT("ports"), STR_INIT("to")};
static const struct str port_fields[] = {STR_INIT("protocol"), STR_INIT("port"),
                                         STR_INIT("endPort")};
static const struct str peer_fields[] = {STR_INIT("podSelector"), STR_INIT("namespaceSelector"),
                                         STR_INIT("ipBlock")};
static const struct str block_fields[] = {STR_INIT("cidr"), STR_INIT("except")};
static const struct str selector_fields[] = {STR_INIT("matchLabels"), STR_INIT("matchExpressions")};
static const struct str expression_fields[] = {STR_INIT("key"), STR_INIT("operator"),
                                               STR_INIT("values")};
enum { OP_IN, OP_NOT_IN, OP_EXISTS, OP_DOES_NOT_EXIST };
static const struct str operators[] = {STR_INIT("In"), STR_INIT("NotIn"), STR_INIT("Exists"),
                                       STR_INIT("DoesNotExist")};

#define ALL_PODS "projectcalico.org/orchestrator == 'k8s'"

static void append_term(struct buf *out)
{
    if (out->len > 0)
        buf_append_str(out, STR(" && "));
}

/* What goes into the text of a selector was checked: neither keys nor values can hold a quote. */
static void append_labels(struct decoder *d, const struct field *f, struct buf *out)
{
    struct labels labels;
    value_labels(d, f, d->messages, 0, &labels);
    for (size_t i = 0; i < labels.count; i++) {
        append_term(out);
        buf_printf(out, "%.*s == '%.*s'", STR_ARG(labels.items[i].key),
                   STR_ARG(labels.items[i].value));
    }
}

/* "'a', 'b'" */
static void append_values(struct decoder *d, const struct field *f, struct buf *out)
{
    size_t count = field_list(d, f);
    for (size_t i = 0; i < count; i++) {
        struct field item = field_item(f, i);
        struct str value;
        if (!field_text(d, &item, &value))
            continue;
        if (!label_value_is_valid(value))
            decode_error(d, &item, "%s is not a label value", quote(value).text);
        buf_printf(out, "%s'%.*s'", i > 0 ? ", " : "", STR_ARG(value));
    }
}

static void append_expression(struct decoder *d, const struct field *f, struct buf *out)
{
    if (!field_map_of(d, f, FIELD_NAMES(expression_fields)))
        return;
    struct field key_field = field_get(f, STR("key"));
    struct field operator_field = field_get(f, STR("operator"));
    struct field values = field_get(f, STR("values"));
    struct str key;
    size_t op;
    if (!field_require(d, &key_field) || !field_text(d, &key_field, &key) ||
        !field_require(d, &operator_field) ||
        !field_enum(d, &operator_field, FIELD_NAMES(operators), &op))
        return;
    if (!label_key_is_valid(key))
        decode_error(d, &key_field, "%s is not a label key", quote(key).text);
    bool wants_values = op == OP_IN || op == OP_NOT_IN;
    bool has_values = field_list(d, &values) > 0;
    if (wants_values != has_values)
        decode_error(d, &values,
                     wants_values ? "missing; %.*s needs values" : "%.*s takes no values",
                     STR_ARG(operators[op]));
    append_term(out);
    if (!wants_values) {
        buf_printf(out, "%shas(%.*s)", op == OP_EXISTS ? "" : "! ", STR_ARG(key));
        return;
    }
    buf_printf(out, "%.*s %s { ", STR_ARG(key), op == OP_IN ? "in" : "not in");
    append_values(d, &values, out);
    buf_append_str(out, STR(" }"));
}

static void append_selector(struct decoder *d, const struct field *f, struct buf *out)
{
    if (!field_map_of(d, f, FIELD_NAMES(selector_fields)))
        return;
    struct field labels = field_get(f, STR("matchLabels"));
    struct field expressions = field_get(f, STR("matchExpressions"));
    append_labels(d, &labels, out);
    size_t count = field_list(d, &expressions);
    for (size_t i = 0; i < count; i++) {
        struct field item = field_item(&expressions, i);
        append_expression(d, &item, out);
    }
}

/* A label selector that was found wrong is left out: half of its terms select more than it does. */
static void read_selector(struct decoder *d, const struct field *f, bool pods,
                          struct model_selector *out)
{
    CLEANUP_BUF struct buf text = {0};
    struct error error;
    size_t errors = d->errors;
    if (pods)
        buf_append_str(&text, STR(ALL_PODS));
    append_selector(d, f, &text);
    if (text.len == 0)
        buf_append_str(&text, STR("all()"));
    out->text = arena_copy(&d->resource->arena, buf_str(&text));
    if (d->errors > errors)
        return;
    out->parsed = selector_parse(&d->resource->arena, out->text, NULL, &error);
    if (out->parsed == NULL)
        decode_error(d, f, "%s", error.text);
}

static bool net_is_inside(const struct ip_net *inner, const struct ip_net *outer)
{
    return inner->length > outer->length && ip_net_contains(outer, &inner->addr);
}

static void read_block(struct decoder *d, const struct field *f, struct model_entity *out)
{
    if (!field_map_of(d, f, FIELD_NAMES(block_fields)))
        return;
    struct field cidr = field_get(f, STR("cidr"));
    struct field except = field_get(f, STR("except"));
    struct ip_net net;
    struct str text;
    if (!field_require(d, &cidr) || !field_text(d, &cidr, &text))
        return;
    if (!ip_parse_net(text, &net)) {
        decode_error(d, &cidr, "%s is not a CIDR (expected like 10.0.0.0/8 or 2001:db8::/32)",
                     quote(text).text);
        return;
    }
    out->nets.items = arena_array(&d->resource->arena, 1, sizeof(net));
    out->nets.items[out->nets.count++] = net;
    value_nets(d, &except, false, false, &out->not_nets);
    for (size_t i = 0; i < out->not_nets.count; i++) {
        if (!net_is_inside(&out->not_nets.items[i], &net))
            decode_error(d, &except, "\"%s\" is no part of %s",
                         ip_format_net(&out->not_nets.items[i]).text, ip_format_net(&net).text);
    }
}

static void read_peer(struct decoder *d, const struct field *f, struct model_entity *out)
{
    if (!field_map_of(d, f, FIELD_NAMES(peer_fields)))
        return;
    struct field pods = field_get(f, STR("podSelector"));
    struct field namespaces = field_get(f, STR("namespaceSelector"));
    struct field block = field_get(f, STR("ipBlock"));
    bool selects = field_is_set(&pods) || field_is_set(&namespaces);
    if (selects == field_is_set(&block)) {
        decode_error(d, f,
                     selects ? "ipBlock may not stand next to a selector"
                             : "one of podSelector, namespaceSelector and ipBlock is needed");
        return;
    }
    read_block(d, &block, out);
    if (selects)
        read_selector(d, &pods, true, &out->selector);
    if (field_is_set(&namespaces))
        read_selector(d, &namespaces, false, &out->namespace_selector);
}

/* The ports of one protocol. */
struct protocol_ports {
    struct model_protocol protocol;
    bool any; /* an entry without a port */
    struct model_ports ports;
};

/* In the order of the names on the wire. */
enum { SCTP, TCP, UDP, PROTOCOLS };

static size_t protocol_index(const struct model_protocol *protocol)
{
    return protocol->number == 132 ? SCTP : protocol->number == 6 ? TCP : UDP;
}

static void read_port(struct decoder *d, const struct field *f, struct protocol_ports *lists,
                      size_t room)
{
    if (!field_map_of(d, f, FIELD_NAMES(port_fields)))
        return;
    struct field protocol_field = field_get(f, STR("protocol"));
    struct field port_field = field_get(f, STR("port"));
    struct field end_field = field_get(f, STR("endPort"));
    struct model_protocol protocol = {true, STR("tcp"), 6};
    struct model_port port = {0};
    int64_t end;
    value_port_protocol(d, &protocol_field, &protocol);
    struct protocol_ports *list = &lists[protocol_index(&protocol)];
    list->protocol = protocol;
    if (!field_is_set(&port_field)) {
        list->any = true;
        if (field_is_set(&end_field))
            decode_error(d, &end_field, "needs a port next to it");
        return;
    }
    if (!value_port(d, &port_field, false, &port))
        return;
    if (field_int(d, &end_field, 1, 65535, &end)) {
        if (port.name.len > 0 || end < port.first)
            decode_error(d, &end_field, "needs a port next to it that is a number and not greater");
        else
            port.last = (uint16_t)end;
    }
    if (list->ports.items == NULL)
        list->ports.items = arena_array(&d->resource->arena, room, sizeof(port));
    list->ports.items[list->ports.count++] = port;
}

/* Named ports first, as they come, then numbers. */
static int compare_ports(const void *a, const void *b)
{
    const struct model_port *left = a, *right = b;
    return (left->first > right->first) - (left->first < right->first);
}

/* Joins what overlaps or touches. A list with at most one number stays as it is, as upstream has it. */
static void merge_ports(struct decoder *d, struct model_ports *ports)
{
    size_t named = 0, numbers = 0, count = 0;
    for (size_t i = 0; i < ports->count; i++) {
        const struct model_port *port = &ports->items[i];
        named += port->name.len > 0;
        numbers += port->name.len > 0 ? 0 : (size_t)port->last - port->first + 1;
    }
    if (numbers <= 1)
        return;
    struct model_port *out = arena_array(&d->resource->arena, ports->count, sizeof(*out));
    for (size_t i = 0; i < ports->count; i++) {
        if (ports->items[i].name.len > 0)
            out[count++] = ports->items[i];
    }
    for (size_t i = 0; i < ports->count; i++) {
        if (ports->items[i].name.len == 0)
            out[count++] = ports->items[i];
    }
    qsort(out + named, count - named, sizeof(*out), compare_ports);
    size_t last = named;
    for (size_t i = named + 1; i < count; i++) {
        if (out[i].first > out[last].last + 1)
            out[++last] = out[i];
        else if (out[i].last > out[last].last)
            out[last].last = out[i].last;
    }
    *ports = (struct model_ports){out, last + 1};
}

/* Rules in the making; the array moves into the arena in the end. */
struct rule_list {
    struct model_rule *items;
    size_t count, capacity;
};

/* One rule for each peer, of one protocol (or of none). */
static void add_rules(struct rule_list *rules, const struct protocol_ports *ports,
                      const struct model_entity *peers, size_t peer_count, bool egress)
{
    for (size_t i = 0; i < peer_count; i++) {
        struct model_rule rule = {.action = MODEL_ALLOW, .protocol = ports->protocol};
        if (egress)
            rule.destination = peers[i];
        else
            rule.source = peers[i];
        if (!ports->any)
            rule.destination.ports = ports->ports;
        MEM_GROW(rules->items, rules->count, rules->capacity);
        rules->items[rules->count++] = rule;
    }
}

static void convert_rule(struct decoder *d, const struct field *f, bool egress,
                         struct rule_list *rules)
{
    if (!field_map_of(d, f, egress ? FIELD_NAMES(egress_fields) : FIELD_NAMES(ingress_fields)))
        return;
    struct field ports = field_get(f, STR("ports"));
    struct field peers_field = field_get(f, egress ? STR("to") : STR("from"));
    struct protocol_ports lists[PROTOCOLS] = {0};
    size_t port_count = field_list(d, &ports);
    for (size_t i = 0; i < port_count; i++) {
        struct field item = field_item(&ports, i);
        read_port(d, &item, lists, port_count);
    }
    /* No peers: anyone, which an empty entity says. They are copied into the rules. */
    size_t peer_count = field_list(d, &peers_field);
    struct model_entity *peers =
        arena_array(d->messages, peer_count > 0 ? peer_count : 1, sizeof(*peers));
    for (size_t i = 0; i < peer_count; i++) {
        struct field item = field_item(&peers_field, i);
        read_peer(d, &item, &peers[i]);
    }
    if (peer_count == 0)
        peer_count = 1;
    if (port_count == 0)
        add_rules(rules, &(struct protocol_ports){.any = true}, peers, peer_count, egress);
    for (size_t i = 0; i < PROTOCOLS; i++) {
        if (!lists[i].protocol.present)
            continue;
        merge_ports(d, &lists[i].ports);
        add_rules(rules, &lists[i], peers, peer_count, egress);
    }
}

static void convert_rules(struct decoder *d, const struct field *list, bool egress,
                          struct model_rules *out)
{
    struct rule_list rules = {0};
    size_t count = field_list(d, list);
    for (size_t i = 0; i < count; i++) {
        struct field item = field_item(list, i);
        convert_rule(d, &item, egress, &rules);
    }
    out->items = arena_array(&d->resource->arena, rules.count, sizeof(*out->items));
    out->count = rules.count;
    if (rules.count > 0)
        memcpy(out->items, rules.items, rules.count * sizeof(*rules.items));
    free(rules.items);
}

void decode_kubernetes_policy(struct decoder *d, const struct field *root)
{
    struct model_policy *policy = &d->resource->policy;
    bool staged = model_kind_is_staged(d->resource->key.kind);
    struct field_names names = FIELD_NAMES(spec_fields);
    if (!staged) {
        names.items++;
        names.count--;
    }
    struct field spec = field_get(root, STR("spec"));
    policy->tier = STR("default");
    policy->has_order = true;
    policy->order = 1000;
    policy->applies_ingress = policy->applies_egress = true;
    if (!field_require(d, &spec) || !field_map_of(d, &spec, names))
        return;
    if (staged)
        policy_staged_action(d, &spec, (struct field_names){spec_fields, 1});
    struct field pods = field_get(&spec, STR("podSelector"));
    struct field ingress = field_get(&spec, STR("ingress"));
    struct field egress = field_get(&spec, STR("egress"));
    read_selector(d, &pods, true, &policy->selector);
    policy_types(d, &spec, STR("policyTypes"), true);
    convert_rules(d, &ingress, false, &policy->ingress);
    convert_rules(d, &egress, true, &policy->egress);
}
