/* felix: the node agent. This file is its command line. */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "cmd/felix_agent.h"
#include "cmd/felix_check.h"
#include "cmd/options.h"
#include "cmd/standard_files.h"

enum { EXIT_STOPPED = 0, EXIT_CANNOT = 1, EXIT_BAD_USAGE = 2 };

#define DEFAULT_CONFIG_FILE "/etc/calico/felix.cfg"

struct felix_options {
    const char *datastore, *directory, *node, *prefix, *dataplane, *config_file, *log_level,
        *log_format;
    bool help, version;
};

static void print_help(const struct option_spec *specs, size_t count)
{
    puts(
        "Usage: felix [OPTIONS]\n"
        "       felix check DIRECTORY [-o text|json] [--node NAME]\n"
        "\n"
        "The node agent: reads Kubernetes' and Calico's resources, works out what each pod of this "
        "node needs,\n"
        "and tells the pods' sidecars (dikastes) over the Policy Sync API, on a socket for each "
        "pod.\n"
        "\n"
        "Options:");
    options_print(stdout, specs, count);
    puts("\n"
         "Each is also a variable of the environment or a line of the file, as with upstream's "
         "program: FELIX_DATASTORETYPE,\n"
         "FELIX_DIRECTORY, FELIX_FELIXHOSTNAME, FELIX_POLICYSYNCPATHPREFIX, FELIX_DATAPLANE, "
         "FELIX_INTERFACEPREFIX,\n"
         "FELIX_LOGSEVERITYSCREEN, FELIX_HEALTHENABLED, FELIX_HEALTHHOST, FELIX_HEALTHPORT,\n"
         "FELIX_PROMETHEUSMETRICSENABLED, FELIX_PROMETHEUSMETRICSHOST, "
         "FELIX_PROMETHEUSMETRICSPORT. The command line\n"
         "counts before the environment, that before the file. What is set in none of them comes "
         "from the FelixConfigurations: node.NAME, one "
         "whose nodeSelector selects\n"
         "the node, default; then it may change while felix runs.\n"
         "\n"
         "Try it without Kubernetes: put resources into a folder and run\n"
         "  felix check FOLDER\n"
         "  felix --directory FOLDER --node node-1 --policy-sync-prefix /tmp/nodeagent\n"
         "\n"
         "Exit status: 0 stopped by a signal, 1 it could not start, 2 wrong command line.");
}

static int usage_error(const char *message)
{
    options_complain("felix", message);
    return EXIT_BAD_USAGE;
}

/* An empty value is most likely a variable of a shell that is not set: without it another folder or cluster would be read. */
static bool set_option(struct felix_config *config, enum felix_parameter parameter,
                       const char *option, const char *value, struct error *err)
{
    if (value != NULL && value[0] == '\0' && parameter != FELIX_POLICY_SYNC_PATH_PREFIX)
        return error_set(err, "--%s: the value is empty", option);
    return value == NULL ||
           felix_config_set(config, FELIX_COMMAND_LINE, parameter, str_from_c(value), err) ||
           error_prefix(err, "--%s", option);
}

static bool set_options(struct felix_config *config, const struct felix_options *o,
                        struct error *err)
{
    enum log_format format;
    if (!log_parse_format(str_from_c(o->log_format), &format))
        return error_set(err, "--log-format: %s is not logfmt or json",
                         quote(str_from_c(o->log_format)).text);
    log_set_format(format);
    return set_option(config, FELIX_DATASTORE_TYPE, "datastore", o->datastore, err) &&
           set_option(config, FELIX_DIRECTORY, "directory", o->directory, err) &&
           set_option(config, FELIX_HOSTNAME, "node", o->node, err) &&
           set_option(config, FELIX_POLICY_SYNC_PATH_PREFIX, "policy-sync-prefix", o->prefix,
                      err) &&
           set_option(config, FELIX_DATAPLANE, "dataplane", o->dataplane, err) &&
           set_option(config, FELIX_LOG_SEVERITY_SCREEN, "log-level", o->log_level, err);
}

/* A node that nobody named has the name of the machine, in small letters, as Kubernetes has it. */
static bool default_node(struct felix_config *config, struct error *err)
{
    char name[256] = "";
    if (felix_config_get(config, FELIX_HOSTNAME).len > 0)
        return true;
    if (gethostname(name, sizeof(name) - 1) != 0)
        return error_set(err, "cannot find out the name of this machine; give it by --node");
    for (char *c = name; *c != '\0'; c++)
        *c = str_lower(*c);
    return felix_config_set(config, FELIX_FILE, FELIX_HOSTNAME, str_from_c(name), err) ||
           error_prefix(err, "the name of this machine");
}

/* --directory says what is meant. */
static bool default_datastore(struct felix_config *config, struct error *err)
{
    struct str directory = felix_config_get(config, FELIX_DIRECTORY);
    if (directory.len > 0 && felix_config_source(config, FELIX_DATASTORE_TYPE) == FELIX_SOURCES)
        return felix_config_set(config, FELIX_FILE, FELIX_DATASTORE_TYPE, STR("directory"), err);
    bool is_directory =
        str_eq_nocase(felix_config_get(config, FELIX_DATASTORE_TYPE), STR("directory"));
    if (is_directory == (directory.len > 0))
        return true;
    return error_set(err, is_directory ? "the datastore `directory` needs --directory DIR"
                                       : "--directory is for the datastore `directory`; with "
                                         "`kubernetes` it would not be read");
}

static bool read_config(struct felix_config *config, const struct felix_options *o,
                        struct error *err)
{
    const char *file = o->config_file != NULL ? o->config_file : DEFAULT_CONFIG_FILE;
    if (o->config_file != NULL && access(o->config_file, F_OK) != 0)
        return error_set(err, "--config-file: %s is not there",
                         quote(str_from_c(o->config_file)).text);
    if (!felix_config_read_file(config, file, err) ||
        !felix_config_read_environment(config, environ, err) || !set_options(config, o, err) ||
        !default_node(config, err) || !default_datastore(config, err))
        return false;
    log_set_level(felix_config_log_level(config));
    return true;
}

static int run(const struct felix_options *o)
{
    struct error err;
    struct felix_config *config = felix_config_new();
    int status = EXIT_STOPPED;
    if (!read_config(config, o, &err)) {
        status = usage_error(err.text);
    } else if (!felix_agent_run(config, &err)) {
        log_event(LOG_ERROR, "Felix cannot run", LOG_C("problem", err.text));
        status = EXIT_CANNOT;
    }
    felix_config_free(config);
    return status;
}

int main(int argc, char **argv)
{
    struct felix_options o = {.log_format = "logfmt"};
    const struct option_spec specs[] = {
        {0, "datastore", "TYPE", "kubernetes, or directory (the default if --directory is given)",
         &o.datastore, NULL},
        {0, "directory", "DIR",
         "a folder of YAML and JSON files with Kubernetes and Calico resources, which is watched",
         &o.directory, NULL},
        {0, "node", "NAME", "this node's name (default: the machine's)", &o.node, NULL},
        {0, "policy-sync-prefix", "P",
         "serve the sidecars under P: sockets P/mount/NAME/socket for files P/creds/NAME.json\n"
         "(default: policySyncPathPrefix of the FelixConfiguration; empty: off)",
         &o.prefix, NULL},
        {0, "dataplane", "KIND", "none: no policy is put into the kernel", &o.dataplane, NULL},
        {'c', "config-file", "FILE",
         "lines NAME = VALUE (default: " DEFAULT_CONFIG_FILE ", if it is there)", &o.config_file,
         NULL},
        {0, "log-level", "LEVEL", "debug, info, warning or error (default: info)", &o.log_level,
         NULL},
        {0, "log-format", "FORMAT", "logfmt or json (default: logfmt)", &o.log_format, NULL},
        {'h', "help", NULL, "this text", NULL, &o.help},
        {0, "version", NULL, "the version", NULL, &o.version},
    };
    const size_t count = sizeof(specs) / sizeof(specs[0]);
    struct error err;
    int words;
    if (!standard_files_open())
        return EXIT_CANNOT;
    if (argc > 1 && strcmp(argv[1], "check") == 0)
        return felix_check(2, argc, argv);
    if (!options_parse(specs, count, 1, argc, argv, &words, &err))
        return usage_error(err.text);
    if (o.help) {
        print_help(specs, count);
        return EXIT_STOPPED;
    }
    if (o.version) {
        puts("felix " DIKAST_VERSION);
        return EXIT_STOPPED;
    }
    if (words > 0) {
        error_set(&err, "unexpected word %s (the one command is `check`)",
                  quote(str_from_c(argv[1])).text);
        return usage_error(err.text);
    }
    return run(&o);
}
