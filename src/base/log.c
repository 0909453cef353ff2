#include "base/log.h"

#include <limits.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "base/mem.h"

enum {
    VALUE_LIMIT = 1024,
    /* Bytes of a line from which on values are cut short. Keys, marks and numbers have the rest of PIPE_BUF, which a pipe takes
     * without waiting if it is writable at all: a page of it is free then. */
    LINE_ROOM = PIPE_BUF - 512,
};

static enum log_level least_level = LOG_INFO;
static enum log_format line_format = LOG_LOGFMT;

static const char *const level_names[] = {"debug", "info", "warning", "error"};

static int destination = STDERR_FILENO;
static const char *syslog_program; /* NULL: destination is standard error */

void log_set_level(enum log_level least)
{
    least_level = least;
}

void log_set_format(enum log_format format)
{
    line_format = format;
}

void log_to_syslog(const char *program)
{
    static const struct sockaddr_un address = {AF_UNIX, "/dev/log"};
    syslog_program = program;
    destination = socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (destination >= 0 &&
        connect(destination, (const struct sockaddr *)&address, sizeof(address)) != 0) {
        close(destination);
        destination = -1;
    }
}

bool log_parse_level(struct str word, enum log_level *level)
{
    for (int i = LOG_DEBUG; i <= LOG_ERROR; i++) {
        if (str_eq_nocase(word, str_from_c(level_names[i]))) {
            *level = (enum log_level)i;
            return true;
        }
    }
    if (str_eq_nocase(word, STR("warn"))) {
        *level = LOG_WARNING;
        return true;
    }
    return false;
}

bool log_parse_format(struct str word, enum log_format *format)
{
    *format = str_eq(word, STR("json")) ? LOG_JSON : LOG_LOGFMT;
    return *format == LOG_JSON || str_eq(word, STR("logfmt"));
}

bool log_enabled(enum log_level level)
{
    return level >= least_level;
}

/* A value without quotes must not hold anything that a reader of logfmt splits at. */
static bool is_plain_word(struct str s)
{
    for (size_t i = 0; i < s.len; i++) {
        char c = s.ptr[i];
        if (c <= ' ' || c >= 0x7f || c == '"' || c == '=' || c == '\\')
            return false;
    }
    return s.len > 0;
}

/* JSON's escapes serve for both formats. Bytes outside of ASCII are escaped one by one: they need not be
 * UTF-8, and a terminal must not be made to interpret them. */
static void append_quoted(struct buf *line, struct str s)
{
    size_t i = 0;
    buf_append_byte(line, '"');
    for (; i < s.len && i < VALUE_LIMIT && line->len < LINE_ROOM; i++) {
        unsigned char c = (unsigned char)s.ptr[i];
        if (c == '"' || c == '\\') {
            buf_append_byte(line, '\\');
            buf_append_byte(line, (char)c);
        } else if (c < 0x20 || c >= 0x7f) {
            buf_printf(line, "\\u%04x", c);
        } else {
            buf_append_byte(line, (char)c);
        }
    }
    if (i < s.len)
        buf_append_str(line, STR("..."));
    buf_append_byte(line, '"');
}

static void append_field(struct buf *line, struct log_field field)
{
    if (line_format == LOG_JSON) {
        buf_printf(line, "%s\"%s\":", line->len > 1 ? "," : "", field.key);
    } else {
        buf_printf(line, "%s%s=", line->len > 0 ? " " : "", field.key);
    }
    if (field.is_number)
        buf_printf(line, "%lld", (long long)field.number);
    else if (line_format == LOG_LOGFMT && is_plain_word(field.value) &&
             field.value.len <= VALUE_LIMIT && line->len + field.value.len <= LINE_ROOM)
        buf_append_str(line, field.value);
    else
        append_quoted(line, field.value);
}

static struct log_field now_field(char text[static 64])
{
    struct timespec now;
    struct tm utc;
    clock_gettime(CLOCK_REALTIME, &now);
    gmtime_r(&now.tv_sec, &utc);
    size_t used = strftime(text, 32, "%Y-%m-%dT%H:%M:%S", &utc);
    snprintf(text + used, 64 - used, ".%03ldZ", now.tv_nsec / 1000000);
    return LOG_C("time", text);
}

static atomic_ulong dropped_lines;

static bool is_writable(void)
{
    /* poll passes over a destination that is not there, -1. */
    struct pollfd log = {.fd = destination, .events = POLLOUT};
    return poll(&log, 1, 0) == 1 && (log.revents & POLLOUT) != 0;
}

/* What syslog wants before a line; nothing for standard error. */
static size_t make_header(enum log_level level, char *text, size_t size)
{
    enum { FACILITY_DAEMON = 3 << 3 };
    static const int severities[] = {7, 6, 4, 3};
    if (syslog_program == NULL)
        return 0;
    int len = snprintf(text, size, "<%d>%s[%d]: ", FACILITY_DAEMON | severities[level],
                       syslog_program, (int)getpid());
    return (size_t)len < size ? (size_t)len : size - 1;
}

/* Threads write one by one: of two that find the same page of a pipe free, one would wait for another. */
static pthread_mutex_t writing = PTHREAD_MUTEX_INITIALIZER;

/* False: nobody reads. */
static bool write_line(enum log_level level, const struct buf *line)
{
    char header[64];
    const struct iovec parts[] = {{header, make_header(level, header, sizeof(header))},
                                  {line->data, line->len}};
    pthread_mutex_lock(&writing);
    bool ok = is_writable();
    if (ok) {
        ssize_t ignored = writev(destination, parts, 2);
        (void)ignored; /* there is no second place to complain to */
    }
    pthread_mutex_unlock(&writing);
    return ok;
}

static bool write_event(enum log_level level, const char *message, const struct log_field *fields,
                        size_t count)
{
    char time_text[64];
    CLEANUP_BUF struct buf line = {0};
    if (line_format == LOG_JSON)
        buf_append_byte(&line, '{');
    append_field(&line, now_field(time_text));
    append_field(&line, LOG_C("level", level_names[level]));
    append_field(&line, LOG_C("msg", message));
    for (size_t i = 0; i < count; i++)
        append_field(&line, fields[i]);
    buf_append_str(&line, line_format == LOG_JSON ? STR("}\n") : STR("\n"));
    return write_line(level, &line);
}

void log_fields(enum log_level level, const char *message, const struct log_field *fields,
                size_t count)
{
    if (!log_enabled(level))
        return;
    unsigned long dropped = atomic_exchange(&dropped_lines, 0);
    if (dropped > 0 && !write_event(LOG_WARNING, "Lines were dropped, since nobody read the log",
                                    &LOG_INT("count", dropped), 1))
        atomic_fetch_add(&dropped_lines, dropped);
    if (!write_event(level, message, fields, count))
        atomic_fetch_add(&dropped_lines, 1);
}

void log_message(enum log_level level, const char *message)
{
    log_fields(level, message, NULL, 0);
}
