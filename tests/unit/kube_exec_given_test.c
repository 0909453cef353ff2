/* kube/exec.h: what programs are given: arguments, environment, descriptors. */
#include <fcntl.h>
#include <jansson.h>
#include <signal.h>

#include "exec_run.h"

/* Runs a script that prints `value`, a shell expression without quotes and backslashes in its value, as its token: with _ for blanks,
 * which no token has. */
static struct str printed(struct kube_config *config, const char *value,
                          struct exec_outcome *outcome)
{
    CLEANUP_BUF struct buf script = {0};
    buf_printf(&script,
               "printf '{\"apiVersion\":\"" V1 "\",\"kind\":\"ExecCredential\",\"status\":{"
               "\"token\":\"%%s\"}}' \"%s\" | tr ' ' _",
               value);
    buf_append_byte(&script, '\0');
    exec_run_write_script("program", script.data);
    config->exec.command = "./program";
    assert_true(exec_run(config, outcome));
    if (!outcome->ok)
        fail_msg("%s: %s", value, outcome->err.text);
    return buf_str(&outcome->token);
}

static void test_arguments(void **state)
{
    (void)state;
    static const char *args[] = {"one", "two  words", "", "$HOME", "*", NULL};
    struct exec_outcome outcome;
    struct kube_config config = exec_run_config(NULL);
    config.exec.args = args;
    check_text("arguments", printed(&config, "$0|$#|$1|$2|$3|$4|$5", &outcome),
               STR("./program|5|one|two__words||$HOME|*"));
    exec_run_free(&outcome);
}

static void test_environment(void **state)
{
    (void)state;
    static const char *env[] = {
        "GIVEN=first", "OURS=theirs", "GIVEN=a=b c", "EMPTY=", "KUBERNETES_EXEC_INFO=forged", NULL};
    struct exec_outcome outcome;
    struct kube_config config = exec_run_config(NULL);
    config.exec.env = env;
    setenv("OURS", "ours", 1);
    setenv("OURS_TOO", "kept", 1);
    setenv("KUBERNETES_EXEC_INFO", "inherited", 1);
    check_text("environment",
               printed(&config,
                       "$GIVEN|$OURS|$OURS_TOO|${EMPTY-unset}|${KUBERNETES_EXEC_INFO%%\\\"*}",
                       &outcome),
               STR("a=b_c|theirs|kept||{"));
    exec_run_free(&outcome);
}

/* As the program that is run: says how often two names stand in its environment, whether a signal is blocked, and whether another is
 * ignored. */
static int say_what_is_given(void)
{
    unsigned ours = 0, infos = 0;
    sigset_t blocked;
    struct sigaction broken_pipe;
    sigprocmask(SIG_SETMASK, NULL, &blocked);
    sigaction(SIGPIPE, NULL, &broken_pipe);
    for (size_t i = 0; environ[i] != NULL; i++) {
        ours += strncmp(environ[i], "OURS=", 5) == 0;
        infos += strncmp(environ[i], "KUBERNETES_EXEC_INFO=", 21) == 0;
    }
    printf("{\"apiVersion\":\"" V1
           "\",\"kind\":\"ExecCredential\",\"status\":{\"token\":\"%u.%u.%d.%d\"}}",
           ours, infos, sigismember(&blocked, SIGTERM), broken_pipe.sa_handler == SIG_IGN);
    return 0;
}

/* Each name once: of doubled ones some programs take the first, some the last. And no signal that we read from a descriptor is
 * blocked, nor the one that we ignore ignored. */
static void test_not_by_a_shell(void **state)
{
    (void)state;
    static const char *env[] = {"OURS=theirs", "OURS=theirs too", NULL};
    static const char *args[] = {"say-what-is-given", NULL};
    struct exec_outcome outcome;
    struct kube_config config = exec_run_config("/proc/self/exe");
    sigset_t blocked, before;
    config.exec.env = env;
    config.exec.args = args;
    setenv("OURS", "ours", 1);
    setenv("KUBERNETES_EXEC_INFO", "inherited", 1);
    sigemptyset(&blocked);
    sigaddset(&blocked, SIGTERM);
    sigprocmask(SIG_BLOCK, &blocked, &before);
    signal(SIGPIPE, SIG_IGN);
    assert_true(exec_run(&config, &outcome) && outcome.ok);
    signal(SIGPIPE, SIG_DFL);
    sigprocmask(SIG_SETMASK, &before, NULL);
    check_text("given", buf_str(&outcome.token), STR("1.1.0.0"));
    exec_run_free(&outcome);
}

/* KUBERNETES_EXEC_INFO, as JSON. */
static json_t *exec_info(struct kube_config *config)
{
    struct exec_outcome outcome;
    json_error_t error;
    exec_run_write_script("program", "printf '%s' \"$KUBERNETES_EXEC_INFO\" > info; " TOKEN);
    config->exec.command = "./program";
    assert_true(exec_run(config, &outcome) && outcome.ok);
    exec_run_free(&outcome);
    json_t *info = json_load_file("info", JSON_REJECT_DUPLICATES, &error);
    if (info == NULL)
        fail_msg("%s", error.text);
    return info;
}

static void check_info(struct kube_config *config, const char *expected)
{
    json_error_t error;
    json_t *info = exec_info(config), *other = json_loads(expected, 0, &error);
    assert_non_null(other);
    char *text = json_dumps(info, 0);
    CHECK(text, json_equal(info, other));
    free(text);
    json_decref(info);
    json_decref(other);
}

static void test_exec_info(void **state)
{
    (void)state;
    struct kube_config config = exec_run_config(NULL);
    config.server = "https://h\"\\/a";
    check_info(&config, "{\"apiVersion\":\"" V1 "\",\"kind\":\"ExecCredential\",\"spec\":{"
                        "\"interactive\":false}}");
    config.exec.provide_cluster_info = true;
    check_info(&config, "{\"apiVersion\":\"" V1 "\",\"kind\":\"ExecCredential\",\"spec\":{"
                        "\"interactive\":false,\"cluster\":{\"server\":\"https://h\\\"\\\\/a\","
                        "\"insecure-skip-tls-verify\":false}}}");
    config.server_name = "other";
    config.insecure = true;
    check_info(&config, "{\"apiVersion\":\"" V1 "\",\"kind\":\"ExecCredential\",\"spec\":{"
                        "\"interactive\":false,\"cluster\":{\"server\":\"https://h\\\"\\\\/a\","
                        "\"tls-server-name\":\"other\",\"insecure-skip-tls-verify\":true}}}");
}

/* Authorities go as data, whether they are a file or not. */
static void test_exec_info_of_more(void **state)
{
    (void)state;
    struct exec_outcome outcome;
    struct kube_config config = exec_run_config(NULL);
    config.exec.provide_cluster_info = true;
    config.proxy = "http://u:p@proxy\n:1";
    config.ca.data = STR("PEM");
    check_info(&config, "{\"apiVersion\":\"" V1 "\",\"kind\":\"ExecCredential\",\"spec\":{"
                        "\"interactive\":false,\"cluster\":{\"server\":\"https://server:6443\","
                        "\"proxy-url\":\"http://u:p@proxy\\n:1\","
                        "\"certificate-authority-data\":\"UEVN\","
                        "\"insecure-skip-tls-verify\":false}}}");
    config.proxy = NULL;
    config.ca = (struct kube_pem){.path = "ca"};
    folder_write("ca", STR("PEM of a file"), 0600);
    check_info(&config, "{\"apiVersion\":\"" V1 "\",\"kind\":\"ExecCredential\",\"spec\":{"
                        "\"interactive\":false,\"cluster\":{\"server\":\"https://server:6443\","
                        "\"certificate-authority-data\":\"UEVNIG9mIGEgZmlsZQ==\","
                        "\"insecure-skip-tls-verify\":false}}}");
    config.ca.path = "none";
    assert_false(exec_run(&config, &outcome));
    check_contains("no file", outcome.err.text,
                   "certificate-authority: \"none\": cannot open: No such file");
}

/* Its standard error is ours; no other descriptor of ours is its. */
static void test_descriptors(void **state)
{
    (void)state;
    struct exec_outcome outcome;
    struct kube_config config = exec_run_config(NULL);
    int saved = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 3),
        file = open("stderr", O_WRONLY | O_CREAT | O_CLOEXEC, 0600),
        inherited = open("stderr", O_RDONLY); /* as libcurl opens its sockets */
    dup2(file, STDERR_FILENO);
    struct str token =
        printed(&config, "$(echo complaint >&2; ls /proc/self/fd | tr '\\n' .)", &outcome);
    dup2(saved, STDERR_FILENO);
    close(saved);
    close(file);
    close(inherited);
    /* The last is that by which ls reads the folder. */
    check_text("descriptors", token, STR("0.1.2.3."));
    exec_run_free(&outcome);
    char text[32] = "";
    FILE *stream = fopen("stderr", "r");
    assert_non_null(fgets(text, sizeof(text), stream));
    fclose(stream);
    assert_string_equal(text, "complaint\n");
}

static void test_found_on_path(void **state)
{
    (void)state;
    struct exec_outcome outcome;
    const struct kube_config config = exec_run_config("dikast-test-program");
    CLEANUP_BUF struct buf path = {0};
    CLEANUP_FREE char *before = mem_strndup(str_from_c(getenv("PATH")));
    buf_printf(&path, "%s:%s", folder_path, before);
    buf_append_byte(&path, '\0');
    exec_run_write_script("dikast-test-program", TOKEN);
    setenv("PATH", path.data, 1);
    bool ok = exec_run(&config, &outcome) && outcome.ok;
    setenv("PATH", before, 1);
    assert_true(ok);
    exec_run_free(&outcome);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_arguments),         cmocka_unit_test(test_environment),
        cmocka_unit_test(test_not_by_a_shell),    cmocka_unit_test(test_exec_info),
        cmocka_unit_test(test_exec_info_of_more), cmocka_unit_test(test_descriptors),
        cmocka_unit_test(test_found_on_path),
    };
    if (argc == 2 && strcmp(argv[1], "say-what-is-given") == 0)
        return say_what_is_given();
    clock_patience = 10 * 1000;
    /* What the test was given by others is not looked for. */
    for (int fd = 3; fd < 1024; fd++)
        fcntl(fd, F_SETFD, FD_CLOEXEC);
    return cmocka_run_group_tests(tests, folder_enter, folder_leave);
}
