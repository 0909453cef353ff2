/* felix' HTTP ports: health (/liveness, /readiness) and metrics (/metrics), each opened, moved and closed as the configuration
 * says at the moment.
 */
#ifndef CMD_FELIX_PORTS_H
#define CMD_FELIX_PORTS_H

#include "base/loop.h"
#include "calc/calc.h"
#include "cmd/felix_config.h"
#include "datastore/kubernetes.h"
#include "http/server.h"
#include "policysync/server.h"

/* What the ports tell about. The agent keeps it up to date. */
struct felix_status {
    const struct calc *calc;
    const struct feed *feed;
    const struct kubernetes *kubernetes; /* NULL: a directory is read */
    const struct psync_server *server;   /* NULL: off, or it cannot be had */
    bool in_sync;                        /* the datastore was read completely */
    bool is_held;                        /* ClusterInformation says that it is not ready */
    bool is_serving;                     /* the server is there, or nobody wants it */
    uint64_t problems, warnings;         /* in the datastore, so far */
    uint64_t flush_nanoseconds;          /* so far */
    int statm_fd;
};

void felix_status_init(struct felix_status *status);
void felix_status_close(struct felix_status *status);

struct felix_port {
    struct http_server *server; /* NULL: closed */
    char *address, *port;       /* where it is */
    struct error told;          /* why it could not be opened; empty: nothing was told */
};

struct felix_ports {
    struct felix_port health, metrics;
    struct loop *loop;
    const struct felix_config *config;
    struct felix_status *status;
    struct loop_timer retry;
};

/* All is borrowed; nothing is open yet. */
void felix_ports_init(struct felix_ports *ports, struct loop *loop,
                      const struct felix_config *config, struct felix_status *status);
/* The configuration may have changed. A port that cannot be had is reported, and tried again; the rest goes on. */
void felix_ports_apply(struct felix_ports *ports);
void felix_ports_close(struct felix_ports *ports);

#endif
