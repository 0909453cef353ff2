/* libcurl, loaded when a cluster is asked for and not before: a sidecar or a node agent that reads a directory does without the dozen
 * libraries that it brings.
 *
 * Where programs cannot load libraries (the static build) there is none, and the error says so.
 *
 * Threads: load it before threads are started.
 */
#ifndef KUBE_CURL_H
#define KUBE_CURL_H

#include <curl/curl.h>

#include "base/error.h"

/* The functions that are used, under their own names without `curl_`. */
struct kube_curl {
    __typeof__(curl_global_init) *global_init;
    __typeof__(curl_easy_init) *easy_init;
    __typeof__(curl_easy_setopt) *easy_setopt;
    __typeof__(curl_easy_getinfo) *easy_getinfo;
    __typeof__(curl_easy_pause) *easy_pause;
    __typeof__(curl_easy_cleanup) *easy_cleanup;
    __typeof__(curl_easy_strerror) *easy_strerror;
    __typeof__(curl_multi_init) *multi_init;
    __typeof__(curl_multi_setopt) *multi_setopt;
    __typeof__(curl_multi_add_handle) *multi_add_handle;
    __typeof__(curl_multi_remove_handle) *multi_remove_handle;
    __typeof__(curl_multi_socket_action) *multi_socket_action;
    __typeof__(curl_multi_assign) *multi_assign;
    __typeof__(curl_multi_info_read) *multi_info_read;
    __typeof__(curl_multi_cleanup) *multi_cleanup;
    __typeof__(curl_multi_strerror) *multi_strerror;
    __typeof__(curl_slist_append) *slist_append;
    __typeof__(curl_slist_free_all) *slist_free_all;
};

/* NULL: it cannot be loaded. The table lives as long as the program. */
const struct kube_curl *kube_curl_load(struct error *err);

#endif
