/* A program that gives credentials (kubeconfig users[].user.exec), run beside the loop.
 *
 * It gets KUBERNETES_EXEC_INFO in its environment, and prints an ExecCredential. It may take a minute; its standard error is ours,
 * no other descriptor.
 *
 * Source: Kubernetes' documentation, "client-go credential plugins"; client.authentication.k8s.io/v1.
 */
#ifndef KUBE_EXEC_H
#define KUBE_EXEC_H

#include "base/loop.h"
#include "kube/config.h"

struct kube_exec_run;

struct kube_exec_result {
    struct str token, certificate, key; /* empty: not given; the latter two are PEM */
    int64_t expires;                    /* seconds since 1970; 0: never */
};

/* Calls `done` once, later: `result` is borrowed, NULL: it failed, and `err` says why. The run is over then, and freed. NULL: it cannot
 * be started. `config` must outlive the run. */
struct kube_exec_run *kube_exec_start(struct loop *loop, const struct kube_config *config,
                                      void (*done)(void *ctx, const struct kube_exec_result *result,
                                                   const struct error *err),
                                      void *ctx, struct error *err);
/* Kills the program, and what it has started. NULL is fine. */
void kube_exec_cancel(struct kube_exec_run *run);

#endif
