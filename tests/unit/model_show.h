/* For tests: resources as short text, so that what is expected can stand in a table. What is absent or default is
 * left out. */
#ifndef TESTS_MODEL_SHOW_H
#define TESTS_MODEL_SHOW_H

#include "model/resource.h"

static inline void show_text(struct buf *out, const char *name, struct str text)
{
    if (text.len > 0)
        buf_printf(out, " %s=%.*s", name, STR_ARG(text));
}

static inline void show_selector(struct buf *out, const char *name, const struct model_selector *s)
{
    if (s->parsed != NULL) {
        buf_printf(out, " %s=<", name);
        selector_format(out, s->parsed);
        buf_append_byte(out, '>');
    } else if (s->text.len > 0) {
        buf_printf(out, " %s=NULL", name);
    }
}

static inline void show_labels(struct buf *out, const char *name, const struct labels *labels)
{
    for (size_t i = 0; i < labels->count; i++) {
        if (i == 0)
            buf_printf(out, " %s=", name);
        buf_printf(out, "%s%.*s:%.*s", i > 0 ? "," : "", STR_ARG(labels->items[i].key),
                   STR_ARG(labels->items[i].value));
    }
}

static inline void show_strings(struct buf *out, const char *name, const struct model_strings *s)
{
    for (size_t i = 0; i < s->count; i++) {
        if (i == 0)
            buf_printf(out, " %s=", name);
        buf_printf(out, "%s%.*s", i > 0 ? "," : "", STR_ARG(s->items[i]));
    }
}

static inline void show_nets(struct buf *out, const char *name, const struct ip_net *nets,
                             size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (i == 0)
            buf_printf(out, " %s=", name);
        buf_printf(out, "%s%s", i > 0 ? "," : "", ip_format_net(&nets[i]).text);
    }
}

static inline void show_ports(struct buf *out, const char *name, const struct model_ports *ports)
{
    for (size_t i = 0; i < ports->count; i++) {
        const struct model_port *p = &ports->items[i];
        if (i == 0)
            buf_printf(out, " %s=", name);
        if (i > 0)
            buf_append_byte(out, ',');
        if (p->name.len > 0)
            buf_append_str(out, p->name);
        else if (p->first == p->last)
            buf_printf(out, "%u", p->first);
        else
            buf_printf(out, "%u-%u", p->first, p->last);
    }
}

static inline void show_protocol(struct buf *out, const char *name, const struct model_protocol *p)
{
    if (p->present && p->name.len > 0)
        buf_printf(out, " %s=%.*s/%u", name, STR_ARG(p->name), p->number);
    else if (p->present)
        buf_printf(out, " %s=%u", name, p->number);
}

static inline void show_icmp(struct buf *out, const char *name, const struct model_icmp *icmp)
{
    if (icmp->present)
        buf_printf(out, " %s=%d,%d", name, icmp->type, icmp->code);
}

static inline void show_entity(struct buf *out, const char *name, const struct model_entity *e)
{
    CLEANUP_BUF struct buf text = {0};
    show_nets(&text, "nets", e->nets.items, e->nets.count);
    show_nets(&text, "!nets", e->not_nets.items, e->not_nets.count);
    show_selector(&text, "sel", &e->selector);
    show_selector(&text, "!sel", &e->not_selector);
    show_selector(&text, "ns", &e->namespace_selector);
    show_ports(&text, "ports", &e->ports);
    show_ports(&text, "!ports", &e->not_ports);
    show_strings(&text, "sa", &e->account_names);
    show_selector(&text, "sasel", &e->account_selector);
    if (e->has_services)
        buf_printf(&text, " svc=%.*s/%.*s", STR_ARG(e->service_namespace),
                   STR_ARG(e->service_name));
    if (text.len > 0)
        buf_printf(out, " %s{%.*s }", name, STR_ARG(buf_str(&text)));
}

static inline void show_rules(struct buf *out, const char *name, const struct model_rules *rules)
{
    static const char *const actions[] = {"allow", "deny", "log", "pass"};
    for (size_t i = 0; i < rules->count; i++) {
        const struct model_rule *r = &rules->items[i];
        CLEANUP_BUF struct buf text = {0};
        if (r->ip_version != 0)
            buf_printf(&text, " v%u", r->ip_version);
        show_protocol(&text, "proto", &r->protocol);
        show_protocol(&text, "!proto", &r->not_protocol);
        show_icmp(&text, "icmp", &r->icmp);
        show_icmp(&text, "!icmp", &r->not_icmp);
        show_entity(&text, "src", &r->source);
        show_entity(&text, "dst", &r->destination);
        show_strings(&text, "methods", &r->methods);
        for (size_t j = 0; j < r->path_count; j++)
            buf_printf(&text, " %s=%.*s", r->paths[j].prefix ? "prefix" : "exact",
                       STR_ARG(r->paths[j].text));
        show_labels(&text, "notes", &r->annotations);
        buf_printf(out, "\n  %s %s%.*s", name, actions[r->action], STR_ARG(buf_str(&text)));
    }
}

static inline void show_policy(struct buf *out, enum model_kind kind, const struct model_policy *p)
{
    static const char *const staged[] = {"set", "delete", "learn", "ignore"};
    show_text(out, "tier", p->tier);
    if (p->has_order)
        buf_printf(out, " order=%g", p->order);
    buf_printf(out, " %s%s", p->applies_ingress ? "in" : "", p->applies_egress ? "out" : "");
    show_selector(out, "sel", &p->selector);
    show_selector(out, "ns", &p->namespace_selector);
    show_selector(out, "sa", &p->account_selector);
    buf_printf(out, "%s%s%s", p->do_not_track ? " untracked" : "", p->pre_dnat ? " prednat" : "",
               p->apply_on_forward ? " forward" : "");
    if (model_kind_is_staged(kind))
        buf_printf(out, " %s", staged[p->staged_action]);
    show_rules(out, "<", &p->ingress);
    show_rules(out, ">", &p->egress);
}

static inline void show_endpoint(struct buf *out, const struct model_endpoint *e)
{
    buf_printf(out, " %s", e->presence == MODEL_LIVE ? "live" : "none");
    show_text(out, "node", e->node);
    if (e->workload.len > 0)
        buf_printf(out, " id=%.*s,%.*s,%.*s", STR_ARG(e->orchestrator), STR_ARG(e->workload),
                   STR_ARG(e->endpoint));
    show_text(out, "if", e->interface);
    show_text(out, "sa", e->account);
    show_labels(out, "labels", &e->labels);
    show_strings(out, "profiles", &e->profiles);
    show_nets(out, "nets", e->nets, e->net_count);
    for (size_t i = 0; i < e->port_count; i++)
        buf_printf(out, " %.*s=%u:%u", STR_ARG(e->ports[i].name), e->ports[i].protocol,
                   e->ports[i].port);
}

static inline void show_slice(struct buf *out, const struct model_endpoint_slice *s)
{
    show_text(out, "of", s->service);
    for (size_t i = 0; i < s->address_count; i++)
        buf_printf(out, "%s%s", i > 0 ? "," : " addresses=", ip_format_addr(&s->addresses[i]).text);
    for (size_t i = 0; i < s->port_count; i++)
        buf_printf(out, "%s%u:%u", i > 0 ? "," : " ports=", s->ports[i].protocol, s->ports[i].port);
}

static inline void show_felix_configuration(struct buf *out,
                                            const struct model_felix_configuration *f)
{
    show_labels(out, "settings", &f->settings);
    show_selector(out, "for", &f->node_selector);
    if (f->created != 0)
        buf_printf(out, " created=%lld", (long long)f->created);
}

/* "KIND NAMESPACE/NAME …", with BROKEN behind the name if it is. */
static inline void show_resource(struct buf *out, const struct model_resource *r)
{
    CLEANUP_ARENA struct arena arena = {0};
    enum model_kind kind = r->key.kind;
    buf_append_str(out, model_key_format(&arena, &r->key));
    if (r->broken.len > 0)
        buf_append_str(out, STR(" BROKEN"));
    if (kind == MODEL_POD || kind == MODEL_WORKLOAD_ENDPOINT || kind == MODEL_HOST_ENDPOINT)
        show_endpoint(out, &r->endpoint);
    else
        show_labels(out, "labels", &r->labels);
    if (model_kind_is_policy(kind))
        show_policy(out, kind, &r->policy);
    if (kind == MODEL_PROFILE) {
        show_labels(out, "gives", &r->profile.labels_to_apply);
        show_rules(out, "<", &r->profile.ingress);
        show_rules(out, ">", &r->profile.egress);
    }
    if (kind == MODEL_TIER) {
        if (r->tier.has_order)
            buf_printf(out, " order=%g", r->tier.order);
        buf_printf(out, " %s", r->tier.default_pass ? "pass" : "deny");
    }
    if (kind == MODEL_NETWORK_SET || kind == MODEL_GLOBAL_NETWORK_SET)
        show_nets(out, "nets", r->network_set.nets, r->network_set.net_count);
    if (kind == MODEL_ENDPOINT_SLICE)
        show_slice(out, &r->endpoint_slice);
    if (kind == MODEL_FELIX_CONFIGURATION)
        show_felix_configuration(out, &r->felix_configuration);
    if (kind == MODEL_CLUSTER_INFORMATION)
        buf_printf(out, " %s", r->cluster_information.datastore_ready ? "ready" : "wait");
}

#endif
