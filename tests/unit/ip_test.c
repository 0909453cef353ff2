/* ip.h: which texts are addresses and nets, and which value they have. */
#include "base/ip.h"

#include <stdio.h>

#include "random.h"

/* `shown`: how it is formatted; NULL: refused. */
static void test_parse_addr(void **state)
{
    (void)state;
    static const struct {
        struct str text;
        uint8_t family;
        const char *shown;
    } cases[] = {
        {STR_INIT("0.0.0.0"), 4, "0.0.0.0"},
        {STR_INIT("255.255.255.255"), 4, "255.255.255.255"},
        {STR_INIT("10.0.0.1"), 4, "10.0.0.1"},
        {STR_INIT("::"), 6, "::"},
        {STR_INIT("::1"), 6, "::1"},
        {STR_INIT("2001:DB8:0:0:0:0:0:1"), 6, "2001:db8::1"},
        {STR_INIT("2001:0db8::0001"), 6, "2001:db8::1"},
        {STR_INIT("1:2:3:4:5:6:7:8"), 6, "1:2:3:4:5:6:7:8"},
        {STR_INIT("::ffff:10.0.0.1"), 4, "10.0.0.1"},
        {STR_INIT("::FFFF:a00:1"), 4, "10.0.0.1"},
        {STR_INIT("0000:0000:0000:0000:0000:ffff:255.255.255.255"), 4, "255.255.255.255"},
        {STR_INIT("::10.0.0.1"), 6, "::10.0.0.1"},
        {STR_INIT("::ffff:0:10.0.0.1"), 6, "::ffff:0:a00:1"},
        {STR_INIT("64:ff9b::10.0.0.1"), 6, "64:ff9b::a00:1"},
        {STR_INIT(""), 0, NULL},
        {{NULL, 0}, 0, NULL},
        {STR_INIT("10.0.0"), 0, NULL},
        {STR_INIT("10.0.0.1.2"), 0, NULL},
        {STR_INIT("10.0.0.1."), 0, NULL},
        {STR_INIT(".10.0.0.1"), 0, NULL},
        {STR_INIT("10..0.1"), 0, NULL},
        {STR_INIT("10.0.0.256"), 0, NULL},
        {STR_INIT("10.0.0.01"), 0, NULL},
        {STR_INIT("010.0.0.1"), 0, NULL},
        {STR_INIT("10.0.0.00"), 0, NULL},
        {STR_INIT("0x0a.0.0.1"), 0, NULL},
        {STR_INIT("167772161"), 0, NULL},
        {STR_INIT("10.1"), 0, NULL},
        {STR_INIT("-1.0.0.1"), 0, NULL},
        {STR_INIT(" 10.0.0.1"), 0, NULL},
        {STR_INIT("10.0.0.1 "), 0, NULL},
        {STR_INIT("10.0.0.1\n"), 0, NULL},
        {STR_INIT("10.0.0.1\0"), 0, NULL},
        {STR_INIT("10.0.0.1/32"), 0, NULL},
        {STR_INIT("10.0.0.1:80"), 0, NULL},
        {STR_INIT(":"), 0, NULL},
        {STR_INIT(":::"), 0, NULL},
        {STR_INIT("1::2::3"), 0, NULL},
        {STR_INIT("1:2:3:4:5:6:7"), 0, NULL},
        {STR_INIT("1:2:3:4:5:6:7:8:9"), 0, NULL},
        {STR_INIT("1:2:3:4:5:6:7:8:"), 0, NULL},
        {STR_INIT(":1:2:3:4:5:6:7:8"), 0, NULL},
        {STR_INIT("::12345"), 0, NULL},
        {STR_INIT("::g"), 0, NULL},
        {STR_INIT("[::1]"), 0, NULL},
        {STR_INIT("fe80::1%eth0"), 0, NULL},
        {STR_INIT("fe80::1%1"), 0, NULL},
        {STR_INIT("::1%"), 0, NULL},
        {STR_INIT("::1 "), 0, NULL},
        {STR_INIT(" ::1"), 0, NULL},
        {STR_INIT("::1\0"), 0, NULL},
        {STR_INIT("::1\0002"), 0, NULL},
        {STR_INIT("::\0001"), 0, NULL},
        {STR_INIT("::ffff:10.0.0.01"), 0, NULL},
        {STR_INIT("::ffff:10.0.0"), 0, NULL},
        {STR_INIT("::ffff:10.0.0.1%eth0"), 0, NULL},
        {STR_INIT("10.0.0.1::"), 0, NULL},
        {STR_INIT("00000000000000000000000000000000000000000000000::1"), 0, NULL},
        {STR_INIT("/run/envoy.sock"), 0, NULL},
        {STR_INIT("localhost"), 0, NULL},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct quoted name = quote(cases[i].text);
        struct ip_addr addr;
        bool ok = ip_parse_addr(cases[i].text, &addr);
        check_number(name.text, ok, cases[i].shown != NULL);
        if (!ok)
            continue;
        check_number(name.text, addr.family, cases[i].family);
        check_text(name.text, str_from_c(ip_format_addr(&addr).text), str_from_c(cases[i].shown));
    }
}

/* `or_addr`: accepted by ip_parse_net_or_addr alone. */
static void test_parse_net(void **state)
{
    (void)state;
    static const struct {
        struct str text;
        const char *shown;
        bool or_addr;
    } cases[] = {
        {STR_INIT("10.0.0.0/8"), "10.0.0.0/8", false},
        {STR_INIT("10.1.2.3/8"), "10.0.0.0/8", false},
        {STR_INIT("10.255.255.255/9"), "10.128.0.0/9", false},
        {STR_INIT("10.0.0.255/31"), "10.0.0.254/31", false},
        {STR_INIT("10.0.0.1/32"), "10.0.0.1/32", false},
        {STR_INIT("1.2.3.4/0"), "0.0.0.0/0", false},
        {STR_INIT("::/0"), "::/0", false},
        {STR_INIT("ffff::1/0"), "::/0", false},
        {STR_INIT("2001:db8:ffff::1/33"), "2001:db8:8000::/33", false},
        {STR_INIT("::1/128"), "::1/128", false},
        {STR_INIT("::3/127"), "::2/127", false},
        {STR_INIT("::ffff:10.1.2.3/104"), "10.0.0.0/8", false},
        {STR_INIT("::ffff:10.1.2.3/128"), "10.1.2.3/32", false},
        {STR_INIT("::ffff:10.1.2.3/96"), "0.0.0.0/0", false},
        {STR_INIT("::ffff:10.1.2.3/95"), "::fffe:0:0/95", false},
        {STR_INIT("::ffff:10.1.2.3/0"), "::/0", false},
        {STR_INIT("10.0.0.1"), "10.0.0.1/32", true},
        {STR_INIT("::1"), "::1/128", true},
        {STR_INIT("::ffff:10.0.0.1"), "10.0.0.1/32", true},
        {STR_INIT("10.0.0.0/33"), NULL, false},
        {STR_INIT("::/129"), NULL, false},
        {STR_INIT("::ffff:10.1.2.3/129"), NULL, false},
        {STR_INIT("10.0.0.0/"), NULL, false},
        {STR_INIT("10.0.0.0/08"), NULL, false},
        {STR_INIT("10.0.0.0/+8"), NULL, false},
        {STR_INIT("10.0.0.0/-1"), NULL, false},
        {STR_INIT("10.0.0.0/ 8"), NULL, false},
        {STR_INIT("10.0.0.0/8 "), NULL, false},
        {STR_INIT("10.0.0.0/8\0"), NULL, false},
        {STR_INIT("10.0.0.0\0/8"), NULL, false},
        {STR_INIT("10.0.0.0/8/8"), NULL, false},
        {STR_INIT("10.0.0.0/255.0.0.0"), NULL, false},
        {STR_INIT("10.0.0.0/18446744073709551624"), NULL, false},
        {STR_INIT("10.0.0/8"), NULL, false},
        {STR_INIT("010.0.0.0/8"), NULL, false},
        {STR_INIT("fe80::1%eth0/64"), NULL, false},
        {STR_INIT("/8"), NULL, false},
        {STR_INIT("/"), NULL, false},
        {STR_INIT(""), NULL, false},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct quoted name = quote(cases[i].text);
        struct ip_net net, same;
        bool ok = ip_parse_net(cases[i].text, &net);
        bool either = ip_parse_net_or_addr(cases[i].text, &same);
        check_number(name.text, ok, cases[i].shown != NULL && !cases[i].or_addr);
        check_number(name.text, either, cases[i].shown != NULL);
        if (either)
            check_text(name.text, str_from_c(ip_format_net(&same).text),
                       str_from_c(cases[i].shown));
        if (ok)
            CHECK(name.text, memcmp(&net, &same, sizeof(net)) == 0);
    }
}

static void test_contains(void **state)
{
    (void)state;
    static const struct {
        const char *net, *addr;
        bool contains;
    } cases[] = {
        {"10.0.0.0/8", "10.255.0.1", true},
        {"10.0.0.0/8", "11.0.0.0", false},
        {"10.0.0.0/8", "::ffff:10.0.0.1", true},
        {"::ffff:10.0.0.0/104", "10.0.0.1", true},
        {"0.0.0.0/0", "255.1.2.3", true},
        {"0.0.0.0/0", "::1", false},
        {"::/0", "::1", true},
        {"::/0", "10.0.0.1", false},
        {"::/0", "::ffff:10.0.0.1", false},
        {"::ffff:0:0/95", "10.0.0.1", false},
        {"::ffff:0:0/96", "10.0.0.1", true},
        {"10.0.0.1/32", "10.0.0.1", true},
        {"10.0.0.1/32", "10.0.0.0", false},
        {"2001:db8::/33", "2001:db8:7fff::", true},
        {"2001:db8::/33", "2001:db8:8000::", false},
        {"a00::/8", "10.0.0.1", false},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        char name[128];
        struct ip_net net;
        struct ip_addr addr;
        snprintf(name, sizeof(name), "%s in %s", cases[i].addr, cases[i].net);
        CHECK(name, ip_parse_net(str_from_c(cases[i].net), &net));
        CHECK(name, ip_parse_addr(str_from_c(cases[i].addr), &addr));
        check_number(name, ip_net_contains(&net, &addr), cases[i].contains);
    }
}

static struct ip_addr random_addr(struct random *random)
{
    struct ip_addr addr = {.family = random_below(random, 2) == 0 ? 4 : 6};
    for (unsigned i = 0; i < ip_bits(addr.family) / 8; i++)
        addr.bytes[i] = (uint8_t)random_below(random, 3);
    return addr;
}

static bool bit(const struct ip_addr *addr, unsigned at)
{
    return addr->bytes[at / 8] >> (7 - at % 8) & 1;
}

/* Bit by bit, the slow way. */
static bool same_head(const struct ip_addr *a, const struct ip_addr *b, unsigned length)
{
    for (unsigned i = 0; i < length; i++) {
        if (bit(a, i) != bit(b, i))
            return false;
    }
    return a->family == b->family;
}

static void test_mask_property(void **state)
{
    (void)state;
    struct random random = random_start();
    for (int round = 0; round < 100000; round++) {
        struct ip_addr a = random_addr(&random), b = random_addr(&random);
        unsigned length = (unsigned)random_below(&random, ip_bits(a.family) + 1);
        struct ip_net net = ip_mask(a, length);
        struct ip_text name = ip_format_net(&net);
        check_number(name.text, net.length, length);
        CHECK(name.text, same_head(&a, &net.addr, length));
        for (unsigned i = length; i < 128; i++)
            CHECK(name.text, !bit(&net.addr, i));
        CHECK(name.text, ip_net_contains(&net, &a));
        check_number(name.text, ip_net_contains(&net, &b), same_head(&a, &b, length));
    }
}

/* What is formatted reads back as the same value. */
static void test_format_property(void **state)
{
    (void)state;
    struct random random = random_start();
    for (int round = 0; round < 20000; round++) {
        struct ip_addr addr = random_addr(&random), again;
        struct ip_net net =
            ip_mask(addr, (unsigned)random_below(&random, ip_bits(addr.family) + 1));
        struct ip_net net_again;
        struct ip_text text = ip_format_addr(&addr), net_text = ip_format_net(&net);
        CHECK(text.text, ip_parse_addr(str_from_c(text.text), &again));
        CHECK(text.text, ip_addr_eq(&addr, &again));
        CHECK(net_text.text, ip_parse_net(str_from_c(net_text.text), &net_again));
        CHECK(net_text.text, memcmp(&net, &net_again, sizeof(net)) == 0);
    }
}

static void test_no_address(void **state)
{
    (void)state;
    struct ip_addr none = {0};
    struct ip_net all = {.addr = {.family = 4}};
    assert_string_equal(ip_format_addr(&none).text, "");
    assert_false(ip_net_contains(&all, &none));
}

static void test_protocol_number(void **state)
{
    (void)state;
    static const struct {
        struct str name;
        int number;
    } cases[] = {
        {STR_INIT("icmp"), 1},    {STR_INIT("tcp"), 6},       {STR_INIT("udp"), 17},
        {STR_INIT("icmpv6"), 58}, {STR_INIT("sctp"), 132},    {STR_INIT("udplite"), 136},
        {STR_INIT("TCP"), 6},     {STR_INIT("UDPLite"), 136}, {STR_INIT("ICMPv6"), 58},
        {STR_INIT(""), -1},       {STR_INIT("tcp "), -1},     {STR_INIT("tcp\0"), -1},
        {STR_INIT("6"), -1},      {STR_INIT("tc"), -1},       {STR_INIT("tcp6"), -1},
    };
    for (size_t i = 0; i < COUNT(cases); i++)
        check_number(quote(cases[i].name).text, ip_protocol_number(cases[i].name), cases[i].number);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_parse_addr),      cmocka_unit_test(test_parse_net),
        cmocka_unit_test(test_contains),        cmocka_unit_test(test_mask_property),
        cmocka_unit_test(test_format_property), cmocka_unit_test(test_no_address),
        cmocka_unit_test(test_protocol_number),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
