/* What names, label keys and label values are made of, as Kubernetes checks them (RFC 1123, and its API conventions).
 */
#ifndef MODEL_NAME_H
#define MODEL_NAME_H

#include "base/str.h"

/* Lower-case letters, digits and `-`, not at the ends; 1 to 63 bytes (RFC 1123 as Kubernetes reads it). */
bool name_is_label(struct str name);
/* Such labels, of any length, joined by dots; at most 253 bytes. */
bool name_is_subdomain(struct str name);

/* Nothing but ASCII letters, digits and `marks`; at least one. */
bool name_is_of(struct str name, const char *marks);

/* [PREFIX/]NAME, and what may stand as its value. */
bool label_key_is_valid(struct str key);
bool label_value_is_valid(struct str value);

/* Letters, digits and `-` as Kubernetes' port names have them. */
bool port_name_is_valid(struct str name);

#endif
