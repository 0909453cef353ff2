#include "kube/answer.h"

#include "kube/missing.h"

enum kube_outcome kube_answer_outcome(long status)
{
    switch (status) {
    case 401:
        return KUBE_UNAUTHORIZED;
    case 403:
        return KUBE_FORBIDDEN;
    case 404:
        return KUBE_NOT_FOUND;
    case 410:
        return KUBE_GONE;
    case 429:
        return KUBE_BUSY;
    default:
        if (status >= 200 && status < 300)
            return KUBE_OK;
        return status >= 400 && status < 500 ? KUBE_INVALID : KUBE_FAILED;
    }
}

/* Of the body of an answer that is no 2xx: the `message` of a Status object, or as much of another as fits into a line. */
static struct str find_message(struct str body)
{
    struct str rest = body;
    const struct str key = STR("\"message\":\"");
    while (rest.len > 0 && !str_starts_with(rest, key))
        rest = str_from(rest, 1);
    rest = str_from(rest, key.len);
    size_t len = 0;
    while (len < rest.len && rest.ptr[len] != '"')
        len += rest.ptr[len] == '\\' ? 2 : 1;
    return len > 0 && len <= rest.len ? str_head(rest, len) : str_head(body, 200);
}

enum kube_outcome kube_answer_conclude(struct buf *out, long status, struct str body)
{
    enum kube_outcome outcome = kube_answer_outcome(status);
    if (outcome == KUBE_OK)
        return outcome;
    buf_printf(out, "HTTP status %ld: ", status);
    buf_append_str(out, find_message(body));
    return outcome == KUBE_NOT_FOUND && !kube_missing_is_said(body) ? KUBE_FAILED : outcome;
}

unsigned kube_answer_retry_after(curl_off_t seconds)
{
    enum { TOO_LONG = 3600 };
    return seconds > 0 && seconds < TOO_LONG ? (unsigned)seconds : 0;
}

void kube_answer_append_problem(struct buf *out, struct str text)
{
    /* libcurl shows the URL of a proxy that it does not understand. */
    bool has_url = str_starts_with(text, STR("Unsupported proxy"));
    buf_append_str(out, has_url ? str_head(text, str_find(text, '\'')) : text);
    if (has_url)
        buf_append_str(out, STR("(a URL that may hold a password)"));
}
