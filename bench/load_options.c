#include "load_options.h"

#include <err.h>
#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

enum { CALLS_LIMIT = 20 * 1000 * 1000 };

static const char usage[] =
    "Usage: load --socket PATH --message FILE [OPTIONS]\n"
    "\n"
    "  --socket PATH      the server's unix socket\n"
    "  --message FILE     the bytes of a CheckRequest, at most 64,000\n"
    "  --in-flight N      calls at once, over all connections (default 1)\n"
    "  --connections N    (default 1)\n"
    "  --calls N          ends after so many (default 1,000,000)\n"
    "  --seconds S        ends after so long (default 10)\n"
    "  --rate R           starts R calls a second, however fast the answers come; --in-flight\n"
    "                     is then the most that may be missing (default 10,000)\n"
    "  --wait S           how long to wait for the server to listen (default 0)\n"
    "  --method PATH      what to call (default: /envoy.service.auth.v3.Authorization/Check)\n";

static void read_message_file(struct buf *message, const char *path)
{
    enum { MESSAGE_LIMIT = 64000 };
    FILE *file = fopen(path, "rb");
    if (file == NULL)
        err(2, "%s", path);
    char *place = buf_reserve(message, 5 + MESSAGE_LIMIT + 1);
    size_t len = fread(place + 5, 1, MESSAGE_LIMIT + 1, file);
    if (len > MESSAGE_LIMIT)
        errx(2, "%s: more than %d bytes", path, MESSAGE_LIMIT);
    fclose(file);
    /* Not compressed; the length, big end first. */
    memcpy(place, (const char[]){0, 0, 0, (char)(len >> 8), (char)(len & 0xff)}, 5);
    message->len = 5 + len;
}

static size_t parse_count(const char *option, const char *text, uint64_t max)
{
    uint64_t value;
    if (!str_parse_uint(str_from_c(text), max, &value) || value == 0)
        errx(2, "--%s: %s is not a number from 1 to %" PRIu64, option, text, max);
    return value;
}

static double parse_number(const char *option, const char *text, double max)
{
    char *end;
    double value = strtod(text, &end);
    if (end == text || *end != '\0' || !(value >= 0 && value <= max))
        errx(2, "--%s: %s is not a number from 0 to %.0f", option, text, max);
    return value;
}

static void parse_option(struct load_options *options, const char *name, const char *value)
{
    const struct str option = str_from_c(name);
    if (str_eq(option, STR("socket")))
        options->socket = value;
    else if (str_eq(option, STR("message")))
        read_message_file(&options->message, value);
    else if (str_eq(option, STR("in-flight")))
        options->in_flight_limit = parse_count(name, value, 100000);
    else if (str_eq(option, STR("connections")))
        options->connection_count = parse_count(name, value, 1000);
    else if (str_eq(option, STR("calls")))
        options->calls_limit = parse_count(name, value, CALLS_LIMIT);
    else if (str_eq(option, STR("seconds")))
        options->seconds = parse_number(name, value, 3600);
    else if (str_eq(option, STR("rate")))
        options->interval = 1e9 / (double)parse_count(name, value, 1000000);
    else if (str_eq(option, STR("wait")))
        options->wait = parse_number(name, value, 60);
    else if (str_eq(option, STR("method")))
        options->method = value;
}

void load_options_parse(struct load_options *options, int argc, char **argv)
{
    static const struct option words[] = {
        {"socket", required_argument, NULL, 1},
        {"message", required_argument, NULL, 1},
        {"in-flight", required_argument, NULL, 1},
        {"connections", required_argument, NULL, 1},
        {"calls", required_argument, NULL, 1},
        {"seconds", required_argument, NULL, 1},
        {"rate", required_argument, NULL, 1},
        {"wait", required_argument, NULL, 1},
        {"method", required_argument, NULL, 1},
        {"help", no_argument, NULL, 'h'},
        {NULL, 0, NULL, 0},
    };
    int found, index = 0;
    *options = (struct load_options){.method = "/envoy.service.auth.v3.Authorization/Check",
                                     .connection_count = 1,
                                     .calls_limit = 1000 * 1000,
                                     .seconds = 10};
    while ((found = getopt_long(argc, argv, "h", words, &index)) != -1) {
        if (found == 1) {
            parse_option(options, words[index].name, optarg);
            continue;
        }
        fputs(usage, found == 'h' ? stdout : stderr);
        exit(found == 'h' ? 0 : 2);
    }
    if (options->socket == NULL || options->message.len == 0 || optind < argc) {
        fputs(usage, stderr);
        exit(2);
    }
    if (options->in_flight_limit == 0)
        options->in_flight_limit = options->interval > 0 ? 10000 : 1;
    if (options->connection_count > options->in_flight_limit)
        errx(2, "more connections than calls in flight");
}
