/* The static build's: it has no cluster. */
#include "datastore/kubernetes.h"

bool kubernetes_find(struct kube_config *config, const char *path, struct error *err)
{
    *config = (struct kube_config){0};
    (void)path;
    return error_set(err,
                     "Kubernetes needs libcurl, which this build (static) cannot load; take the "
                     "dynamic one");
}

void kube_config_free(struct kube_config *config)
{
    (void)config;
}

struct kubernetes *kubernetes_open(struct loop *loop, const struct kubernetes_options *options,
                                   const struct datastore_sink *sink, struct error *err)
{
    (void)loop;
    (void)options;
    (void)sink;
    error_set(err, "there is no cluster");
    return NULL;
}

void kubernetes_close(struct kubernetes *kubernetes)
{
    (void)kubernetes;
}

struct kubernetes_stats kubernetes_stats(const struct kubernetes *kubernetes)
{
    (void)kubernetes;
    return (struct kubernetes_stats){0};
}
