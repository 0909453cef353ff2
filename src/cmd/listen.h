/* A listening unix socket.
 */
#ifndef CMD_LISTEN_H
#define CMD_LISTEN_H

#include "base/error.h"

/* Listens at `path` with mode 0777 (Envoy runs as another user); an old socket there is removed first, anything else is an
 * error. Returns the non-blocking descriptor, or -1. */
int listen_unix(const char *path, struct error *err);

#endif
