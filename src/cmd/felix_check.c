#include "cmd/felix_check.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "calc/calc.h"
#include "cmd/felix_report.h"
#include "cmd/felix_settings.h"
#include "cmd/options.h"
#include "datastore/directory.h"

enum { STATUS_SOUND = 0, STATUS_WRONG = 1, STATUS_USAGE = 2 };

struct check {
    struct calc *calc;
    json_t *report;
    struct felix_settings settings; /* of the node that is asked for; of all nodes, if none is */
};

static void on_message(void *ctx, const struct psync_message *message)
{
    felix_report_message(((struct check *)ctx)->report, message);
}

static void ignore(void *ctx)
{
    (void)ctx;
}

static void note_no_endpoint(struct check *check, const struct model_resource *resource)
{
    const struct model_endpoint *endpoint = &resource->endpoint;
    if (resource->key.kind != MODEL_POD && resource->key.kind != MODEL_WORKLOAD_ENDPOINT)
        return;
    if (endpoint->presence == MODEL_LIVE || endpoint->presence == MODEL_UNREADABLE)
        return;
    if (check->settings.node.len == 0 || str_eq(check->settings.node, endpoint->node))
        felix_report_no_endpoint(check->report, resource);
}

static void on_update(void *ctx, struct model_resource *resource)
{
    struct check *check = ctx;
    note_no_endpoint(check, resource);
    if (felix_settings_are(resource->key.kind))
        felix_settings_put(&check->settings, resource);
    else
        calc_update(check->calc, resource);
}

static void on_remove(void *ctx, const struct model_key *key)
{
    struct check *check = ctx;
    if (felix_settings_are(key->kind))
        felix_settings_remove(&check->settings, key);
    else
        calc_remove(check->calc, key);
}

static void on_problem(void *ctx, const struct datastore_problem *problem)
{
    felix_report_problem(((struct check *)ctx)->report, problem);
}

/* What FelixConfigurations change of what endpoints are told. */
static void apply_settings(struct check *check)
{
    struct felix_config *config = felix_config_new();
    struct str prefix, others;
    felix_settings_apply(&check->settings, config);
    str_cut(felix_config_get(config, FELIX_INTERFACE_PREFIX), ',', &prefix, &others);
    calc_set_interface_prefix(check->calc, prefix);
    felix_config_free(config);
}

static bool read_directory(struct check *check, const char *path, struct error *err)
{
    const struct datastore_sink sink = {on_update, on_remove, ignore, ignore, on_problem, check};
    struct loop *loop = loop_new(err);
    if (loop == NULL)
        return false;
    struct directory *directory = directory_open(loop, path, &sink, err);
    if (directory != NULL) {
        apply_settings(check);
        calc_set_in_sync(check->calc); /* though a file may be busy: that is reported */
        calc_flush(check->calc, &(struct psync_sink){on_message, ignore, check});
    }
    directory_close(directory);
    loop_free(loop);
    return directory != NULL;
}

static void print_help(const struct option_spec *specs, size_t count)
{
    puts("Usage: felix check DIRECTORY [OPTIONS]\n"
         "\n"
         "Reads a directory of resources, says what is wrong in it, and shows what each endpoint "
         "would be told:\n"
         "its policies in order, their rules, and the IP sets that these need.\n"
         "\n"
         "Options:");
    options_print(stdout, specs, count);
    puts(
        "\n"
        "Exit status: 0 nothing is wrong, 1 something is, or the directory cannot be read, 2 wrong "
        "command line.");
}

static int check_directory(const char *path, const char *node, bool json)
{
    struct error err;
    const struct endpoints_scope scope = {.node = str_from_c(node)};
    struct check check = {calc_new(&scope), felix_report_new(), {.node = scope.node}};
    int status = STATUS_WRONG;
    /* What is wrong stands in the report; the log has what the calculation wonders at. */
    log_set_level(LOG_WARNING);
    if (!read_directory(&check, path, &err)) {
        fprintf(stderr, "felix check: %s\n", err.text);
    } else {
        status = felix_report_errors(check.report) > 0 ? STATUS_WRONG : STATUS_SOUND;
        if (json)
            json_dumpf(check.report, stdout, JSON_INDENT(2) | JSON_SORT_KEYS);
        else
            felix_report_print(check.report, stdout);
        if (json)
            putchar('\n');
        if (fflush(stdout) != 0 || ferror(stdout)) {
            fprintf(stderr, "felix check: cannot write the report: %s\n", strerror(errno));
            status = STATUS_WRONG;
        }
    }
    json_decref(check.report);
    calc_free(check.calc);
    felix_settings_free(&check.settings);
    return status;
}

int felix_check(int first, int argc, char **argv)
{
    const char *output = "text", *node = NULL;
    bool help = false;
    const struct option_spec specs[] = {
        {'o', "output", "FORMAT", "text or json (default: text)", &output, NULL},
        {0, "node", "NAME", "only the endpoints of this node", &node, NULL},
        {'h', "help", NULL, "this text", NULL, &help},
    };
    const size_t count = sizeof(specs) / sizeof(specs[0]);
    struct error err;
    int words = 0;
    bool ok = options_parse(specs, count, first, argc, argv, &words, &err);
    if (ok && help) {
        print_help(specs, count);
        return STATUS_SOUND;
    }
    bool json = strcmp(output, "json") == 0;
    if (ok && !json && strcmp(output, "text") != 0)
        ok = error_set(&err, "--output: %s is not text or json", quote(str_from_c(output)).text);
    if (ok && node != NULL && node[0] == '\0')
        ok = error_set(&err, "--node: the value is empty");
    if (ok && words != 1)
        ok = error_set(&err, words == 0 ? "which directory?" : "one directory at a time");
    if (ok)
        return check_directory(argv[first], node, json);
    options_complain("felix check", err.text);
    return STATUS_USAGE;
}
