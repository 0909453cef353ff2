#include "datastore/datastore.h"

#include "base/log.h"

enum wrong_version { REFUSES, REFUSES_IF_NEW, NOT_USED };

static enum wrong_version meaning_of_wrong(enum model_kind kind)
{
    switch (kind) {
    case MODEL_NAMESPACE:
    case MODEL_SERVICE_ACCOUNT:
    case MODEL_SERVICE:
    case MODEL_NODE:
    case MODEL_FELIX_CONFIGURATION:
    case MODEL_CLUSTER_INFORMATION:
        return NOT_USED;
    case MODEL_POD:
    case MODEL_WORKLOAD_ENDPOINT:
    case MODEL_HOST_ENDPOINT:
    case MODEL_TIER:
        return REFUSES_IF_NEW;
    default:
        return REFUSES;
    }
}

bool datastore_is_used(const struct model_resource *resource, bool had_one)
{
    enum wrong_version wrong = meaning_of_wrong(resource->key.kind);
    return resource->broken.len == 0 || wrong == REFUSES || (wrong == REFUSES_IF_NEW && !had_one);
}

void datastore_log_problem(const struct datastore_problem *problem)
{
    enum log_level level = problem->is_warning ? LOG_WARNING : LOG_ERROR;
    if (problem->line == 0)
        log_event(level, problem->what, LOG_C("file", problem->place),
                  LOG_STR("problem", problem->message));
    else
        log_event(level, problem->what, LOG_C("file", problem->place),
                  LOG_INT("line", problem->line), LOG_STR("problem", problem->message));
}

void datastore_report(const struct datastore_sink *sink, const struct datastore_problem *problem)
{
    if (sink->problem != NULL)
        sink->problem(sink->ctx, problem);
    else
        datastore_log_problem(problem);
}

void datastore_report_resource(const struct datastore_sink *sink, const char *place, unsigned line,
                               bool is_warning, struct str message)
{
    const struct datastore_problem problem = {
        .what = is_warning ? "Questionable resource" : "Bad resource",
        .place = place,
        .line = line,
        .is_warning = is_warning,
        .message = message,
    };
    datastore_report(sink, &problem);
}
