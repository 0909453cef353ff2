/* For tests of kube/exec.h: scripts in a folder, run to their end. */
#ifndef TESTS_EXEC_RUN_H
#define TESTS_EXEC_RUN_H

#include "folder.h"
#include "kube/exec.h"
#include "skipping_clock.h"

#define V1 "client.authentication.k8s.io/v1"

/* Shell text that prints an ExecCredential. */
#define PRINT(version, status)                                                                     \
    "printf '%s' '{\"apiVersion\":\"" version "\",\"kind\":\"ExecCredential\",\"status\":" status  \
    "}'"
#define TOKEN PRINT(V1, "{\"token\":\"t\"}")

struct exec_outcome {
    struct loop *loop;
    unsigned calls;
    bool ok;
    struct buf token, certificate, key;
    int64_t expires;
    uint64_t took; /* milliseconds */
    struct error err;
};

static inline void exec_run_on_done(void *ctx, const struct kube_exec_result *result,
                                    const struct error *err)
{
    struct exec_outcome *outcome = ctx;
    outcome->calls++;
    outcome->ok = result != NULL;
    outcome->took = loop_now(outcome->loop) - outcome->took;
    if (result != NULL) {
        buf_append_str(&outcome->token, result->token);
        buf_append_str(&outcome->certificate, result->certificate);
        buf_append_str(&outcome->key, result->key);
        outcome->expires = result->expires;
    } else {
        outcome->err = *err;
    }
    loop_stop(outcome->loop);
}

static inline void exec_run_free(struct exec_outcome *outcome)
{
    buf_free(&outcome->token);
    buf_free(&outcome->certificate);
    buf_free(&outcome->key);
}

static const char *nothing[] = {NULL};

static inline struct kube_config exec_run_config(const char *command)
{
    return (struct kube_config){
        .server = "https://server:6443",
        .exec = {.command = command, .args = nothing, .env = nothing, .api_version = V1}};
}

/* Runs it to its end. False: it could not be started, and outcome->err says why. */
static inline bool exec_run(const struct kube_config *config, struct exec_outcome *outcome)
{
    struct error err;
    *outcome = (struct exec_outcome){.loop = loop_new(&err)};
    assert_non_null(outcome->loop);
    outcome->took = loop_now(outcome->loop);
    struct kube_exec_run *started =
        kube_exec_start(outcome->loop, config, exec_run_on_done, outcome, &outcome->err);
    assert_int_equal(outcome->calls, 0);
    if (started != NULL) {
        loop_run(outcome->loop);
        /* Nothing more comes. */
        int patience = clock_patience;
        clock_patience = 5;
        clock_pass(outcome->loop, 70 * 1000);
        clock_patience = patience;
        assert_int_equal(outcome->calls, 1);
    }
    loop_free(outcome->loop);
    return started != NULL;
}

static inline void exec_run_write_script(const char *name, const char *body)
{
    CLEANUP_BUF struct buf text = {0};
    buf_printf(&text, "#!/bin/sh\n%s\n", body);
    folder_write(name, buf_str(&text), 0755);
}

static inline void check_contains(const char *name, const char *text, const char *part)
{
    if (strstr(text, part) == NULL)
        fail_msg("%s: %s: not in: %s", name, part, text);
}

/* Shell text that starts another process, and writes the numbers of both to the file `pids`. */
#define NOTE "sleep 300 & echo $$ $! > pids.new; mv pids.new pids; "

/* Whether a process is there and no zombie. */
static inline bool exec_is_alive(int pid)
{
    char path[64], state = 'Z';
    snprintf(path, sizeof(path), "/proc/%d/stat", pid);
    FILE *file = fopen(path, "r");
    if (file == NULL)
        return false;
    bool ok = fscanf(file, "%*d (%*[^)]) %c", &state) == 1;
    fclose(file);
    return ok && state != 'Z' && state != 'X';
}

/* Waits until the two processes whose numbers stand in the file `pids` are dead. */
static inline void exec_check_dead(const char *name)
{
    int pids[2];
    FILE *file = fopen("pids", "r");
    assert_non_null(file);
    assert_int_equal(fscanf(file, "%d %d", &pids[0], &pids[1]), 2);
    fclose(file);
    for (int i = 0; i < 500 && (exec_is_alive(pids[0]) || exec_is_alive(pids[1])); i++)
        usleep(10 * 1000);
    CHECK(name, !exec_is_alive(pids[0]) && !exec_is_alive(pids[1]));
    remove("pids");
}

#endif
