/* dikastes: answers Envoy's question "may this request pass?" by network policy. This file is the command line's first word; each
 * subcommand has its own file. */
#include <stdio.h>
#include <string.h>

#include "base/str.h"
#include "cmd/commands.h"
#include "cmd/options.h"
#include "cmd/standard_files.h"

static const struct {
    const char *name;
    int (*run)(int first, int argc, char **argv);
} commands[] = {
    {"server", command_server},
    {"client", command_client},
    {"health", command_health},
};

static const char help_text[] =
    "dikastes judges the requests of an Envoy sidecar by Kubernetes and Calico network policy.\n"
    "\n"
    "Usage:\n"
    "  dikastes server [-l SOCKET] [-d TARGET] [OPTIONS]    serve Envoy's authorization calls\n"
    "  dikastes client NAMESPACE ACCOUNT [OPTIONS]          ask a server about one request\n"
    "  dikastes health liveness|readiness [OPTIONS]         ask a server how it is\n"
    "  dikastes COMMAND --help                              all about one command\n"
    "  dikastes --version\n"
    "\n"
    "Try it without Kubernetes: put resources into a folder and run\n"
    "  dikastes server -l /tmp/d.sock -d directory:FOLDER --workload default/web\n"
    "  dikastes client default customer -d /tmp/d.sock --method GET --path / --from-ip 10.0.0.1\n";

struct str command_socket(struct arena *arena, const char *path)
{
    bool is_file_name = path[0] != '\0' && strpbrk(path, "/:") == NULL;
    return is_file_name ? arena_printf(arena, "./%s", path) : str_from_c(path);
}

int command_usage_error(const char *command, const char *message)
{
    char program[64];
    snprintf(program, sizeof(program), "dikastes %s", command);
    options_complain(program, message);
    return EXIT_USAGE;
}

/* Installed under the name healthz, the program is `dikastes health`. */
static bool is_healthz(const char *program)
{
    const char *slash = strrchr(program, '/');
    return strcmp(slash != NULL ? slash + 1 : program, "healthz") == 0;
}

int main(int argc, char **argv)
{
    if (!standard_files_open())
        return EXIT_USAGE;
    if (argc > 0 && is_healthz(argv[0]))
        return command_health(1, argc, argv);
    if (argc < 2) {
        fputs(help_text, stderr);
        return EXIT_USAGE;
    }
    if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0) {
        fputs(help_text, stdout);
        return EXIT_DONE;
    }
    if (strcmp(argv[1], "--version") == 0) {
        puts("dikastes " DIKAST_VERSION);
        return EXIT_DONE;
    }
    for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++) {
        if (strcmp(argv[1], commands[i].name) == 0)
            return commands[i].run(2, argc, argv);
    }
    fprintf(stderr, "dikastes: unknown command %s\n\n%s", quote(str_from_c(argv[1])).text,
            help_text);
    return EXIT_USAGE;
}
