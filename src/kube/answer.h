/* Private to kube/client.c: what the API server's answers mean, and what is said of them.
 */
#ifndef KUBE_ANSWER_H
#define KUBE_ANSWER_H

#include "kube/client.h"
#include "kube/curl.h"

enum kube_outcome kube_answer_outcome(long status);
/* The same, once all of it has come (of an answer that is no 2xx, as much as was kept): a 404 that is not an API server's
 * (kube/missing.h) says nothing. Appends what is said of it, of a 2xx nothing. */
enum kube_outcome kube_answer_conclude(struct buf *out, long status, struct str body);

/* The seconds of Retry-After; 0: none, or an hour and more, which is nonsense. */
unsigned kube_answer_retry_after(curl_off_t seconds);

/* What libcurl says went wrong, without the passwords in it. */
void kube_answer_append_problem(struct buf *out, struct str text);

#endif
