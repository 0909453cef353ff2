#include "model/name.h"

static bool is_lower_or_digit(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
}

static bool is_letter_or_digit(char c)
{
    return is_lower_or_digit(c) || (c >= 'A' && c <= 'Z');
}

/* A label of a name, of any length. */
static bool is_dns_label(struct str text)
{
    for (size_t i = 0; i < text.len; i++) {
        bool inside = i > 0 && i + 1 < text.len;
        if (!is_lower_or_digit(text.ptr[i]) && !(inside && text.ptr[i] == '-'))
            return false;
    }
    return text.len > 0;
}

bool name_is_label(struct str name)
{
    return name.len <= 63 && is_dns_label(name);
}

bool name_is_subdomain(struct str name)
{
    if (name.len == 0 || name.len > 253)
        return false;
    struct str label;
    bool more;
    do {
        more = str_cut(name, '.', &label, &name);
        if (!is_dns_label(label))
            return false;
    } while (more);
    return true;
}

bool name_is_of(struct str name, const char *marks)
{
    for (size_t i = 0; i < name.len; i++) {
        char c = name.ptr[i];
        if (!is_letter_or_digit(c) && (c == '\0' || strchr(marks, c) == NULL))
            return false;
    }
    return name.len > 0;
}

bool label_value_is_valid(struct str value)
{
    for (size_t i = 0; i < value.len; i++) {
        char c = value.ptr[i];
        bool inside = i > 0 && i + 1 < value.len;
        if (!is_letter_or_digit(c) && !(inside && (c == '-' || c == '_' || c == '.')))
            return false;
    }
    return value.len <= 63;
}

bool label_key_is_valid(struct str key)
{
    struct str prefix, name;
    if (!str_cut(key, '/', &prefix, &name))
        return key.len > 0 && label_value_is_valid(key);
    return name_is_subdomain(prefix) && name.len > 0 && label_value_is_valid(name);
}

bool port_name_is_valid(struct str name)
{
    bool letter = false;
    if (name.len > 15 || !is_dns_label(name) || str_contains(name, STR("--")))
        return false;
    for (size_t i = 0; i < name.len; i++)
        letter = letter || (name.ptr[i] >= 'a' && name.ptr[i] <= 'z');
    return letter;
}
