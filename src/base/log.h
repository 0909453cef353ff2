/* The log: one line an event, to standard error, or to the system's log.
 *
 *     log_event(LOG_INFO, "Denied request", LOG_STR("reason", reason), LOG_INT("rule", 3));
 *
 * prints, as logfmt or as JSON (log_set_format):
 *
 *     time=2026-01-02T03:04:05.678Z level=info msg="Denied request" reason=denied_by_rule rule=3
 *
 * Values may come from outside: they are escaped, so that no value can begin a line or forge a field,
 * and cut at 1 KiB, or sooner in a line that would be longer than 4 KiB (PIPE_BUF). Header values, query strings, bodies and
 * credentials are never passed in.
 *
 * A reader that does not read must not stop the program: where the log is not writable at once, the line is dropped, and
 * the next one that goes through says how many were.
 *
 * Threads: any may log; a line is written with one system call. Level, format and destination are set once at
 * the start.
 */
#ifndef BASE_LOG_H
#define BASE_LOG_H

#include "base/str.h"

enum log_level { LOG_DEBUG, LOG_INFO, LOG_WARNING, LOG_ERROR };
enum log_format { LOG_LOGFMT, LOG_JSON };

struct log_field {
    const char *key;  /* a plain word */
    struct str value; /* used if is_number is false */
    int64_t number;
    bool is_number;
};

#define LOG_STR(key, value) ((struct log_field){(key), (value), 0, false})
#define LOG_C(key, text)    ((struct log_field){(key), str_from_c(text), 0, false})
#define LOG_INT(key, n)     ((struct log_field){(key), {NULL, 0}, (int64_t)(n), true})

void log_set_level(enum log_level least);
void log_set_format(enum log_format format);
/* From now on lines go to the socket /dev/log, as `program` with its process id, facility daemon (RFC 3164, as syslog(3) sends
 * it). For programs whose standard error somebody takes for something else. Where nobody listens there, they are dropped. */
void log_to_syslog(const char *program);

/* "debug", "info", "warning" ("warn"), "error", any case. False for another word. */
bool log_parse_level(struct str word, enum log_level *level);
/* "logfmt", "json". */
bool log_parse_format(struct str word, enum log_format *format);

bool log_enabled(enum log_level level);

void log_fields(enum log_level level, const char *message, const struct log_field *fields,
                size_t count);

#define log_event(level, message, ...)                                                             \
    log_fields((level), (message), (const struct log_field[]){__VA_ARGS__},                        \
               sizeof((const struct log_field[]){__VA_ARGS__}) / sizeof(struct log_field))

/* An event without fields. */
void log_message(enum log_level level, const char *message);

#endif
