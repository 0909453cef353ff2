/* What the calculation costs, in this process: no files, no sockets. See README.md.
 *
 *     calc POLICIES PODS LOCAL
 *
 * makes a cluster with so many policies and pods, LOCAL of them on the node that is asked about, and prints a line of JSON: time and
 * CPU to in-sync, resident memory, and the CPU of one change of each kind (median and worst of many).
 *
 * The cluster: 100 pods a namespace, 20 replicas an application with their own labels, two service accounts a namespace. Of ten
 * policies, seven are NetworkPolicies of one application, two Kubernetes NetworkPolicies, one is global by a namespace's
 * label; each has three rules with selectors, one also a named port.
 */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "base/clock.h"
#include "base/log.h"
#include "calc/calc.h"

enum { PODS_A_NAMESPACE = 100, REPLICAS = 20, TEAMS = 20, CHANGES = 400 };

static size_t policy_count, pod_count, local_count;
static uint64_t messages;
static size_t named[CHANGES], named_count; /* see find_named */

/* ---- resources ---- */

static struct model_resource *new_resource(enum model_kind kind, const char *namespace,
                                           const char *name)
{
    struct model_resource *r = mem_zalloc(sizeof(*r));
    r->key.kind = kind;
    r->key.namespace = arena_copy(&r->arena, str_from_c(namespace));
    r->key.name = arena_copy(&r->arena, str_from_c(name));
    return r;
}

static void put_label(struct arena *arena, struct labels *labels, const char *key, struct str value)
{
    labels->items[labels->count++] = (struct label){str_from_c(key), value};
    (void)arena;
}

struct name {
    char text[64];
};

__attribute__((format(printf, 1, 2))) static struct name name(const char *format, ...)
{
    struct name n;
    va_list args;
    va_start(args, format);
    vsnprintf(n.text, sizeof(n.text), format, args);
    va_end(args);
    return n;
}

static size_t namespace_of(size_t pod)
{
    return pod / PODS_A_NAMESPACE;
}

static size_t application_of(size_t pod)
{
    return pod / REPLICAS;
}

static size_t namespace_count(void)
{
    return namespace_of(pod_count - 1) + 1;
}

static size_t application_count(void)
{
    return application_of(pod_count - 1) + 1;
}

/* Local pods are spread over the cluster. */
static bool is_local(size_t pod)
{
    size_t stride = pod_count / local_count;
    return pod % stride == 0 && pod / stride < local_count;
}

/* The pod whose application a policy selects. */
static size_t selected_pod(size_t policy)
{
    return policy * (pod_count / policy_count + 1) % pod_count;
}

/* The application that a rule of a policy names. */
static size_t peer_of(size_t policy, size_t rule)
{
    return (policy * 31 + rule * 17) % application_count();
}

/* `version` changes a label that nobody names. */
static struct model_resource *make_pod(size_t i, unsigned version)
{
    struct name ns = name("namespace-%zu", namespace_of(i));
    struct model_resource *r = new_resource(MODEL_POD, ns.text, name("pod-%zu", i).text);
    struct model_endpoint *e = &r->endpoint;
    struct arena *a = &r->arena;
    const char *account = i % 2 == 0 ? "web" : "worker";
    e->presence = MODEL_LIVE;
    e->node = is_local(i) ? STR("node-here") : STR("node-there");
    e->orchestrator = STR("k8s");
    e->endpoint = STR("eth0");
    e->workload = arena_printf(a, "%s/pod-%zu", ns.text, i);
    e->interface = STR("0123456789a");
    e->account = str_from_c(account);
    e->labels.items = arena_array(a, 8, sizeof(struct label));
    put_label(a, &e->labels, "app", arena_printf(a, "app-%zu", application_of(i)));
    put_label(a, &e->labels, "pod-template-hash",
              arena_printf(a, "h%zu", application_of(i) * 7919));
    put_label(a, &e->labels, "projectcalico.org/namespace", arena_copy(a, str_from_c(ns.text)));
    put_label(a, &e->labels, "projectcalico.org/orchestrator", STR("k8s"));
    put_label(a, &e->labels, "projectcalico.org/serviceaccount", str_from_c(account));
    put_label(a, &e->labels, "tier", i % 3 == 0 ? STR("front") : STR("back"));
    put_label(a, &e->labels, "version", arena_printf(a, "v%u", version));
    e->profiles.items = arena_array(a, 2, sizeof(struct str));
    e->profiles.items[e->profiles.count++] = arena_printf(a, "kns.%s", ns.text);
    e->profiles.items[e->profiles.count++] = arena_printf(a, "ksa.%s.%s", ns.text, account);
    e->nets = arena_array(a, 1, sizeof(struct ip_net));
    e->net_count = 1;
    e->nets[0] = (struct ip_net){
        .addr = {4, {10, (uint8_t)(i >> 16), (uint8_t)(i >> 8), (uint8_t)i}}, .length = 32};
    e->ports = arena_array(a, 1, sizeof(*e->ports));
    e->port_count = 1;
    e->ports[0] = (struct model_endpoint_port){STR("http"), 6, 8080};
    return r;
}

static struct model_resource *make_namespace(size_t i, size_t team)
{
    struct model_resource *r = new_resource(MODEL_NAMESPACE, "", name("namespace-%zu", i).text);
    r->labels.items = arena_array(&r->arena, 2, sizeof(struct label));
    put_label(&r->arena, &r->labels, "env", i % 4 == 0 ? STR("prod") : STR("test"));
    put_label(&r->arena, &r->labels, "team", arena_printf(&r->arena, "team-%zu", team));
    return r;
}

static void set_selector(struct arena *a, struct model_selector *to, struct str text)
{
    struct error err;
    to->text = text;
    to->parsed = selector_parse(a, text, NULL, &err);
    if (to->parsed == NULL)
        abort();
}

/* Three rules that differ by policy; `version` changes a port. */
static void set_rules(struct arena *a, struct model_rules *rules, size_t i, unsigned version)
{
    rules->items = arena_array(a, 3, sizeof(*rules->items));
    rules->count = 3;
    for (size_t j = 0; j < 3; j++) {
        struct model_rule *rule = &rules->items[j];
        size_t peer = peer_of(i, j);
        rule->action = MODEL_ALLOW;
        rule->protocol = (struct model_protocol){true, STR("tcp"), 6};
        rule->destination.ports.items = arena_array(a, 1, sizeof(struct model_port));
        rule->destination.ports.count = 1;
        rule->destination.ports.items[0] = (struct model_port){.first = (uint16_t)(8000 + version),
                                                               .last = (uint16_t)(8000 + version)};
        set_selector(a, &rule->source.selector, arena_printf(a, "app == 'app-%zu'", peer));
        if (j == 1)
            set_selector(a, &rule->source.namespace_selector,
                         arena_printf(a, "team == 'team-%zu'", i % TEAMS));
        if (j == 2)
            rule->destination.ports.items[0] = (struct model_port){.name = STR("http")};
    }
}

static struct model_resource *make_policy(size_t i, unsigned version)
{
    size_t pod = selected_pod(i);
    struct name ns = name("namespace-%zu", namespace_of(pod));
    bool global = i % 10 == 9, kubernetes = i % 10 >= 7 && !global;
    enum model_kind kind = global       ? MODEL_GLOBAL_NETWORK_POLICY
                           : kubernetes ? MODEL_KUBERNETES_NETWORK_POLICY
                                        : MODEL_NETWORK_POLICY;
    struct model_resource *r =
        new_resource(kind, global ? "" : ns.text, name("policy-%zu", i).text);
    struct model_policy *p = &r->policy;
    p->tier = STR("default");
    p->has_order = kubernetes;
    p->order = 1000;
    p->applies_ingress = true;
    set_rules(&r->arena, &p->ingress, i, version);
    struct str app = arena_printf(&r->arena, "%sapp == 'app-%zu'",
                                  kubernetes ? "projectcalico.org/orchestrator == 'k8s' && " : "",
                                  application_of(pod));
    set_selector(&r->arena, &p->selector, app);
    if (global)
        set_selector(&r->arena, &p->namespace_selector, STR("env == 'prod'"));
    return r;
}

static struct model_resource *make_account(size_t i)
{
    return new_resource(MODEL_SERVICE_ACCOUNT, name("namespace-%zu", i / 2).text,
                        i % 2 == 0 ? "web" : "worker");
}

/* ---- measuring ---- */

static void count_message(void *ctx, const struct psync_message *message)
{
    (void)ctx;
    (void)message;
    messages++;
}

static void ignore(void *ctx)
{
    (void)ctx;
}

static const struct psync_sink sink = {count_message, ignore, NULL};

static double cpu_seconds(void)
{
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static long resident_kib(void)
{
    struct str size, rest;
    uint64_t pages = 0;
    char text[128] = "";
    FILE *file = fopen("/proc/self/statm", "re");
    if (file != NULL && fgets(text, sizeof(text), file) != NULL) {
        str_cut(str_from_c(text), ' ', &size, &rest);
        str_cut(rest, ' ', &size, &rest);
        str_parse_uint(size, UINT32_MAX, &pages);
    }
    if (file != NULL)
        fclose(file);
    return (long)pages * 4;
}

static void load(struct calc *calc)
{
    for (size_t i = 0; i < namespace_count(); i++)
        calc_update(calc, make_namespace(i, i % TEAMS));
    for (size_t i = 0; i < namespace_count() * 2; i++)
        calc_update(calc, make_account(i));
    for (size_t i = 0; i < pod_count; i++)
        calc_update(calc, make_pod(i, 1));
    for (size_t i = 0; i < policy_count; i++)
        calc_update(calc, make_policy(i, 0));
    calc_set_in_sync(calc);
    calc_flush(calc, &sink);
}

static int compare_doubles(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* The cost of one change, without making the resource. */
static void measure(struct calc *calc, const char *what, struct model_resource *(*make)(size_t i))
{
    double costs[CHANGES];
    uint64_t before = messages;
    for (size_t i = 0; i < CHANGES; i++) {
        struct model_resource *resource = make(i);
        double start = cpu_seconds();
        calc_update(calc, resource);
        calc_flush(calc, &sink);
        costs[i] = (cpu_seconds() - start) * 1e6;
    }
    qsort(costs, CHANGES, sizeof(costs[0]), compare_doubles);
    printf(
        ", \"%s\": {\"median_us\": %.1f, \"p99_us\": %.1f, \"worst_us\": %.1f, \"messages\": %.2f}",
        what, costs[CHANGES / 2], costs[CHANGES * 99 / 100], costs[CHANGES - 1],
        (double)(messages - before) / CHANGES);
}

/* ---- changes ---- */

/* The first pod of an application that is here, or that is not; pod_count: there is none. */
static size_t find_pod(size_t application, bool here)
{
    size_t first = application * REPLICAS, end = first + REPLICAS;
    for (size_t pod = first; pod < end && pod < pod_count; pod++) {
        if (is_local(pod) == here)
            return pod;
    }
    return pod_count;
}

/* Applications that global policies name which select a local pod: who comes to them or leaves them is in some set or not. */
static void find_named(void)
{
    for (size_t i = 9; i < policy_count && named_count < CHANGES; i += 10) {
        size_t pod = selected_pod(i), peer = peer_of(i, 0);
        bool is_active =
            namespace_of(pod) % 4 == 0 && find_pod(application_of(pod), true) < pod_count;
        if (is_active && find_pod(peer, false) < pod_count)
            named[named_count++] = peer;
    }
}

/* A label changes that nobody names. */
static struct model_resource *remote_restarted(size_t i)
{
    return make_pod((i * 37 * (pod_count / local_count) + 1) % pod_count, (unsigned)i + 2);
}

static struct model_resource *local_restarted(size_t i)
{
    return make_pod(i % local_count * (pod_count / local_count), (unsigned)i + 2);
}

static struct model_resource *pod_of_application(size_t pod, struct name application)
{
    struct model_resource *r = make_pod(pod, 1);
    r->endpoint.labels.items[0].value = arena_copy(&r->arena, str_from_c(application.text));
    return r;
}

/* Out of a set, and the next time into it again. */
static struct model_resource *remote_relabelled(size_t i)
{
    size_t application = named[i / 2 % named_count];
    return pod_of_application(find_pod(application, false),
                              i % 2 == 0 ? name("elsewhere") : name("app-%zu", application));
}

/* Into an application that is in a set, and the next time back, where other policies select it. */
static struct model_resource *local_relabelled(size_t i)
{
    size_t pod = i / 2 % local_count * (pod_count / local_count);
    return pod_of_application(
        pod, name("app-%zu", i % 2 == 0 ? named[i / 2 % named_count] : application_of(pod)));
}

static struct model_resource *remote_added(size_t i)
{
    size_t others = pod_count / local_count;
    struct model_resource *r = make_pod(i * others % pod_count + 1, 1);
    r->key.name = arena_printf(&r->arena, "new-%zu", i);
    r->endpoint.nets[0].addr.bytes[0] = 11;
    return r;
}

static struct model_resource *policy_changed(size_t i)
{
    return make_policy(i * 7 % policy_count, (unsigned)i + 1);
}

static struct model_resource *policy_added(size_t i)
{
    struct model_resource *r = make_policy(i * 11 % policy_count, 3);
    r->key.name = arena_printf(&r->arena, "new-%zu", i);
    return r;
}

static struct model_resource *namespace_relabelled(size_t i)
{
    return make_namespace(i * 3 % namespace_count(), (i + 1) % TEAMS);
}

int main(int argc, char **argv)
{
    uint64_t numbers[3] = {1000, 10000, 250};
    for (int i = 1; i < argc && i <= 3; i++) {
        if (!str_parse_uint(str_from_c(argv[i]), 10 * 1000 * 1000, &numbers[i - 1]) ||
            numbers[i - 1] == 0) {
            fprintf(stderr, "usage: calc POLICIES PODS LOCAL\n");
            return 1;
        }
    }
    policy_count = numbers[0];
    pod_count = numbers[1];
    local_count = numbers[2] < pod_count ? numbers[2] : pod_count;
    log_set_level(LOG_ERROR);
    const struct endpoints_scope scope = {.node = STR("node-here")};
    struct calc *calc = calc_new(&scope);
    uint64_t start = clock_nanoseconds();
    load(calc);
    printf(
        "{\"policies\": %zu, \"pods\": %zu, \"local\": %zu, \"in_sync_s\": %.3f, \"cpu_s\": %.3f, "
        "\"resident_kib\": %ld, \"messages\": %llu",
        policy_count, pod_count, local_count, (double)(clock_nanoseconds() - start) / 1e9,
        cpu_seconds(), resident_kib(), (unsigned long long)messages);
    struct calc_stats stats = calc_stats(calc);
    printf(", \"active_policies\": %zu, \"ip_sets\": %zu, \"members\": %zu, \"groups\": %zu",
           stats.policies.active, stats.ipsets.sets, stats.ipsets.members,
           stats.ipsets.labels.groups);
    find_named();
    if (named_count > 0) {
        measure(calc, "remote pod relabelled", remote_relabelled);
        measure(calc, "local pod relabelled", local_relabelled);
    }
    measure(calc, "remote pod's version changed", remote_restarted);
    measure(calc, "local pod's version changed", local_restarted);
    measure(calc, "remote pod added", remote_added);
    measure(calc, "policy changed", policy_changed);
    measure(calc, "policy added", policy_added);
    measure(calc, "namespace relabelled", namespace_relabelled);
    printf("}\n");
    calc_free(calc);
    return 0;
}
