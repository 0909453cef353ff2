#include "base/error.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

bool error_set(struct error *err, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    vsnprintf(err->text, sizeof(err->text), format, args);
    va_end(args);
    return false;
}

/* Appends as much as there is room for. */
static void append(struct error *err, const char *text)
{
    size_t used = strlen(err->text);
    while (*text != '\0' && used + 1 < sizeof(err->text))
        err->text[used++] = *text++;
    err->text[used] = '\0';
}

bool error_prefix(struct error *err, const char *format, ...)
{
    struct error old = *err;
    va_list args;
    va_start(args, format);
    vsnprintf(err->text, sizeof(err->text), format, args);
    va_end(args);
    append(err, ": ");
    append(err, old.text);
    return false;
}

bool error_is_news(struct error *told, const char *problem)
{
    struct error now;
    error_set(&now, "%s", problem); /* cut as the one that was told */
    bool is_news = strcmp(now.text, told->text) != 0;
    *told = now;
    return is_news;
}
