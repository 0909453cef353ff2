#include "kube/credential.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "base/log.h"
#include "kube/exec.h"

enum {
    /* How old what was read from a file may be, in milliseconds. Kubernetes replaces a pod's token long before it expires. */
    FILE_AGE = 60 * 1000,
    TOKEN_LIMIT = 64 * 1024,
    /* Credentials of a program count as expired so many seconds before they are. */
    EXPIRY_MARGIN = 10,
    /* After a program has failed, or what it gave was refused, it is not run again for so long, in milliseconds. */
    EXEC_PAUSE = 5000,
};

struct kube_credential {
    struct loop *loop;
    const struct kube_config *config;
    struct buf token; /* of a file or a program */
    struct buf certificate, key;
    bool has_secret;  /* the file was read, the program has answered */
    uint64_t fetched; /* when, as loop_now; 0: never */
    int64_t expires;  /* of a program's; 0: never */
    struct kube_exec_run *run;
    struct error problem; /* why there is none */
    uint64_t failed;      /* when the program failed last, as loop_now; 0: it did not */
};

struct kube_credential *kube_credential_new(struct loop *loop, const struct kube_config *config)
{
    struct kube_credential *credential = mem_zalloc(sizeof(*credential));
    credential->loop = loop;
    credential->config = config;
    return credential;
}

/* Secrets do not stay in memory that others get. */
static void forget(struct buf *b)
{
    if (b->capacity > 0)
        explicit_bzero(b->data, b->capacity);
    buf_free(b);
}

void kube_credential_free(struct kube_credential *credential)
{
    if (credential == NULL)
        return;
    kube_exec_cancel(credential->run);
    forget(&credential->token);
    forget(&credential->certificate);
    forget(&credential->key);
    free(credential);
}

/* It is not run for some time, and `problem` is why there is nothing. */
static void set_failed(struct kube_credential *credential)
{
    credential->has_secret = false;
    credential->failed = loop_now(credential->loop);
}

void kube_credential_refused(struct kube_credential *credential)
{
    bool is_new =
        credential->fetched != 0 && loop_now(credential->loop) - credential->fetched < EXEC_PAUSE;
    credential->has_secret = false;
    if (credential->config->exec.command == NULL || !is_new)
        return;
    error_set(&credential->problem, "the API server refuses the credentials that %s gave",
              credential->config->exec.command);
    set_failed(credential);
}

/* ---- a file ---- */

static bool read_file(struct kube_credential *credential, struct error *err)
{
    const char *path = credential->config->token_file;
    FILE *file = fopen(path, "re");
    if (file == NULL)
        return error_set(err, "cannot open token file %s: %s", quote(str_from_c(path)).text,
                         strerror(errno));
    struct buf text = {0};
    text.len = fread(buf_reserve(&text, TOKEN_LIMIT), 1, TOKEN_LIMIT, file);
    bool ok = !ferror(file) && text.len < TOKEN_LIMIT;
    fclose(file);
    while (text.len > 0 && memchr(" \t\r\n", text.data[text.len - 1], 4) != NULL)
        text.len--;
    if (!ok || text.len == 0 || !kube_token_is_sound(buf_str(&text))) {
        forget(&text);
        return error_set(err,
                         "token file %s cannot be read, is empty, larger than 64 KiB, or holds "
                         "more than a token",
                         quote(str_from_c(path)).text);
    }
    forget(&credential->token);
    credential->token = text;
    credential->has_secret = true;
    credential->fetched = loop_now(credential->loop);
    return true;
}

static bool get_from_file(struct kube_credential *credential, struct kube_secret *secret,
                          struct error *err)
{
    struct error problem;
    bool is_fresh =
        credential->has_secret && loop_now(credential->loop) - credential->fetched < FILE_AGE;
    /* An old one may still be good while the file is being replaced. */
    if (!is_fresh && !read_file(credential, &problem) && !credential->has_secret) {
        *err = problem;
        return false;
    }
    secret->token = buf_str(&credential->token);
    return true;
}

/* ---- a program ---- */

static void set_text(struct buf *to, struct str text)
{
    forget(to);
    buf_append_str(to, text);
}

/* Credentials that are as good as expired are none. */
static bool is_expired(int64_t expires)
{
    return expires != 0 && time(NULL) + EXPIRY_MARGIN >= (time_t)expires;
}

static void on_exec_done(void *ctx, const struct kube_exec_result *result, const struct error *err)
{
    struct kube_credential *credential = ctx;
    credential->run = NULL;
    if (result == NULL)
        credential->problem = *err;
    else if (is_expired(result->expires))
        error_set(&credential->problem, "%s gave credentials that have expired",
                  credential->config->exec.command);
    if (result == NULL || is_expired(result->expires)) {
        set_failed(credential);
        log_event(LOG_ERROR, "No credentials for the API server",
                  LOG_C("problem", credential->problem.text));
        return;
    }
    credential->has_secret = true;
    credential->fetched = loop_now(credential->loop);
    credential->expires = result->expires;
    set_text(&credential->token, result->token);
    set_text(&credential->certificate, result->certificate);
    set_text(&credential->key, result->key);
}

static bool get_from_program(struct kube_credential *credential, struct kube_secret *secret,
                             struct error *err)
{
    if (credential->has_secret && !is_expired(credential->expires)) {
        secret->token = buf_str(&credential->token);
        if (credential->certificate.len > 0) {
            secret->certificate.data = buf_str(&credential->certificate);
            secret->key.data = buf_str(&credential->key);
        }
        return true;
    }
    if (credential->run != NULL)
        return error_set(err, "waiting for %s", credential->config->exec.command);
    if (credential->failed != 0 && loop_now(credential->loop) - credential->failed < EXEC_PAUSE) {
        *err = credential->problem;
        return false;
    }
    credential->run =
        kube_exec_start(credential->loop, credential->config, on_exec_done, credential, err);
    if (credential->run != NULL)
        return error_set(err, "waiting for %s", credential->config->exec.command);
    credential->problem = *err;
    set_failed(credential);
    return false;
}

bool kube_credential_get(struct kube_credential *credential, struct kube_secret *secret,
                         struct error *err)
{
    const struct kube_config *config = credential->config;
    *secret = (struct kube_secret){.token = config->token,
                                   .certificate = config->client_certificate,
                                   .key = config->client_key};
    /* As kubectl has it, a file goes before a token that is given, and either, or a name, before a program. */
    if (config->token_file != NULL)
        return get_from_file(credential, secret, err);
    bool is_enough = config->token.len > 0 || config->username != NULL;
    return is_enough || config->exec.command == NULL || get_from_program(credential, secret, err);
}
