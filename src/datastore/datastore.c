#include "datastore/datastore.h"

#include "base/log.h"

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
