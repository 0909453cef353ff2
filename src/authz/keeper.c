#include "authz/keeper.h"

#include <malloc.h>
#include <stdlib.h>

#include "authz/store.h"
#include "base/clock.h"
#include "base/mem.h"

struct authz_keeper {
    void (*publish)(void *ctx, struct authz_snapshot *snapshot);
    void *ctx;
    struct authz_store *in_force; /* NULL before the first InSync */
    struct authz_store *aside;    /* NULL once the present stream is in sync */
    uint64_t version;             /* of the last snapshot */
    bool aside_in_sync;           /* to take over at the end of this batch */
};

struct authz_keeper *authz_keeper_new(void (*publish)(void *ctx, struct authz_snapshot *snapshot),
                                      void *ctx)
{
    struct authz_keeper *keeper = mem_zalloc(sizeof(*keeper));
    keeper->publish = publish;
    keeper->ctx = ctx;
    return keeper;
}

void authz_keeper_free(struct authz_keeper *keeper)
{
    if (keeper == NULL)
        return;
    authz_store_free(keeper->in_force);
    authz_store_free(keeper->aside);
    free(keeper);
}

void authz_keeper_begin(struct authz_keeper *keeper)
{
    authz_store_free(keeper->aside);
    keeper->aside = authz_store_new(keeper->in_force);
    keeper->aside_in_sync = false;
}

static void on_message(void *ctx, const struct psync_message *message)
{
    struct authz_keeper *keeper = ctx;
    struct authz_store *store = keeper->aside != NULL ? keeper->aside : keeper->in_force;
    authz_store_apply(store, message);
    if (message->kind == PSYNC_IN_SYNC)
        keeper->aside_in_sync = keeper->aside != NULL;
}

static void publish(struct authz_keeper *keeper)
{
    uint64_t start = clock_nanoseconds();
    struct authz_snapshot *snapshot = authz_store_commit(keeper->in_force);
    snapshot->build_nanoseconds = clock_nanoseconds() - start;
    snapshot->version = ++keeper->version;
    keeper->publish(keeper->ctx, snapshot);
}

static void on_batch_end(void *ctx)
{
    struct authz_keeper *keeper = ctx;
    if (keeper->aside != NULL && !keeper->aside_in_sync)
        return;
    if (keeper->aside != NULL) {
        authz_store_forget_previous(keeper->aside);
        authz_store_free(keeper->in_force);
        keeper->in_force = keeper->aside;
        keeper->aside = NULL;
        publish(keeper);
        /* A whole policy was dropped: what it took is to go back to the system. It costs a millisecond, once a stream. */
        malloc_trim(0);
        return;
    }
    publish(keeper);
}

struct psync_sink authz_keeper_sink(struct authz_keeper *keeper)
{
    return (struct psync_sink){on_message, on_batch_end, keeper};
}
