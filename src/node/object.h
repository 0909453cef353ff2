/* A JSON object whose values are strings: what kubelet hands to a volume driver, its configuration, a credentials file.
 */
#ifndef NODE_OBJECT_H
#define NODE_OBJECT_H

#include "model/doc.h"

/* The text must be one JSON object, without doubled keys and without NUL anywhere; see model/doc.h. NULL: it is not. */
const struct doc_node *object_load(struct arena *arena, struct str text, struct error *err);

/* The string behind a key. False, with an error that names the key, if it is missing or something else. */
bool object_string(struct arena *arena, const struct doc_node *object, const char *key,
                   struct str *value, struct error *err);

/* The same, but *value stays as it is if the key is missing or its string is empty. */
bool object_string_if_any(struct arena *arena, const struct doc_node *object, const char *key,
                          struct str *value, struct error *err);

#endif
