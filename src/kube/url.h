/* Text of others within a URL. */
#ifndef KUBE_URL_H
#define KUBE_URL_H

#include "base/mem.h"

/* As a part of a path, or a value in a query: what is not plain is encoded, `/` and `&` too. */
void kube_url_append(struct buf *out, struct str text);

#endif
