/* Errors as values.
 *
 * A function that can fail returns bool (or a pointer) and takes a `struct error *` last. On failure
 * it sets a message that names the bad input; on success it leaves the error alone. The message is
 * complete English without a final stop, fit to be shown to a person behind "error: ".
 */
#ifndef BASE_ERROR_H
#define BASE_ERROR_H

#include <stdbool.h>

struct error {
    char text[512]; /* NUL-terminated; longer messages are cut */
};

/* Sets the message; returns false, so that it can be the return expression. */
bool error_set(struct error *err, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Puts "prefix: " before the message; returns false. */
bool error_prefix(struct error *err, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* For what is tried again and again: whether a problem is another than the one that was told last, which *told keeps from call to
 * call. Whoever succeeds empties told->text, so that the same problem is news again. */
bool error_is_news(struct error *told, const char *problem);

#endif
