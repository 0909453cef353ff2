#include "authz/check_service.h"

#include <stdlib.h>

#include "authz/check_request.h"
#include "authz/check_response.h"
#include "authz/interpreter.h"
#include "base/clock.h"
#include "base/log.h"

/* Of so many requests one is timed: the clock may cost as much as the rest of the verdict. */
enum { TIMED_ONE_IN = 16 };

struct check_service {
    struct loop *loop;
    const struct identity_domains *believed;
    const struct authz_snapshot *snapshot;
    /* Used again for each request, so that serving allocates nothing. */
    struct authz_request request;
    struct buf response;
    struct check_metrics metrics;
    uint64_t handled;
    /* The log's budget for this second. */
    struct loop_timer second;
    unsigned lines_left;
    unsigned left_out;
};

static void on_second(void *ctx)
{
    struct check_service *service = ctx;
    service->lines_left = CHECK_LOG_LINES;
    if (service->left_out > 0)
        log_event(LOG_INFO, "Left out lines about requests", LOG_INT("count", service->left_out));
    service->left_out = 0;
}

/* Whether one more line about a request may be logged now. */
static bool take_line(struct check_service *service)
{
    if (!log_enabled(LOG_INFO))
        return false;
    if (service->lines_left == CHECK_LOG_LINES)
        loop_arm(service->loop, &service->second, 1000);
    if (service->lines_left == 0) {
        service->left_out++;
        return false;
    }
    service->lines_left--;
    return true;
}

/* Before there is any: not in sync, so it refuses. */
static const struct authz_snapshot no_snapshot;

struct check_service *check_service_new(struct loop *loop, const struct identity_domains *believed)
{
    struct check_service *service = mem_zalloc(sizeof(*service));
    service->loop = loop;
    service->believed = believed;
    service->snapshot = &no_snapshot;
    service->second = (struct loop_timer){.callback = on_second, .ctx = service};
    service->lines_left = CHECK_LOG_LINES;
    return service;
}

void check_service_free(struct check_service *service)
{
    if (service == NULL)
        return;
    loop_disarm(service->loop, &service->second);
    authz_request_free(&service->request);
    buf_free(&service->response);
    free(service);
}

void check_service_set_snapshot(struct check_service *service,
                                const struct authz_snapshot *snapshot)
{
    service->snapshot = snapshot;
}

const struct check_metrics *check_service_metrics(const struct check_service *service)
{
    return &service->metrics;
}

/* The path as it was compared. One that has no normal form is not shown: its query cannot be told apart for sure. */
static struct str shown_path(const struct authz_request *request)
{
    if (!request->has_http)
        return STR("");
    switch (request->path_state) {
    case AUTHZ_PATH_NORMAL:
        return request->normal_path;
    case AUTHZ_PATH_NONE:
        return STR("*");
    case AUTHZ_PATH_MALFORMED:
        return STR("(malformed)");
    default:
        return STR("(not normalisable)");
    }
}

static void log_request(struct check_service *service, const char *message,
                        const struct authz_verdict *verdict, struct str reason)
{
    const struct authz_request *request = &service->request;
    CLEANUP_BUF struct buf policy = {0};
    if (!take_line(service))
        return;
    if (verdict->policy != NULL)
        psync_policy_id_format(&policy, verdict->policy);
    struct ip_text source = ip_format_addr(&request->source.addr);
    struct log_field fields[] = {
        LOG_STR("reason", reason),
        LOG_STR("tier", verdict->tier),
        LOG_STR("policy", buf_str(&policy)),
        LOG_INT("rule", verdict->rule),
        LOG_STR("peer", request->source.principal),
        LOG_C("source", source.text),
        LOG_INT("port", request->destination.port),
        LOG_STR("method", request->method),
        LOG_STR("path", shown_path(request)),
    };
    log_fields(LOG_INFO, message, fields, sizeof(fields) / sizeof(fields[0]));
}

static void on_log_rule(void *ctx, struct str tier, const struct psync_policy_id *policy, int rule)
{
    struct authz_verdict matched = {.tier = tier, .policy = policy, .rule = rule};
    log_request(ctx, "Request matched a log rule", &matched, STR("log"));
}

/* Decodes and judges; false if the bytes are no CheckRequest. */
static bool judge(struct check_service *service, struct str message, struct authz_verdict *verdict)
{
    struct authz_observer observer = {on_log_rule, service};
    if (!check_request_decode(message, &service->request))
        return false;
    authz_request_prepare(&service->request, service->believed);
    *verdict = authz_interpret(service->snapshot, &service->request, &observer);
    return true;
}

/* What staged policies would have done. */
static void tally_staged(struct check_service *service)
{
    const struct authz_place *place;
    if (!service->snapshot->has_staged)
        return;
    struct authz_verdict would =
        authz_interpret_staged(service->snapshot, &service->request, &place);
    if (place == NULL || place->policy == NULL)
        return;
    struct authz_tally *tally = place->policy->tally;
    atomic_fetch_add_explicit(would.code == AUTHZ_OK ? &tally->allowed : &tally->denied, 1,
                              memory_order_relaxed);
    if (would.code != AUTHZ_OK) {
        would.policy = &place->id;
        log_request(service, "Staged policy would deny request", &would,
                    authz_reason_name(would.reason));
    }
}

void check_service_handle(void *ctx, struct grpc_call *call, struct str message)
{
    struct check_service *service = ctx;
    struct authz_verdict verdict;
    bool is_timed = service->handled++ % TIMED_ONE_IN == 0;
    uint64_t start = is_timed ? clock_nanoseconds() : 0;
    if (!judge(service, message, &verdict)) {
        check_metrics_count_undecodable(&service->metrics);
        grpc_call_finish(call, GRPC_INVALID_ARGUMENT, STR("the message is not a CheckRequest"));
        return;
    }
    tally_staged(service);
    if (verdict.code != AUTHZ_OK)
        log_request(service, "Denied request", &verdict, authz_reason_name(verdict.reason));
    service->response.len = 0;
    check_response_encode(&service->response, &verdict);
    grpc_call_send(call, buf_str(&service->response));
    check_metrics_count(&service->metrics, verdict.reason);
    if (is_timed)
        check_metrics_time(&service->metrics, clock_nanoseconds() - start);
    grpc_call_finish(call, GRPC_OK, STR(""));
}
