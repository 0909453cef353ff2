/* options.h: each form of an option, each error, and the table of --help. */
#include "cmd/options.h"

#include <stdlib.h>

#include "check.h"

enum { WORDS = 6 };

/* What a command line sets: the values of all options and the words. */
struct outcome {
    const char *listen, *dial;
    bool debug;
    const char *words[WORDS];
};

struct parsed {
    const char *listen, *dial;
    bool debug, verbose;
};

static void make_specs(struct option_spec specs[static 4], struct parsed *parsed)
{
    const struct option_spec all[4] = {
        {'l', "listen", "SOCKET", "Where to listen.\nA path.", &parsed->listen, NULL},
        {'d', "dial", "TARGET", "Whom to ask.", &parsed->dial, NULL},
        {0, "debug", NULL, "Logs more.", NULL, &parsed->debug},
        {'v', "verbose", NULL, "Says more.", NULL, &parsed->verbose},
    };
    memcpy(specs, all, sizeof(all));
}

/* Skips "dikastes server", as the programs do. Strings of argv are not changed, only their places. */
static bool parse(const char *const args[WORDS], struct parsed *parsed, const char *words[WORDS],
                  struct error *err)
{
    char *argv[2 + WORDS + 1] = {"dikastes", "server"};
    struct option_spec specs[4];
    int argc = 2, count;
    while (argc < 2 + WORDS && args[argc - 2] != NULL) {
        argv[argc] = (char *)args[argc - 2];
        argc++;
    }
    *parsed = (struct parsed){.listen = "default"};
    make_specs(specs, parsed);
    if (!options_parse(specs, COUNT(specs), 2, argc, argv, &count, err))
        return false;
    for (int i = 0; i < WORDS; i++)
        words[i] = i < count ? argv[2 + i] : NULL;
    assert_string_equal(argv[1], "server");
    return true;
}

static void test_forms(void **state)
{
    (void)state;
    static const struct {
        const char *name, *args[WORDS];
        struct outcome expected;
    } cases[] = {
        {"nothing", {NULL}, {.listen = "default"}},
        {"short", {"-l", "x"}, {.listen = "x"}},
        {"short, together", {"-lx"}, {.listen = "x"}},
        {"short, = is a part of the value", {"-l=x"}, {.listen = "=x"}},
        {"long", {"--listen", "x"}, {.listen = "x"}},
        {"long, together", {"--listen=x"}, {.listen = "x"}},
        {"long, = in the value", {"--listen=a=b"}, {.listen = "a=b"}},
        {"long, empty value", {"--listen="}, {.listen = ""}},
        {"long, empty word", {"--listen", ""}, {.listen = ""}},
        {"a value that begins with a dash", {"-l", "-d"}, {.listen = "-d"}},
        {"a value that is two dashes", {"--listen", "--", "w"}, {.listen = "--", .words = {"w"}}},
        {"the last one counts", {"-l", "x", "-l", "y"}, {.listen = "y"}},
        {"two options", {"-lx", "--dial", "y"}, {.listen = "x", .dial = "y"}},
        {"flag", {"--debug"}, {.listen = "default", .debug = true}},
        {"flag twice", {"--debug", "--debug"}, {.listen = "default", .debug = true}},
        {"words", {"a", "b"}, {.listen = "default", .words = {"a", "b"}}},
        {"words between options",
         {"a", "-lx", "b", "--debug", "c"},
         {.listen = "x", .debug = true, .words = {"a", "b", "c"}}},
        {"a dash is a word", {"-", "-lx"}, {.listen = "x", .words = {"-"}}},
        {"an empty word is a word", {"", "-lx"}, {.listen = "x", .words = {""}}},
        {"two dashes", {"-lx", "--", "-d", "--debug"}, {.listen = "x", .words = {"-d", "--debug"}}},
        {"two dashes twice", {"--", "--"}, {.listen = "default", .words = {"--"}}},
        {"two dashes at the end", {"a", "--"}, {.listen = "default", .words = {"a"}}},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        const char *name = cases[i].name, *words[WORDS];
        const struct outcome *expected = &cases[i].expected;
        struct parsed parsed;
        struct error err;
        CHECK(name, parse(cases[i].args, &parsed, words, &err));
        check_text(name, str_from_c(parsed.listen), str_from_c(expected->listen));
        check_text(name, str_from_c(parsed.dial), str_from_c(expected->dial));
        check_number(name, parsed.debug, expected->debug);
        for (size_t j = 0; j < WORDS; j++) {
            check_number(name, words[j] != NULL, expected->words[j] != NULL);
            check_text(name, str_from_c(words[j]), str_from_c(expected->words[j]));
        }
    }
}

static void test_errors(void **state)
{
    (void)state;
    static const struct {
        const char *args[WORDS], *message;
    } cases[] = {
        {{"--unknown"}, "unknown option \"--unknown\""},
        {{"--unknown=x"}, "unknown option \"--unknown=x\""},
        {{"--liste", "x"}, "unknown option \"--liste\""},
        {{"--listens", "x"}, "unknown option \"--listens\""},
        {{"--Listen", "x"}, "unknown option \"--Listen\""},
        {{"--="}, "unknown option \"--=\""},
        {{"-x"}, "unknown option \"-x\""},
        {{"-listen", "x", "-\n"}, "unknown option \"-\\x0a\""},
        {{"---listen", "x"}, "unknown option \"---listen\""},
        {{"--debug=1"}, "option --debug takes no value"},
        {{"--debug="}, "option --debug takes no value"},
        {{"-vl"}, "option --verbose takes no value"},
        {{"-l"}, "option --listen needs a value (SOCKET)"},
        {{"a", "--dial"}, "option --dial needs a value (TARGET)"},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct parsed parsed;
        const char *words[WORDS];
        struct error err;
        CHECK(cases[i].message, !parse(cases[i].args, &parsed, words, &err));
        check_text(cases[i].message, str_from_c(err.text), str_from_c(cases[i].message));
    }
}

static void test_print(void **state)
{
    (void)state;
    struct parsed parsed = {0};
    struct option_spec specs[4];
    char *text;
    size_t size;
    make_specs(specs, &parsed);
    FILE *out = open_memstream(&text, &size);
    options_print(out, specs, COUNT(specs));
    fclose(out);
    assert_string_equal(text, "  -l, --listen SOCKET\n"
                              "          Where to listen.\n"
                              "          A path.\n"
                              "  -d, --dial TARGET\n"
                              "          Whom to ask.\n"
                              "      --debug\n"
                              "          Logs more.\n"
                              "  -v, --verbose\n"
                              "          Says more.\n");
    free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_forms),
        cmocka_unit_test(test_errors),
        cmocka_unit_test(test_print),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
