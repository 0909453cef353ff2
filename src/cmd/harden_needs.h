/* Private to harden*.c: what a source of policy needs of the kernel while it runs.
 */
#ifndef CMD_HARDEN_NEEDS_H
#define CMD_HARDEN_NEEDS_H

#include "cmd/harden.h"

enum need {
    NEED_ALWAYS,
    NEED_AGENT,   /* a node agent or an API server is connected to */
    NEED_TCP,     /* over TCP */
    NEED_NAMES,   /* by the name of a host, which is resolved afresh each time */
    NEED_CLUSTER, /* by libcurl */
    NEED_SANITIZER, /* in a build with one; the leak check traces the process from one that it clones */
    NEED_COUNT,
};

enum { NEED_FILES = 5 };

struct needs {
    bool of[NEED_COUNT];
    const char *folder;            /* the directory that policy comes from, or NULL */
    const char *files[NEED_FILES]; /* whose folders are read again and again */
    size_t file_count;
    uint64_t port; /* with TCP */
    bool any_port; /* a proxy stands between, whose port may be any */
};

/* Borrows from `paths`. */
struct needs needs_of(const struct harden_paths *paths);

#endif
