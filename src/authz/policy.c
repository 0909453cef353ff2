#include "authz/policy.h"

#include <stdlib.h>

#include "authz/path.h"
#include "base/error.h"

/* One compilation. Functions return false once *err says why the policy is malformed. */
struct compiler {
    struct authz_policy *policy;
    struct error *err;
};

static struct arena *arena_of(struct compiler *c)
{
    return &c->policy->arena;
}

static struct psync_strings copy_strings(struct compiler *c, struct psync_strings list)
{
    struct psync_strings copy = {arena_array(arena_of(c), list.count, sizeof(*copy.items)),
                                 list.count};
    for (size_t i = 0; i < list.count; i++)
        copy.items[i] = arena_copy(arena_of(c), list.items[i]);
    return copy;
}

static bool compile_nets(struct compiler *c, struct psync_strings texts, struct authz_nets *nets)
{
    struct ip_net *items = arena_array(arena_of(c), texts.count, sizeof(*items));
    for (size_t i = 0; i < texts.count; i++) {
        if (!ip_parse_net(texts.items[i], &items[i]))
            return error_set(c->err, "%s is not a CIDR", quote(texts.items[i]).text);
    }
    *nets = (struct authz_nets){items, texts.count};
    return true;
}

static struct authz_ports copy_ports(struct compiler *c, struct psync_port_ranges ranges)
{
    struct psync_port_range *items = arena_array(arena_of(c), ranges.count, sizeof(*items));
    if (ranges.count > 0)
        memcpy(items, ranges.items, ranges.count * sizeof(*items));
    return (struct authz_ports){items, ranges.count};
}

static struct authz_sets compile_sets(struct compiler *c, struct psync_strings ids)
{
    struct authz_policy *policy = c->policy;
    uint32_t *items = arena_array(arena_of(c), ids.count, sizeof(*items));
    for (size_t i = 0; i < ids.count; i++) {
        struct slot *slot = slot_acquire(policy->table, ids.items[i]);
        MEM_GROW(policy->slots, policy->slot_count, policy->slot_capacity);
        policy->slots[policy->slot_count++] = slot;
        items[i] = slot->index;
    }
    return (struct authz_sets){items, ids.count};
}

/* NULL in *selector for an empty text. */
static bool compile_selector(struct compiler *c, struct str text, const struct selector **selector)
{
    const struct selector *s = selector_parse(arena_of(c), text, NULL, c->err);
    if (s == NULL)
        return false;
    *selector = s->is_empty ? NULL : s;
    return true;
}

static bool is_blank(struct str s)
{
    for (size_t i = 0; i < s.len; i++) {
        if (s.ptr[i] != ' ' && s.ptr[i] != '\t')
            return false;
    }
    return true;
}

static bool compile_side(struct compiler *c, const struct psync_rule_side *from,
                         struct authz_side *side)
{
    if (!compile_nets(c, from->nets, &side->nets) ||
        !compile_nets(c, from->not_nets, &side->not_nets) ||
        !compile_selector(c, from->account.selector, &side->account_selector) ||
        !compile_selector(c, from->namespace_selector, &side->namespace_selector))
        return false;
    side->ports = copy_ports(c, from->ports);
    side->not_ports = copy_ports(c, from->not_ports);
    side->sets = compile_sets(c, from->set_ids);
    side->not_sets = compile_sets(c, from->not_set_ids);
    side->named_ports = compile_sets(c, from->named_port_set_ids);
    side->not_named_ports = compile_sets(c, from->not_named_port_set_ids);
    side->ip_ports = compile_sets(c, from->ip_port_set_ids);
    side->has_positive_set =
        side->sets.count > 0 || side->named_ports.count > 0 || side->ip_ports.count > 0;
    side->account_names = copy_strings(c, from->account.names);
    side->has_account = side->account_names.count > 0 || side->account_selector != NULL;
    side->own_namespace =
        side->namespace_selector == NULL && c->policy->namespace.len > 0 &&
        (side->has_account || !is_blank(from->selector) || !is_blank(from->not_selector));
    return true;
}

static bool compile_action(struct compiler *c, struct str text, enum authz_action *action)
{
    static const struct {
        struct str name;
        enum authz_action action;
    } actions[] = {
        {STR_INIT("allow"), AUTHZ_ALLOW}, {STR_INIT("deny"), AUTHZ_DENY},
        {STR_INIT("pass"), AUTHZ_PASS},   {STR_INIT("next-tier"), AUTHZ_PASS},
        {STR_INIT("log"), AUTHZ_LOG},
    };
    for (size_t i = 0; i < sizeof(actions) / sizeof(actions[0]); i++) {
        if (str_eq_nocase(text, actions[i].name)) {
            *action = actions[i].action;
            return true;
        }
    }
    return error_set(c->err, "unknown action %s", quote(text).text);
}

static bool compile_protocol(struct compiler *c, const struct psync_protocol *from, int *protocol)
{
    *protocol = -1;
    if (!from->present)
        return true;
    if (from->choice == PSYNC_NUMBER) {
        *protocol = from->number;
        return (*protocol >= 0 && *protocol <= 255) ||
               error_set(c->err, "protocol number %d is not in 0-255", from->number);
    }
    *protocol = from->choice == PSYNC_NAME ? ip_protocol_number(from->name) : -1;
    return *protocol >= 0 || error_set(c->err, "unknown protocol %s", quote(from->name).text);
}

static bool compile_paths(struct compiler *c, const struct psync_http_match *http,
                          struct authz_rule *rule)
{
    struct authz_path *paths = arena_array(arena_of(c), http->path_count, sizeof(*paths));
    for (size_t i = 0; i < http->path_count; i++) {
        const struct psync_path *from = &http->paths[i];
        char *out = arena_alloc(arena_of(c), from->text.len + 1);
        if (from->kind == PSYNC_PATH_NONE)
            return error_set(c->err, "a path match that is neither exact nor prefix");
        if (!path_normalise_rule(from->text, out, &paths[i].normal))
            return error_set(c->err, "%s is not a path that can be compared",
                             quote(from->text).text);
        paths[i].prefix = from->kind == PSYNC_PATH_PREFIX;
    }
    rule->paths = paths;
    rule->path_count = http->path_count;
    return true;
}

static bool compile_rule(struct compiler *c, const struct psync_rule *from, struct authz_rule *rule)
{
    if (from->ip_version != 0 && from->ip_version != 4 && from->ip_version != 6)
        return error_set(c->err, "IP version %d is not 4 or 6", from->ip_version);
    rule->family = (uint8_t)from->ip_version;
    rule->icmp = from->icmp.present;
    rule->methods = copy_strings(c, from->http.methods);
    return compile_action(c, from->action, &rule->action) &&
           compile_protocol(c, &from->protocol, &rule->protocol) &&
           compile_protocol(c, &from->not_protocol, &rule->not_protocol) &&
           compile_side(c, &from->source, &rule->source) &&
           compile_side(c, &from->destination, &rule->destination) &&
           compile_paths(c, &from->http, rule);
}

static void compile_rules(struct compiler *c, const struct psync_rules *rules, bool malformed)
{
    struct authz_policy *policy = c->policy;
    if (malformed)
        error_set(c->err, "it does not decode");
    policy->rules = arena_array(&policy->arena, rules->count, sizeof(*policy->rules));
    policy->rule_count = rules->count;
    for (size_t i = 0; i < rules->count && !malformed; i++) {
        if (!compile_rule(c, &rules->items[i], &policy->rules[i])) {
            error_prefix(c->err, "inbound rule %zu", i);
            malformed = true;
        }
    }
    if (malformed)
        policy->malformed = arena_copy(&policy->arena, str_from_c(c->err->text));
}

static struct authz_policy *policy_new(struct slot_table *table)
{
    struct authz_policy *policy = mem_zalloc(sizeof(*policy));
    policy->references = 1;
    policy->table = slot_table_ref(table);
    return policy;
}

/* The tally of the policy's last version goes on. */
static struct authz_tally *take_tally(const struct authz_policy *before)
{
    struct authz_tally *tally = before != NULL ? before->tally : NULL;
    if (tally == NULL)
        tally = mem_zalloc(sizeof(*tally));
    tally->references++;
    return tally;
}

struct authz_policy *authz_policy_compile(const struct psync_policy *source,
                                          struct slot_table *table,
                                          const struct authz_policy *before)
{
    struct error err;
    struct authz_policy *policy = policy_new(table);
    policy->id = (struct psync_policy_id){
        .tier = arena_copy(&policy->arena, source->id.tier),
        .namespace = arena_copy(&policy->arena, source->id.namespace),
        .name = arena_copy(&policy->arena, source->id.name),
        .kind = arena_copy(&policy->arena, source->id.kind),
    };
    policy->namespace = arena_copy(&policy->arena, source->namespace);
    if (authz_policy_id_is_staged(&policy->id))
        policy->tally = take_tally(before);
    compile_rules(&(struct compiler){policy, &err}, &source->inbound, source->malformed);
    return policy;
}

struct authz_policy *authz_profile_compile(const struct psync_profile *source,
                                           struct slot_table *table)
{
    struct error err;
    struct authz_policy *policy = policy_new(table);
    policy->id.name = arena_copy(&policy->arena, source->name);
    policy->id.kind = STR("Profile");
    compile_rules(&(struct compiler){policy, &err}, &source->inbound, source->malformed);
    return policy;
}

void authz_policy_unref(struct authz_policy *policy)
{
    if (policy == NULL || --policy->references > 0)
        return;
    for (size_t i = 0; i < policy->slot_count; i++)
        slot_release(policy->table, policy->slots[i]);
    slot_table_unref(policy->table);
    free(policy->slots);
    if (policy->tally != NULL && --policy->tally->references == 0)
        free(policy->tally);
    arena_free(&policy->arena);
    free(policy);
}

bool authz_policy_id_is_staged(const struct psync_policy_id *id)
{
    if (id->kind.len > 0)
        return str_eq(id->kind, STR("StagedNetworkPolicy")) ||
               str_eq(id->kind, STR("StagedGlobalNetworkPolicy")) ||
               str_eq(id->kind, STR("StagedKubernetesNetworkPolicy"));
    /* Older senders: "staged:NAME" or "NAMESPACE/staged:NAME". */
    struct str head, rest;
    if (!str_cut(id->name, '/', &head, &rest))
        rest = id->name;
    return str_starts_with(rest, STR("staged:"));
}
