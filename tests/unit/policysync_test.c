/* policysync: encoding and decoding are each other's reverse, and what becomes of bytes that are
 * not as they should be. */
#include <stdlib.h>

#include "pb/reader.h"
#include "pb/writer.h"
#include "policysync/decode.h"
#include "policysync/encode.h"

#include "random.h"

/* Lists for the tables below, which stand outside of functions so that these are constants. */
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
        (struct psync_port_range[]){{from, to}, {0, 65535}}, 2                                     \
    }
#define RULES(...)                                                                                 \
    {                                                                                              \
        (struct psync_rule[]){__VA_ARGS__}, 1                                                      \
    }
#define LABELS(key, value)                                                                         \
    {                                                                                              \
        (struct label[]){{STR_INIT(key), STR_INIT(value)}, {STR_INIT("e"), {NULL, 0}}}, 2          \
    }

/* Every text is the number of the field that carries it. */
#define FULL_RULE                                                                                  \
    {                                                                                              \
        .action = STR_INIT("1"), .ip_version = 4, .protocol = {true, PSYNC_NUMBER, 6, {NULL, 0}},  \
        .not_protocol = {true, PSYNC_NAME, 0, STR_INIT("102")}, .icmp = {true, true, 3, 1},        \
        .not_icmp = {true, false, 8, 0},                                                           \
        .source = {.nets = TWO("4", "4"),                                                          \
                   .not_nets = ONE("103"),                                                         \
                   .ports = PORTS(5, 55),                                                          \
                   .not_ports = PORTS(104, 1044),                                                  \
                   .set_ids = TWO("10", "10"),                                                     \
                   .not_set_ids = ONE("109"),                                                      \
                   .named_port_set_ids = ONE("12"),                                                \
                   .not_named_port_set_ids = ONE("112"),                                           \
                   .selector = STR_INIT("114"),                                                    \
                   .not_selector = STR_INIT("118"),                                                \
                   .namespace_selector = STR_INIT("116"),                                          \
                   .service = STR_INIT("132"),                                                     \
                   .service_namespace = STR_INIT("133"),                                           \
                   .account = {STR_INIT("s"), TWO("n", "")}},                                      \
        .destination = {.nets = ONE("6"),                                                          \
                        .not_nets = ONE("105"),                                                    \
                        .ports = PORTS(7, 77),                                                     \
                        .not_ports = PORTS(106, 1066),                                             \
                        .set_ids = ONE("11"),                                                      \
                        .not_set_ids = ONE("110"),                                                 \
                        .named_port_set_ids = ONE("13"),                                           \
                        .not_named_port_set_ids = ONE("113"),                                      \
                        .ip_port_set_ids = ONE("15"),                                              \
                        .selector = STR_INIT("115"),                                               \
                        .not_selector = STR_INIT("119"),                                           \
                        .namespace_selector = STR_INIT("117"),                                     \
                        .service = STR_INIT("130"),                                                \
                        .service_namespace = STR_INIT("131"),                                      \
                        .account = {STR_INIT("t"), ONE("m")}},                                     \
        .http = {TWO("GET", "*"),                                                                  \
                 (struct psync_path[]){{PSYNC_PATH_EXACT, STR_INIT("/a")},                         \
                                       {PSYNC_PATH_PREFIX, {NULL, 0}},                             \
                                       {PSYNC_PATH_NONE, {NULL, 0}}},                              \
                 3},                                                                               \
        .rule_id = STR_INIT("201"),                                                                \
    }

/* The other members of the oneofs. */
#define OTHER_RULE                                                                                 \
    {                                                                                              \
        .ip_version = -1, .protocol = {true, PSYNC_NONE, 0, {NULL, 0}},                            \
        .not_protocol = {true, PSYNC_NUMBER, -7, {NULL, 0}}, .icmp = {true, false, 0, 0},          \
        .not_icmp = {true, true, 0, 0},                                                            \
    }

static const struct {
    const char *name;
    struct psync_message message;
} messages[] = {
    {"nothing", {.kind = PSYNC_IGNORED}},
    {"number alone", {.kind = PSYNC_IGNORED, .sequence_number = UINT64_MAX}},
    {"in sync", {.kind = PSYNC_IN_SYNC, .sequence_number = 7}},
    {"IP set",
     {.kind = PSYNC_IPSET_UPDATE,
      .sequence_number = 1,
      .ipset_update = {STR_INIT("s:1"), PSYNC_SET_NET, TWO("10.0.0.0/8", "")}}},
    {"IP set of type 0, empty",
     {.kind = PSYNC_IPSET_UPDATE, .ipset_update = {.id = STR_INIT("s")}}},
    {"IP set of unknown type", {.kind = PSYNC_IPSET_UPDATE, .ipset_update = {.type = -3}}},
    {"delta", {.kind = PSYNC_IPSET_DELTA, .ipset_delta = {STR_INIT("s"), TWO("a", "b"), ONE("c")}}},
    {"IP set removed", {.kind = PSYNC_IPSET_REMOVE, .ipset_remove = STR_INIT("s")}},
    {"profile",
     {.kind = PSYNC_PROFILE_UPDATE,
      .profile = {.name = STR_INIT("p"), .inbound = RULES(FULL_RULE)}}},
    {"profile removed", {.kind = PSYNC_PROFILE_REMOVE, .profile_remove = STR_INIT("kns.a")}},
    {"policy",
     {.kind = PSYNC_POLICY_UPDATE,
      .policy = {.id = {{NULL, 0}, STR_INIT("ns"), STR_INIT("n"), STR_INIT("NetworkPolicy")},
                 .namespace = STR_INIT("ns"),
                 .inbound = {(struct psync_rule[]){FULL_RULE, {.action = {NULL, 0}}, OTHER_RULE},
                             3},
                 .untracked = true,
                 .pre_dnat = true,
                 .original_selector = STR_INIT("all()"),
                 .tier = STR_INIT("t")}}},
    {"policy of an older sender",
     {.kind = PSYNC_POLICY_UPDATE,
      .policy = {.id = {.tier = STR_INIT("t"), .name = STR_INIT("n")}}}},
    {"policy removed",
     {.kind = PSYNC_POLICY_REMOVE,
      .policy_remove = {STR_INIT("t"), STR_INIT("ns"), STR_INIT("n"), STR_INIT("k")}}},
    {"endpoint",
     {.kind = PSYNC_ENDPOINT_UPDATE,
      .endpoint = {.id = {STR_INIT("k8s"), STR_INIT("ns/pod"), STR_INIT("eth0")},
                   .state = STR_INIT("up"),
                   .name = STR_INIT("cali1"),
                   .mac = STR_INIT("01:02"),
                   .profile_ids = TWO("p", "q"),
                   .ipv4_nets = ONE("10.0.0.1/32"),
                   .ipv6_nets = ONE("::1/128"),
                   .tiers =
                       (struct psync_tier[]){
                           {.name = STR_INIT("t"),
                            .default_action = STR_INIT("Pass"),
                            .ingress = {(struct psync_policy_id[]){
                                            {.name = STR_INIT("g"), .kind = STR_INIT("k")},
                                            {.tier = STR_INIT("u"), .name = STR_INIT("o")},
                                        },
                                        2}},
                           {.name = {NULL, 0}}},
                   .tier_count = 2}}},
    {"endpoint removed",
     {.kind = PSYNC_ENDPOINT_REMOVE,
      .endpoint_remove = {STR_INIT("k8s"), STR_INIT("ns/pod"), STR_INIT("eth0")}}},
    {"account",
     {.kind = PSYNC_ACCOUNT_UPDATE,
      .account = {STR_INIT("ns"), STR_INIT("sa"), LABELS("role", "x")}}},
    {"account removed",
     {.kind = PSYNC_ACCOUNT_REMOVE,
      .account = {.namespace = STR_INIT("ns"), .name = STR_INIT("sa")}}},
    {"namespace",
     {.kind = PSYNC_NAMESPACE_UPDATE,
      .namespace = {.name = STR_INIT("ns"), .labels = LABELS("env", "prod")}}},
    {"namespace removed", {.kind = PSYNC_NAMESPACE_REMOVE, .namespace = {.name = STR_INIT("ns")}}},
};

/* The messages above are equal if their encodings are: the encoder's numbers have a test of their
 * own. */
static void test_round_trip(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(messages); i++) {
        const char *name = messages[i].name;
        CLEANUP_ARENA struct arena arena = {0};
        CLEANUP_BUF struct buf bytes = {0}, again = {0};
        struct psync_message decoded;
        struct error err;
        psync_encode(&bytes, &messages[i].message);
        CHECK(name, psync_decode(&arena, buf_str(&bytes), &decoded, &err));
        check_number(name, decoded.kind, messages[i].message.kind);
        CHECK(name, decoded.sequence_number == messages[i].message.sequence_number);
        psync_encode(&again, &decoded);
        CHECK(name, str_eq(buf_str(&bytes), buf_str(&again)));
    }
}

static struct str field_bytes(struct str message, uint32_t number)
{
    struct pb_reader r = pb_reader(message);
    struct pb_field f;
    while (pb_next(&r, &f)) {
        if (f.number == number && f.wire == PB_BYTES)
            return f.bytes;
    }
    fail_msg("no field %u in %s", number, quote(message).text);
    return message;
}

static uint64_t field_number(struct str message, uint32_t number)
{
    struct pb_reader r = pb_reader(message);
    struct pb_field f;
    while (pb_next(&r, &f)) {
        if (f.number == number && f.wire == PB_VARINT)
            return f.value;
    }
    fail_msg("no field %u in %s", number, quote(message).text);
    return 0;
}

/* The numbers of a Rule, from the page of the specification. */
static void test_rule_numbers(void **state)
{
    (void)state;
    static const uint32_t texts[] = {1,   4,   6,   10,  11,  12,  13,  15,  103,
                                     105, 109, 110, 112, 113, 114, 115, 116, 117,
                                     118, 119, 130, 131, 132, 133, 201};
    static const uint32_t ranges[] = {5, 7, 104, 106};
    const struct psync_message policy = {
        .kind = PSYNC_POLICY_UPDATE,
        .policy = {.id = {.name = STR_INIT("n")}, .inbound = RULES(FULL_RULE)}};
    CLEANUP_ARENA struct arena arena = {0};
    CLEANUP_BUF struct buf bytes = {0};
    psync_encode(&bytes, &policy);
    struct str rule = field_bytes(field_bytes(field_bytes(buf_str(&bytes), 7), 2), 1);
    for (size_t i = 0; i < COUNT(texts); i++)
        check_text("text", field_bytes(rule, texts[i]), arena_printf(&arena, "%u", texts[i]));
    for (size_t i = 0; i < COUNT(ranges); i++)
        assert_int_equal(field_number(field_bytes(rule, ranges[i]), 1), ranges[i]);
    assert_int_equal(field_number(field_bytes(rule, 5), 2), 55);
    assert_int_equal(field_number(rule, 2), 4);
    assert_int_equal(field_number(field_bytes(rule, 3), 1), 6);
    check_text("not_protocol", field_bytes(field_bytes(rule, 102), 2), STR("102"));
    assert_int_equal(field_number(field_bytes(rule, 9), 1), 3);
    assert_int_equal(field_number(field_bytes(rule, 9), 2), 1);
    assert_int_equal(field_number(rule, 107), 8);
    check_text("source account", field_bytes(field_bytes(rule, 120), 1), STR("s"));
    check_text("destination account", field_bytes(field_bytes(rule, 121), 2), STR("m"));
    check_text("method", field_bytes(field_bytes(rule, 122), 1), STR("GET"));
    check_text("path", field_bytes(field_bytes(field_bytes(rule, 122), 2), 1), STR("/a"));
}

static void test_message_numbers(void **state)
{
    (void)state;
    static const uint32_t numbers[] = {
        [PSYNC_IN_SYNC] = 1,           [PSYNC_IPSET_UPDATE] = 2,      [PSYNC_IPSET_DELTA] = 3,
        [PSYNC_IPSET_REMOVE] = 4,      [PSYNC_PROFILE_UPDATE] = 5,    [PSYNC_PROFILE_REMOVE] = 6,
        [PSYNC_POLICY_UPDATE] = 7,     [PSYNC_POLICY_REMOVE] = 8,     [PSYNC_ENDPOINT_UPDATE] = 11,
        [PSYNC_ENDPOINT_REMOVE] = 12,  [PSYNC_ACCOUNT_UPDATE] = 19,   [PSYNC_ACCOUNT_REMOVE] = 20,
        [PSYNC_NAMESPACE_UPDATE] = 21, [PSYNC_NAMESPACE_REMOVE] = 22,
    };
    for (size_t i = 0; i < COUNT(messages); i++) {
        enum psync_kind kind = messages[i].message.kind;
        CLEANUP_BUF struct buf bytes = {0};
        psync_encode(&bytes, &messages[i].message);
        if (kind != PSYNC_IGNORED)
            field_bytes(buf_str(&bytes), numbers[kind]);
        if (messages[i].message.sequence_number > 0)
            CHECK(messages[i].name,
                  field_number(buf_str(&bytes), 15) == messages[i].message.sequence_number);
    }
}

/* What a sidecar does not judge is written, and not looked into when it is read: here it does not
 * even decode. */
static void test_not_decoded(void **state)
{
    (void)state;
    CLEANUP_ARENA struct arena arena = {0};
    CLEANUP_BUF struct buf bytes = {0};
    struct psync_message m;
    struct error err;
    size_t message = pb_begin(&bytes, 7);
    size_t id = pb_begin(&bytes, 1);
    pb_write_bytes(&bytes, 2, STR("n"));
    pb_end(&bytes, id);
    size_t body = pb_begin(&bytes, 2);
    pb_write_bytes(&bytes, 2, STR("\xff"));
    pb_end(&bytes, body);
    pb_end(&bytes, message);
    assert_true(psync_decode(&arena, buf_str(&bytes), &m, &err));
    assert_false(m.policy.malformed);
    assert_int_equal(m.policy.outbound.count, 0);
}

static void test_outbound_is_encoded(void **state)
{
    (void)state;
    const struct psync_message policy = {
        .kind = PSYNC_POLICY_UPDATE, .policy = {.outbound = RULES({.action = STR_INIT("deny")})}};
    const struct psync_message endpoint = {
        .kind = PSYNC_ENDPOINT_UPDATE,
        .endpoint = {.tiers =
                         (struct psync_tier[]){
                             {.egress = {(struct psync_policy_id[]){{.name = STR_INIT("e")}}, 1}}},
                     .tier_count = 1}};
    CLEANUP_BUF struct buf bytes = {0}, other = {0};
    psync_encode(&bytes, &policy);
    struct str rule = field_bytes(field_bytes(field_bytes(buf_str(&bytes), 7), 2), 2);
    check_text("outbound", field_bytes(rule, 1), STR("deny"));
    psync_encode(&other, &endpoint);
    struct str tier = field_bytes(field_bytes(field_bytes(buf_str(&other), 11), 5), 7);
    check_text("egress", field_bytes(field_bytes(tier, 3), 2), STR("e"));
}

/* An endpoint with one tier "t" and one policy, whose bytes are `entry`; the name may stand behind
 * it. */
static void write_tier(struct buf *out, struct str entry, bool name_last)
{
    size_t message = pb_begin(out, 11), endpoint = pb_begin(out, 5), tier = pb_begin(out, 7);
    if (!name_last)
        pb_write_bytes(out, 1, STR("t"));
    pb_write_bytes(out, 2, entry);
    if (name_last)
        pb_write_bytes(out, 1, STR("t"));
    pb_end(out, tier);
    pb_end(out, endpoint);
    pb_end(out, message);
}

static void test_tier_entries(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        struct str entry;
        struct psync_policy_id id;
    } cases[] = {
        {"plain name",
         STR_INIT("default.web"),
         {STR_INIT("t"), {NULL, 0}, STR_INIT("default.web"), {NULL, 0}}},
        {"plain, with a namespace",
         STR_INIT("ns/staged:x"),
         {STR_INIT("t"), {NULL, 0}, STR_INIT("ns/staged:x"), {NULL, 0}}},
        {"empty", STR_INIT(""), {STR_INIT("t"), {NULL, 0}, {NULL, 0}, {NULL, 0}}},
        {"PolicyID with kind",
         STR_INIT("\x12\x01n\x1a\x01s\x22\x01k"),
         {{NULL, 0}, STR_INIT("s"), STR_INIT("n"), STR_INIT("k")}},
        {"PolicyID with tier",
         STR_INIT("\x0a\x01u\x12\x01n"),
         {STR_INIT("u"), {NULL, 0}, STR_INIT("n"), {NULL, 0}}},
        {"PolicyID without tier and kind",
         STR_INIT("\x12\x01n"),
         {STR_INIT("t"), {NULL, 0}, STR_INIT("n"), {NULL, 0}}},
        {"decodes, but without a name",
         STR_INIT("\x1a\x01s"),
         {STR_INIT("t"), {NULL, 0}, STR_INIT("\x1a\x01s"), {NULL, 0}}},
        {"begins like a PolicyID",
         STR_INIT("\x12\x01nx"),
         {STR_INIT("t"), {NULL, 0}, STR_INIT("\x12\x01nx"), {NULL, 0}}},
    };
    for (size_t i = 0; i < 2 * COUNT(cases); i++) {
        const char *name = cases[i / 2].name;
        CLEANUP_ARENA struct arena arena = {0};
        CLEANUP_BUF struct buf bytes = {0};
        struct psync_message m;
        struct error err;
        write_tier(&bytes, cases[i / 2].entry, i % 2 == 1);
        CHECK(name, psync_decode(&arena, buf_str(&bytes), &m, &err));
        CHECK(name, m.endpoint.tier_count == 1 && m.endpoint.tiers[0].ingress.count == 1);
        const struct psync_policy_id *id = &m.endpoint.tiers[0].ingress.items[0];
        check_text(name, id->tier, cases[i / 2].id.tier);
        check_text(name, id->namespace, cases[i / 2].id.namespace);
        check_text(name, id->name, cases[i / 2].id.name);
        check_text(name, id->kind, cases[i / 2].id.kind);
    }
}

/* A message of one payload, as the bytes of its pieces. `\x12\x01n` is an id with the name "n"
 * where ids are policies'; `\x0a\x01n` where they are profiles'; `\x1a\x01w` an endpoint's
 * workload. */
static void test_malformed(void **state)
{
    (void)state;
    enum result { FAILS, MALFORMED, SOUND };
    static const struct {
        const char *name;
        struct str bytes;
        enum result result;
    } cases[] = {
        {"sound policy", STR_INIT("\x3a\x09\x0a\x03\x12\x01n\x12\x02\x0a\x00"), SOUND},
        {"body cut", STR_INIT("\x3a\x08\x0a\x03\x12\x01n\x12\x01\x0a"), MALFORMED},
        {"body of garbage", STR_INIT("\x3a\x09\x0a\x03\x12\x01n\x12\x02\xff\xff"), MALFORMED},
        {"body first", STR_INIT("\x3a\x08\x12\x01\x0a\x0a\x03\x12\x01n"), MALFORMED},
        {"rule of another wire type", STR_INIT("\x3a\x09\x0a\x03\x12\x01n\x12\x02\x08\x01"),
         MALFORMED},
        {"action of another wire type",
         STR_INIT("\x3a\x0b\x0a\x03\x12\x01n\x12\x04\x0a\x02\x08\x01"), MALFORMED},
        {"port range of garbage", STR_INIT("\x3a\x0c\x0a\x03\x12\x01n\x12\x05\x0a\x03\x2a\x01\x08"),
         MALFORMED},
        {"body is a number", STR_INIT("\x3a\x07\x0a\x03\x12\x01n\x10\x01"), MALFORMED},
        {"body leaves the message", STR_INIT("\x3a\x07\x0a\x03\x12\x01n\x12\x05"), MALFORMED},
        {"a bad field behind", STR_INIT("\x3a\x06\x0a\x03\x12\x01n\x00"), MALFORMED},
        {"id of garbage", STR_INIT("\x3a\x07\x0a\x01\xff\x12\x02\x0a\x00"), FAILS},
        {"id is a number", STR_INIT("\x3a\x06\x08\x01\x12\x02\x0a\x00"), FAILS},
        {"policy is a number", STR_INIT("\x38\x01"), FAILS},
        {"policy leaves the message", STR_INIT("\x3a\x7f\x0a\x03\x12\x01n"), FAILS},
        {"profile body of garbage", STR_INIT("\x2a\x08\x0a\x03\x0a\x01n\x12\x01\xff"), MALFORMED},
        {"profile body is a number", STR_INIT("\x2a\x07\x0a\x03\x0a\x01n\x10\x01"), MALFORMED},
        {"profile id of garbage", STR_INIT("\x2a\x03\x0a\x01\xff"), FAILS},
        {"endpoint of garbage", STR_INIT("\x5a\x08\x0a\x03\x1a\x01w\x2a\x01\xff"), MALFORMED},
        {"tier of garbage", STR_INIT("\x5a\x0a\x0a\x03\x1a\x01w\x2a\x03\x3a\x01\xff"), MALFORMED},
        {"endpoint is a number", STR_INIT("\x5a\x07\x0a\x03\x1a\x01w\x28\x01"), MALFORMED},
        {"endpoint id of garbage", STR_INIT("\x5a\x03\x0a\x01\xff"), FAILS},
        {"set of garbage", STR_INIT("\x12\x01\xff"), FAILS},
        {"account of garbage", STR_INIT("\x9a\x01\x01\xff"), FAILS},
        {"a number as bytes", STR_INIT("\x7a\x01x"), FAILS},
        {"group without an end", STR_INIT("\x3b"), FAILS},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        const char *name = cases[i].name;
        CLEANUP_ARENA struct arena arena = {0};
        struct psync_message m;
        struct error err = {""};
        bool ok = psync_decode(&arena, cases[i].bytes, &m, &err);
        check_number(name, ok, cases[i].result != FAILS);
        check_number(name, strlen(err.text) > 0, cases[i].result == FAILS);
        if (!ok)
            continue;
        bool malformed = m.kind == PSYNC_POLICY_UPDATE    ? m.policy.malformed
                         : m.kind == PSYNC_PROFILE_UPDATE ? m.profile.malformed
                                                          : m.endpoint.malformed;
        struct str id = m.kind == PSYNC_POLICY_UPDATE    ? m.policy.id.name
                        : m.kind == PSYNC_PROFILE_UPDATE ? m.profile.name
                                                         : m.endpoint.id.workload;
        check_number(name, malformed, cases[i].result == MALFORMED);
        check_text(name, id, m.kind == PSYNC_ENDPOINT_UPDATE ? STR("w") : STR("n"));
    }
}

/* Messages that sidecars have no use for, newer ones, and newer fields of known ones. */
static void test_unknown(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        struct str bytes;
        enum psync_kind kind;
    } cases[] = {
        {"route", STR_INIT("\xba\x01\x02xy"), PSYNC_IGNORED},
        {"route removed", STR_INIT("\xc2\x01\x01\xff"), PSYNC_IGNORED},
        {"host endpoint", STR_INIT("\x4a\x01\xff"), PSYNC_IGNORED},
        {"message 500", STR_INIT("\xa2\x1f\x01\xff"), PSYNC_IGNORED},
        {"number 500", STR_INIT("\xa0\x1f\x01"), PSYNC_IGNORED},
        {"group 500", STR_INIT("\xa3\x1f\x08\x01\xa4\x1f"), PSYNC_IGNORED},
        {"in sync, with fields", STR_INIT("\x0a\x02\x08\x01"), PSYNC_IN_SYNC},
        {"set, with a new field", STR_INIT("\x12\x08\x0a\x01s\xf8\x07\x01\x18\x02"),
         PSYNC_IPSET_UPDATE},
        {"set, then an unknown one", STR_INIT("\x12\x05\x0a\x01s\x18\x02\xa2\x1f\x01\xff"),
         PSYNC_IPSET_UPDATE},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        CLEANUP_ARENA struct arena arena = {0};
        struct psync_message m;
        struct error err;
        CHECK(cases[i].name, psync_decode(&arena, cases[i].bytes, &m, &err));
        check_number(cases[i].name, m.kind, cases[i].kind);
        if (m.kind == PSYNC_IPSET_UPDATE) {
            check_text(cases[i].name, m.ipset_update.id, STR("s"));
            check_number(cases[i].name, m.ipset_update.type, PSYNC_SET_NET);
        }
    }
}

/* Of two payloads the later one counts, whole. */
static void test_last_payload_counts(void **state)
{
    (void)state;
    CLEANUP_ARENA struct arena arena = {0};
    struct psync_message m;
    struct error err;
    assert_true(psync_decode(&arena, STR("\x78\x05\x12\x03\x0a\x01s\x22\x03\x0a\x01u"), &m, &err));
    assert_int_equal(m.kind, PSYNC_IPSET_REMOVE);
    check_text("id", m.ipset_remove, STR("u"));
    assert_int_equal(m.sequence_number, 5);
}

/* Many elements: the arrays grow. */
static void test_long_lists(void **state)
{
    (void)state;
    enum { MEMBERS = 5000 };
    CLEANUP_ARENA struct arena arena = {0};
    CLEANUP_BUF struct buf bytes = {0};
    struct psync_message m = {.kind = PSYNC_IPSET_UPDATE}, decoded;
    struct error err;
    m.ipset_update.members =
        (struct psync_strings){arena_array(&arena, MEMBERS, sizeof(struct str)), MEMBERS};
    for (size_t i = 0; i < MEMBERS; i++)
        m.ipset_update.members.items[i] = arena_printf(&arena, "member %zu", i);
    psync_encode(&bytes, &m);
    assert_true(psync_decode(&arena, buf_str(&bytes), &decoded, &err));
    assert_int_equal(decoded.ipset_update.members.count, MEMBERS);
    for (size_t i = 0; i < MEMBERS; i++)
        check_text("member", decoded.ipset_update.members.items[i],
                   m.ipset_update.members.items[i]);
}

/* Decodes a copy without a byte to spare, and walks over all that came out of it by encoding it. */
static void decode_tight(struct str bytes)
{
    CLEANUP_ARENA struct arena arena = {0};
    CLEANUP_BUF struct buf again = {0};
    CLEANUP_FREE char *copy = mem_alloc(bytes.len);
    struct psync_message m;
    struct error err;
    if (bytes.len > 0)
        memcpy(copy, bytes.ptr, bytes.len);
    if (psync_decode(&arena, str_make(copy, bytes.len), &m, &err))
        psync_encode(&again, &m);
}

static void test_truncated(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(messages); i++) {
        CLEANUP_BUF struct buf bytes = {0};
        psync_encode(&bytes, &messages[i].message);
        for (size_t len = 0; len <= bytes.len; len++)
            decode_tight(str_head(buf_str(&bytes), len));
    }
}

static void test_changed_bytes(void **state)
{
    (void)state;
    struct random random = random_start();
    for (int round = 0; round < 20000; round++) {
        CLEANUP_BUF struct buf bytes = {0};
        psync_encode(&bytes, &messages[random_below(&random, COUNT(messages))].message);
        for (size_t i = random_below(&random, 4); i > 0 && bytes.len > 0; i--)
            bytes.data[random_below(&random, bytes.len)] = (char)random_next(&random);
        decode_tight(buf_str(&bytes));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_round_trip),          cmocka_unit_test(test_rule_numbers),
        cmocka_unit_test(test_message_numbers),     cmocka_unit_test(test_not_decoded),
        cmocka_unit_test(test_outbound_is_encoded), cmocka_unit_test(test_tier_entries),
        cmocka_unit_test(test_malformed),           cmocka_unit_test(test_unknown),
        cmocka_unit_test(test_last_payload_counts), cmocka_unit_test(test_long_lists),
        cmocka_unit_test(test_truncated),           cmocka_unit_test(test_changed_bytes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
