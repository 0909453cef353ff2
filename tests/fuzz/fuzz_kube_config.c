/* Any text as a kubeconfig, or as two, divided by a NUL: a configuration that keeps what its header promises, or an error. */
#include <assert.h>
#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

#include "fuzz.h"
#include "kube/config.h"

static int write_file(struct str text)
{
    int fd = memfd_create("kubeconfig", MFD_CLOEXEC);
    assert(fd >= 0);
    ssize_t written = write(fd, text.ptr, text.len);
    assert(written == (ssize_t)text.len);
    return fd;
}

static void check_pem(const struct kube_pem *pem)
{
    assert(pem->path == NULL || pem->data.len == 0);
    assert(pem->path == NULL || pem->path[0] == '/');
}

static void check_exec(const struct kube_exec *exec)
{
    if (exec->command == NULL)
        return;
    assert(exec->command[0] != '\0' && exec->api_version != NULL);
    assert(strchr(exec->command, '/') == NULL || exec->command[0] == '/');
    for (size_t i = 0; exec->env[i] != NULL; i++)
        assert(strchr(exec->env[i], '=') > exec->env[i]);
    for (size_t i = 0; exec->args[i] != NULL; i++)
        assert(strlen(exec->args[i]) < SIZE_MAX);
}

static void check(const struct kube_config *config)
{
    struct str server = str_from_c(config->server);
    assert(str_starts_with(server, STR("http://")) || str_starts_with(server, STR("https://")));
    assert(server.ptr[server.len - 1] != '/');
    assert(config->source != NULL);
    assert(!config->insecure || (config->ca.path == NULL && config->ca.data.len == 0));
    assert(kube_token_is_sound(config->token));
    assert(config->username == NULL || (config->token.len == 0 && config->token_file == NULL));
    check_pem(&config->ca);
    check_pem(&config->client_certificate);
    check_pem(&config->client_key);
    check_exec(&config->exec);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct str first, second;
    char paths[64];
    struct kube_config config;
    struct error err = {""};
    str_cut(str_make((const char *)data, size), '\0', &first, &second);
    int fds[2] = {write_file(first), write_file(second)};
    snprintf(paths, sizeof(paths), "/proc/self/fd/%d:/proc/self/fd/%d", fds[0], fds[1]);
    bool ok = kube_config_load(&config, paths, &err);
    assert(ok == (err.text[0] == '\0'));
    if (ok)
        check(&config);
    kube_config_free(&config);
    close(fds[0]);
    close(fds[1]);
    return 0;
}
