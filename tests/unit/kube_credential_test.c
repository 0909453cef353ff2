/* kube/credential.h: tokens that are given, and that stand in files. */
#include "credential_world.h"

/* ---- given ones ---- */

static void test_given(void **state)
{
    (void)state;
    struct world nobody = {0}, by_token = {.config = {.token = STR("t")}};
    struct world by_certificate = {
        .config = {.client_certificate = {.path = "/c"}, .client_key = {.data = STR("k")}}};
    struct world *worlds[] = {&nobody, &by_token, &by_certificate};
    const char *expected[] = {"||", "t||", "|/c|k"};
    for (size_t i = 0; i < COUNT(worlds); i++) {
        start(worlds[i]);
        check_get("given", worlds[i], expected[i]);
        refuse(worlds[i]);
        check_get("refused", worlds[i], expected[i]);
        end(worlds[i]);
    }
    kube_credential_free(NULL);
}

/* ---- files ---- */

static void test_file(void **state)
{
    (void)state;
    struct world world = {.config = {.token_file = "token", .token = STR("given")}};
    start(&world);
    check_get("before it is there", &world, "! token file: \"token\": cannot open: No such file");
    folder_write("token", STR("one"), 0600);
    check_get("at first", &world, "one||");
    folder_write("token", STR("two\r\n \t\n"), 0600);
    pass(&world, 59 * 1000);
    check_get("within a minute", &world, "one||");
    pass(&world, 1001);
    check_get("after a minute", &world, "two||");
    folder_write("token", STR("three"), 0600);
    refuse(&world);
    check_get("refused", &world, "three||");
    folder_write("token", STR("four"), 0600);
    check_get("and kept again", &world, "three||");
    end(&world);
}

static void test_old_file_stays_good(void **state)
{
    (void)state;
    static const struct {
        const char *name, *text;
    } cases[] = {{"missing", NULL}, {"empty", ""}, {"blank", "\n"}, {"no token", "a\nb"}};
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct world world = {.config = {.token_file = "token"}};
        start(&world);
        folder_write("token", STR("one"), 0600);
        check_get(cases[i].name, &world, "one||");
        if (cases[i].text == NULL)
            remove("token");
        else
            folder_write("token", str_from_c(cases[i].text), 0600);
        pass(&world, 3600 * 1000);
        check_get(cases[i].name, &world, "one||");
        refuse(&world);
        check_get(cases[i].name, &world, "! token file: \"token\"");
        folder_write("token", STR("two"), 0600);
        check_get(cases[i].name, &world, "two||");
        end(&world);
    }
}

/* That the last token is used on is told once, and when it is over. */
static void test_old_file_is_told(void **state)
{
    (void)state;
    static const char *const texts[] = {
        "level=warning msg=\"The token cannot be read anew; the last one is used for now\" "
        "problem=\"token file: \\\"token\\\": cannot open: No such file or directory\"\n",
        "level=info msg=\"The token can be read again\"\n"};
    for (size_t i = 0; i < COUNT(texts); i++) {
        struct world world = {.config = {.token_file = "token"}};
        start(&world);
        start_log();
        folder_write("token", STR("one"), 0600);
        for (int round = 0; round < 6; round++) {
            if (round == 2)
                remove("token");
            if (round == 4)
                folder_write("token", STR("two"), 0600);
            check_get("token", &world, round < 4 ? "one||" : "two||");
            pass(&world, 61 * 1000);
        }
        end(&world);
        check_log("told", texts[i], 1);
    }
}

/* Opening a FIFO would wait for somebody who writes. */
static void test_fifo(void **state)
{
    (void)state;
    struct world world = {.config = {.token_file = "fifo"}};
    assert_int_equal(mkfifo("fifo", 0600), 0);
    start(&world);
    alarm(20);
    check_get("a FIFO", &world, "! token file: \"fifo\": not a regular file");
    alarm(0);
    end(&world);
}

static void test_wrong_file(void **state)
{
    (void)state;
    enum { MOST = 64 * 1024 };
    CLEANUP_BUF struct buf text = {0};
    struct world world = {.config = {.token_file = "folder"}};
    mkdir("folder", 0700);
    start(&world);
    check_get("a folder", &world, "! token file: \"folder\": not a regular file");
    end(&world);
    world.config.token_file = "token";
    start(&world);
    folder_write("token", STR(" \n"), 0600);
    check_get("blank", &world, "! token file: \"token\" is empty, or holds more");
    folder_write("token", STR("a\r\nHeader: b"), 0600);
    check_get("a header", &world, "! token file: \"token\" is empty, or holds more");
    folder_write("token", STR("a b"), 0600);
    check_get("two", &world, "! token file: \"token\" is empty, or holds more");
    folder_write("token", STR("a\0"), 0600);
    check_get("a NUL", &world, "! token file: \"token\" is empty, or holds more");
    while (text.len < MOST)
        buf_append_byte(&text, 'x');
    folder_write("token", buf_str(&text), 0600);
    struct kube_secret secret;
    assert_int_equal(kube_credential_get(world.credential, &secret, &world.err),
                     KUBE_CREDENTIAL_READY);
    world.version = secret.version;
    check_text("the longest", secret.token, buf_str(&text));
    refuse(&world);
    buf_append_byte(&text, 'x');
    folder_write("token", buf_str(&text), 0600);
    check_get("too long", &world, "! token file: \"token\": larger than 65536 bytes");
    end(&world);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_given),
        cmocka_unit_test(test_file),
        cmocka_unit_test(test_old_file_stays_good),
        cmocka_unit_test(test_old_file_is_told),
        cmocka_unit_test(test_fifo),
        cmocka_unit_test(test_wrong_file),
    };
    log_set_level(LOG_ERROR + 1);
    return cmocka_run_group_tests(tests, folder_enter, folder_leave);
}
