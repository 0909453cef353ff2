/* Private to kube/client.c: a request as libcurl has it, and all that it is told of where it goes and who asks.
 */
#ifndef KUBE_HANDLE_H
#define KUBE_HANDLE_H

#include "kube/credential.h"
#include "kube/curl.h"

struct kube_handle {
    const struct kube_curl *curl;
    const struct kube_config *config;
    CURL *easy; /* NULL: it is not open */
    struct curl_slist *headers, *connect_to;
    char error[CURL_ERROR_SIZE]; /* what libcurl says went wrong */
};

/* A GET of a path with its query. `config` is borrowed, `secret` is not needed afterwards; the handle must be zero, and stay where
 * it is. False: it stays closed; a libcurl that does not take what makes the connection a safe one is an error. */
bool kube_handle_open(struct kube_handle *handle, const struct kube_curl *curl,
                      const struct kube_config *config, const char *path,
                      const struct kube_secret *secret, struct error *err);
/* It must not belong to a multi handle any more; it is zero again. */
void kube_handle_close(struct kube_handle *handle);

#endif
