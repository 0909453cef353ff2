/* Many sidecars of one node at once, for measuring a node agent: joins on the sockets PREFIX/mount/NAME/socket that are named, reads
 * and counts, and prints a line an event, with the monotonic clock in nanoseconds:
 *
 *     sidecars PREFIX NAME…
 *
 *     in_sync NANOSECONDS BYTES MESSAGES     all have had InSync; sums over all
 *     updates NANOSECONDS COUNT              COUNT messages came since the last line; the last of them then
 *
 * An `updates` line is printed when nothing has come for 20 ms.
 */
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "grpc/client.h"
#include "policysync/decode.h"

enum { QUIET = 20, RETRY = 5 };

struct all {
    struct loop *loop;
    size_t count, in_sync;
    uint64_t bytes, messages, last, news;
    struct loop_timer quiet;
};

struct sidecar {
    struct all *all;
    char *target;
    struct loop_timer retry;
};

static void on_quiet(void *ctx)
{
    struct all *all = ctx;
    printf("updates %llu %llu\n", (unsigned long long)all->last, (unsigned long long)all->news);
    fflush(stdout);
    all->news = 0;
}

static void on_message(void *ctx, struct str bytes)
{
    struct sidecar *sidecar = ctx;
    struct all *all = sidecar->all;
    CLEANUP_ARENA struct arena arena = {0};
    struct psync_message message;
    struct error err;
    all->bytes += bytes.len;
    all->messages++;
    all->last = clock_nanoseconds();
    if (all->in_sync == all->count) {
        all->news++;
        loop_arm(all->loop, &all->quiet, QUIET);
        return;
    }
    /* InSync is short; the rest need not be looked into. */
    if (bytes.len > 8 || !psync_decode(&arena, bytes, &message, &err) ||
        message.kind != PSYNC_IN_SYNC)
        return;
    if (++all->in_sync < all->count)
        return;
    printf("in_sync %llu %llu %llu\n", (unsigned long long)all->last,
           (unsigned long long)all->bytes, (unsigned long long)all->messages);
    fflush(stdout);
}

static void on_end(void *ctx, enum grpc_code code, struct str message)
{
    const struct sidecar *sidecar = ctx;
    fprintf(stderr, "sidecars: %s ended with %d: %s\n", sidecar->target, (int)code,
            quote(message).text);
    exit(1);
}

static void join(void *ctx)
{
    struct sidecar *sidecar = ctx;
    struct error err;
    const struct grpc_client_callbacks callbacks = {
        .on_message = on_message, .on_end = on_end, .ctx = sidecar};
    if (grpc_client_start(sidecar->all->loop, str_from_c(sidecar->target),
                          STR("/felix.PolicySync/Sync"), STR(""), callbacks, &err) == NULL)
        loop_arm(sidecar->all->loop, &sidecar->retry, RETRY); /* the agent is not up yet */
}

int main(int argc, char **argv)
{
    struct error err;
    struct all all = {.loop = loop_new(&err), .count = argc > 2 ? (size_t)argc - 2 : 0};
    if (all.count == 0) {
        fprintf(stderr, "usage: sidecars PREFIX NAME...\n");
        return 2;
    }
    all.quiet = (struct loop_timer){.callback = on_quiet, .ctx = &all};
    struct sidecar *sidecars = mem_zalloc(all.count * sizeof(*sidecars));
    for (size_t i = 0; i < all.count; i++) {
        CLEANUP_BUF struct buf target = {0};
        buf_printf(&target, "%s/mount/%s/socket", argv[1], argv[i + 2]);
        sidecars[i].all = &all;
        sidecars[i].target = mem_strndup(buf_str(&target));
        sidecars[i].retry = (struct loop_timer){.callback = join, .ctx = &sidecars[i]};
        join(&sidecars[i]);
    }
    loop_run(all.loop);
    return 0;
}
