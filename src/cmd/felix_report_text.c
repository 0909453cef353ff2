/* A report for people: problems first, then each endpoint with what decides about it, then the policies' rules. */
#include "base/mem.h"
#include "cmd/felix_report.h"

/* How many members of an IP set are shown. */
enum { MEMBERS_SHOWN = 8 };

static const char *string_of(const json_t *object, const char *key)
{
    const char *value = json_string_value(json_object_get(object, key));
    return value != NULL ? value : "";
}

/* Text of the datastore, without what would speak to the terminal: control characters, those beyond ASCII (U+0080 to U+009F),
 * too. */
static void print_text(const char *text, FILE *out)
{
    for (const unsigned char *c = (const unsigned char *)text; *c != '\0'; c++) {
        if (*c < ' ' || *c == 0x7f)
            fprintf(out, "\\x%02x", *c);
        else if (*c == 0xc2 && c[1] >= 0x80 && c[1] < 0xa0)
            fprintf(out, "\\u%04x", *++c);
        else
            fputc(*c, out);
    }
}

static void print_problems(const json_t *report, FILE *out)
{
    size_t index;
    json_t *problem;
    json_array_foreach (json_object_get(report, "problems"), index, problem) {
        long long line = json_integer_value(json_object_get(problem, "line"));
        print_text(string_of(problem, "file"), out);
        if (line > 0)
            fprintf(out, ":%lld", line);
        fprintf(out, ": %s: ", string_of(problem, "severity"));
        print_text(string_of(problem, "message"), out);
        fputc('\n', out);
    }
    if (index > 0)
        fputc('\n', out);
}

/* "a, b, c" */
static void print_list(const json_t *list, FILE *out)
{
    size_t index;
    json_t *item;
    json_array_foreach (list, index, item) {
        fputs(index > 0 ? ", " : "", out);
        if (json_is_string(item))
            print_text(json_string_value(item), out);
        else
            json_dumpf(item, out, JSON_ENCODE_ANY | JSON_COMPACT);
    }
}

static void print_tier(const json_t *tier, FILE *out)
{
    static const char *const directions[] = {"ingress", "egress"};
    fputs("  tier ", out);
    print_text(string_of(tier, "name"), out);
    fprintf(out, ", else %s\n", string_of(tier, "default"));
    for (size_t i = 0; i < 2; i++) {
        size_t index;
        json_t *policy;
        json_array_foreach (json_object_get(tier, directions[i]), index, policy) {
            fprintf(out, "    %-8s ", index == 0 ? directions[i] : "");
            print_text(json_string_value(policy), out);
            fputc('\n', out);
        }
    }
}

static void print_endpoint(const char *name, const json_t *endpoint, FILE *out)
{
    size_t index;
    json_t *tier;
    print_text(name, out);
    fputs("  ", out);
    print_list(json_object_get(endpoint, "addresses"), out);
    fputc('\n', out);
    json_array_foreach (json_object_get(endpoint, "tiers"), index, tier) {
        print_tier(tier, out);
    }
    if (index == 0)
        fputs("  no policy\n", out);
    fputs("  profiles ", out);
    print_list(json_object_get(endpoint, "profiles"), out);
    fputs("\n\n", out);
}

static void print_no_endpoints(const json_t *no_endpoints, FILE *out)
{
    const char *name;
    json_t *reason;
    json_object_foreach ((json_t *)no_endpoints, name, reason) {
        print_text(name, out);
        fprintf(out, "  no endpoint: %s\n", json_string_value(reason));
    }
    if (json_object_size(no_endpoints) > 0)
        fputc('\n', out);
}

/* What a rule says, as KEY VALUE, one behind the other. */
static void print_fields(const json_t *object, const char *prefix, FILE *out)
{
    const char *key;
    json_t *value;
    json_object_foreach ((json_t *)object, key, value) {
        if (strcmp(key, "action") == 0 || json_is_object(value))
            continue;
        fprintf(out, "  %s%s ", prefix, key);
        if (json_is_array(value))
            print_list(value, out);
        else if (json_is_string(value))
            print_text(json_string_value(value), out);
        else
            json_dumpf(value, out, JSON_ENCODE_ANY | JSON_COMPACT);
    }
}

static void print_rules(const json_t *content, const char *direction, FILE *out)
{
    size_t index;
    json_t *rule;
    json_array_foreach (json_object_get(content, direction), index, rule) {
        fprintf(out, "  %-7s %zu  %s", direction, index, string_of(rule, "action"));
        print_fields(rule, "", out);
        print_fields(json_object_get(rule, "source"), "from ", out);
        print_fields(json_object_get(rule, "destination"), "to ", out);
        fputc('\n', out);
    }
}

static void print_contents(const json_t *report, const char *section, FILE *out)
{
    const char *name;
    json_t *content;
    json_object_foreach (json_object_get(report, section), name, content) {
        print_text(name, out);
        if (json_object_get(content, "selector") != NULL) {
            fputs("  for ", out);
            print_text(string_of(content, "selector"), out);
        }
        fputc('\n', out);
        print_rules(content, "ingress", out);
        print_rules(content, "egress", out);
        fputc('\n', out);
    }
}

static void print_set(const char *id, const json_t *set, FILE *out)
{
    const json_t *members = json_object_get(set, "members");
    size_t count = json_array_size(members);
    print_text(id, out);
    fprintf(out, "  %s, %zu members\n  ", string_of(set, "type"), count);
    for (size_t i = 0; i < count && i < MEMBERS_SHOWN; i++)
        fprintf(out, "%s%s", i > 0 ? " " : "", json_string_value(json_array_get(members, i)));
    fputs(count > MEMBERS_SHOWN ? " …\n" : "\n", out);
}

void felix_report_print(const json_t *report, FILE *out)
{
    const char *name;
    json_t *value;
    print_problems(report, out);
    json_object_foreach (json_object_get(report, "endpoints"), name, value) {
        print_endpoint(name, value, out);
    }
    print_no_endpoints(json_object_get(report, "noEndpoints"), out);
    print_contents(report, "policies", out);
    print_contents(report, "profiles", out);
    json_object_foreach (json_object_get(report, "ipSets"), name, value) {
        print_set(name, value, out);
    }
    size_t errors = felix_report_errors(report);
    size_t warnings = json_array_size(json_object_get(report, "problems")) - errors;
    fprintf(out, "%s%zu endpoints, %zu policies that select them; %zu errors, %zu warnings\n",
            json_object_size(json_object_get(report, "ipSets")) > 0 ? "\n" : "",
            json_object_size(json_object_get(report, "endpoints")),
            json_object_size(json_object_get(report, "policies")), errors, warnings);
}
