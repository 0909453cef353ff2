/* kube/credential.h: what programs give. */
#include "credential_world.h"

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
        if (strcmp(out, "waiting") != 0)
            return;
    }
    fail_msg("the program does not end");
}

static void test_program(void **state)
{
    (void)state;
    struct world world = {0};
    start_program(&world, "{\"token\":\"t\"}");
    check_get("at first", &world, "waiting");
    check_get("at once again", &world, "waiting");
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
    check_get("at first", &world, "waiting");
    await_program(&world);
    check_get("a certificate", &world, "|c|k");
    end(&world);
    start_program(&world, "{\"token\":\"t\"}");
    check_get("at first", &world, "waiting");
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
    check_get("at first", &world, "waiting");
    await_program(&world);
    pass(&world, 280 * 1000);
    check_get("20 seconds before", &world, "t300||");
    assert_int_equal(runs(), 1);
    pass(&world, 12 * 1000);
    check_get("8 seconds before", &world, "waiting");
    /* It gives the same again: it is not run over and over, and what it gave is used, since our clock may be ahead. */
    await_program(&world);
    check_get("the same again", &world, "t300||");
    assert_int_equal(runs(), 2);
    pass(&world, 4900);
    check_get("soon", &world, "t300||");
    assert_int_equal(runs(), 2);
    pass(&world, 200);
    check_get("after 5 seconds", &world, "waiting");
    await_program(&world);
    assert_int_equal(runs(), 3);
    assert_int_equal(world.answers, 3);
    end(&world);
}

/* What is said of a program whose credentials have expired: once, with how long ago. */
static void test_expiry_is_told(void **state)
{
    (void)state;
    char status[128];
    struct world world = {0};
    start_program(&world, expiring(status, sizeof(status), -30));
    start_log();
    for (unsigned i = 1; i < 4; i++) {
        check_get("it is run", &world, "waiting");
        await_program(&world);
        check_get("it is used", &world, "t-30||");
        assert_int_equal(runs(), i);
        pass(&world, 5100);
    }
    end(&world);
    check_log(
        "expired",
        "msg=\"A program gives credentials that have expired, or are about to, by this machine's "
        "clock\" program=./program seconds_left=-30\n",
        1);
}

static void test_failing_program(void **state)
{
    (void)state;
    struct world world = {0};
    start_program(&world, "{}");
    for (unsigned i = 1; i < 4; i++) {
        check_get("it is run", &world, "waiting");
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
    check_get("at first", &world, "waiting");
    await_program(&world);
    pass(&world, 6000);
    check_get("later", &world, "t||");
    refuse(&world);
    check_get("refused", &world, "waiting");
    await_program(&world);
    check_get("fetched anew", &world, "t||");
    assert_int_equal(runs(), 2);
    refuse(&world);
    check_get("refused at once", &world,
              "! the API server refuses the credentials that ./program gave");
    pass(&world, 4900);
    check_get("not run again", &world, "! the API server refuses the credentials that");
    pass(&world, 200);
    check_get("after 5 seconds", &world, "waiting");
    await_program(&world);
    assert_int_equal(runs(), 3);
    end(&world);
}

/* A refusal that is late is of what was given before, and says nothing of the new one. */
static void test_late_refusal(void **state)
{
    (void)state;
    struct world world = {0};
    start_program(&world, "{\"token\":\"t\"}");
    check_get("at first", &world, "waiting");
    await_program(&world);
    check_get("then", &world, "t||");
    unsigned before = world.version;
    pass(&world, 6000);
    refuse(&world);
    check_get("refused", &world, "waiting");
    kube_credential_refused(world.credential, before); /* while it is run */
    await_program(&world);
    kube_credential_refused(world.credential, before);
    check_get("the new one", &world, "t||");
    assert_int_equal(runs(), 2);
    end(&world);
    world = (struct world){.config = {.token_file = "token"}};
    start(&world);
    folder_write("token", STR("one"), 0600);
    check_get("a file", &world, "one||");
    before = world.version;
    refuse(&world);
    check_get("a file", &world, "one||");
    remove("token");
    kube_credential_refused(world.credential, before);
    check_get("its new one", &world, "one||");
    end(&world);
}

static void test_free_while_it_runs(void **state)
{
    (void)state;
    struct world world = {0};
    start_program(&world, "{\"token\":\"t\"}");
    exec_run_write_script("program", NOTE "wait");
    check_get("at first", &world, "waiting");
    for (int i = 0; i < 500 && access("pids", F_OK) != 0; i++)
        usleep(10 * 1000);
    end(&world);
    exec_check_dead("freed");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_program),
        cmocka_unit_test(test_certificate_of_program),
        cmocka_unit_test(test_what_goes_before_a_program),
        cmocka_unit_test(test_expiry),
        cmocka_unit_test(test_expiry_is_told),
        cmocka_unit_test(test_failing_program),
        cmocka_unit_test(test_refused_program),
        cmocka_unit_test(test_late_refusal),
        cmocka_unit_test(test_free_while_it_runs),
    };
    log_set_level(LOG_ERROR + 1);
    return cmocka_run_group_tests(tests, folder_enter, folder_leave);
}
