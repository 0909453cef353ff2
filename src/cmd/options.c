#include "cmd/options.h"

#include <string.h>

#include "base/str.h"

static const struct option_spec *find_long(const struct option_spec *specs, size_t count,
                                           struct str name)
{
    for (size_t i = 0; i < count; i++) {
        if (str_eq(name, str_from_c(specs[i].long_name)))
            return &specs[i];
    }
    return NULL;
}

static const struct option_spec *find_short(const struct option_spec *specs, size_t count,
                                            char name)
{
    for (size_t i = 0; i < count; i++) {
        if (specs[i].short_name == name)
            return &specs[i];
    }
    return NULL;
}

/* What stands in the word behind the option's name: "=VALUE" of a long one, "VALUE" of a short one; NULL: nothing. */
static const struct option_spec *split_word(const struct option_spec *specs, size_t count,
                                            const char *word, const char **attached)
{
    *attached = NULL;
    /* Go's flags have one dash before long names too. */
    struct str name, rest;
    bool has_value = str_cut(str_from_c(word + (word[1] == '-' ? 2 : 1)), '=', &name, &rest);
    const struct option_spec *spec = find_long(specs, count, name);
    if (word[1] != '-' && spec == NULL) {
        if (word[2] != '\0')
            *attached = word + 2;
        return find_short(specs, count, word[1]);
    }
    if (has_value)
        *attached = name.ptr + name.len + 1;
    return spec;
}

bool options_parse(const struct option_spec *specs, size_t count, int first, int argc, char **argv,
                   int *words, struct error *err)
{
    *words = 0;
    for (int i = first; i < argc; i++) {
        const char *word = argv[i], *attached;
        if (strcmp(word, "--") == 0) {
            while (++i < argc)
                argv[first + (*words)++] = argv[i];
            return true;
        }
        if (word[0] != '-' || word[1] == '\0') {
            argv[first + (*words)++] = argv[i];
            continue;
        }
        const struct option_spec *spec = split_word(specs, count, word, &attached);
        if (spec == NULL)
            return error_set(err, "unknown option %s", quote(str_from_c(word)).text);
        if (spec->argument == NULL) {
            if (attached != NULL)
                return error_set(err, "option --%s takes no value", spec->long_name);
            *spec->flag = true;
            continue;
        }
        if (attached == NULL && i + 1 == argc)
            return error_set(err, "option --%s needs a value (%s)", spec->long_name,
                             spec->argument);
        *spec->value = attached != NULL ? attached : argv[++i];
    }
    return true;
}

void options_complain(const char *program, const char *message)
{
    fprintf(stderr, "%s: %s\nTry: %s --help\n", program, message, program);
}

void options_print(FILE *out, const struct option_spec *specs, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        const struct option_spec *spec = &specs[i];
        if (spec->help == NULL)
            continue;
        char short_part[5] = "    ";
        if (spec->short_name != 0)
            snprintf(short_part, sizeof(short_part), "-%c, ", spec->short_name);
        fprintf(out, "  %s--%s%s%s\n", short_part, spec->long_name,
                spec->argument != NULL ? " " : "", spec->argument != NULL ? spec->argument : "");
        struct str line, rest = str_from_c(spec->help);
        do {
            str_cut(rest, '\n', &line, &rest);
            fprintf(out, "          %.*s\n", STR_ARG(line));
        } while (rest.len > 0);
    }
}
