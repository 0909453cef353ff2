/* dikastes health: asks a server for its liveness or readiness; for probes. */
#include <stdio.h>

#include "base/mem.h"
#include "cmd/commands.h"
#include "cmd/options.h"
#include "grpc/client.h"
#include "pb/reader.h"

/* Kubernetes' default for exec probes is one second. */
enum { HEALTH_TIMEOUT = 1000 };

struct health_options {
    const char *dial;
    bool help;
};

static void print_help(const struct option_spec *specs, size_t count)
{
    puts("Usage: dikastes health liveness|readiness [OPTIONS]\n"
         "       healthz liveness|readiness [OPTIONS]\n"
         "\n"
         "Asks a running server whether it lives, or whether a policy is in force.\n"
         "\n"
         "Options:");
    options_print(stdout, specs, count);
    puts("\n"
         "Exit status: 0 healthy, 1 wrong command line, 2 nobody answers, 3 unhealthy.");
}

/* HealthCheckResponse{bool healthy = 1} */
static bool is_healthy(struct str response)
{
    struct pb_reader r = pb_reader(response);
    struct pb_field f;
    bool healthy = false;
    while (pb_next(&r, &f)) {
        if (f.number == 1)
            healthy = pb_varint(&r, &f) != 0;
    }
    return healthy && !r.failed;
}

static int ask(const char *dial, struct str method, const char *what)
{
    CLEANUP_ARENA struct arena arena = {0};
    CLEANUP_BUF struct buf response = {0};
    CLEANUP_BUF struct buf message = {0};
    struct error err;
    enum grpc_code code;
    if (!grpc_client_unary(command_socket(&arena, dial), method, STR(""), HEALTH_TIMEOUT, &code,
                           &response, &message, &err)) {
        fprintf(stderr, "dikastes health: %s\n", err.text);
        return EXIT_CANNOT_ASK;
    }
    if (code != GRPC_OK) {
        fprintf(stderr, "dikastes health: %s answers with gRPC status %d: %s\n",
                quote(str_from_c(dial)).text, code, quote(buf_str(&message)).text);
        return EXIT_CANNOT_ASK;
    }
    if (is_healthy(buf_str(&response)))
        return EXIT_DONE;
    fprintf(stderr, "dikastes health: %s: unhealthy\n", what);
    return EXIT_NO;
}

int command_health(int first, int argc, char **argv)
{
    struct health_options o = {.dial = DEFAULT_SOCKET};
    const struct option_spec specs[] = {
        {'d', "dial-path", "PATH", "socket of the server (default: " DEFAULT_SOCKET ")", &o.dial,
         NULL},
        {0, "dialPath", "PATH", NULL, &o.dial, NULL}, /* upstream's healthz calls it so */
        {'h', "help", NULL, "this text", NULL, &o.help},
    };
    const size_t count = sizeof(specs) / sizeof(specs[0]);
    struct error err;
    int words;
    if (!options_parse(specs, count, first, argc, argv, &words, &err))
        return command_usage_error("health", err.text);
    if (o.help) {
        print_help(specs, count);
        return EXIT_DONE;
    }
    if (words != 1)
        return command_usage_error("health", "say which: liveness or readiness");
    if (str_eq(str_from_c(argv[first]), STR("liveness")))
        return ask(o.dial, STR("/dikastes.Healthz/CheckLiveness"), "liveness");
    if (str_eq(str_from_c(argv[first]), STR("readiness")))
        return ask(o.dial, STR("/dikastes.Healthz/CheckReadiness"), "readiness");
    error_set(&err, "%s is neither liveness nor readiness", quote(str_from_c(argv[first])).text);
    return command_usage_error("health", err.text);
}
