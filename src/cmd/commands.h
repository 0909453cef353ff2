/* The subcommands of dikastes. Each parses its own options (argv[first] on) and returns the program's exit status.
 */
#ifndef CMD_COMMANDS_H
#define CMD_COMMANDS_H

#include "base/mem.h"

/* Exit statuses. */
enum {
    EXIT_DONE = 0,
    EXIT_USAGE = 1,      /* wrong command line, or it cannot start */
    EXIT_CANNOT_ASK = 2, /* health: nobody answers */
    EXIT_NO = 3,         /* health: unhealthy; client: denied */
};

#define DEFAULT_SOCKET "/var/run/dikastes/dikastes.sock"

int command_server(int first, int argc, char **argv);
int command_client(int first, int argc, char **argv);
int command_health(int first, int argc, char **argv);

/* What to dial for the socket that the user names: a path, which may be a mere file name. */
struct str command_socket(struct arena *arena, const char *path);

/* "dikastes SUBCOMMAND: message" and a pointer to --help, on standard error. Returns EXIT_USAGE. */
int command_usage_error(const char *command, const char *message);

#endif
