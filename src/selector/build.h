/* Private to the module: how the parser and the public constructors make nodes. */
#ifndef SELECTOR_BUILD_H
#define SELECTOR_BUILD_H

#include "selector/selector.h"

/* A node with a copy of the label and nothing else. */
struct selector *selector_new(struct arena *arena, enum selector_op op, struct str label);

/* Copies the values, sorted and without doubles. */
void selector_set_values(struct arena *arena, struct selector *s, const struct str *values,
                         size_t count);

/* The operands joined by `op` (AND or OR); those that are such a chain themselves are merged into it. One
 * operand is returned as it is. */
const struct selector *selector_chain(struct arena *arena, enum selector_op op,
                                      const struct selector *const *operands, size_t count);

#endif
