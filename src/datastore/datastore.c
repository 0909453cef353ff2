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
    const char *key = problem->is_object ? "object" : "file";
    if (problem->line == 0)
        log_event(level, problem->what, LOG_C(key, problem->place),
                  LOG_STR("problem", problem->message));
    else
        log_event(level, problem->what, LOG_C(key, problem->place), LOG_INT("line", problem->line),
                  LOG_STR("problem", problem->message));
}

void datastore_report(const struct datastore_sink *sink, const struct datastore_problem *problem)
{
    if (sink->problem != NULL)
        sink->problem(sink->ctx, problem);
    else
        datastore_log_problem(problem);
}

static const char *what_of_resource(bool is_warning)
{
    return is_warning ? "Questionable resource" : "Bad resource";
}

void datastore_report_resource(const struct datastore_sink *sink, const char *file, unsigned line,
                               bool is_warning, struct str message)
{
    const struct datastore_problem problem = {
        .what = what_of_resource(is_warning),
        .place = file,
        .line = line,
        .is_warning = is_warning,
        .message = message,
    };
    datastore_report(sink, &problem);
}

void datastore_report_object(const struct datastore_sink *sink, const char *object, bool is_warning,
                             struct str message)
{
    const struct datastore_problem problem = {
        .what = what_of_resource(is_warning),
        .place = object,
        .is_object = true,
        .is_warning = is_warning,
        .message = message,
    };
    datastore_report(sink, &problem);
}
