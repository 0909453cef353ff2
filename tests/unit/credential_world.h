/* For tests of kube/credential.h: a credential, and what it says; time skips. */
#ifndef TESTS_CREDENTIAL_WORLD_H
#define TESTS_CREDENTIAL_WORLD_H

#include <fcntl.h>

#include "base/log.h"
#include "exec_run.h"
#include "kube/credential.h"

struct world {
    struct loop *loop;
    struct kube_config config;
    struct kube_credential *credential;
    struct error err;
    unsigned version; /* of the secret that was given last */
    unsigned answers; /* of programs */
};

static inline void on_answer(void *ctx)
{
    ((struct world *)ctx)->answers++;
}

static inline void start(struct world *world)
{
    struct error err;
    world->loop = loop_new(&err);
    assert_non_null(world->loop);
    world->credential = kube_credential_new(world->loop, &world->config, on_answer, world);
}

static inline void end(struct world *world)
{
    kube_credential_free(world->credential);
    loop_free(world->loop);
}

static inline void refuse(struct world *world)
{
    kube_credential_refused(world->credential, world->version);
}

/* "TOKEN|CERTIFICATE|KEY" (of the latter the data, or the path), "waiting", or "! " and the error. */
static inline struct str get(struct world *world, char *out, size_t size)
{
    struct kube_secret secret;
    world->err.text[0] = '\0';
    enum kube_credential_state state = kube_credential_get(world->credential, &secret, &world->err);
    if (state == KUBE_CREDENTIAL_NONE)
        return str_head(str_from_c(out), (size_t)snprintf(out, size, "! %s", world->err.text));
    assert_string_equal(world->err.text, "");
    if (state == KUBE_CREDENTIAL_AWAITED)
        return str_head(str_from_c(out), (size_t)snprintf(out, size, "waiting"));
    world->version = secret.version;
    const char *certificate = secret.certificate.path, *key = secret.key.path;
    return str_head(str_from_c(out),
                    (size_t)snprintf(out, size, "%.*s|%s%.*s|%s%.*s", STR_ARG(secret.token),
                                     certificate != NULL ? certificate : "",
                                     STR_ARG(secret.certificate.data), key != NULL ? key : "",
                                     STR_ARG(secret.key.data)));
}

/* `expected` that begins with "! " is a part of the error. */
static inline void check_get(const char *name, struct world *world, const char *expected)
{
    char out[1024];
    struct str got = get(world, out, sizeof(out));
    bool ok = expected[0] == '!' ? out[0] == '!' && strstr(out + 2, expected + 2) != NULL
                                 : str_eq(got, str_from_c(expected));
    if (!ok)
        fail_msg("%s: got %s, expected %s", name, out, expected);
}

static inline void pass(struct world *world, uint64_t milliseconds)
{
    int patience = clock_patience;
    clock_patience = 0;
    clock_pass(world->loop, milliseconds);
    clock_patience = patience;
}

/* ---- the log ---- */

static int saved_stderr;

/* From now on lines go to a file. */
static inline void start_log(void)
{
    saved_stderr = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 3);
    int file = open("log", O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    assert_true(saved_stderr >= 0 && file >= 0);
    dup2(file, STDERR_FILENO);
    close(file);
    log_set_level(LOG_INFO);
}

/* They do not any more; in the file `text` stands so often. */
static inline void check_log(const char *name, const char *text, unsigned times)
{
    static char log[16 * 1024];
    unsigned count = 0;
    log_set_level(LOG_ERROR + 1);
    dup2(saved_stderr, STDERR_FILENO);
    close(saved_stderr);
    FILE *file = fopen("log", "r");
    assert_non_null(file);
    log[fread(log, 1, sizeof(log) - 1, file)] = '\0';
    fclose(file);
    for (const char *at = log; (at = strstr(at, text)) != NULL; at++)
        count++;
    if (count != times)
        fail_msg("%s: %s: %u times in:\n%s", name, text, count, log);
}

#endif
