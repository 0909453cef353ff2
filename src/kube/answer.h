/* Private to kube/client.c: what the API server's answers mean, and what is said of them.
 */
#ifndef KUBE_ANSWER_H
#define KUBE_ANSWER_H

#include "kube/client.h"

enum kube_outcome kube_answer_outcome(long status);
/* The same, once all of it has come: a 404 that is not an API server's (kube/missing.h) says nothing. */
enum kube_outcome kube_answer_whole_outcome(long status, struct str body);

/* Of the body of an answer that is no 2xx: the `message` of a Status object, or as much of another as fits into a line. */
struct str kube_answer_message(struct str body);

/* What libcurl says went wrong, without the passwords in it. */
void kube_answer_append_problem(struct buf *out, struct str text);

#endif
