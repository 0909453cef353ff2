#include "cmd/felix_report.h"

#include "base/mem.h"

/* ---- values ---- */

/* Text from outside need not be UTF-8, which JSON must be. */
static json_t *text(struct str s)
{
    json_t *value = json_stringn(s.len > 0 ? s.ptr : "", s.len);
    return value != NULL ? value : json_string(quote(s).text);
}

static void set_text(json_t *object, const char *key, struct str value)
{
    if (value.len > 0)
        json_object_set_new(object, key, text(value));
}

/* Empty lists are left out. */
static void set_list(json_t *object, const char *key, json_t *list)
{
    if (json_array_size(list) > 0)
        json_object_set_new(object, key, list);
    else
        json_decref(list);
}

static json_t *strings(const struct psync_strings *from)
{
    json_t *list = json_array();
    for (size_t i = 0; i < from->count; i++)
        json_array_append_new(list, text(from->items[i]));
    return list;
}

static json_t *ports(const struct psync_port_ranges *from)
{
    json_t *list = json_array();
    for (size_t i = 0; i < from->count; i++) {
        const struct psync_port_range *range = &from->items[i];
        json_array_append_new(list, range->first == range->last
                                        ? json_integer(range->first)
                                        : json_sprintf("%d:%d", range->first, range->last));
    }
    return list;
}

static void set_protocol(json_t *rule, const char *key, const struct psync_protocol *protocol)
{
    if (!protocol->present)
        return;
    if (protocol->choice == PSYNC_NAME)
        json_object_set_new(rule, key, text(protocol->name));
    else
        json_object_set_new(rule, key, json_integer(protocol->number));
}

static void set_icmp(json_t *rule, const char *key, const struct psync_icmp *icmp)
{
    if (icmp->present)
        json_object_set_new(rule, key,
                            icmp->has_code ? json_sprintf("type %d code %d", icmp->type, icmp->code)
                                           : json_sprintf("type %d", icmp->type));
}

static json_t *side(const struct psync_rule_side *from)
{
    json_t *to = json_object();
    set_list(to, "nets", strings(&from->nets));
    set_list(to, "notNets", strings(&from->not_nets));
    set_list(to, "ports", ports(&from->ports));
    set_list(to, "notPorts", ports(&from->not_ports));
    set_list(to, "ipSets", strings(&from->set_ids));
    set_list(to, "notIPSets", strings(&from->not_set_ids));
    set_list(to, "namedPorts", strings(&from->named_port_set_ids));
    set_list(to, "notNamedPorts", strings(&from->not_named_port_set_ids));
    set_list(to, "ipPortSets", strings(&from->ip_port_set_ids));
    set_list(to, "serviceAccounts", strings(&from->account.names));
    set_text(to, "serviceAccountSelector", from->account.selector);
    set_text(to, "selector", from->selector);
    set_text(to, "notSelector", from->not_selector);
    set_text(to, "namespaceSelector", from->namespace_selector);
    set_text(to, "service", from->service);
    return to;
}

static void set_side(json_t *rule, const char *key, const struct psync_rule_side *from)
{
    json_t *object = side(from);
    if (json_object_size(object) > 0)
        json_object_set_new(rule, key, object);
    else
        json_decref(object);
}

static json_t *paths(const struct psync_http_match *http)
{
    json_t *list = json_array();
    for (size_t i = 0; i < http->path_count; i++)
        json_array_append_new(
            list, json_pack("{s:o}", http->paths[i].kind == PSYNC_PATH_PREFIX ? "prefix" : "exact",
                            text(http->paths[i].text)));
    return list;
}

static json_t *rules(const struct psync_rules *from)
{
    json_t *list = json_array();
    for (size_t i = 0; i < from->count; i++) {
        const struct psync_rule *rule = &from->items[i];
        json_t *to = json_object();
        set_text(to, "action", rule->action);
        if (rule->ip_version != 0)
            json_object_set_new(to, "ipVersion", json_integer(rule->ip_version));
        set_protocol(to, "protocol", &rule->protocol);
        set_protocol(to, "notProtocol", &rule->not_protocol);
        set_icmp(to, "icmp", &rule->icmp);
        set_icmp(to, "notICMP", &rule->not_icmp);
        set_list(to, "methods", strings(&rule->http.methods));
        set_list(to, "paths", paths(&rule->http));
        set_side(to, "source", &rule->source);
        set_side(to, "destination", &rule->destination);
        json_array_append_new(list, to);
    }
    return list;
}

/* ---- messages ---- */

/* Names of resources are Kubernetes' and hold no NUL; of broken ones they may be anything. */
static void put(json_t *report, const char *section, struct str name, json_t *value)
{
    CLEANUP_FREE char *key = mem_strndup(name);
    if (json_object_set(json_object_get(report, section), key, value) != 0)
        json_object_set(json_object_get(report, section), quote(name).text, value);
    json_decref(value);
}

static void put_policy(json_t *report, const struct psync_policy *policy)
{
    CLEANUP_BUF struct buf name = {0};
    json_t *value = json_object();
    psync_policy_id_format(&name, &policy->id);
    set_text(value, "tier", policy->tier);
    set_text(value, "selector", policy->original_selector);
    json_object_set_new(value, "ingress", rules(&policy->inbound));
    json_object_set_new(value, "egress", rules(&policy->outbound));
    put(report, "policies", buf_str(&name), value);
}

static void put_profile(json_t *report, const struct psync_profile *profile)
{
    json_t *value = json_object();
    json_object_set_new(value, "ingress", rules(&profile->inbound));
    json_object_set_new(value, "egress", rules(&profile->outbound));
    put(report, "profiles", profile->name, value);
}

static const char *set_type(int type)
{
    switch (type) {
    case PSYNC_SET_NET:
        return "net";
    case PSYNC_SET_IP_AND_PORT:
        return "ip,port";
    default:
        return "unreadable";
    }
}

static void put_set(json_t *report, const struct psync_ipset_update *set)
{
    json_t *value = json_object();
    json_object_set_new(value, "type", json_string(set_type(set->type)));
    json_object_set_new(value, "members", strings(&set->members));
    put(report, "ipSets", set->id, value);
}

static json_t *policy_names(const struct psync_policy_ids *ids)
{
    json_t *list = json_array();
    for (size_t i = 0; i < ids->count; i++) {
        CLEANUP_BUF struct buf name = {0};
        psync_policy_id_format(&name, &ids->items[i]);
        json_array_append_new(list, text(buf_str(&name)));
    }
    return list;
}

static void put_endpoint(json_t *report, const struct psync_endpoint *endpoint)
{
    CLEANUP_BUF struct buf name = {0};
    json_t *value = json_object(), *tiers = json_array();
    json_t *addresses = strings(&endpoint->ipv4_nets), *more = strings(&endpoint->ipv6_nets);
    json_array_extend(addresses, more);
    json_decref(more);
    for (size_t i = 0; i < endpoint->tier_count; i++) {
        const struct psync_tier *tier = &endpoint->tiers[i];
        json_t *entry = json_object();
        set_text(entry, "name", tier->name);
        set_text(entry, "default", tier->default_action);
        json_object_set_new(entry, "ingress", policy_names(&tier->ingress));
        json_object_set_new(entry, "egress", policy_names(&tier->egress));
        json_array_append_new(tiers, entry);
    }
    set_text(value, "interface", endpoint->name);
    json_object_set_new(value, "addresses", addresses);
    json_object_set_new(value, "profiles", strings(&endpoint->profile_ids));
    json_object_set_new(value, "tiers", tiers);
    buf_append_str(&name, endpoint->id.orchestrator);
    buf_append_byte(&name, '/');
    buf_append_str(&name, endpoint->id.workload);
    buf_append_byte(&name, '/');
    buf_append_str(&name, endpoint->id.endpoint);
    put(report, "endpoints", buf_str(&name), value);
}

json_t *felix_report_new(void)
{
    return json_pack("{s:[], s:{}, s:{}, s:{}, s:{}, s:{}}", "problems", "endpoints", "noEndpoints",
                     "policies", "profiles", "ipSets");
}

void felix_report_no_endpoint(json_t *report, const struct model_resource *resource)
{
    static const char *const reasons[] = {
        [MODEL_ON_HOST_NETWORK] = "on the host's network",
        [MODEL_UNSCHEDULED] = "not scheduled",
        [MODEL_WITHOUT_ADDRESS] = "no address",
        [MODEL_FINISHED] = "finished",
    };
    CLEANUP_ARENA struct arena arena = {0};
    put(report, "noEndpoints", model_key_format(&arena, &resource->key),
        json_string(reasons[resource->endpoint.presence]));
}

void felix_report_problem(json_t *report, const struct datastore_problem *problem)
{
    json_t *value = json_object();
    json_object_set_new(value, "file", text(str_from_c(problem->place)));
    if (problem->line > 0)
        json_object_set_new(value, "line", json_integer(problem->line));
    json_object_set_new(value, "severity", json_string(problem->is_warning ? "warning" : "error"));
    json_object_set_new(value, "message", text(problem->message));
    json_array_append_new(json_object_get(report, "problems"), value);
}

void felix_report_message(json_t *report, const struct psync_message *message)
{
    switch (message->kind) {
    case PSYNC_IPSET_UPDATE:
        put_set(report, &message->ipset_update);
        return;
    case PSYNC_POLICY_UPDATE:
        put_policy(report, &message->policy);
        return;
    case PSYNC_PROFILE_UPDATE:
        put_profile(report, &message->profile);
        return;
    case PSYNC_ENDPOINT_UPDATE:
        put_endpoint(report, &message->endpoint);
        return;
    default: /* accounts and namespaces are in the directory to be seen */
        return;
    }
}

size_t felix_report_errors(const json_t *report)
{
    size_t index, count = 0;
    json_t *problem;
    json_array_foreach (json_object_get(report, "problems"), index, problem)
        count += strcmp(json_string_value(json_object_get(problem, "severity")), "error") == 0;
    return count;
}
