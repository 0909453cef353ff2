/* kube/exec.h: what programs print, and how they end. */
#include <dirent.h>

#include "exec_run.h"

/* ---- what it prints ---- */

static void test_results(void **state)
{
    (void)state;
    static const struct {
        const char *script, *token, *certificate, *key;
        int64_t expires;
    } cases[] = {
        {TOKEN, "t", "", "", 0},
        {PRINT(V1, "{\"token\":\"t\",\"expirationTimestamp\":\"2024-01-31T12:00:00Z\"}"), "t", "",
         "", 1706702400},
        {PRINT(V1, "{\"token\":\"t\",\"expirationTimestamp\":\"2024-01-31T14:00:00.5+02:00\"}"),
         "t", "", "", 1706702400},
        {PRINT(V1, "{\"clientCertificateData\":\"c\\nd\",\"clientKeyData\":\"k\"}"), "", "c\nd",
         "k", 0},
        {PRINT(V1, "{\"token\":\"t\",\"clientCertificateData\":\"c\",\"clientKeyData\":\"k\"}"),
         "t", "c", "k", 0},
        {PRINT(V1, "{\"token\":\"t\",\"unknown\":[{}]}"), "t", "", "", 0},
        {"echo; " TOKEN "; echo", "t", "", "", 0},
        /* In parts, and with an end that comes later than that of the output. */
        {TOKEN " | while IFS= read -r line || [ -n \"$line\" ]; do printf '%s' \"${line%t*}\"; "
               "sleep 0.05; printf '%s' \"t${line##*t}\"; done",
         "t", "", "", 0},
        {TOKEN "; exec >&-; sleep 0.1", "t", "", "", 0},
        /* Not what it has read from us. */
        {"cat; " TOKEN, "t", "", "", 0},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct exec_outcome outcome;
        const struct kube_config config = exec_run_config("./program");
        exec_run_write_script("program", cases[i].script);
        assert_true(exec_run(&config, &outcome));
        if (!outcome.ok)
            fail_msg("%s: %s", cases[i].script, outcome.err.text);
        check_text(cases[i].script, buf_str(&outcome.token), str_from_c(cases[i].token));
        check_text(cases[i].script, buf_str(&outcome.certificate),
                   str_from_c(cases[i].certificate));
        check_text(cases[i].script, buf_str(&outcome.key), str_from_c(cases[i].key));
        check_number(cases[i].script, outcome.expires, cases[i].expires);
        exec_run_free(&outcome);
    }
}

static void test_beta(void **state)
{
    (void)state;
    struct exec_outcome outcome;
    struct kube_config config = exec_run_config("./program");
    config.exec.api_version = "client.authentication.k8s.io/v1beta1";
    exec_run_write_script("program",
                          PRINT("client.authentication.k8s.io/v1beta1", "{\"token\":\"t\"}"));
    assert_true(exec_run(&config, &outcome) && outcome.ok);
    exec_run_free(&outcome);
    exec_run_write_script("program", TOKEN);
    assert_true(exec_run(&config, &outcome) && !outcome.ok);
    check_contains("v1 for v1beta1", outcome.err.text,
                   "no ExecCredential of client.authentication");
}

static void test_failures(void **state)
{
    (void)state;
    static const struct {
        const char *script, *error;
    } cases[] = {
        {"", "printed no JSON"},
        {"echo no JSON", "printed no JSON"},
        {TOKEN "; echo more", "printed no JSON"},
        {TOKEN "; " TOKEN, "printed no JSON"},
        {"printf '\\0\\377'", "printed no JSON"},
        {"printf '{\"kind\":\"ExecCredential\",\"kind\":\"ExecCredential\"}'", "printed no JSON"},
        {"echo []", "printed no ExecCredential"},
        {"echo 5", "printed no ExecCredential"},
        {"echo '{}'", "printed no ExecCredential"},
        {"echo '{\"kind\":\"ExecCredential\",\"status\":{\"token\":\"t\"}}'",
         "printed no ExecCredential of " V1},
        {"echo '{\"apiVersion\":\"" V1 "\",\"kind\":\"Status\",\"status\":{\"token\":\"t\"}}'",
         "printed no ExecCredential"},
        {PRINT("client.authentication.k8s.io/v1alpha1", "{\"token\":\"t\"}"),
         "printed no ExecCredential"},
        {PRINT(V1, "null"), "neither a token nor a certificate"},
        {PRINT(V1, "{}"), "neither a token nor a certificate"},
        {PRINT(V1, "{\"token\":\"\"}"), "neither a token nor a certificate"},
        {PRINT(V1, "{\"token\":5}"), "neither a token nor a certificate"},
        {PRINT(V1, "{\"token\":\"a\\nb\"}"), "a blank or another strange character"},
        {PRINT(V1, "{\"token\":\"a b\"}"), "a blank or another strange character"},
        {PRINT(V1, "{\"token\":\"t\",\"clientCertificateData\":\"c\"}"), "without the other"},
        {PRINT(V1, "{\"token\":\"t\",\"clientKeyData\":\"k\"}"), "without the other"},
        {PRINT(V1, "{\"token\":\"t\",\"expirationTimestamp\":\"soon\"}"),
         "expirationTimestamp \"soon\" is no time"},
        {TOKEN "; exit 3", "failed with exit status 3"},
        {"exit 255", "failed with exit status 255"},
        {TOKEN "; exec >&-; sleep 0.1; exit 1", "failed with exit status 1"},
        {TOKEN "; kill -KILL $$", "failed with signal 9"},
        {"head -c 1048577 /dev/zero", "printed more than 1 MiB"},
        {"yes", "printed more than 1 MiB"},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct exec_outcome outcome;
        const struct kube_config config = exec_run_config("./program");
        exec_run_write_script("program", cases[i].script);
        assert_true(exec_run(&config, &outcome));
        CHECK(cases[i].script, !outcome.ok);
        check_contains(cases[i].script, outcome.err.text, cases[i].error);
        check_contains(cases[i].script, outcome.err.text, "./program: ");
        exec_run_free(&outcome);
    }
}

/* A text of exactly the most is read: blanks make it so long. */
static void test_longest_output(void **state)
{
    (void)state;
    struct exec_outcome outcome;
    const struct kube_config config = exec_run_config("./program");
    exec_run_write_script("program", "text=$(" TOKEN
                                     "); head -c $((1048576 - ${#text})) /dev/zero | tr '\\0' ' '; "
                                     "printf '%s' \"$text\"");
    assert_true(exec_run(&config, &outcome));
    if (!outcome.ok)
        fail_msg("%s", outcome.err.text);
    exec_run_free(&outcome);
}

static void test_install_hint(void **state)
{
    (void)state;
    struct exec_outcome outcome;
    struct kube_config config = exec_run_config("./program");
    config.exec.install_hint = "install it so";
    exec_run_write_script("program", "exit 1");
    assert_true(exec_run(&config, &outcome));
    check_contains("fails", outcome.err.text, "exit status 1; install it so");
    config.exec.command = "./none";
    assert_false(exec_run(&config, &outcome));
    check_contains("missing", outcome.err.text, "\"./none\"");
    check_contains("missing", outcome.err.text, "; install it so");
}

static void test_cannot_be_started(void **state)
{
    (void)state;
    static const char *const commands[] = {"./none", "./folder", "./plain",
                                           "dikast-no-such-program", ""};
    mkdir("folder", 0700);
    folder_write("plain", STR("no program"), 0600);
    for (size_t i = 0; i < COUNT(commands); i++) {
        struct exec_outcome outcome;
        const struct kube_config config = exec_run_config(commands[i]);
        CHECK(commands[i], !exec_run(&config, &outcome));
        check_contains(commands[i], outcome.err.text, quote(str_from_c(commands[i])).text);
    }
}

/* ---- its end ---- */

static void test_hangs(void **state)
{
    (void)state;
    static const char *const scripts[] = {
        NOTE "wait",
        NOTE TOKEN "; wait",
        NOTE "exec >&-; wait",
        /* What it has started keeps its output open. */
        NOTE TOKEN,
        NOTE "trap '' TERM INT HUP; wait; sleep 300",
    };
    for (size_t i = 0; i < COUNT(scripts); i++) {
        struct exec_outcome outcome;
        const struct kube_config config = exec_run_config("./program");
        exec_run_write_script("program", scripts[i]);
        clock_patience = 400;
        assert_true(exec_run(&config, &outcome));
        clock_patience = 10 * 1000;
        CHECK(scripts[i], !outcome.ok && outcome.took >= 60 * 1000 && outcome.took < 65 * 1000);
        check_contains(scripts[i], outcome.err.text, "./program: took longer than a minute");
        exec_check_dead(scripts[i]);
    }
}

static void test_cancel(void **state)
{
    (void)state;
    struct exec_outcome outcome = {0};
    struct error err;
    const struct kube_config config = exec_run_config("./program");
    outcome.loop = loop_new(&err);
    exec_run_write_script("program", NOTE "wait");
    struct kube_exec_run *started =
        kube_exec_start(outcome.loop, &config, exec_run_on_done, &outcome, &err);
    assert_non_null(started);
    for (int i = 0; i < 500 && access("pids", F_OK) != 0; i++)
        usleep(10 * 1000);
    kube_exec_cancel(started);
    kube_exec_cancel(NULL);
    exec_check_dead("cancelled");
    clock_patience = 50;
    clock_pass(outcome.loop, 70 * 1000);
    clock_patience = 10 * 1000;
    assert_int_equal(outcome.calls, 0);
    loop_free(outcome.loop);
}

static int count_descriptors(void)
{
    int count = 0;
    DIR *stream = opendir("/proc/self/fd");
    assert_non_null(stream);
    while (readdir(stream) != NULL)
        count++;
    closedir(stream);
    return count;
}

static void test_no_descriptor_is_left(void **state)
{
    (void)state;
    static const char *const scripts[] = {TOKEN, "exit 1", "yes", "",
                                          TOKEN "; exec >&-; sleep 0.05"};
    int before = count_descriptors();
    for (size_t i = 0; i < COUNT(scripts); i++) {
        struct exec_outcome outcome;
        const struct kube_config config = exec_run_config("./program");
        exec_run_write_script("program", scripts[i]);
        assert_true(exec_run(&config, &outcome));
        exec_run_free(&outcome);
    }
    struct exec_outcome outcome;
    const struct kube_config config = exec_run_config("./none");
    assert_false(exec_run(&config, &outcome));
    assert_int_equal(count_descriptors(), before);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_results),
        cmocka_unit_test(test_beta),
        cmocka_unit_test(test_failures),
        cmocka_unit_test(test_longest_output),
        cmocka_unit_test(test_install_hint),
        cmocka_unit_test(test_cannot_be_started),
        cmocka_unit_test(test_hangs),
        cmocka_unit_test(test_cancel),
        cmocka_unit_test(test_no_descriptor_is_left),
    };
    clock_patience = 10 * 1000;
    return cmocka_run_group_tests(tests, folder_enter, folder_leave);
}
