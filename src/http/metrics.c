#include "http/metrics.h"

#include <sys/resource.h>
#include <unistd.h>

static void write_metric(struct buf *out, const char *name, const char *type, const char *help,
                         double value)
{
    buf_printf(out, "# HELP %s %s\n# TYPE %s %s\n%s %.9g\n", name, help, name, type, name, value);
}

void metrics_gauge(struct buf *out, const char *name, const char *help, double value)
{
    write_metric(out, name, "gauge", help, value);
}

void metrics_counter(struct buf *out, const char *name, const char *help, double value)
{
    write_metric(out, name, "counter", help, value);
}

void metrics_label(struct buf *out, const char *key, struct str value)
{
    buf_printf(out, "%s=\"", key);
    for (size_t i = 0; i < value.len; i++) {
        char c = value.ptr[i];
        if (c == '"' || c == '\\')
            buf_append_byte(out, '\\');
        buf_append_byte(out, c == '\n' ? ' ' : c);
    }
    buf_append_byte(out, '"');
}

/* Resident memory in bytes, from /proc ("SIZE RESIDENT …", in pages); 0 where that cannot be read. */
static double resident_memory(int statm_fd)
{
    char text[128];
    struct str size, resident, rest;
    uint64_t pages = 0;
    ssize_t len = pread(statm_fd, text, sizeof(text), 0);
    if (len <= 0)
        return 0;
    str_cut(str_make(text, (size_t)len), ' ', &size, &rest);
    str_cut(rest, ' ', &resident, &rest);
    str_parse_uint(resident, UINT64_MAX, &pages);
    return (double)pages * (double)sysconf(_SC_PAGESIZE);
}

static double seconds(struct timeval t)
{
    return (double)t.tv_sec + (double)t.tv_usec / 1e6;
}

void metrics_process(struct buf *out, int statm_fd)
{
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    metrics_gauge(out, "process_resident_memory_bytes", "Resident memory.",
                  resident_memory(statm_fd));
    metrics_counter(out, "process_cpu_seconds_total", "User and system time.",
                    seconds(usage.ru_utime) + seconds(usage.ru_stime));
}
