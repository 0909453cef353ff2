/* kube/credential.h: tokens that are given, that stand in files, and that programs give. */
#include "kube/credential.h"

#include "base/log.h"
#include "exec_run.h"

struct world {
    struct loop *loop;
    struct kube_config config;
    struct kube_credential *credential;
    struct error err;
};

static void start(struct world *world)
{
    struct error err;
    world->loop = loop_new(&err);
    assert_non_null(world->loop);
    world->credential = kube_credential_new(world->loop, &world->config);
}

static void end(struct world *world)
{
    kube_credential_free(world->credential);
    loop_free(world->loop);
}

/* "TOKEN|CERTIFICATE|KEY" (of the latter the data, or the path), or "! " and the error. */
static struct str get(struct world *world, char *out, size_t size)
{
    struct kube_secret secret;
    world->err.text[0] = '\0';
    if (!kube_credential_get(world->credential, &secret, &world->err))
        return str_head(str_from_c(out), (size_t)snprintf(out, size, "! %s", world->err.text));
    assert_string_equal(world->err.text, "");
    const char *certificate = secret.certificate.path, *key = secret.key.path;
    return str_head(str_from_c(out),
                    (size_t)snprintf(out, size, "%.*s|%s%.*s|%s%.*s", STR_ARG(secret.token),
                                     certificate != NULL ? certificate : "",
                                     STR_ARG(secret.certificate.data), key != NULL ? key : "",
                                     STR_ARG(secret.key.data)));
}

/* `expected` that begins with "! " is a part of the error. */
static void check_get(const char *name, struct world *world, const char *expected)
{
    char out[1024];
    struct str got = get(world, out, sizeof(out));
    bool ok = expected[0] == '!' ? out[0] == '!' && strstr(out + 2, expected + 2) != NULL
                                 : str_eq(got, str_from_c(expected));
    if (!ok)
        fail_msg("%s: got %s, expected %s", name, out, expected);
}

static void pass(struct world *world, uint64_t milliseconds)
{
    int patience = clock_patience;
    clock_patience = 0;
    clock_pass(world->loop, milliseconds);
    clock_patience = patience;
}

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
        kube_credential_refused(worlds[i]->credential);
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
    check_get("before it is there", &world, "! cannot open token file \"token\": No such file");
    folder_write("token", STR("one"), 0600);
    check_get("at first", &world, "one||");
    folder_write("token", STR("two\r\n \t\n"), 0600);
    pass(&world, 59 * 1000);
    check_get("within a minute", &world, "one||");
    pass(&world, 1001);
    check_get("after a minute", &world, "two||");
    folder_write("token", STR("three"), 0600);
    kube_credential_refused(world.credential);
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
        kube_credential_refused(world.credential);
        check_get(cases[i].name, &world, "! token file \"token\"");
        folder_write("token", STR("two"), 0600);
        check_get(cases[i].name, &world, "two||");
        end(&world);
    }
}

static void test_wrong_file(void **state)
{
    (void)state;
    enum { MOST = 64 * 1024 };
    CLEANUP_BUF struct buf text = {0};
    struct world world = {.config = {.token_file = "folder"}};
    mkdir("folder", 0700);
    start(&world);
    check_get("a folder", &world, "! token file \"folder\" cannot be read");
    end(&world);
    world.config.token_file = "token";
    start(&world);
    folder_write("token", STR(" \n"), 0600);
    check_get("blank", &world, "! token file \"token\" cannot be read, is empty, ");
    folder_write("token", STR("a\r\nHeader: b"), 0600);
    check_get("a header", &world, "! token file \"token\" cannot be read, is empty, ");
    folder_write("token", STR("a b"), 0600);
    check_get("two", &world, "! token file \"token\" cannot be read, is empty, ");
    folder_write("token", STR("a\0"), 0600);
    check_get("a NUL", &world, "! token file \"token\" cannot be read, is empty, ");
    while (text.len < MOST - 1)
        buf_append_byte(&text, 'x');
    folder_write("token", buf_str(&text), 0600);
    struct kube_secret secret;
    assert_true(kube_credential_get(world.credential, &secret, &world.err));
    check_text("the longest", secret.token, buf_str(&text));
    kube_credential_refused(world.credential);
    buf_append_byte(&text, 'x');
    folder_write("token", buf_str(&text), 0600);
    check_get("too long", &world, "! token file \"token\" cannot be read, is empty, ");
    end(&world);
}

/* ---- programs ---- */

/* A world with a program that notes each run in the file `runs`, and prints an ExecCredential with this status. */
static void start_program(struct world *world, const char *status)
{
    CLEANUP_BUF struct buf text = {0};
    buf_printf(&text,
               "#!/bin/sh\necho >> runs\nprintf '%%s' "
               "'{\"apiVersion\":\"client.authentication.k8s.io/v1\",\"kind\":\"ExecCredential\","
               "\"status\":%s}'\n",
               status);
    folder_write("program", buf_str(&text), 0755);
    remove("runs");
    world->config.exec = (struct kube_exec){.command = "./program",
                                            .args = nothing,
                                            .env = nothing,
                                            .api_version = "client.authentication.k8s.io/v1"};
    start(world);
}

static unsigned runs(void)
{
    unsigned count = 0;
    FILE *file = fopen("runs", "r");
    if (file == NULL)
        return 0;
    while (fgetc(file) != EOF)
        count++;
    fclose(file);
    return count;
}

/* Lets a program that runs come to its end: for real, without time to skip. */
static void await_program(struct world *world)
{
    for (int i = 0; i < 500; i++) {
        clock_pass(world->loop, 10);
        char out[1024];
        get(world, out, sizeof(out));
        if (strstr(out, "! waiting for") == NULL)
            return;
    }
    fail_msg("the program does not end");
}

static void test_program(void **state)
{
    (void)state;
    struct world world = {0};
    start_program(&world, "{\"token\":\"t\"}");
    check_get("at first", &world, "! waiting for ./program");
    check_get("at once again", &world, "! waiting for ./program");
    await_program(&world);
    check_get("then", &world, "t||");
    pass(&world, 24 * 3600 * 1000);
    check_get("it does not expire", &world, "t||");
    assert_int_equal(runs(), 1);
    end(&world);
}

static void test_certificate_of_program(void **state)
{
    (void)state;
    struct world world = {.config = {.client_certificate = {.data = STR("own c")},
                                     .client_key = {.data = STR("own k")}}};
    start_program(&world, "{\"clientCertificateData\":\"c\",\"clientKeyData\":\"k\"}");
    check_get("at first", &world, "! waiting for ./program");
    await_program(&world);
    check_get("a certificate", &world, "|c|k");
    end(&world);
    start_program(&world, "{\"token\":\"t\"}");
    check_get("at first", &world, "! waiting for ./program");
    await_program(&world);
    check_get("the kubeconfig's stays", &world, "t|own c|own k");
    end(&world);
}

/* As kubectl has it. */
static void test_what_goes_before_a_program(void **state)
{
    (void)state;
    struct world worlds[] = {
        {.config = {.token = STR("given")}},
        {.config = {.token_file = "token"}},
        {.config = {.username = "name"}},
    };
    const char *expected[] = {"given||", "of-a-file||", "||"};
    folder_write("token", STR("of-a-file"), 0600);
    for (size_t i = 0; i < COUNT(worlds); i++) {
        start_program(&worlds[i], "{\"token\":\"t\"}");
        check_get("given", &worlds[i], expected[i]);
        clock_pass(worlds[i].loop, 50);
        assert_int_equal(runs(), 0);
        end(&worlds[i]);
    }
}

/* A status with a token that expires so many seconds from now. */
static const char *expiring(char *out, size_t size, int seconds)
{
    char text[32];
    time_t then = time(NULL) + seconds;
    struct tm parts;
    strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%SZ", gmtime_r(&then, &parts));
    snprintf(out, size, "{\"token\":\"t%d\",\"expirationTimestamp\":\"%s\"}", seconds, text);
    return out;
}

static void test_expiry(void **state)
{
    (void)state;
    char status[128];
    struct world world = {0};
    start_program(&world, expiring(status, sizeof(status), 300));
    check_get("at first", &world, "! waiting for ./program");
    await_program(&world);
    pass(&world, 280 * 1000);
    check_get("20 seconds before", &world, "t300||");
    assert_int_equal(runs(), 1);
    pass(&world, 12 * 1000);
    check_get("8 seconds before", &world, "! waiting for ./program");
    /* It gives the same again, which is of no use: it is not run over and over. */
    await_program(&world);
    check_get("the same again", &world, "! ./program gave credentials that have expired");
    assert_int_equal(runs(), 2);
    pass(&world, 4900);
    check_get("soon", &world, "! ./program gave credentials that have expired");
    pass(&world, 200);
    check_get("after 5 seconds", &world, "! waiting for ./program");
    await_program(&world);
    assert_int_equal(runs(), 3);
    end(&world);
}

static void test_failing_program(void **state)
{
    (void)state;
    struct world world = {0};
    start_program(&world, "{}");
    for (unsigned i = 1; i < 4; i++) {
        check_get("it is run", &world, "! waiting for ./program");
        await_program(&world);
        check_get("it failed", &world, "! ./program: gave neither a token nor a certificate");
        pass(&world, 4900);
        check_get("not run again", &world, "! ./program: gave neither a token nor a certificate");
        assert_int_equal(runs(), i);
        pass(&world, 200);
    }
    end(&world);
    start_program(&world, "{\"token\":\"t\"}");
    remove("program");
    check_get("missing", &world, "! cannot run \"./program\": No such file");
    check_get("missing, again", &world, "! cannot run \"./program\": No such file");
    end(&world);
}

static void test_refused_program(void **state)
{
    (void)state;
    struct world world = {0};
    start_program(&world, "{\"token\":\"t\"}");
    check_get("at first", &world, "! waiting for ./program");
    await_program(&world);
    pass(&world, 6000);
    kube_credential_refused(world.credential);
    check_get("refused", &world, "! waiting for ./program");
    /* Another answer to the same request, while it is run. */
    kube_credential_refused(world.credential);
    await_program(&world);
    check_get("fetched anew", &world, "t||");
    assert_int_equal(runs(), 2);
    kube_credential_refused(world.credential);
    check_get("refused at once", &world,
              "! the API server refuses the credentials that ./program gave");
    pass(&world, 4900);
    check_get("not run again", &world, "! the API server refuses the credentials that");
    pass(&world, 200);
    check_get("after 5 seconds", &world, "! waiting for ./program");
    await_program(&world);
    assert_int_equal(runs(), 3);
    end(&world);
}

static void test_free_while_it_runs(void **state)
{
    (void)state;
    struct world world = {0};
    start_program(&world, "{\"token\":\"t\"}");
    exec_run_write_script("program", NOTE "wait");
    check_get("at first", &world, "! waiting for ./program");
    for (int i = 0; i < 500 && access("pids", F_OK) != 0; i++)
        usleep(10 * 1000);
    end(&world);
    exec_check_dead("freed");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_given),
        cmocka_unit_test(test_file),
        cmocka_unit_test(test_old_file_stays_good),
        cmocka_unit_test(test_wrong_file),
        cmocka_unit_test(test_program),
        cmocka_unit_test(test_certificate_of_program),
        cmocka_unit_test(test_what_goes_before_a_program),
        cmocka_unit_test(test_expiry),
        cmocka_unit_test(test_failing_program),
        cmocka_unit_test(test_refused_program),
        cmocka_unit_test(test_free_while_it_runs),
    };
    log_set_level(LOG_ERROR + 1);
    return cmocka_run_group_tests(tests, folder_enter, folder_leave);
}
