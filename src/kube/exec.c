#include "kube/exec.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/pidfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/base64.h"
#include "base/disk.h"
#include "base/time.h"
#include "model/doc.h"

enum { PATIENCE = 60 * 1000, OUTPUT_LIMIT = 1024 * 1024, CA_LIMIT = 1024 * 1024 };

struct kube_exec_run {
    struct loop *loop;
    const struct kube_exec *exec;
    void (*done)(void *ctx, const struct kube_exec_result *result, const struct error *err);
    void *ctx;
    /* The leader of a group of its own; waited for only in the end, so that no other process can have the number before. 0: it was. */
    pid_t pid;
    struct loop_watch output; /* fd -1: it has closed its output */
    struct loop_watch ended;  /* a pidfd; fd -1: it has ended */
    struct loop_timer patience;
    struct buf text;
};

/* ---- the end ---- */

static void free_run(struct kube_exec_run *run)
{
    loop_disarm(run->loop, &run->patience);
    if (run->output.fd >= 0) {
        loop_remove(run->loop, &run->output);
        close(run->output.fd);
    }
    if (run->ended.fd >= 0) {
        loop_remove(run->loop, &run->ended);
        close(run->ended.fd);
    }
    if (run->pid > 0) {
        kill(-run->pid, SIGKILL); /* with all that it has started */
        waitpid(run->pid, NULL, 0);
    }
    buf_wipe(&run->text);
    free(run);
}

void kube_exec_cancel(struct kube_exec_run *run)
{
    if (run != NULL)
        free_run(run);
}

static void finish(struct kube_exec_run *run, const struct kube_exec_result *result,
                   const struct error *err)
{
    run->done(run->ctx, result, err);
    free_run(run);
}

static void fail(struct kube_exec_run *run, struct error *err)
{
    error_prefix(err, "%s", run->exec->command);
    finish(run, NULL, err);
}

/* ---- what it said ---- */

static bool parse(struct arena *arena, const struct kube_exec *exec, struct str text,
                  struct kube_exec_result *result, struct error *err)
{
    struct doc_file file = doc_load(arena, text, true);
    if (file.count != 1 || file.entries[0].failed)
        return error_set(err, "printed no JSON");
    const struct doc_node *root = file.entries[0].root, *status = doc_get(root, STR("status"));
    if (!str_eq(doc_get_text(root, STR("kind")), STR("ExecCredential")) ||
        !str_eq(doc_get_text(root, STR("apiVersion")), str_from_c(exec->api_version)))
        return error_set(err, "printed no ExecCredential of %s", exec->api_version);
    *result =
        (struct kube_exec_result){.token = doc_get_text(status, STR("token")),
                                  .certificate = doc_get_text(status, STR("clientCertificateData")),
                                  .key = doc_get_text(status, STR("clientKeyData"))};
    struct str expires = doc_get_text(status, STR("expirationTimestamp"));
    if (expires.len > 0 && !time_parse(expires, &result->expires))
        return error_set(err, "expirationTimestamp %s is no time", quote(expires).text);
    if ((result->certificate.len > 0) != (result->key.len > 0))
        return error_set(err,
                         "gave one of clientCertificateData and clientKeyData without the other");
    if (!kube_token_is_sound(result->token))
        return error_set(err, "gave a token with a blank or another strange character in it");
    return result->token.len + result->certificate.len > 0 ||
           error_set(err, "gave neither a token nor a certificate");
}

/* It has closed its output, and ended. */
static void take_result(struct kube_exec_run *run)
{
    WIPE_ARENA struct arena arena = {0};
    struct kube_exec_result result;
    struct error err;
    int status = 0;
    waitpid(run->pid, &status, 0);
    run->pid = 0;
    if (status != 0) {
        bool was_killed = WIFSIGNALED(status);
        error_set(&err, "failed with %s %d%s%s", was_killed ? "signal" : "exit status",
                  was_killed ? WTERMSIG(status) : WEXITSTATUS(status),
                  run->exec->install_hint != NULL ? "; " : "",
                  run->exec->install_hint != NULL ? run->exec->install_hint : "");
        fail(run, &err);
    } else if (!parse(&arena, run->exec, buf_str(&run->text), &result, &err)) {
        fail(run, &err);
    } else {
        finish(run, &result, NULL);
    }
}

static void look_whether_done(struct kube_exec_run *run)
{
    if (run->output.fd < 0 && run->ended.fd < 0)
        take_result(run);
}

static void on_output(void *ctx, uint32_t events)
{
    struct kube_exec_run *run = ctx;
    struct error err;
    (void)events;
    ssize_t len = read(run->output.fd, buf_reserve(&run->text, 4096), 4096);
    if (len < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (len > 0) {
        run->text.len += (size_t)len;
        if (run->text.len > OUTPUT_LIMIT) {
            error_set(&err, "printed more than 1 MiB");
            fail(run, &err);
        }
        return;
    }
    loop_remove(run->loop, &run->output);
    close(run->output.fd);
    run->output.fd = -1;
    look_whether_done(run);
}

static void on_ended(void *ctx, uint32_t events)
{
    struct kube_exec_run *run = ctx;
    (void)events;
    /* It is not waited for as long as others of its group may live: the group's number is its own. */
    loop_remove(run->loop, &run->ended);
    close(run->ended.fd);
    run->ended.fd = -1;
    look_whether_done(run);
}

static void on_impatience(void *ctx)
{
    struct kube_exec_run *run = ctx;
    struct error err;
    error_set(&err, "took longer than a minute");
    fail(run, &err);
}

/* ---- the start ---- */

static void append_json(struct buf *out, const char *name, const char *text)
{
    buf_printf(out, "\"%s\":\"", name);
    for (; *text != '\0'; text++) {
        unsigned char c = (unsigned char)*text;
        if (c < ' ')
            buf_printf(out, "\\u%04x", c);
        else
            buf_printf(out, "%s%c", c == '"' || c == '\\' ? "\\" : "", c);
    }
    buf_append_str(out, STR("\","));
}

/* As data, whether it is a file or not. */
static bool append_authority(struct buf *out, const struct kube_pem *ca, struct error *err)
{
    CLEANUP_BUF struct buf file = {0};
    struct str pem = ca->data;
    if (pem.len == 0 && ca->path != NULL) {
        if (disk_read(AT_FDCWD, ca->path, true, CA_LIMIT, &file, err) != DISK_READ)
            return error_prefix(err, "certificate-authority");
        pem = buf_str(&file);
    }
    if (pem.len == 0)
        return true;
    buf_append_str(out, STR("\"certificate-authority-data\":\""));
    base64_encode(out, pem);
    buf_append_str(out, STR("\","));
    return true;
}

static bool append_cluster(struct buf *out, const struct kube_config *config, struct error *err)
{
    buf_append_str(out, STR(",\"cluster\":{"));
    append_json(out, "server", config->server);
    if (config->server_name != NULL)
        append_json(out, "tls-server-name", config->server_name);
    if (config->proxy != NULL)
        append_json(out, "proxy-url", config->proxy);
    if (!append_authority(out, &config->ca, err))
        return false;
    buf_printf(out, "\"insecure-skip-tls-verify\":%s}", config->insecure ? "true" : "false");
    return true;
}

/* KUBERNETES_EXEC_INFO: what it is run for. */
static bool append_info(struct buf *out, const struct kube_config *config, struct error *err)
{
    buf_printf(out,
               "KUBERNETES_EXEC_INFO={\"apiVersion\":\"%s\",\"kind\":\"ExecCredential\",\"spec\":{"
               "\"interactive\":false",
               config->exec.api_version);
    if (config->exec.provide_cluster_info && !append_cluster(out, config, err))
        return false;
    buf_append_str(out, STR("}}\0"));
    return true;
}

/* In the place of one of the same name: of doubled ones programs take the first or the last. */
static void set_variable(char **env, size_t *count, const char *variable)
{
    size_t name = (size_t)(strchrnul(variable, '=') - variable) + 1, i = 0;
    while (i < *count && strncmp(env[i], variable, name) != 0)
        i++;
    env[i] = (char *)variable;
    *count += i == *count;
}

/* Ours, but for what the kubeconfig sets otherwise. */
static char **make_environment(struct arena *arena, const struct kube_config *config,
                               const char *info)
{
    size_t ours = 0, more = 0, count = 0;
    while (environ[ours] != NULL)
        ours++;
    while (config->exec.env[more] != NULL)
        more++;
    char **env = arena_array(arena, ours + more + 2, sizeof(*env));
    for (size_t i = 0; i < ours; i++)
        set_variable(env, &count, environ[i]);
    for (size_t i = 0; i < more; i++)
        set_variable(env, &count, config->exec.env[i]);
    set_variable(env, &count, info);
    return env;
}

static char **make_arguments(struct arena *arena, const struct kube_exec *exec)
{
    size_t count = 0;
    while (exec->args[count] != NULL)
        count++;
    char **args = arena_array(arena, count + 2, sizeof(*args));
    args[0] = (char *)exec->command;
    for (size_t i = 0; i < count; i++)
        args[i + 1] = (char *)exec->args[i];
    return args;
}

/* We block signals that we read from a descriptor, and ignore that a reader is gone: it must not. */
static void set_signals(posix_spawnattr_t *attributes)
{
    sigset_t none, defaults;
    sigemptyset(&none);
    sigemptyset(&defaults);
    sigaddset(&defaults, SIGPIPE);
    posix_spawnattr_setsigmask(attributes, &none);
    posix_spawnattr_setsigdefault(attributes, &defaults);
}

/* Starts the program with its output into `output`; 0 or an errno. */
static int spawn(struct kube_exec_run *run, const struct kube_config *config, const char *info,
                 int output)
{
    CLEANUP_ARENA struct arena arena = {0};
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attributes;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
    posix_spawn_file_actions_adddup2(&actions, output, STDOUT_FILENO);
    /* libcurl's sockets would be the program's as well, and stay open for as long as it lives. */
    posix_spawn_file_actions_addclosefrom_np(&actions, STDERR_FILENO + 1);
    posix_spawnattr_init(&attributes);
    set_signals(&attributes);
    posix_spawnattr_setpgroup(&attributes, 0);
    posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF |
                                              POSIX_SPAWN_SETPGROUP);
    int problem =
        posix_spawnp(&run->pid, config->exec.command, &actions, &attributes,
                     make_arguments(&arena, &config->exec), make_environment(&arena, config, info));
    posix_spawn_file_actions_destroy(&actions);
    posix_spawnattr_destroy(&attributes);
    return problem;
}

static bool watch_run(struct kube_exec_run *run, struct error *err)
{
    run->ended = (struct loop_watch){pidfd_open(run->pid, 0), on_ended, run};
    if (run->ended.fd < 0)
        return error_set(err, "cannot watch a process: %s", strerror(errno));
    fcntl(run->output.fd, F_SETFL, O_NONBLOCK);
    return loop_add(run->loop, &run->output, EPOLLIN, err) &&
           loop_add(run->loop, &run->ended, EPOLLIN, err);
}

/* Starts the program, and watches it. */
static bool start(struct kube_exec_run *run, const struct kube_config *config, struct error *err)
{
    WIPE_BUF struct buf info = {0}; /* a proxy's password may be in it */
    int ends[2];
    if (!append_info(&info, config, err))
        return false;
    if (pipe2(ends, O_CLOEXEC) != 0)
        return error_set(err, "cannot make a pipe: %s", strerror(errno));
    int problem = spawn(run, config, info.data, ends[1]);
    close(ends[1]);
    run->output = (struct loop_watch){ends[0], on_output, run};
    if (problem == 0)
        return watch_run(run, err);
    return error_set(err, "cannot run %s: %s%s%s", quote(str_from_c(config->exec.command)).text,
                     strerror(problem), config->exec.install_hint != NULL ? "; " : "",
                     config->exec.install_hint != NULL ? config->exec.install_hint : "");
}

struct kube_exec_run *kube_exec_start(struct loop *loop, const struct kube_config *config,
                                      void (*done)(void *ctx, const struct kube_exec_result *result,
                                                   const struct error *err),
                                      void *ctx, struct error *err)
{
    struct kube_exec_run *run = mem_zalloc(sizeof(*run));
    run->loop = loop;
    run->exec = &config->exec;
    run->done = done;
    run->ctx = ctx;
    run->output.fd = run->ended.fd = -1;
    run->patience = (struct loop_timer){.callback = on_impatience, .ctx = run};
    if (!start(run, config, err)) {
        free_run(run);
        return NULL;
    }
    loop_arm(loop, &run->patience, PATIENCE);
    return run;
}
