#include "kube/credential.h"

#include <fcntl.h>
#include <stdlib.h>
#include <time.h>

#include "base/disk.h"
#include "base/log.h"
#include "kube/exec.h"

enum {
    /* How old what was read from a file may be, in milliseconds. Kubernetes replaces a pod's token long before it expires. */
    FILE_AGE = 60 * 1000,
    TOKEN_LIMIT = 64 * 1024,
    /* Credentials of a program count as expired so many seconds before they are. */
    EXPIRY_MARGIN = 10,
    /* After a program has ended it is not run again for so long, in milliseconds: not if it has failed, nor if what it gave was refused,
     * nor if that has expired, which is used so long all the same, since this machine's clock may be ahead. */
    EXEC_PAUSE = 5000,
};

struct kube_credential {
    struct loop *loop;
    const struct kube_config *config;
    void (*on_answer)(void *ctx);
    void *ctx;
    struct buf token; /* of a file or a program */
    struct buf certificate, key;
    unsigned version;
    bool has_secret;  /* the file was read, the program has answered */
    uint64_t fetched; /* when the file was read or the program has ended, as loop_now; 0: never */
    int64_t expires;  /* of a program's; 0: never */
    struct kube_exec_run *run;
    struct error problem; /* why a program gives nothing */
    bool
        is_told; /* that the file cannot be read any more, or that the program gives what has expired */
};

struct kube_credential *kube_credential_new(struct loop *loop, const struct kube_config *config,
                                            void (*on_answer)(void *ctx), void *ctx)
{
    struct kube_credential *credential = mem_zalloc(sizeof(*credential));
    credential->loop = loop;
    credential->config = config;
    credential->on_answer = on_answer;
    credential->ctx = ctx;
    return credential;
}

void kube_credential_free(struct kube_credential *credential)
{
    if (credential == NULL)
        return;
    kube_exec_cancel(credential->run);
    buf_wipe(&credential->token);
    buf_wipe(&credential->certificate);
    buf_wipe(&credential->key);
    free(credential);
}

void kube_credential_refused(struct kube_credential *credential, unsigned version)
{
    if (version != credential->version) /* there is another by now */
        return;
    credential->has_secret = false;
    if (credential->config->exec.command != NULL)
        error_set(&credential->problem, "the API server refuses the credentials that %s gave",
                  credential->config->exec.command);
}

static uint64_t age(const struct kube_credential *credential)
{
    return loop_now(credential->loop) - credential->fetched;
}

/* There is a new one. */
static void set_fetched(struct kube_credential *credential)
{
    credential->has_secret = true;
    credential->fetched = loop_now(credential->loop);
    credential->version++;
}

/* ---- a file ---- */

static bool read_file(struct kube_credential *credential, struct error *err)
{
    const char *path = credential->config->token_file;
    struct buf text = {0};
    buf_reserve(&text, 4 * TOKEN_LIMIT); /* it does not move, and leave copies behind */
    bool ok = disk_read(AT_FDCWD, path, true, TOKEN_LIMIT, &text, err) == DISK_READ;
    while (text.len > 0 && memchr(" \t\r\n", text.data[text.len - 1], 4) != NULL)
        text.len--;
    if (ok && (text.len == 0 || !kube_token_is_sound(buf_str(&text))))
        ok =
            error_set(err, "%s is empty, or holds more than a token", quote(str_from_c(path)).text);
    if (!ok) {
        buf_wipe(&text);
        return error_prefix(err, "token file");
    }
    buf_wipe(&credential->token);
    credential->token = text;
    set_fetched(credential);
    return true;
}

/* The old one may still be good while the file is being replaced; but when it has expired, it is too late to find out. */
static void tell_old(struct kube_credential *credential, const struct error *problem)
{
    if (problem != NULL && !credential->is_told)
        log_event(LOG_WARNING, "The token cannot be read anew; the last one is used for now",
                  LOG_C("problem", problem->text));
    else if (problem == NULL && credential->is_told)
        log_message(LOG_INFO, "The token can be read again");
    credential->is_told = problem != NULL;
}

static enum kube_credential_state get_from_file(struct kube_credential *credential,
                                                struct kube_secret *secret, struct error *err)
{
    struct error problem;
    if (!credential->has_secret || age(credential) >= FILE_AGE) {
        bool ok = read_file(credential, &problem);
        if (!ok && !credential->has_secret) {
            *err = problem;
            return KUBE_CREDENTIAL_NONE;
        }
        tell_old(credential, ok ? NULL : &problem);
    }
    secret->token = buf_str(&credential->token);
    return KUBE_CREDENTIAL_READY;
}

/* ---- a program ---- */

static void set_text(struct buf *to, struct str text)
{
    buf_wipe(to);
    buf_append_str(to, text);
}

/* Credentials that are as good as expired are none. */
static bool is_expired(int64_t expires)
{
    return expires != 0 && time(NULL) + EXPIRY_MARGIN >= (time_t)expires;
}

static void tell_expired(struct kube_credential *credential)
{
    bool is_new = is_expired(credential->expires) && !credential->is_told;
    credential->is_told = is_expired(credential->expires);
    if (is_new)
        log_event(LOG_WARNING,
                  "A program gives credentials that have expired, or are about to, by this "
                  "machine's clock",
                  LOG_C("program", credential->config->exec.command),
                  LOG_INT("seconds_left", (time_t)credential->expires - time(NULL)));
}

static void on_exec_done(void *ctx, const struct kube_exec_result *result, const struct error *err)
{
    struct kube_credential *credential = ctx;
    credential->run = NULL;
    if (result == NULL) {
        credential->fetched = loop_now(credential->loop);
        credential->problem = *err;
        log_event(LOG_ERROR, "No credentials for the API server", LOG_C("problem", err->text));
    } else {
        set_fetched(credential);
        credential->expires = result->expires;
        set_text(&credential->token, result->token);
        set_text(&credential->certificate, result->certificate);
        set_text(&credential->key, result->key);
        tell_expired(credential);
    }
    credential->on_answer(credential->ctx);
}

static enum kube_credential_state run_program(struct kube_credential *credential, struct error *err)
{
    const struct kube_config *config = credential->config;
    credential->has_secret = false;
    credential->run = kube_exec_start(credential->loop, config, on_exec_done, credential, err);
    if (credential->run == NULL) {
        credential->fetched = loop_now(credential->loop);
        credential->problem = *err;
        return KUBE_CREDENTIAL_NONE;
    }
    log_event(LOG_INFO, "Asking a program for credentials", LOG_C("program", config->exec.command));
    return KUBE_CREDENTIAL_AWAITED;
}

static enum kube_credential_state get_from_program(struct kube_credential *credential,
                                                   struct kube_secret *secret, struct error *err)
{
    bool is_fresh = credential->fetched != 0 && age(credential) < EXEC_PAUSE;
    if (credential->run != NULL)
        return KUBE_CREDENTIAL_AWAITED;
    if (!credential->has_secret && is_fresh) {
        *err = credential->problem;
        return KUBE_CREDENTIAL_NONE;
    }
    if (!credential->has_secret || (is_expired(credential->expires) && !is_fresh))
        return run_program(credential, err);
    secret->token = buf_str(&credential->token);
    if (credential->certificate.len > 0) {
        secret->certificate.data = buf_str(&credential->certificate);
        secret->key.data = buf_str(&credential->key);
    }
    return KUBE_CREDENTIAL_READY;
}

enum kube_credential_state kube_credential_get(struct kube_credential *credential,
                                               struct kube_secret *secret, struct error *err)
{
    const struct kube_config *config = credential->config;
    enum kube_credential_state state = KUBE_CREDENTIAL_READY;
    *secret = (struct kube_secret){.token = config->token,
                                   .certificate = config->client_certificate,
                                   .key = config->client_key};
    /* As kubectl has it, a file goes before a token that is given, and either, or a name, before a program. */
    if (config->token_file != NULL)
        state = get_from_file(credential, secret, err);
    else if (config->token.len == 0 && config->username == NULL && config->exec.command != NULL)
        state = get_from_program(credential, secret, err);
    secret->version = credential->version;
    return state;
}
