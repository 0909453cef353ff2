/* interpreter.h: every part of a rule with every action, the order of the walk, and all reasons. */
#include "authz/interpreter.h"

#include "base/log.h"

#include "world.h"

/* What the parts of a rule say of a request, all together. */
enum truth { NO, YES, IDENTITY, ADDRESS, PATH, HTTP, MALFORMED, MISSING };

/* Lists for the tables, which stand outside of functions so that these are constants. */
#define ONE(text)                                                                                  \
    {                                                                                              \
        (struct str[]){STR_INIT(text)}, 1                                                          \
    }
#define TWO(text, other)                                                                           \
    {                                                                                              \
        (struct str[]){STR_INIT(text), STR_INIT(other)}, 2                                         \
    }
#define PORTS(from, to)                                                                            \
    {                                                                                              \
        (struct psync_port_range[]){{from, to}}, 1                                                 \
    }
#define EXACT(path)                                                                                \
    {                                                                                              \
        {NULL, 0}, (struct psync_path[]){{PSYNC_PATH_EXACT, STR_INIT(path)}}, 1                    \
    }
#define PREFIX(path)                                                                               \
    {                                                                                              \
        {NULL, 0}, (struct psync_path[]){{PSYNC_PATH_PREFIX, STR_INIT(path)}}, 1                   \
    }
#define NUMBER(n)                                                                                  \
    {                                                                                              \
        true, PSYNC_NUMBER, (n),                                                                   \
        {                                                                                          \
            NULL, 0                                                                                \
        }                                                                                          \
    }
#define NAMED(name)                                                                                \
    {                                                                                              \
        true, PSYNC_NAME, 0, STR_INIT(name)                                                        \
    }
#define LABEL(key, value) ((struct label[]){{STR_INIT(key), STR_INIT(value)}})

/* The sets are told by tell_world. The source is 10.0.0.1, the destination 10.0.0.2 port 80, unless
 * said otherwise. */
static const struct {
    const char *name;
    struct psync_rule rule;
    struct question question;
    const char *namespace; /* of the policy; NULL: global */
    enum truth truth;
} parts[] = {
    {"no part", {.rule_id = STR_INIT("x")}, {.source = NULL}, NULL, YES},
    {"no part, pipe", {.rule_id = STR_INIT("x")}, {.source = "/run/x.sock"}, NULL, YES},
    /* ip version */
    {"family 4", {.ip_version = 4}, {.source = NULL}, NULL, YES},
    {"family 4, of ::1", {.ip_version = 4}, {.source = "::1"}, NULL, NO},
    {"family 6, of ::1", {.ip_version = 6}, {.source = "::1"}, NULL, YES},
    {"family 6, of a mapped address", {.ip_version = 6}, {.source = "::ffff:10.0.0.1"}, NULL, NO},
    {"family, of a zone", {.ip_version = 6}, {.source = "fe80::1%eth0"}, NULL, ADDRESS},
    {"family, of the destination", {.ip_version = 4}, {.destination = "::1"}, NULL, YES},
    /* protocol */
    {"tcp", {.protocol = NUMBER(6)}, {.source = NULL}, NULL, YES},
    {"TCP by name", {.protocol = NAMED("TCP")}, {.source = NULL}, NULL, YES},
    {"udp", {.protocol = NAMED("udp")}, {.source = NULL}, NULL, NO},
    {"udp, of udp", {.protocol = NAMED("udp")}, {.udp = true}, NULL, YES},
    {"protocol 0", {.protocol = NUMBER(0)}, {.source = NULL}, NULL, NO},
    {"not tcp", {.not_protocol = NUMBER(6)}, {.source = NULL}, NULL, NO},
    {"not udp", {.not_protocol = NAMED("UDP")}, {.source = NULL}, NULL, YES},
    {"icmp", {.icmp = {.present = true, .type = 8}}, {.source = NULL}, NULL, NO},
    {"not icmp", {.not_icmp = {.present = true, .type = 8}}, {.source = NULL}, NULL, YES},
    /* nets */
    {"net", {.source.nets = TWO("1.0.0.0/8", "10.0.0.0/8")}, {.source = NULL}, NULL, YES},
    {"another net", {.source.nets = ONE("1.0.0.0/8")}, {.source = NULL}, NULL, NO},
    {"mapped net", {.source.nets = ONE("::ffff:10.0.0.0/104")}, {.source = NULL}, NULL, YES},
    {"::/0 and IPv4", {.source.nets = ONE("::/0")}, {.source = NULL}, NULL, NO},
    {"net, pipe", {.source.nets = ONE("0.0.0.0/0")}, {.source = "/run/x"}, NULL, ADDRESS},
    {"net, leading zero",
     {.source.nets = ONE("0.0.0.0/0")},
     {.source = "010.0.0.1"},
     NULL,
     ADDRESS},
    {"not net", {.source.not_nets = ONE("10.0.0.0/8")}, {.source = NULL}, NULL, NO},
    {"not another net", {.source.not_nets = ONE("1.0.0.0/8")}, {.source = NULL}, NULL, YES},
    {"not net, pipe", {.source.not_nets = ONE("1.0.0.0/8")}, {.source = "/run/x"}, NULL, ADDRESS},
    {"destination net", {.destination.nets = ONE("10.0.0.2/32")}, {.source = NULL}, NULL, YES},
    {"not destination net",
     {.destination.not_nets = ONE("10.0.0.2/32")},
     {.source = NULL},
     NULL,
     NO},
    {"destination net, pipe",
     {.destination.nets = ONE("::/0")},
     {.destination = "x"},
     NULL,
     ADDRESS},
    /* IP sets */
    {"set", {.source.set_ids = ONE("one")}, {.source = NULL}, NULL, YES},
    {"set, not in it", {.source.set_ids = ONE("one")}, {.source = "10.0.0.3"}, NULL, NO},
    {"in both sets", {.source.set_ids = TWO("one", "net")}, {.source = NULL}, NULL, YES},
    {"in one of the sets", {.source.set_ids = TWO("one", "net")}, {.source = "10.0.0.3"}, NULL, NO},
    {"set, pipe", {.source.set_ids = ONE("one")}, {.source = "x"}, NULL, ADDRESS},
    {"set of ports as set", {.source.set_ids = ONE("ports")}, {.source = NULL}, NULL, MISSING},
    {"no such set", {.source.set_ids = ONE("none")}, {.source = NULL}, NULL, MISSING},
    {"no such set, pipe", {.source.set_ids = ONE("none")}, {.source = "x"}, NULL, MISSING},
    {"set with a bad member", {.source.set_ids = ONE("bad")}, {.source = NULL}, NULL, MISSING},
    {"set of a delta alone", {.source.set_ids = ONE("delta")}, {.source = NULL}, NULL, MISSING},
    {"set of an unknown type", {.source.set_ids = ONE("odd")}, {.source = NULL}, NULL, MISSING},
    {"no such set, but not in another",
     {.source.set_ids = TWO("none", "empty")},
     {.source = NULL},
     NULL,
     NO},
    {"not in set", {.source.not_set_ids = ONE("one")}, {.source = NULL}, NULL, NO},
    {"not in sets", {.source.not_set_ids = TWO("empty", "one")}, {.source = "10.0.0.3"}, NULL, YES},
    {"in one of the not-sets",
     {.source.not_set_ids = TWO("empty", "one")},
     {.source = NULL},
     NULL,
     NO},
    {"not in a missing set", {.source.not_set_ids = ONE("none")}, {.source = NULL}, NULL, MISSING},
    {"missing not-set, in another",
     {.source.not_set_ids = TWO("none", "one")},
     {.source = NULL},
     NULL,
     NO},
    {"destination set", {.destination.set_ids = ONE("two")}, {.source = NULL}, NULL, YES},
    {"not destination set", {.destination.not_set_ids = ONE("two")}, {.source = NULL}, NULL, NO},
    {"ip+port set", {.destination.ip_port_set_ids = ONE("ports")}, {.source = NULL}, NULL, YES},
    {"ip+port set, udp", {.destination.ip_port_set_ids = ONE("ports")}, {.udp = true}, NULL, NO},
    {"ip+port set, port",
     {.destination.ip_port_set_ids = ONE("ports")},
     {.destination_port = 81},
     NULL,
     NO},
    {"ip+port set, named port",
     {.destination.ip_port_set_ids = ONE("ports")},
     {.named_port = true},
     NULL,
     ADDRESS},
    {"ip+port set, pipe",
     {.destination.ip_port_set_ids = ONE("ports")},
     {.destination = "x"},
     NULL,
     ADDRESS},
    {"ip set as ip+port set",
     {.destination.ip_port_set_ids = ONE("two")},
     {.source = NULL},
     NULL,
     MISSING},
    /* ports */
    {"port", {.destination.ports = PORTS(80, 80)}, {.source = NULL}, NULL, YES},
    {"port in range", {.destination.ports = PORTS(1, 80)}, {.source = NULL}, NULL, YES},
    {"port out of range", {.destination.ports = PORTS(81, 90)}, {.source = NULL}, NULL, NO},
    {"upside down", {.destination.ports = PORTS(90, 70)}, {.source = NULL}, NULL, NO},
    {"not upside down", {.destination.not_ports = PORTS(90, 70)}, {.source = NULL}, NULL, YES},
    {"port, pipe", {.destination.ports = PORTS(0, 65535)}, {.destination = "x"}, NULL, ADDRESS},
    {"port by name", {.destination.ports = PORTS(0, 65535)}, {.named_port = true}, NULL, ADDRESS},
    {"port too large",
     {.destination.ports = PORTS(0, 99999)},
     {.destination_port = 65536},
     NULL,
     ADDRESS},
    {"not port", {.destination.not_ports = PORTS(80, 80)}, {.source = NULL}, NULL, NO},
    {"not port, pipe", {.destination.not_ports = PORTS(1, 1)}, {.destination = "x"}, NULL, ADDRESS},
    {"source port", {.source.ports = PORTS(40000, 40000)}, {.source = NULL}, NULL, YES},
    {"not source port", {.source.not_ports = PORTS(40000, 40000)}, {.source = NULL}, NULL, NO},
    {"named port", {.destination.named_port_set_ids = ONE("ports")}, {.source = NULL}, NULL, YES},
    {"not named port",
     {.destination.not_named_port_set_ids = ONE("ports")},
     {.source = NULL},
     NULL,
     NO},
    {"range or named port",
     {.destination = {.ports = PORTS(1, 1), .named_port_set_ids = ONE("ports")}},
     {.source = NULL},
     NULL,
     YES},
    {"neither",
     {.destination = {.ports = PORTS(1, 1), .named_port_set_ids = ONE("ports")}},
     {.destination_port = 2},
     NULL,
     NO},
    {"range, so a missing set does not count",
     {.destination = {.ports = PORTS(80, 80), .named_port_set_ids = ONE("none")}},
     {.source = NULL},
     NULL,
     YES},
    {"no range, and a missing set",
     {.destination = {.ports = PORTS(1, 1), .named_port_set_ids = ONE("none")}},
     {.source = NULL},
     NULL,
     MISSING},
    {"a missing set, but another holds",
     {.destination.named_port_set_ids = TWO("none", "ports")},
     {.source = NULL},
     NULL,
     YES},
    /* service accounts */
    {"account", {.source.account.names = TWO("bob", "ann")}, {.source = NULL}, NULL, YES},
    {"another account", {.source.account.names = ONE("bob")}, {.source = NULL}, NULL, NO},
    {"account selector",
     {.source.account.selector = STR_INIT("role == 'reader'")},
     {.source = NULL},
     NULL,
     YES},
    {"name but not selector",
     {.source.account = {STR_INIT("!has(role)"), ONE("ann")}},
     {.source = NULL},
     NULL,
     NO},
    {"blank selector", {.source.account.selector = STR_INIT(" ")}, {.principal = ""}, NULL, YES},
    {"synced labels win",
     {.source.account.selector = STR_INIT("role == 'reader'")},
     {.labels = LABEL("role", "x")},
     NULL,
     YES},
    {"sent labels add",
     {.source.account.selector = STR_INIT("role == 'reader' && x == 'y'")},
     {.labels = LABEL("x", "y")},
     NULL,
     YES},
    {"sent labels alone",
     {.source.account.selector = STR_INIT("x == 'y'")},
     {.principal = "spiffe://td/ns/client/sa/new", .labels = LABEL("x", "y")},
     NULL,
     YES},
    {"account, plain text",
     {.source.account.names = ONE("ann")},
     {.principal = ""},
     NULL,
     IDENTITY},
    {"account, plain text, set",
     {.source = {.account.names = ONE("ann"), .set_ids = ONE("one")}},
     {.principal = ""},
     NULL,
     YES},
    {"account, plain text, not-set",
     {.source = {.account.names = ONE("ann"), .not_set_ids = ONE("empty")}},
     {.principal = ""},
     NULL,
     IDENTITY},
    {"account, plain text, set of the other side",
     {.source.account.names = ONE("ann"), .destination.set_ids = ONE("two")},
     {.principal = ""},
     NULL,
     IDENTITY},
    {"account, unknown name, set",
     {.source = {.account.names = ONE("ann"), .set_ids = ONE("one")}},
     {.principal = "ann"},
     NULL,
     IDENTITY},
    {"identity and set",
     {.source = {.account.names = ONE("ann"), .set_ids = ONE("empty")}},
     {.source = NULL},
     NULL,
     NO},
    {"destination account",
     {.destination.account.names = ONE("srv")},
     {.destination_principal = "spiffe://td/ns/client/sa/srv"},
     NULL,
     YES},
    /* namespaces */
    {"namespace",
     {.source.namespace_selector = STR_INIT("env == 'prod'")},
     {.source = NULL},
     NULL,
     YES},
    {"another namespace",
     {.source.namespace_selector = STR_INIT("env == 'prod'")},
     {.principal = "spiffe://td/ns/x/sa/ann"},
     NULL,
     NO},
    {"namespace not synced",
     {.source.namespace_selector = STR_INIT("!has(env)")},
     {.principal = "spiffe://td/ns/x/sa/ann"},
     NULL,
     YES},
    {"namespace, plain text",
     {.source.namespace_selector = STR_INIT("all()")},
     {.principal = ""},
     NULL,
     IDENTITY},
    {"own namespace", {.source.selector = STR_INIT("x")}, {.source = NULL}, "client", YES},
    {"not the own namespace", {.source.selector = STR_INIT("x")}, {.source = NULL}, "other", NO},
    {"not-selector", {.source.not_selector = STR_INIT("x")}, {.source = NULL}, "other", NO},
    {"account of the own namespace",
     {.source.account.names = ONE("ann")},
     {.source = NULL},
     "other",
     NO},
    {"namespace selector instead",
     {.source = {.selector = STR_INIT("x"), .namespace_selector = STR_INIT("all()")}},
     {.source = NULL},
     "other",
     YES},
    {"blank pod selector", {.source.selector = STR_INIT(" \t")}, {.source = NULL}, "other", YES},
    {"pod selector of a global policy",
     {.source.selector = STR_INIT("x")},
     {.principal = ""},
     NULL,
     YES},
    /* HTTP */
    {"method", {.http.methods = TWO("PUT", "GET")}, {.source = NULL}, NULL, YES},
    {"another method", {.http.methods = ONE("PUT")}, {.source = NULL}, NULL, NO},
    {"method in another case", {.http.methods = ONE("get")}, {.source = NULL}, NULL, NO},
    {"any method", {.http.methods = ONE("*")}, {.method = "BREW"}, NULL, YES},
    {"method, TCP filter", {.http.methods = ONE("*")}, {.tcp_filter = true}, NULL, HTTP},
    {"path", {.http = EXACT("/a")}, {.path = "/x/../%61?q"}, NULL, YES},
    {"path below", {.http = EXACT("/a")}, {.path = "/a/b"}, NULL, NO},
    {"prefix", {.http = PREFIX("/a/")}, {.path = "/a/b"}, NULL, YES},
    {"not at a border", {.http = PREFIX("/a")}, {.path = "/ab"}, NULL, NO},
    {"path, TCP filter", {.http = PREFIX("/")}, {.tcp_filter = true}, NULL, HTTP},
    {"path without a form", {.http = PREFIX("/")}, {.path = "/%252e"}, NULL, PATH},
    {"path malformed", {.http = PREFIX("/")}, {.path = "a"}, NULL, MALFORMED},
    {"path empty", {.http = PREFIX("/")}, {.path = ""}, NULL, MALFORMED},
    {"OPTIONS *", {.http = PREFIX("/")}, {.method = "OPTIONS", .path = "*"}, NULL, NO},
    {"GET *", {.http = PREFIX("/")}, {.path = "*"}, NULL, MALFORMED},
    {"path malformed, no path part", {.http.methods = ONE("GET")}, {.path = "a"}, NULL, YES},
    /* several unknowns */
    {"unknown and false",
     {.source.nets = ONE("::/0"), .http.methods = ONE("PUT")},
     {.source = "x"},
     NULL,
     NO},
    {"missing and false",
     {.source.set_ids = ONE("none"), .http = EXACT("/a")},
     {.source = NULL},
     NULL,
     NO},
    {"malformed path and false",
     {.protocol = NAMED("udp"), .http = EXACT("/a")},
     {.path = "a"},
     NULL,
     NO},
    {"missing goes before unknown",
     {.source = {.nets = ONE("::/0"), .set_ids = ONE("none")}},
     {.source = "x"},
     NULL,
     MISSING},
    {"malformed path goes before unknown",
     {.source.nets = ONE("::/0"), .http = PREFIX("/")},
     {.source = "x", .path = "a"},
     NULL,
     MALFORMED},
};

static bool reached[AUTHZ_MISSING_IP_SET + 1];

static void count_logged(void *ctx, struct str tier, const struct psync_policy_id *policy, int rule)
{
    assert_true(tier.len > 0 || str_eq(policy->kind, STR("Profile")));
    assert_true(rule >= 0);
    ++*(int *)ctx;
}

static struct authz_verdict ask_counting(const struct authz_snapshot *snapshot,
                                         const struct question *q, int *logged)
{
    struct authz_observer observer = {count_logged, logged};
    *logged = 0;
    struct authz_verdict verdict = ask(snapshot, q, &observer);
    reached[verdict.reason] = true;
    return verdict;
}

static void tell_world(struct authz_store *store)
{
    struct label role = {STR("role"), STR("reader")}, env = {STR("env"), STR("prod")};
    struct psync_rule allow = {.action = STR("allow")};
    tell_in_sync(store);
    tell_set(store, "one", PSYNC_SET_IP, "10.0.0.1");
    tell_set(store, "two", PSYNC_SET_IP, "10.0.0.2");
    tell_set(store, "net", PSYNC_SET_NET, "10.0.0.0/8 2001:db8::/32");
    tell_set(store, "empty", PSYNC_SET_IP, "");
    tell_set(store, "ports", PSYNC_SET_IP_AND_PORT, "10.0.0.2,tcp:80");
    tell_set(store, "bad", PSYNC_SET_IP, "10.0.0.1 x");
    tell_set(store, "odd", 7, "");
    tell_delta(store, "delta", "10.0.0.1", "");
    tell(store, (struct psync_message){.kind = PSYNC_ACCOUNT_UPDATE,
                                       .account = {STR("client"), STR("ann"), {&role, 1}}});
    tell(store, (struct psync_message){.kind = PSYNC_NAMESPACE_UPDATE,
                                       .namespace = {.name = STR("client"), .labels = {&env, 1}}});
    tell_profile(store, "open", &allow, 1);
    tell_endpoint(store, "p", "open");
}

/* What a rule of this action leads to, if its parts together say `truth`. */
static const char *expected_verdict(enum truth truth, const char *action)
{
    static const char *const refusals[] = {
        [IDENTITY] = "7 unknown_identity t p 0",  [ADDRESS] = "7 unknown_address t p 0",
        [PATH] = "7 path_not_normalisable t p 0", [HTTP] = "7 no_http t p 0",
        [MALFORMED] = "3 malformed_path t p 0",   [MISSING] = "13 missing_ip_set t p 0",
    };
    static const char *const next = "7 denied_by_tier_default t - -1";
    bool is_log = strcmp(action, "log") == 0, is_allow = strcmp(action, "allow") == 0;
    if (truth == MALFORMED)
        return refusals[truth];
    if (truth == NO || is_log)
        return next;
    if (truth == MISSING)
        return refusals[truth];
    if (is_allow)
        return truth == YES ? "0 allowed_by_rule t p 0" : next;
    if (truth != YES)
        return refusals[truth];
    return strcmp(action, "deny") == 0 ? "7 denied_by_rule t p 0" : "0 allowed_by_profile - open 0";
}

static void check_part(size_t i, const char *action)
{
    CLEANUP_ARENA struct arena arena = {0};
    struct authz_store *store = authz_store_new(NULL);
    struct psync_rule rule = parts[i].rule;
    int logged;
    rule.action = str_from_c(action);
    tell_world(store);
    tell(store, (struct psync_message){.kind = PSYNC_POLICY_UPDATE,
                                       .policy = {.id = policy_id("p"),
                                                  .namespace = str_from_c(parts[i].namespace),
                                                  .inbound = {&rule, 1}}});
    struct authz_snapshot *snapshot = authz_store_commit(store);
    struct authz_verdict verdict = ask_counting(snapshot, &parts[i].question, &logged);
    struct str name = arena_printf(&arena, "%s: %s", action, parts[i].name);
    check_text(name.ptr, show_verdict(&arena, &verdict),
               str_from_c(expected_verdict(parts[i].truth, action)));
    check_number(name.ptr, logged, parts[i].truth == YES && strcmp(action, "log") == 0);
    authz_snapshot_unref(snapshot);
    authz_store_free(store);
}

static void test_parts(void **state)
{
    (void)state;
    static const char *const actions[] = {"allow", "deny", "pass", "log"};
    for (size_t i = 0; i < COUNT(parts); i++) {
        for (size_t j = 0; j < COUNT(actions); j++)
            check_part(i, actions[j]);
    }
}

/* A `log` rule ignores a missing set, but not a malformed path behind it. */
static void test_log_sees_malformed_path(void **state)
{
    (void)state;
    struct authz_store *store = authz_store_new(NULL);
    struct str none = STR("none");
    struct psync_path path = {PSYNC_PATH_PREFIX, STR("/")};
    struct psync_rule rule = {.source.set_ids = {&none, 1},
                              .http = {.paths = &path, .path_count = 1}};
    const struct question q = {.path = "a"};
    tell_world(store);
    for (int is_log = 0; is_log <= 1; is_log++) {
        rule.action = is_log ? STR("log") : STR("allow");
        tell_policy(store, "p", &rule, 1);
        struct authz_snapshot *snapshot = authz_store_commit(store);
        check_verdict("malformed and missing", snapshot, &q,
                      is_log ? "3 malformed_path t p 0" : "13 missing_ip_set t p 0");
        authz_snapshot_unref(snapshot);
    }
    authz_store_free(store);
}

enum { PLACES = 3 };

/* A place is "NAME=RULES": a allow, d deny, p pass, l log, n next-tier; "." before a letter: it
 * does not match. "?": the policy is not there, "!": it is malformed. */
static const struct walk {
    const char *name;
    struct {
        const char *name, *default_action, *policies[PLACES];
    } tiers[PLACES];
    const char *profiles[PLACES];
    const char *expected;
    int logged;
} walks[] = {
    {"nothing", {{.name = NULL}}, {NULL}, "7 denied_by_default - - -1", 0},
    {"first rule decides", {{"t", "", {"one=ad"}}}, {NULL}, "0 allowed_by_rule t one 0", 0},
    {"second rule decides", {{"t", "", {"one=.ad"}}}, {NULL}, "7 denied_by_rule t one 1", 0},
    {"second policy decides",
     {{"t", "", {"one=.a", "two=.dd"}}},
     {NULL},
     "7 denied_by_rule t two 1",
     0},
    {"a policy without rules",
     {{"t", "", {"one=", "two=a"}}},
     {NULL},
     "0 allowed_by_rule t two 0",
     0},
    {"pass",
     {{"t", "", {"one=p", "two=d"}}, {"u", "", {"three=a"}}},
     {NULL},
     "0 allowed_by_rule u three 0",
     0},
    {"next-tier",
     {{"t", "", {"one=n"}}, {"u", "", {"two=a"}}},
     {NULL},
     "0 allowed_by_rule u two 0",
     0},
    {"pass in the last tier",
     {{"t", "", {"one=p"}}},
     {"open=a"},
     "0 allowed_by_profile - open 0",
     0},
    {"log goes on", {{"t", "", {"one=l.la"}}}, {NULL}, "0 allowed_by_rule t one 2", 1},
    {"no rule matches",
     {{"t", "", {"one=.a"}}, {"u", "", {"two=a"}}},
     {NULL},
     "7 denied_by_tier_default t - -1",
     0},
    {"default Deny", {{"t", "Deny", {"one=.a"}}}, {"open=a"}, "7 denied_by_tier_default t - -1", 0},
    {"default Pass",
     {{"t", "Pass", {"one=.d"}}, {"u", "", {"two=a"}}},
     {NULL},
     "0 allowed_by_rule u two 0",
     0},
    {"default pass, misspelt",
     {{"t", "pass", {"one=.d"}}},
     {"open=a"},
     "7 denied_by_tier_default t - -1",
     0},
    {"tier without policies",
     {{"t", "Deny", {NULL}}, {"u", "", {"two=a"}}},
     {NULL},
     "0 allowed_by_rule u two 0",
     0},
    {"staged alone",
     {{"t", "Deny", {"staged:one=d"}}},
     {"open=a"},
     "0 allowed_by_profile - open 0",
     0},
    {"staged of a namespace",
     {{"t", "Deny", {"ns/staged:one=d"}}},
     {"open=a"},
     "0 allowed_by_profile - open 0",
     0},
    {"staged and not there",
     {{"t", "Deny", {"staged:one=?", "two=a"}}},
     {NULL},
     "0 allowed_by_rule t two 0",
     0},
    {"staged beside another",
     {{"t", "Deny", {"staged:one=a", "two=.a"}}},
     {NULL},
     "7 denied_by_tier_default t - -1",
     0},
    {"missing", {{"t", "", {"one=.a", "two=?"}}}, {NULL}, "13 missing_policy t two -1", 0},
    {"missing, not reached",
     {{"t", "", {"one=a", "two=?"}}},
     {NULL},
     "0 allowed_by_rule t one 0",
     0},
    {"malformed", {{"t", "", {"one=.a", "two=!"}}}, {NULL}, "13 malformed_policy t two -1", 0},
    {"malformed, not reached",
     {{"t", "", {"one=p", "two=!"}}},
     {"open=a"},
     "0 allowed_by_profile - open 0",
     0},
    {"profile allows", {{.name = NULL}}, {"f=.d", "g=la"}, "0 allowed_by_profile - g 1", 1},
    {"profile denies", {{.name = NULL}}, {"f=d", "g=a"}, "7 denied_by_profile - f 0", 0},
    {"pass in a profile denies", {{.name = NULL}}, {"f=p", "g=a"}, "7 denied_by_profile - f 0", 0},
    {"no profile decides", {{.name = NULL}}, {"f=.a", "g="}, "7 denied_by_default - - -1", 0},
    {"profile missing", {{.name = NULL}}, {"f=?"}, "13 missing_profile - f -1", 0},
    {"profile malformed", {{.name = NULL}}, {"f=!"}, "13 malformed_profile - f -1", 0},
    {"profile malformed, not reached",
     {{.name = NULL}},
     {"f=a", "g=!"},
     "0 allowed_by_profile - f 0",
     0},
};

/* The rules of a place; false: the policy is not to be told. */
static bool make_rules(struct arena *arena, struct str letters, struct psync_rules *rules)
{
    static const struct {
        char letter;
        struct str action;
    } actions[] = {{'a', STR_INIT("Allow")}, {'d', STR_INIT("deny")},      {'p', STR_INIT("Pass")},
                   {'l', STR_INIT("LOG")},   {'n', STR_INIT("Next-Tier")}, {'!', STR_INIT("?")}};
    *rules = (struct psync_rules){arena_array(arena, letters.len, sizeof(struct psync_rule)), 0};
    for (size_t i = 0; i < letters.len; i++) {
        struct psync_rule *rule = &rules->items[rules->count++];
        if (letters.ptr[i] == '.') {
            rule->ip_version = 6;
            i++;
        }
        for (size_t j = 0; j < COUNT(actions); j++) {
            if (letters.ptr[i] == actions[j].letter)
                rule->action = actions[j].action;
        }
    }
    return !str_eq(letters, STR("?"));
}

/* Tells the policy of a place; returns its id, of the older form. */
static struct psync_policy_id tell_place(struct authz_store *store, const char *tier,
                                         const char *place)
{
    CLEANUP_ARENA struct arena arena = {0};
    struct psync_rules rules;
    struct str name, letters;
    str_cut(str_from_c(place), '=', &name, &letters);
    struct psync_policy_id id = {.tier = str_from_c(tier), .name = name};
    if (!make_rules(&arena, letters, &rules))
        return id;
    if (tier != NULL)
        tell(store, (struct psync_message){.kind = PSYNC_POLICY_UPDATE,
                                           .policy = {.id = id, .inbound = rules}});
    else
        tell(store, (struct psync_message){.kind = PSYNC_PROFILE_UPDATE,
                                           .profile = {.name = name, .inbound = rules}});
    return id;
}

static void tell_walk(struct authz_store *store, const struct walk *walk)
{
    struct psync_policy_id ids[PLACES][PLACES];
    struct psync_tier tiers[PLACES] = {0};
    struct str profiles[PLACES];
    struct psync_endpoint endpoint = {.tiers = tiers, .profile_ids.items = profiles};
    for (size_t i = 0; i < PLACES && walk->tiers[i].name != NULL; i++) {
        struct psync_tier *tier = &tiers[endpoint.tier_count++];
        tier->name = str_from_c(walk->tiers[i].name);
        tier->default_action = str_from_c(walk->tiers[i].default_action);
        tier->ingress.items = ids[i];
        for (size_t j = 0; j < PLACES && walk->tiers[i].policies[j] != NULL; j++)
            ids[i][tier->ingress.count++] =
                tell_place(store, walk->tiers[i].name, walk->tiers[i].policies[j]);
    }
    for (size_t i = 0; i < PLACES && walk->profiles[i] != NULL; i++)
        profiles[endpoint.profile_ids.count++] = tell_place(store, NULL, walk->profiles[i]).name;
    tell(store, (struct psync_message){.kind = PSYNC_ENDPOINT_UPDATE, .endpoint = endpoint});
}

static void test_walks(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(walks); i++) {
        CLEANUP_ARENA struct arena arena = {0};
        struct authz_store *store = authz_store_new(NULL);
        int logged;
        tell_in_sync(store);
        tell_walk(store, &walks[i]);
        struct authz_snapshot *snapshot = authz_store_commit(store);
        struct authz_verdict verdict =
            ask_counting(snapshot, &(struct question){.source = NULL}, &logged);
        check_text(walks[i].name, show_verdict(&arena, &verdict), str_from_c(walks[i].expected));
        check_number(walks[i].name, logged, walks[i].logged);
        authz_snapshot_unref(snapshot);
        authz_store_free(store);
    }
}

static void test_staged_kinds(void **state)
{
    (void)state;
    static const struct {
        struct psync_policy_id id;
        bool staged;
    } cases[] = {
        {{.name = STR_INIT("n"), .kind = STR_INIT("StagedNetworkPolicy")}, true},
        {{.name = STR_INIT("n"), .kind = STR_INIT("StagedGlobalNetworkPolicy")}, true},
        {{.name = STR_INIT("n"), .kind = STR_INIT("StagedKubernetesNetworkPolicy")}, true},
        {{.name = STR_INIT("n"), .kind = STR_INIT("NetworkPolicy")}, false},
        {{.name = STR_INIT("staged:n"), .kind = STR_INIT("NetworkPolicy")}, false},
        {{.name = STR_INIT("staged:n")}, true},
        {{.name = STR_INIT("ns/staged:n")}, true},
        {{.name = STR_INIT("xstaged:n")}, false},
        {{.name = STR_INIT("staged/n")}, false},
        {{.name = STR_INIT("a/b/staged:n")}, false},
    };
    for (size_t i = 0; i < COUNT(cases); i++)
        check_number(quote(cases[i].id.name).text, authz_policy_id_is_staged(&cases[i].id),
                     cases[i].staged);
}

/* Each of these rules makes its policy malformed, though it would never match. */
static const struct {
    const char *name;
    struct psync_rule rule;
} malformed[] = {
    {"no action", {.ip_version = 6}},
    {"action", {.action = STR_INIT("reject"), .ip_version = 6}},
    {"action with a NUL", {.action = STR_INIT("allow\0"), .ip_version = 6}},
    {"family", {.action = STR_INIT("allow"), .ip_version = 5}},
    {"negative family", {.action = STR_INIT("allow"), .ip_version = -252}},
    {"net", {.action = STR_INIT("allow"), .source.nets = ONE("x")}},
    {"bare address", {.action = STR_INIT("allow"), .source.nets = ONE("10.0.0.1")}},
    {"not net", {.action = STR_INIT("allow"), .destination.not_nets = ONE("10.0.0.0/33")}},
    {"protocol name", {.action = STR_INIT("allow"), .protocol = NAMED("quic")}},
    {"protocol number", {.action = STR_INIT("allow"), .protocol = NUMBER(256)}},
    {"negative protocol", {.action = STR_INIT("allow"), .not_protocol = NUMBER(-1)}},
    {"empty protocol", {.action = STR_INIT("allow"), .protocol.present = true}},
    {"account selector", {.action = STR_INIT("allow"), .source.account.selector = STR_INIT("a =")}},
    {"namespace selector",
     {.action = STR_INIT("allow"), .destination.namespace_selector = STR_INIT("(")}},
    {"path", {.action = STR_INIT("allow"), .http = EXACT("a")}},
    {"path of no form", {.action = STR_INIT("allow"), .http = PREFIX("/%2")}},
    {"absolute path", {.action = STR_INIT("allow"), .http = PREFIX("http://x/")}},
    {"empty path match",
     {.action = STR_INIT("allow"),
      .http = {.paths = (struct psync_path[]){{PSYNC_PATH_NONE, {NULL, 0}}}, .path_count = 1}}},
};

/* It poisons its own policy alone, and wherever the rule stands in it. */
static void test_malformed(void **state)
{
    (void)state;
    const struct question q = {.source = NULL};
    for (size_t i = 0; i < COUNT(malformed); i++) {
        struct authz_store *store = authz_store_new(NULL);
        struct psync_rule never = {.action = STR("allow"), .ip_version = 6};
        struct psync_rule allow = {.action = STR("allow")};
        tell_in_sync(store);
        tell_policy(store, "one", &never, 1);
        tell_policy(store, "two", (struct psync_rule[]){allow, malformed[i].rule}, 2);
        tell_endpoint(store, "one two", "");
        struct authz_snapshot *snapshot = authz_store_commit(store);
        check_verdict(malformed[i].name, snapshot, &q, "13 malformed_policy t two -1");
        authz_snapshot_unref(snapshot);
        authz_store_free(store);
    }
}

/* Pod selectors are never parsed, and outbound rules not looked at. */
static void test_not_malformed(void **state)
{
    (void)state;
    struct authz_store *store = authz_store_new(NULL);
    struct psync_rule rule = {.action = STR("allow"),
                              .source = {.selector = STR("((("), .not_selector = STR("=")}};
    struct psync_rule outbound = {.action = STR("?")};
    tell_in_sync(store);
    tell(store,
         (struct psync_message){
             .kind = PSYNC_POLICY_UPDATE,
             .policy = {.id = policy_id("p"), .inbound = {&rule, 1}, .outbound = {&outbound, 1}}});
    tell_endpoint(store, "p", "");
    struct authz_snapshot *snapshot = authz_store_commit(store);
    check_verdict("sound", snapshot, &(struct question){.source = NULL}, "0 allowed_by_rule t p 0");
    authz_snapshot_unref(snapshot);
    authz_store_free(store);
}

/* Runs last. Only the check service gives `too_many_labels`: it does not even ask then. */
static void test_all_reasons_reached(void **state)
{
    (void)state;
    int logged;
    struct authz_store *store = authz_store_new(NULL);
    for (int in_sync = 0; in_sync <= 1; in_sync++) {
        struct authz_snapshot *snapshot = authz_store_commit(store);
        ask_counting(snapshot, &(struct question){.source = NULL}, &logged);
        authz_snapshot_unref(snapshot);
        tell_in_sync(store);
    }
    authz_store_free(store);
    for (size_t i = 0; i < COUNT(reached); i++) {
        struct str name = authz_reason_name((enum authz_reason)i);
        check_number(quote(name).text, reached[i], i != AUTHZ_TOO_MANY_LABELS);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_parts),
        cmocka_unit_test(test_log_sees_malformed_path),
        cmocka_unit_test(test_walks),
        cmocka_unit_test(test_staged_kinds),
        cmocka_unit_test(test_malformed),
        cmocka_unit_test(test_not_malformed),
        cmocka_unit_test(test_all_reasons_reached),
    };
    log_set_level(LOG_ERROR); /* malformed policies are meant to be so here */
    return cmocka_run_group_tests(tests, NULL, NULL);
}
