/* Command-line options, from a table: `-l VALUE`, `-lVALUE`, `--listen VALUE`, `--listen=VALUE`, `--debug`,
 * long names with one dash, as Go's programs take them, and `--` before words that begin with a dash.
 */
#ifndef CMD_OPTIONS_H
#define CMD_OPTIONS_H

#include <stdio.h>

#include "base/error.h"

struct option_spec {
    char short_name; /* 0: none */
    const char *long_name;
    const char *argument; /* what --help calls the value; NULL: a flag without one */
    const char *help;     /* one or more lines, divided by \n; NULL: a second name, not shown */
    const char **value;   /* of options with a value; its default is what it holds before */
    bool *flag;           /* of flags */
};

/* Reads argv[first…]. Words that are no options are gathered at the front of argv (argv[first] on); *words gets their number. */
bool options_parse(const struct option_spec *specs, size_t count, int first, int argc, char **argv,
                   int *words, struct error *err);

/* "PROGRAM: message" and a pointer to --help, on standard error; a program's subcommand belongs to its name. */
void options_complain(const char *program, const char *message);

/* The table as --help shows it. */
void options_print(FILE *out, const struct option_spec *specs, size_t count);

#endif
