#include <time.h>

#include "base/time.h"

/* Whether a text has a digit wherever the form has 0, and otherwise the same bytes. */
static bool has_form(struct str text, struct str form)
{
    if (text.len != form.len)
        return false;
    for (size_t i = 0; i < form.len; i++) {
        bool is_digit = text.ptr[i] >= '0' && text.ptr[i] <= '9';
        if (form.ptr[i] == '0' ? !is_digit : text.ptr[i] != form.ptr[i])
            return false;
    }
    return true;
}

static int digits_at(struct str text, size_t at, size_t count)
{
    int value = 0;
    for (size_t i = at; i < at + count; i++)
        value = value * 10 + (text.ptr[i] - '0');
    return value;
}

static bool parse_date(struct str text, int64_t *seconds)
{
    if (!has_form(text, STR("0000-00-00T00:00:00")))
        return false;
    struct tm given = {.tm_year = digits_at(text, 0, 4) - 1900,
                       .tm_mon = digits_at(text, 5, 2) - 1,
                       .tm_mday = digits_at(text, 8, 2),
                       .tm_hour = digits_at(text, 11, 2),
                       .tm_min = digits_at(text, 14, 2),
                       .tm_sec = digits_at(text, 17, 2)};
    struct tm real = given;
    *seconds = timegm(&real);
    /* timegm takes the 31st of June for the 1st of July. */
    return real.tm_mon == given.tm_mon && real.tm_hour == given.tm_hour &&
           real.tm_min == given.tm_min && real.tm_sec == given.tm_sec;
}

/* "Z", "+02:00": what the time is ahead of the universal one. */
static bool parse_zone(struct str text, int64_t *ahead)
{
    *ahead = 0;
    if (str_eq(text, STR("Z")))
        return true;
    bool is_behind = has_form(text, STR("-00:00"));
    if (!is_behind && !has_form(text, STR("+00:00")))
        return false;
    int hours = digits_at(text, 1, 2), minutes = digits_at(text, 4, 2);
    *ahead = (is_behind ? -60 : 60) * (int64_t)(hours * 60 + minutes);
    return hours < 24 && minutes < 60;
}

bool time_parse(struct str text, int64_t *seconds)
{
    enum { DATE_LENGTH = 19 };
    struct str rest = str_from(text, DATE_LENGTH);
    int64_t ahead;
    if (!parse_date(str_head(text, DATE_LENGTH), seconds))
        return false;
    if (str_starts_with(rest, STR("."))) {
        size_t length = 1;
        while (length < rest.len && rest.ptr[length] >= '0' && rest.ptr[length] <= '9')
            length++;
        if (length == 1)
            return false;
        rest = str_from(rest, length);
    }
    if (!parse_zone(rest, &ahead))
        return false;
    *seconds -= ahead;
    return true;
}
