#include "authz/health_service.h"

#include <stdlib.h>

#include "base/mem.h"
#include "pb/reader.h"
#include "pb/writer.h"

/* grpc.health.v1.HealthCheckResponse.ServingStatus */
enum serving { SERVING = 1, NOT_SERVING = 2, SERVICE_UNKNOWN = 3 };

struct watcher {
    struct health_service *service;
    struct grpc_call *call;
    enum serving told;
    bool wants_liveness;
    struct watcher *next, *prev;
};

struct health_service {
    bool ready;
    struct watcher *watchers;
};

struct health_service *health_service_new(void)
{
    return mem_zalloc(sizeof(struct health_service));
}

void health_service_free(struct health_service *service)
{
    if (service == NULL)
        return;
    while (service->watchers != NULL) {
        struct watcher *next = service->watchers->next;
        free(service->watchers);
        service->watchers = next;
    }
    free(service);
}

/* ---- dikastes.Healthz ---- */

/* HealthCheckResponse{bool healthy = 1} */
static void answer_healthy(struct grpc_call *call, bool healthy)
{
    CLEANUP_BUF struct buf response = {0};
    if (healthy)
        pb_write_varint(&response, 1, 1);
    grpc_call_send(call, buf_str(&response));
    grpc_call_finish(call, GRPC_OK, STR(""));
}

void health_service_liveness(void *ctx, struct grpc_call *call, struct str request)
{
    (void)ctx;
    (void)request;
    answer_healthy(call, true);
}

void health_service_readiness(void *ctx, struct grpc_call *call, struct str request)
{
    const struct health_service *service = ctx;
    (void)request;
    answer_healthy(call, service->ready);
}

/* ---- grpc.health.v1.Health ---- */

/* HealthCheckRequest{string service = 1}; false if it does not decode. */
static bool decode_service(struct str request, struct str *name)
{
    struct pb_reader r = pb_reader(request);
    struct pb_field f;
    *name = str_make(NULL, 0);
    while (pb_next(&r, &f)) {
        if (f.number == 1)
            *name = pb_bytes(&r, &f);
    }
    return !r.failed;
}

static bool is_known(struct str name)
{
    static const struct str names[] = {
        STR_INIT(""),
        STR_INIT("liveness"),
        STR_INIT("readiness"),
        STR_INIT("envoy.service.auth.v3.Authorization"),
        STR_INIT("envoy.service.auth.v2.Authorization"),
        STR_INIT("envoy.service.auth.v2alpha.Authorization"),
    };
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        if (str_eq(name, names[i]))
            return true;
    }
    return false;
}

static enum serving status_of(const struct health_service *service, struct str name)
{
    if (!is_known(name))
        return SERVICE_UNKNOWN;
    return service->ready || str_eq(name, STR("liveness")) ? SERVING : NOT_SERVING;
}

static void send_status(struct grpc_call *call, enum serving status)
{
    CLEANUP_BUF struct buf response = {0};
    pb_write_varint(&response, 1, status);
    grpc_call_send(call, buf_str(&response));
}

void health_service_check(void *ctx, struct grpc_call *call, struct str request)
{
    struct str name;
    if (!decode_service(request, &name)) {
        grpc_call_finish(call, GRPC_INVALID_ARGUMENT,
                         STR("the message is not a HealthCheckRequest"));
        return;
    }
    enum serving status = status_of(ctx, name);
    if (status == SERVICE_UNKNOWN) {
        grpc_call_finish(call, GRPC_NOT_FOUND, STR("unknown service"));
        return;
    }
    send_status(call, status);
    grpc_call_finish(call, GRPC_OK, STR(""));
}

static void on_watcher_closed(void *ctx)
{
    struct watcher *watcher = ctx;
    if (watcher->prev != NULL)
        watcher->prev->next = watcher->next;
    else
        watcher->service->watchers = watcher->next;
    if (watcher->next != NULL)
        watcher->next->prev = watcher->prev;
    free(watcher);
}

void health_service_watch(void *ctx, struct grpc_call *call, struct str request)
{
    struct health_service *service = ctx;
    struct str name;
    if (!decode_service(request, &name)) {
        grpc_call_finish(call, GRPC_INVALID_ARGUMENT,
                         STR("the message is not a HealthCheckRequest"));
        return;
    }
    struct watcher *watcher = mem_zalloc(sizeof(*watcher));
    *watcher = (struct watcher){.service = service,
                                .call = call,
                                .told = status_of(service, name),
                                .wants_liveness = str_eq(name, STR("liveness")),
                                .next = service->watchers};
    if (service->watchers != NULL)
        service->watchers->prev = watcher;
    service->watchers = watcher;
    grpc_call_on_closed(call, on_watcher_closed, watcher);
    send_status(call, watcher->told);
}

void health_service_set_ready(struct health_service *service, bool ready)
{
    if (service->ready == ready)
        return;
    service->ready = ready;
    enum serving status = ready ? SERVING : NOT_SERVING;
    for (struct watcher *watcher = service->watchers; watcher != NULL; watcher = watcher->next) {
        if (watcher->told == SERVICE_UNKNOWN || watcher->wants_liveness || watcher->told == status)
            continue;
        watcher->told = status;
        send_status(watcher->call, status);
    }
}
