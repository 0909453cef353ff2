/* Any bytes as a stream of ToDataplane messages ([length, 2 bytes][message] …): folded into a store, judged by the snapshot that
 * results. */
#include "authz/interpreter.h"
#include "authz/store.h"
#include "base/log.h"
#include "fuzz.h"
#include "policysync/decode.h"

static bool apply(struct authz_store *store, struct str bytes)
{
    CLEANUP_ARENA struct arena arena = {0};
    struct psync_message message;
    struct error err;
    if (!psync_decode(&arena, bytes, &message, &err))
        return false;
    authz_store_apply(store, &message);
    return true;
}

static void judge(struct authz_store *store)
{
    const struct identity_domains any = {0};
    struct authz_request request = {
        .source = {.address_text = STR("10.0.0.1"), .principal = STR("spiffe://t/ns/n/sa/a")},
        .destination = {.address_text = STR("10.0.0.2"), .port_value = 80},
        .has_http = true,
        .method = STR("GET"),
        .path = STR("/a"),
    };
    struct authz_snapshot *snapshot = authz_store_commit(store);
    authz_request_prepare(&request, &any);
    authz_interpret(snapshot, &request, NULL);
    authz_request_free(&request);
    authz_snapshot_unref(snapshot);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct authz_store *store = authz_store_new(NULL);
    log_set_level(LOG_ERROR);
    while (size >= 2) {
        size_t len = (size_t)data[0] << 8 | data[1];
        if (len > size - 2)
            len = size - 2;
        if (!apply(store, str_make((const char *)data + 2, len)))
            break;
        data += 2 + len;
        size -= 2 + len;
    }
    judge(store);
    authz_store_free(store);
    return 0;
}
