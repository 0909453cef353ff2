/* HTTP paths: one form for all spellings of a path, before anything is compared.
 *
 *   1. cut at the first `?` or `#`
 *   2. percent-decode once; a malformed escape fails
 *   3. fail if `%2e`, `%2f`, `%5c` (any case) is still there, or a NUL: someone encoded twice
 *   4. `\` becomes `/`; the path must start with `/`
 *   5. drop `;…` from each segment
 *   6. collapse `//`, resolve `.` and `..` (never above `/`), no `/` at the end except for `/` itself
 *
 * A policy that names /admin must hold for /x/../admin, //admin, /%61dmin, /admin;v=1 and \admin too: the
 * service behind the proxy may read them all as /admin. What has no normal form is never let through.
 *
 * The request's path is not changed; only what policies are compared with.
 */
#ifndef AUTHZ_PATH_H
#define AUTHZ_PATH_H

#include "base/str.h"

enum path_result {
    PATH_OK,
    PATH_NO_SLASH,        /* as sent it does not start with "/": the request is malformed */
    PATH_NOT_NORMALISABLE /* one of the steps failed */
};

/* The path of a request. Absolute form (`SCHEME://AUTHORITY/…`) is reduced to its path first. `out` has room for
 * at least raw.len + 1 bytes; *normal points into it. */
enum path_result path_normalise_request(struct str raw, char *out, struct str *normal);

/* The path of a rule: no absolute form. False: it has no normal form. Same demand on `out`. */
bool path_normalise_rule(struct str raw, char *out, struct str *normal);

/* Whether `prefix` covers `path` (both normal): equal, or longer at the border of a segment. */
bool path_has_prefix(struct str path, struct str prefix);

#endif
