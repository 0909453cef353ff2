#include "datastore/kubernetes_group.h"

#include <stdlib.h>

#include "base/log.h"
#include "kube/pause.h"
#include "kube/problem.h"
#include "kube/split.h"

enum {
    /* Milliseconds without a byte. */
    ANSWER_SILENCE = 30 * 1000,
    /* Bytes. One policy has a quarter of that at most. */
    ANSWER_MOST = 4 * 1024 * 1024,
};

/* Both hold the same kinds; of several that are there the first is the one to read. */
static const struct str groups[] = {STR_INIT("crd.projectcalico.org/v1"),
                                    STR_INIT("projectcalico.org/v3")};
enum { GROUPS = sizeof(groups) / sizeof(groups[0]) };

struct kubernetes_group {
    struct kube_client *client;
    const char *server;
    struct kubernetes_group_events events;
    bool is_given; /* groups[asked] */
    bool has_told_missing;
    struct kube_pause pause;
    struct kube_request *request;
    struct kube_split *answer;
    size_t received;   /* bytes of it */
    size_t asked;      /* for which of the groups */
    bool is_forbidden; /* to see one of them */
    struct error told; /* what was in the way; empty: nothing */
};

/* ---- what comes of the answers ---- */

static void tell_found(struct kubernetes_group *group)
{
    group->events.found(group->events.ctx, groups[group->asked]);
}

static void start_over(struct kubernetes_group *group)
{
    group->asked = 0;
    group->is_forbidden = false;
}

static void take_missing(struct kubernetes_group *group)
{
    start_over(group);
    group->told.text[0] = '\0';
    kube_pause_missing(&group->pause);
    if (!group->has_told_missing) {
        group->has_told_missing = true;
        group->events.missing(group->events.ctx);
    }
}

static void tell_problem(struct kubernetes_group *group, struct str message)
{
    CLEANUP_FREE char *problem = mem_strndup(message);
    if (kube_problem_is_another(problem, group->told.text))
        log_event(LOG_WARNING, "Cannot ask the API server for Calico's resources; trying again",
                  LOG_C("server", group->server), LOG_C("problem", problem));
    error_set(&group->told, "%s", problem);
}

/* ---- asking ---- */

static bool on_data(void *ctx, struct str bytes)
{
    struct kubernetes_group *group = ctx;
    struct error unused;
    group->received += bytes.len;
    return group->received <= ANSWER_MOST && kube_split_feed(group->answer, bytes, &unused);
}

static bool pass_item(void *ctx, struct str json)
{
    (void)ctx;
    (void)json;
    return true;
}

static bool pass_field(void *ctx, struct str name, struct str json)
{
    (void)name;
    return pass_item(ctx, json);
}

/* It may be that the first is not there, and that we may not see the second: then nobody knows. */
static void on_end(void *ctx, enum kube_outcome outcome, struct str message, unsigned retry_after)
{
    struct kubernetes_group *group = ctx;
    group->request = NULL;
    if (outcome == KUBE_OK && kube_split_is_complete(group->answer)) {
        tell_found(group);
        return;
    }
    if (outcome == KUBE_OK)
        message = STR("the answer broke off, or is no list");
    bool goes_on = outcome == KUBE_NOT_FOUND || outcome == KUBE_FORBIDDEN;
    group->is_forbidden |= outcome == KUBE_FORBIDDEN;
    if (outcome != KUBE_NOT_FOUND)
        tell_problem(group, message);
    if (goes_on && ++group->asked < GROUPS) {
        loop_arm(group->pause.loop, &group->pause.timer, 0);
    } else if (goes_on && !group->is_forbidden) {
        take_missing(group);
    } else {
        start_over(group);
        kube_pause_after_failure(&group->pause, retry_after);
    }
}

static void ask(void *ctx)
{
    struct kubernetes_group *group = ctx;
    const struct kube_callbacks callbacks = {on_data, NULL, on_end, group};
    const struct kube_split_events pieces = {pass_item, pass_field, NULL};
    CLEANUP_BUF struct buf path = {0};
    if (group->is_given) {
        tell_found(group);
        return;
    }
    buf_printf(&path, "/apis/%.*s/globalnetworkpolicies?limit=1", STR_ARG(groups[group->asked]));
    buf_append_byte(&path, '\0');
    group->received = 0;
    kube_split_free(group->answer);
    group->answer = kube_split_new(SPLIT_LIST, NULL, NULL, &pieces);
    group->request = kube_request_start(group->client, path.data, ANSWER_SILENCE, &callbacks);
}

/* ---- the whole ---- */

/* Looks into the environment. */
static bool find_given(struct kubernetes_group *group, struct error *err)
{
    const char *given = getenv("CALICO_API_GROUP");
    if (given == NULL || given[0] == '\0')
        return true;
    for (size_t i = 0; i < GROUPS; i++) {
        if (str_eq_nocase(str_from_c(given), groups[i])) {
            group->is_given = true;
            group->asked = i;
            return true;
        }
    }
    return error_set(err, "CALICO_API_GROUP: %s is neither %.*s nor %.*s",
                     quote(str_from_c(given)).text, STR_ARG(groups[0]), STR_ARG(groups[1]));
}

struct kubernetes_group *kubernetes_group_new(struct loop *loop, struct kube_client *client,
                                              const char *server,
                                              const struct kubernetes_group_events *events,
                                              struct error *err)
{
    struct kubernetes_group *group = mem_zalloc(sizeof(*group));
    group->client = client;
    group->server = server;
    group->events = *events;
    group->pause = (struct kube_pause){.loop = loop, .timer = {.callback = ask, .ctx = group}};
    if (!find_given(group, err)) {
        kubernetes_group_free(group);
        return NULL;
    }
    loop_arm(loop, &group->pause.timer, 0);
    return group;
}

void kubernetes_group_free(struct kubernetes_group *group)
{
    if (group == NULL)
        return;
    loop_disarm(group->pause.loop, &group->pause.timer);
    kube_request_cancel(group->request);
    kube_split_free(group->answer);
    free(group);
}

void kubernetes_group_try_soon(struct kubernetes_group *group)
{
    kube_pause_hurry(&group->pause);
}
