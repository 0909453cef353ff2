/* csi-driver: Kubernetes' CSI driver csi.tigera.io, which gives a pod the folder with the node agent's socket. This file is the
 * command line and the process; node/csi.h is what it answers. */
#include <linux/capability.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/listen.h"
#include "base/loop.h"
#include "cmd/options.h"
#include "cmd/privileges.h"
#include "cmd/signals.h"
#include "cmd/standard_files.h"
#include "node/config.h"
#include "node/csi.h"
#include "node/stale.h"

enum { EXIT_STOPPED = 0, EXIT_CANNOT = 1, EXIT_BAD_USAGE = 2 };

#define CONFIG_FILE      "/etc/calico/csi/nodeagent.json"
#define DEFAULT_ENDPOINT "/csi/csi.sock"
#define DEFAULT_KUBELET  "/var/lib/kubelet"

/* How long calls in flight may take to end after SIGTERM, in milliseconds. */
enum { DRAIN_PATIENCE = 5000 };

struct csi_options {
    const char *endpoint, *node_id, *log_level, *config, *kubelet;
    bool help, version;
};

struct process {
    struct loop *loop;
    struct signals signals;
    struct grpc_server *server;
    struct csi_driver driver;
    struct grpc_method methods[CSI_METHODS];
    bool draining;
};

/* ---- stopping ---- */

static void on_drained(void *ctx)
{
    const struct process *p = ctx;
    loop_stop(p->loop);
}

static void on_signal(void *ctx, const char *name)
{
    struct process *p = ctx;
    if (p->draining) {
        log_message(LOG_WARNING, "Asked to stop a second time: stopping at once");
        loop_stop(p->loop);
        return;
    }
    p->draining = true;
    log_event(LOG_INFO, "Stopping", LOG_C("reason", name));
    grpc_server_drain(p->server, DRAIN_PATIENCE, on_drained, p);
}

/* ---- serving ---- */

/* That it cannot be done does not keep new pods from their volumes. */
static void clean_up(const struct process *p, const char *kubelet)
{
    struct stale_count count;
    struct error err;
    if (stale_clean(&p->driver.homes, kubelet, &count, &err))
        log_event(LOG_INFO, "Looked for stale volumes", LOG_INT("mounts_removed", count.mounts),
                  LOG_INT("volumes_removed", count.volumes), LOG_INT("doubtful", count.doubtful));
    else
        log_event(LOG_WARNING, "Cannot look for stale volumes", LOG_C("problem", err.text));
}

static bool serve(struct process *p, int listen_fd, const char *kubelet, struct error *err)
{
    clean_up(p, kubelet);
    csi_list_methods(&p->driver, p->methods);
    p->server = grpc_server_new(p->loop, listen_fd, p->methods, CSI_METHODS, err);
    if (p->server == NULL)
        return false;
    grpc_server_allow_path_authority(p->server);
    log_event(LOG_INFO, "Serving", LOG_C("driver", CSI_DRIVER_NAME),
              LOG_STR("node", p->driver.node_id), LOG_C("workloads", p->driver.homes.workloads),
              LOG_C("credentials", p->driver.homes.credentials), LOG_C("version", DIKAST_VERSION));
    loop_run(p->loop);
    grpc_server_free(p->server);
    return true;
}

static bool run(struct process *p, const char *endpoint, const char *kubelet, struct error *err)
{
    const uint64_t mounting = UINT64_C(1) << CAP_SYS_ADMIN;
    struct listen_socket listener;
    /* What is made has the modes that it is asked to have, whoever started this. */
    umask(0022);
    p->signals.watch.fd = -1;
    p->loop = loop_new(err);
    bool ok = p->loop != NULL && signals_start(&p->signals, p->loop, on_signal, p, err) &&
              privileges_keep(mounting, err);
    /* Only root may connect: whoever does can have any volume for any pod. Calls wait in the socket's queue until what is stale
     * has gone. */
    if (ok && listen_unix(endpoint, 0700, &listener, err)) {
        ok = serve(p, listener.fd, kubelet, err);
        listen_remove(endpoint, &listener);
    } else {
        ok = false;
    }
    signals_stop(&p->signals);
    loop_free(p->loop);
    return ok;
}

/* ---- the command line ---- */

static void print_help(const struct option_spec *specs, size_t count)
{
    puts("Usage: csi-driver [OPTIONS]\n"
         "\n"
         "The CSI driver " CSI_DRIVER_NAME
         ": gives a pod the folder with the node agent's socket, as "
         "an\n"
         "ephemeral volume. kubelet asks it for that over gRPC, on a unix socket.\n"
         "\n"
         "Options:");
    options_print(stdout, specs, count);
    puts("\n"
         "In a pod:\n"
         "  volumes: [{name: felix-sync, csi: {driver: " CSI_DRIVER_NAME "}}]\n"
         "\n"
         "It must be root, and needs CAP_SYS_ADMIN; all other capabilities it gives up.\n"
         "SIGTERM and SIGINT stop it: what is in flight is answered first.\n"
         "Exit status: 0 stopped by a signal, 1 it could not start, 2 wrong command line.");
}

static int usage_error(const char *message)
{
    options_complain("csi-driver", message);
    return EXIT_BAD_USAGE;
}

/* A path, which CSI's other programs write as unix:PATH or unix://PATH. */
static const char *endpoint_path(struct arena *arena, struct str endpoint)
{
    static const struct str starts[] = {STR_INIT("unix://"), STR_INIT("unix:")};
    for (size_t i = 0; i < sizeof(starts) / sizeof(starts[0]); i++) {
        if (str_starts_with(endpoint, starts[i]))
            return arena_copy(arena, str_from(endpoint, starts[i].len)).ptr;
    }
    return arena_copy(arena, endpoint).ptr;
}

static bool choose_node_id(struct arena *arena, struct str *node_id, struct error *err)
{
    char name[256] = "";
    if (node_id->len == 0) {
        if (gethostname(name, sizeof(name) - 1) != 0)
            return error_set(err, "cannot find out the name of this machine; give it by --nodeid");
        *node_id = arena_copy(arena, str_from_c(name));
    }
    return csi_check_node_id(*node_id, err) || error_prefix(err, "--nodeid");
}

/* The command line is stronger than the file. */
static bool merge(struct arena *arena, const struct csi_options *o, struct node_config *config,
                  struct error *err)
{
    const char *file = o->config != NULL ? o->config : CONFIG_FILE;
    if (!node_config_read(file, o->config != NULL, arena, config, err))
        return false;
    if (o->log_level != NULL && !log_parse_level(str_from_c(o->log_level), &config->log_level))
        return error_set(err, "--loglevel: %s is not debug, info, warning or error",
                         quote(str_from_c(o->log_level)).text);
    if (o->endpoint != NULL)
        config->endpoint = str_from_c(o->endpoint);
    if (config->endpoint.len == 0)
        config->endpoint = STR(DEFAULT_ENDPOINT);
    if (o->node_id != NULL)
        config->node_id = str_from_c(o->node_id);
    return choose_node_id(arena, &config->node_id, err);
}

static int start(const struct csi_options *o)
{
    CLEANUP_ARENA struct arena arena = {0};
    struct node_config config;
    struct process p = {0};
    struct error err;
    if (!merge(&arena, o, &config, &err))
        return usage_error(err.text);
    log_set_level(config.log_level);
    p.driver = (struct csi_driver){config.homes, config.node_id};
    if (run(&p, endpoint_path(&arena, config.endpoint), o->kubelet, &err))
        return EXIT_STOPPED;
    log_event(LOG_ERROR, "Cannot serve", LOG_C("problem", err.text));
    return EXIT_CANNOT;
}

int main(int argc, char **argv)
{
    struct csi_options o = {.kubelet = DEFAULT_KUBELET};
    const struct option_spec specs[] = {
        {0, "endpoint", "PATH",
         "unix socket on which kubelet calls, also as unix:PATH\n"
         "(default: " DEFAULT_ENDPOINT ")",
         &o.endpoint, NULL},
        {0, "nodeid", "ID", "what this node is called (default: the machine's name)", &o.node_id,
         NULL},
        {0, "loglevel", "LEVEL", "debug, info, warning or error (default: warning)", &o.log_level,
         NULL},
        {0, "config", "FILE", "configuration (default: " CONFIG_FILE ",\nwhich need not exist)",
         &o.config, NULL},
        {0, "kubelet-dir", "DIR",
         "kubelet's folder, in which volumes of pods that are gone are looked for at the start\n"
         "(default: " DEFAULT_KUBELET ")",
         &o.kubelet, NULL},
        {'h', "help", NULL, "this text", NULL, &o.help},
        {0, "version", NULL, "the version", NULL, &o.version},
    };
    const size_t count = sizeof(specs) / sizeof(specs[0]);
    struct error err;
    int words;
    if (!standard_files_open())
        return EXIT_CANNOT;
    if (!options_parse(specs, count, 1, argc, argv, &words, &err))
        return usage_error(err.text);
    if (o.help) {
        print_help(specs, count);
        return EXIT_STOPPED;
    }
    if (o.version) {
        puts("csi-driver " DIKAST_VERSION);
        return EXIT_STOPPED;
    }
    if (words > 0) {
        error_set(&err, "unexpected word %s", quote(str_from_c(argv[1])).text);
        return usage_error(err.text);
    }
    return start(&o);
}
