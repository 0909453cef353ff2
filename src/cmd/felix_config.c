#include "cmd/felix_config.h"

#include <fcntl.h>
#include <stdlib.h>

#include "base/disk.h"
#include "model/name.h"

enum { FILE_LIMIT = 1024 * 1024 };

typedef bool check_value(struct str value);

static bool is_boolean(struct str value);
static bool is_port(struct str value);
static bool is_severity(struct str value);
static bool is_datastore(struct str value);
static bool is_dataplane(struct str value);
static bool is_folder(struct str value);
static bool is_host(struct str value);
static bool is_anything(struct str value);
static bool is_prefixes(struct str value);

static const struct parameter {
    const char *name; /* as in FELIX_NAME and in files */
    struct str field; /* of a FelixConfiguration; empty: local sources alone can set it */
    const char *builtin;
    check_value *check;
    const char *expected;
    bool may_be_empty;
} parameters[FELIX_PARAMETERS] = {
    [FELIX_HOSTNAME] = {"FelixHostname", STR_INIT(""), "", is_host, "a host name", false},
    [FELIX_DATASTORE_TYPE] = {"DatastoreType", STR_INIT(""), "kubernetes", is_datastore,
                              "kubernetes or directory", false},
    [FELIX_DIRECTORY] = {"Directory", STR_INIT(""), "", is_anything, "a path", true},
    [FELIX_POLICY_SYNC_PATH_PREFIX] = {"PolicySyncPathPrefix", STR_INIT("policySyncPathPrefix"), "",
                                       is_folder, "an absolute path of at most 4095 bytes", true},
    [FELIX_DATAPLANE] = {"Dataplane", STR_INIT(""), "none", is_dataplane, "none", false},
    [FELIX_INTERFACE_PREFIX] = {"InterfacePrefix", STR_INIT("interfacePrefix"), "cali", is_prefixes,
                                "a list of prefixes (each at most 15 letters, digits, _ and -, "
                                "commas between them)",
                                false},
    [FELIX_LOG_SEVERITY_SCREEN] = {"LogSeverityScreen", STR_INIT("logSeverityScreen"), "INFO",
                                   is_severity, "TRACE, DEBUG, INFO, WARNING, ERROR or FATAL",
                                   true},
    [FELIX_HEALTH_ENABLED] = {"HealthEnabled", STR_INIT("healthEnabled"), "false", is_boolean,
                              "true or false", true},
    [FELIX_HEALTH_HOST] = {"HealthHost", STR_INIT("healthHost"), "localhost", is_host,
                           "an IP address or localhost", true},
    [FELIX_HEALTH_PORT] = {"HealthPort", STR_INIT("healthPort"), "9099", is_port,
                           "a port from 1 to 65535", false},
    [FELIX_METRICS_ENABLED] = {"PrometheusMetricsEnabled", STR_INIT("prometheusMetricsEnabled"),
                               "false", is_boolean, "true or false", true},
    [FELIX_METRICS_HOST] = {"PrometheusMetricsHost", STR_INIT("prometheusMetricsHost"), "", is_host,
                            "an IP address or localhost", true},
    [FELIX_METRICS_PORT] = {"PrometheusMetricsPort", STR_INIT("prometheusMetricsPort"), "9091",
                            is_port, "a port from 1 to 65535", false},
};

struct felix_config {
    char *values[FELIX_SOURCES][FELIX_PARAMETERS]; /* NULL: not set */
};

/* ---- values ---- */

static bool is_one_of(struct str value, const char *const *words, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (str_eq_nocase(value, str_from_c(words[i])))
            return true;
    }
    return false;
}

/* The words that upstream takes. */
static const char *const true_words[] = {"true", "1", "yes", "y", "t"};
static const char *const false_words[] = {"false", "0", "no", "n", "f"};

static bool is_boolean(struct str value)
{
    return is_one_of(value, true_words, 5) || is_one_of(value, false_words, 5);
}

static bool is_port(struct str value)
{
    uint64_t port;
    return str_parse_uint(value, 65535, &port) && port > 0;
}

static bool is_severity(struct str value)
{
    static const char *const words[] = {"trace", "debug", "info", "warning", "error", "fatal"};
    return is_one_of(value, words, 6);
}

static bool is_datastore(struct str value)
{
    static const char *const words[] = {"kubernetes", "directory"};
    return is_one_of(value, words, 2);
}

static bool is_dataplane(struct str value)
{
    static const char *const words[] = {"none"};
    return is_one_of(value, words, 1);
}

static bool has_control(struct str value)
{
    for (size_t i = 0; i < value.len; i++) {
        if ((unsigned char)value.ptr[i] < ' ' || value.ptr[i] == 0x7f)
            return true;
    }
    return false;
}

static bool is_folder(struct str value)
{
    return value.len > 0 && value.ptr[0] == '/' && value.len <= 4095 && !has_control(value);
}

static bool is_host(struct str value)
{
    return value.len <= 253 && name_is_of(value, "-.:_");
}

static bool is_anything(struct str value)
{
    return !has_control(value);
}

static bool is_prefixes(struct str value)
{
    struct str prefix;
    bool ok = true, more = true;
    while (ok && more) {
        more = str_cut(value, ',', &prefix, &value);
        ok = prefix.len <= 15 && name_is_of(prefix, "_-");
    }
    return ok;
}

/* ---- setting ---- */

struct felix_config *felix_config_new(void)
{
    return mem_zalloc(sizeof(struct felix_config));
}

void felix_config_free(struct felix_config *config)
{
    for (size_t source = 0; source < FELIX_SOURCES; source++) {
        for (size_t i = 0; i < FELIX_PARAMETERS; i++)
            free(config->values[source][i]);
    }
    free(config);
}

static void replace(char **place, char *value)
{
    free(*place);
    *place = value;
}

/* The word by which one turns off what a weaker source turns on. */
static bool is_none(const struct parameter *p, struct str value)
{
    return str_eq_nocase(value, STR("none")) &&
           p != &parameters[FELIX_DATAPLANE]; /* there it is a value */
}

bool felix_config_set(struct felix_config *config, enum felix_source source,
                      enum felix_parameter parameter, struct str value, struct error *err)
{
    const struct parameter *p = &parameters[parameter];
    bool is_empty = value.len == 0 || is_none(p, value);
    if (is_empty ? !p->may_be_empty : !p->check(value))
        return error_set(err, "%s: %s is not %s", p->name, quote(value).text, p->expected);
    replace(&config->values[source][parameter],
            is_empty ? mem_strndup(str_make(NULL, 0)) : mem_strndup(value));
    return true;
}

/* FELIX_PARAMETERS: nobody knows it here. */
static enum felix_parameter find_parameter(struct str name)
{
    unsigned i = 0;
    while (i < FELIX_PARAMETERS && !str_eq_nocase(name, str_from_c(parameters[i].name)))
        i++;
    return (enum felix_parameter)i;
}

bool felix_config_read_environment(struct felix_config *config, char **environment,
                                   struct error *err)
{
    for (size_t i = 0; environment[i] != NULL; i++) {
        struct str name, value;
        const struct str prefix = STR("FELIX_");
        if (!str_cut(str_from_c(environment[i]), '=', &name, &value) || name.len <= prefix.len ||
            !str_eq_nocase(str_head(name, prefix.len), prefix))
            continue;
        enum felix_parameter parameter = find_parameter(str_from(name, prefix.len));
        /* An empty variable is as good as none, as upstream has it. */
        if (parameter == FELIX_PARAMETERS || value.len == 0)
            continue;
        if (!felix_config_set(config, FELIX_ENVIRONMENT, parameter, value, err))
            return error_prefix(err, "environment");
    }
    return true;
}

static bool is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\r';
}

static struct str trim(struct str s)
{
    while (s.len > 0 && is_blank(s.ptr[0]))
        s = str_from(s, 1);
    while (s.len > 0 && is_blank(s.ptr[s.len - 1]))
        s.len--;
    return s;
}

static bool read_line(struct felix_config *config, struct str line, struct error *err)
{
    struct str name, value;
    line = trim(line);
    if (line.len == 0 || line.ptr[0] == '#' || line.ptr[0] == ';' || line.ptr[0] == '[')
        return true;
    if (!str_cut(line, '=', &name, &value))
        return error_set(err, "%s is not NAME = VALUE", quote(line).text);
    enum felix_parameter parameter = find_parameter(trim(name));
    return parameter == FELIX_PARAMETERS ||
           felix_config_set(config, FELIX_FILE, parameter, trim(value), err);
}

bool felix_config_read_file(struct felix_config *config, const char *path, struct error *err)
{
    CLEANUP_BUF struct buf text = {0};
    enum disk_result result = disk_read(AT_FDCWD, path, true, FILE_LIMIT, &text, err);
    if (result != DISK_READ)
        return result == DISK_GONE;
    struct str rest = buf_str(&text), line;
    unsigned number = 0;
    while (rest.len > 0) {
        number++;
        str_cut(rest, '\n', &line, &rest);
        if (!read_line(config, line, err))
            return error_prefix(err, "%s:%u", path, number);
    }
    return true;
}

bool felix_config_set_resource(struct felix_config *config, enum felix_source source,
                               const struct model_felix_configuration *resource)
{
    bool changed = false;
    for (unsigned i = 0; i < FELIX_PARAMETERS; i++) {
        CLEANUP_FREE char *before = mem_strndup(felix_config_get(config, (enum felix_parameter)i));
        struct str value;
        bool is_set = resource != NULL && parameters[i].field.len > 0 &&
                      labels_get(&resource->settings, parameters[i].field, &value);
        if (is_set && parameters[i].may_be_empty && is_none(&parameters[i], value))
            value.len = 0;
        replace(&config->values[source][i], is_set ? mem_strndup(value) : NULL);
        changed |= !str_eq(str_from_c(before), felix_config_get(config, (enum felix_parameter)i));
    }
    return changed;
}

/* ---- getting ---- */

enum felix_source felix_config_source(const struct felix_config *config,
                                      enum felix_parameter parameter)
{
    for (unsigned source = FELIX_SOURCES; source > 0; source--) {
        if (config->values[source - 1][parameter] != NULL)
            return (enum felix_source)(source - 1);
    }
    return FELIX_SOURCES;
}

struct str felix_config_get(const struct felix_config *config, enum felix_parameter parameter)
{
    enum felix_source source = felix_config_source(config, parameter);
    return str_from_c(source != FELIX_SOURCES ? config->values[source][parameter]
                                              : parameters[parameter].builtin);
}

bool felix_config_get_bool(const struct felix_config *config, enum felix_parameter parameter)
{
    return is_one_of(felix_config_get(config, parameter), true_words, 5);
}

enum log_level felix_config_log_level(const struct felix_config *config)
{
    struct str value = felix_config_get(config, FELIX_LOG_SEVERITY_SCREEN);
    if (str_eq_nocase(value, STR("debug")) || str_eq_nocase(value, STR("trace")))
        return LOG_DEBUG;
    if (str_eq_nocase(value, STR("info")))
        return LOG_INFO;
    /* What is worse than an error ends the program, and none at all is not to be had. */
    return str_eq_nocase(value, STR("warning")) ? LOG_WARNING : LOG_ERROR;
}
