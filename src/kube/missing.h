/* Which 404 means that a cluster has no such kind.
 *
 * It is what a kind that is not installed is known by, which then counts as empty. So it must come from an API server: a proxy or a
 * gateway that has lost its way says 404 as well, of policies that are there.
 *
 * Source: what kube-apiserver answers to a path that it does not serve (text), or to an object or kind that is not there (a Status).
 */
#ifndef KUBE_MISSING_H
#define KUBE_MISSING_H

#include <stdbool.h>

#include "base/str.h"

/* Whether the body of a 404 is an API server's. */
bool kube_missing_is_said(struct str body);

#endif
