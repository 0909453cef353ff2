/* path.h: the six steps, absolute form, prefixes. */
#include "authz/path.h"

#include <stdlib.h>

#include "base/mem.h"
#include "random.h"

/* As text: the normal path, or "!" (not normalisable), or "-" (no slash). */
static struct str normalise_request(struct str raw, char *out)
{
    struct str normal;
    switch (path_normalise_request(raw, out, &normal)) {
    case PATH_OK:
        return normal;
    case PATH_NO_SLASH:
        return STR("-");
    default:
        return STR("!");
    }
}

struct golden {
    struct str raw;
    const char *normal;
};

static const struct golden origin_form[] = {
    {STR_INIT("/"), "/"},
    {STR_INIT("/a/b"), "/a/b"},
    /* 1: cut at ? or # */
    {STR_INIT("/a?b"), "/a"},
    {STR_INIT("/a#b"), "/a"},
    {STR_INIT("/a?b#c?d"), "/a"},
    {STR_INIT("/a#b?c"), "/a"},
    {STR_INIT("/?"), "/"},
    {STR_INIT("/#"), "/"},
    {STR_INIT("/a?%"), "/a"},
    {STR_INIT("/a?%00/../b"), "/a"},
    {STR_INIT("/a%3fb"), "/a?b"},
    {STR_INIT("/a%23b"), "/a#b"},
    /* 2: decode once */
    {STR_INIT("/%61dmin"), "/admin"},
    {STR_INIT("/%7E%7e"), "/~~"},
    {STR_INIT("/%C3%a4"), "/\xc3\xa4"},
    {STR_INIT("/%41%6a"), "/Aj"},
    {STR_INIT("/%"), "!"},
    {STR_INIT("/%4"), "!"},
    {STR_INIT("/a%4?1"), "!"},
    {STR_INIT("/%zz"), "!"},
    {STR_INIT("/%4g"), "!"},
    {STR_INIT("/%g4"), "!"},
    {STR_INIT("/% 1"), "!"},
    {STR_INIT("/%-1"), "!"},
    {STR_INIT("/%u002f"), "!"},
    {STR_INIT("/a+b"), "/a+b"},
    /* 3: what was encoded twice, and NUL */
    {STR_INIT("/%252e"), "!"},
    {STR_INIT("/%252E"), "!"},
    {STR_INIT("/%252f"), "!"},
    {STR_INIT("/%252F"), "!"},
    {STR_INIT("/%255c"), "!"},
    {STR_INIT("/%255C"), "!"},
    {STR_INIT("/%25%32%65"), "!"},
    {STR_INIT("/%25%32%66x"), "!"},
    {STR_INIT("/a%00"), "!"},
    {STR_INIT("/a\0b"), "!"},
    {STR_INIT("/%2500"), "/%00"},
    {STR_INIT("/%2561"), "/%61"},
    {STR_INIT("/%25"), "/%"},
    {STR_INIT("/100%25"), "/100%"},
    {STR_INIT("/%252"), "/%2"},
    {STR_INIT("/a;%252e"), "!"},
    /* 4: backslashes; must start with / */
    {STR_INIT("/a\\b"), "/a/b"},
    {STR_INIT("/\\a"), "/a"},
    {STR_INIT("/a%5cb"), "/a/b"},
    {STR_INIT("/a%5C..%5cb"), "/b"},
    {STR_INIT("/..\\..\\a"), "/a"},
    {STR_INIT("\\a"), "-"},
    {STR_INIT("%2fa"), "-"},
    {STR_INIT("%5ca"), "-"},
    {STR_INIT(""), "-"},
    {{NULL, 0}, "-"},
    {STR_INIT("a"), "-"},
    {STR_INIT("*"), "-"},
    {STR_INIT("?/a"), "-"},
    {STR_INIT("#/a"), "-"},
    {STR_INIT(" /a"), "-"},
    {STR_INIT("./a"), "-"},
    {STR_INIT("\0/a"), "-"},
    {STR_INIT("%zz"), "-"},
    /* 5: parameters of segments */
    {STR_INIT("/admin;v=1"), "/admin"},
    {STR_INIT("/a;x/b;y/c"), "/a/b/c"},
    {STR_INIT("/;x/a"), "/a"},
    {STR_INIT("/a;x;y/b"), "/a/b"},
    {STR_INIT("/a%3bx/b"), "/a/b"},
    {STR_INIT("/a/..;x/b"), "/b"},
    {STR_INIT("/a/.;x/b"), "/a/b"},
    {STR_INIT("/a;/../b"), "/b"},
    {STR_INIT("/a;x\\b"), "/a/b"},
    {STR_INIT("/a;x=%2fb"), "/a/b"},
    {STR_INIT("/;"), "/"},
    /* 6: doubled slashes, dots, the last slash */
    {STR_INIT("//"), "/"},
    {STR_INIT("//a///b//"), "/a/b"},
    {STR_INIT("/a%2f%2Fb"), "/a/b"},
    {STR_INIT("/a/"), "/a"},
    {STR_INIT("/."), "/"},
    {STR_INIT("/.."), "/"},
    {STR_INIT("/a/."), "/a"},
    {STR_INIT("/a/.."), "/"},
    {STR_INIT("/a/./b"), "/a/b"},
    {STR_INIT("/a/../b"), "/b"},
    {STR_INIT("/a/b/../../c"), "/c"},
    {STR_INIT("/a/../../../b"), "/b"},
    {STR_INIT("/../../etc"), "/etc"},
    {STR_INIT("/a//../b"), "/b"},
    {STR_INIT("/%2e%2e/a"), "/a"},
    {STR_INIT("/a/%2E%2e/b"), "/b"},
    {STR_INIT("/a/.%2e/b"), "/b"},
    {STR_INIT("/a/..."), "/a/..."},
    {STR_INIT("/a/.b"), "/a/.b"},
    {STR_INIT("/a/..b"), "/a/..b"},
    {STR_INIT("/a../b"), "/a../b"},
    {STR_INIT("/a/.. /b"), "/a/.. /b"},
    /* the case of letters is kept */
    {STR_INIT("/Admin"), "/Admin"},
};

static const struct golden absolute_form[] = {
    {STR_INIT("http://host/a"), "/a"},
    {STR_INIT("HTTPS://host:443/a/../b?c"), "/b"},
    {STR_INIT("h2+x-y.z://host/a"), "/a"},
    {STR_INIT("http://host"), "/"},
    {STR_INIT("http://host/"), "/"},
    {STR_INIT("http://host?x=/a"), "/"},
    {STR_INIT("http://host#/a"), "/"},
    {STR_INIT("http://"), "/"},
    {STR_INIT("http:///a"), "/a"},
    {STR_INIT("http://user@host/a"), "/a"},
    {STR_INIT("http://[::1]:80/a"), "/a"},
    {STR_INIT("http://host\\a"), "/"},
    {STR_INIT("http://host/%"), "!"},
    {STR_INIT("http://host%2fx/a"), "/a"},
    {STR_INIT("http:/a"), "-"},
    {STR_INIT("http:a"), "-"},
    {STR_INIT("http//a"), "-"},
    {STR_INIT("://host/a"), "-"},
    {STR_INIT("1http://host/a"), "-"},
    {STR_INIT("ht_tp://host/a"), "-"},
    {STR_INIT(" http://host/a"), "-"},
    {STR_INIT("//host/a"), "/host/a"},
    {STR_INIT("/http://host/a"), "/http:/host/a"},
};

static void check_request_paths(const struct golden *cases, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        CLEANUP_FREE char *out = mem_alloc(cases[i].raw.len + 1);
        check_text(quote(cases[i].raw).text, normalise_request(cases[i].raw, out),
                   str_from_c(cases[i].normal));
    }
}

static void test_origin_form(void **state)
{
    (void)state;
    check_request_paths(origin_form, COUNT(origin_form));
}

static void test_absolute_form(void **state)
{
    (void)state;
    check_request_paths(absolute_form, COUNT(absolute_form));
}

/* A rule's path takes the same steps, but is never in absolute form. */
static void test_rules(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(origin_form); i++) {
        const struct golden *c = &origin_form[i];
        struct quoted name = quote(c->raw);
        struct str normal;
        CLEANUP_FREE char *out = mem_alloc(c->raw.len + 1);
        bool ok = path_normalise_rule(c->raw, out, &normal);
        check_number(name.text, ok, c->normal[0] == '/');
        if (ok)
            check_text(name.text, normal, str_from_c(c->normal));
    }
    char out[64];
    struct str normal;
    assert_false(path_normalise_rule(STR("http://host/a"), out, &normal));
}

/* Whatever comes out as normal has the form of step 6. */
static void test_random_paths(void **state)
{
    (void)state;
    static const char pieces[][8] = {"/", "/", "\\", ".", "..",  ";",   "a",   "b",   "?",
                                     "#", "%", "2",  "e", "%2e", "%2F", "%5c", "%3b", "%00"};
    struct random random = random_start();
    size_t good = 0;
    for (int round = 0; round < 100000; round++) {
        CLEANUP_BUF struct buf raw = {0};
        buf_append_byte(&raw, '/');
        for (size_t i = random_below(&random, 10); i > 0; i--)
            buf_append_str(&raw, str_from_c(pieces[random_below(&random, COUNT(pieces))]));
        struct quoted name = quote(buf_str(&raw));
        CLEANUP_FREE char *out = mem_alloc(raw.len + 1);
        struct str normal = normalise_request(buf_str(&raw), out);
        if (str_eq(normal, STR("!")))
            continue;
        good++;
        CHECK(name.text, normal.len > 0 && normal.ptr[0] == '/');
        CHECK(name.text, normal.len == 1 || !str_ends_with(normal, STR("/")));
        CHECK(name.text, !str_contains(normal, STR("//")) && !str_contains(normal, STR("/./")));
        CHECK(name.text, !str_contains(normal, STR("/../")) && !str_ends_with(normal, STR("/..")));
        CHECK(name.text,
              str_find(normal, ';') == normal.len && str_find(normal, '\\') == normal.len);
    }
    assert_true(good > 10000);
}

static void test_prefix(void **state)
{
    (void)state;
    static const struct {
        struct str path, prefix;
        bool covered;
    } cases[] = {
        {STR_INIT("/pub"), STR_INIT("/pub"), true},
        {STR_INIT("/pub/x"), STR_INIT("/pub"), true},
        {STR_INIT("/public"), STR_INIT("/pub"), false},
        {STR_INIT("/pu"), STR_INIT("/pub"), false},
        {STR_INIT("/"), STR_INIT("/pub"), false},
        {STR_INIT("/"), STR_INIT("/"), true},
        {STR_INIT("/pub"), STR_INIT("/"), true},
        {STR_INIT("/PUB/x"), STR_INIT("/pub"), false},
        {STR_INIT("/x/pub"), STR_INIT("/pub"), false},
        {STR_INIT("/pub/x"), STR_INIT("/pub/x"), true},
        {STR_INIT("/pub/xy"), STR_INIT("/pub/x"), false},
    };
    for (size_t i = 0; i < COUNT(cases); i++)
        check_number(quote(cases[i].path).text, path_has_prefix(cases[i].path, cases[i].prefix),
                     cases[i].covered);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_origin_form), cmocka_unit_test(test_absolute_form),
        cmocka_unit_test(test_rules),       cmocka_unit_test(test_random_paths),
        cmocka_unit_test(test_prefix),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
