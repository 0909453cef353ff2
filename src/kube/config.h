/* Where the API server is, and who we are to it: from a kubeconfig, or from what Kubernetes gives a pod.
 *
 *     KUBECONFIG or a path that is given ─► file(s), of which the first that names a thing counts
 *     else in a pod                      ─► KUBERNETES_SERVICE_HOST/_PORT, …/serviceaccount/{token,ca.crt}
 *     else                               ─► ~/.kube/config
 *
 * Paths in a kubeconfig are relative to its folder. Where both a file and its contents are given, the contents count; a token file goes
 * before a token, and either, or a username, before a program. What cannot be honoured is an error: impersonation, and the old
 * auth-provider plug-ins, without which one would be somebody else than was meant; and what contradicts itself, as two users of one name
 * in one file do.
 *
 * Source: Kubernetes' documentation, "Organizing Cluster Access Using kubeconfig Files"; client.authentication.k8s.io.
 */
#ifndef KUBE_CONFIG_H
#define KUBE_CONFIG_H

#include "base/error.h"
#include "base/mem.h"

/* A certificate or key: a file, or its contents. Neither: none. */
struct kube_pem {
    const char *path;
    struct str data;
};

/* A program that gives credentials (users[].user.exec). */
struct kube_exec {
    const char *command; /* NULL: there is none */
    const char **args;   /* NULL-terminated; without the command */
    const char **env;    /* NULL-terminated, NAME=VALUE */
    const char *api_version;
    const char *install_hint;
    bool provide_cluster_info;
};

struct kube_config {
    struct arena arena;
    const char *source; /* "in-cluster", or the file that has the context */
    const char *server; /* URL without a slash at the end */
    const char
        *server_name;   /* by which its certificate is checked, if not by the URL's; NULL: that */
    const char *proxy;  /* NULL: as the environment says */
    struct kube_pem ca; /* none: the system's */
    bool insecure;      /* its certificate is not checked at all */
    struct kube_pem client_certificate, client_key;
    struct str token;       /* empty: none */
    const char *token_file; /* it is read again now and then; NULL: none */
    const char *username, *password;
    struct kube_exec exec;
};

/* `path` NULL: as described above. Freed with kube_config_free, on error too. */
bool kube_config_load(struct kube_config *config, const char *path, struct error *err);
void kube_config_free(struct kube_config *config);

/* Whether a token can go into a header: nothing in it would end it, or begin another. */
bool kube_token_is_sound(struct str token);

#endif
