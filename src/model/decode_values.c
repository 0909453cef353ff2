#include "model/decode_values.h"

#include "base/time.h"

/* In bytes, keys and values together. Of annotations, Kubernetes'; of labels what fits into one message to a sidecar with room to
 * spare, and is more than an object in a cluster can have. */
enum { ANNOTATIONS_LIMIT = 256 * 1024, LABELS_LIMIT = 2 * 1024 * 1024 };

bool value_subdomain(struct decoder *d, const struct field *f, struct str *name)
{
    if (!field_string(d, f, name))
        return false;
    if (name_is_subdomain(*name))
        return true;
    decode_error(
        d, f,
        "%s is not a name (lower-case letters, digits, - and ., beginning and ending with a "
        "letter or digit, at most 253 bytes)",
        quote(*name).text);
    return false;
}

static void check_label(struct decoder *d, const struct field *f, const struct label *label)
{
    if (!label_key_is_valid(label->key))
        decode_error(d, f, "%s is not a label key ([PREFIX/]NAME, like app or example.com/app)",
                     quote(label->key).text);
    if (!label_value_is_valid(label->value))
        decode_error(
            d, f,
            "%s is not a label value (at most 63 letters, digits, -, _ and ., beginning and "
            "ending with a letter or digit)",
            quote(label->value).text);
}

/* As the key of a label, but in any case. */
static bool annotation_key_is_valid(struct str key)
{
    char lower_case[253 + 1 + 63];
    if (key.len > sizeof(lower_case))
        return false;
    for (size_t i = 0; i < key.len; i++)
        lower_case[i] = str_lower(key.ptr[i]);
    return label_key_is_valid(str_make(lower_case, key.len));
}

static void check_annotation(struct decoder *d, const struct field *f,
                             const struct label *annotation)
{
    if (!annotation_key_is_valid(annotation->key))
        decode_error(d, f, "%s is not an annotation key ([PREFIX/]NAME)",
                     quote(annotation->key).text);
}

/* `app: 5`, which is an error, but what is meant is plain: rules that name it shall still mean whoever bears it. */
static bool is_bare(const struct field *f, struct str *text)
{
    *text = f->node->text;
    return f->node->type == DOC_BOOL || f->node->type == DOC_INT || f->node->type == DOC_FLOAT;
}

typedef void pair_check(struct decoder *d, const struct field *f, const struct label *pair);

static void read_pairs(struct decoder *d, const struct field *f, struct arena *arena, size_t room,
                       pair_check *check, struct labels *out)
{
    size_t count = field_map(d, f) ? f->node->count : 0;
    *out = (struct labels){arena_array(arena, count + room, sizeof(*out->items)), 0};
    for (size_t i = 0; i < count; i++) {
        struct field member = field_member(f, i);
        struct str value;
        if (!field_require(d, &member) ||
            (!field_text(d, &member, &value) && !is_bare(&member, &value)))
            continue;
        struct label pair = {arena_copy(arena, member.name), arena_copy(arena, value)};
        check(d, &member, &pair);
        out->items[out->count++] = pair;
    }
    labels_sort(out);
}

void value_labels(struct decoder *d, const struct field *f, struct arena *arena, size_t room,
                  struct labels *out)
{
    size_t size = 0;
    read_pairs(d, f, arena, room, check_label, out);
    for (size_t i = 0; i < out->count; i++)
        size += out->items[i].key.len + out->items[i].value.len;
    if (size > LABELS_LIMIT) {
        decode_error(d, f, "holds %zu bytes, more than %d", size, LABELS_LIMIT);
        out->count = 0;
    }
}

void value_annotations(struct decoder *d, const struct field *f, struct labels *out)
{
    read_pairs(d, f, &d->resource->arena, 0, check_annotation, out);
}

void value_check_annotations(struct decoder *d, const struct field *f)
{
    size_t count = field_map(d, f) ? f->node->count : 0, size = 0;
    for (size_t i = 0; i < count; i++) {
        struct field member = field_member(f, i);
        struct label pair = {.key = member.name};
        check_annotation(d, &member, &pair);
        field_text(d, &member, &pair.value);
        size += pair.key.len + pair.value.len;
    }
    if (size > ANNOTATIONS_LIMIT)
        decode_error(d, f, "holds %zu bytes, more than %d", size, ANNOTATIONS_LIMIT);
}

struct model_strings value_names(struct decoder *d, const struct field *f)
{
    size_t count = field_list(d, f);
    struct model_strings out = {arena_array(&d->resource->arena, count, sizeof(*out.items)), 0};
    for (size_t i = 0; i < count; i++) {
        struct field item = field_item(f, i);
        struct str name;
        if (value_subdomain(d, &item, &name))
            out.items[out.count++] = name;
    }
    return out;
}

static bool uses_global(const struct selector *s)
{
    for (size_t i = 0; i < s->operand_count; i++) {
        if (uses_global(s->operands[i]))
            return true;
    }
    return s->op == SELECTOR_GLOBAL;
}

void value_selector(struct decoder *d, const struct field *f, bool allow_global,
                    struct model_selector *out)
{
    struct str text;
    struct error error;
    if (!field_string(d, f, &text))
        return;
    out->text = text;
    const struct selector *parsed = selector_parse(&d->resource->arena, text, NULL, &error);
    if (parsed == NULL) {
        decode_error(d, f, "%s", error.text);
        return;
    }
    if (parsed->is_empty)
        return;
    if (uses_global(parsed) && !(allow_global && parsed->op == SELECTOR_GLOBAL)) {
        decode_error(
            d, f, "%s: global() can stand only in the namespaceSelector of a rule, and only alone",
            quote(text).text);
        return;
    }
    out->parsed = parsed;
}

static bool read_net(struct decoder *d, const struct field *f, bool allow_addr, bool warn_bits,
                     struct ip_net *net)
{
    struct str text, address, length;
    if (!field_text(d, f, &text))
        return false;
    if (!(allow_addr ? ip_parse_net_or_addr(text, net) : ip_parse_net(text, net))) {
        decode_error(d, f, "%s is not a CIDR (expected like 10.0.0.0/8 or 2001:db8::/32)",
                     quote(text).text);
        return false;
    }
    struct ip_addr addr;
    if (warn_bits && str_cut(text, '/', &address, &length) && ip_parse_addr(address, &addr) &&
        !ip_addr_eq(&addr, &net->addr))
        decode_warning(d, f, "%s has bits set behind its prefix; taken as %s", quote(text).text,
                       ip_format_net(net).text);
    return true;
}

void value_nets(struct decoder *d, const struct field *f, bool allow_addr, bool warn_bits,
                struct model_nets *out)
{
    size_t count = field_list(d, f);
    out->items = arena_array(&d->resource->arena, count, sizeof(*out->items));
    for (size_t i = 0; i < count; i++) {
        struct field item = field_item(f, i);
        if (read_net(d, &item, allow_addr, warn_bits, &out->items[out->count]))
            out->count++;
    }
}

static const struct str protocol_names[] = {STR_INIT("TCP"),    STR_INIT("UDP"),
                                            STR_INIT("SCTP"),   STR_INIT("ICMP"),
                                            STR_INIT("ICMPv6"), STR_INIT("UDPLite")};
static const struct str wire_names[] = {STR_INIT("tcp"),  STR_INIT("udp"),    STR_INIT("sctp"),
                                        STR_INIT("icmp"), STR_INIT("icmpv6"), STR_INIT("udplite")};

static void set_protocol(struct model_protocol *out, size_t index)
{
    *out = (struct model_protocol){.present = true,
                                   .name = wire_names[index],
                                   .number = (uint8_t)ip_protocol_number(wire_names[index])};
}

bool value_protocol(struct decoder *d, const struct field *f, struct model_protocol *out)
{
    int64_t number = 0;
    uint64_t quoted_number;
    size_t index;
    if (!field_is_set(f))
        return false;
    /* "6" in quotes is the number too, as upstream reads it. */
    if (f->node->type == DOC_STRING && str_parse_uint(f->node->text, 255, &quoted_number) &&
        quoted_number > 0)
        number = (int64_t)quoted_number;
    else if (f->node->type == DOC_INT && !field_int(d, f, 1, 255, &number))
        return false;
    if (number != 0) {
        *out = (struct model_protocol){.present = true, .number = (uint8_t)number};
        return true;
    }
    if (!field_enum(d, f, FIELD_NAMES(protocol_names), &index))
        return false;
    set_protocol(out, index);
    return true;
}

bool protocol_has_ports(uint8_t protocol)
{
    return protocol == 6 || protocol == 17 || protocol == 132;
}

bool value_port_protocol(struct decoder *d, const struct field *f, struct model_protocol *out)
{
    size_t index;
    if (!field_enum(d, f, (struct field_names){protocol_names, 3}, &index))
        return false;
    set_protocol(out, index);
    return true;
}

/* "80", "80:90". */
static bool parse_range(struct str text, bool allow_range, struct model_port *out)
{
    struct str head, rest;
    uint64_t first, last;
    bool range = str_cut(text, ':', &head, &rest);
    if ((range && !allow_range) || !str_parse_uint(head, 65535, &first) || first == 0)
        return false;
    last = first;
    if (range && (!str_parse_uint(rest, 65535, &last) || last < first))
        return false;
    *out = (struct model_port){.first = (uint16_t)first, .last = (uint16_t)last};
    return true;
}

bool value_port(struct decoder *d, const struct field *f, bool allow_range, struct model_port *out)
{
    int64_t number;
    struct str text;
    if (!field_is_set(f))
        return false;
    if (f->node->type == DOC_INT) {
        if (!field_int(d, f, 1, 65535, &number))
            return false;
        *out = (struct model_port){.first = (uint16_t)number, .last = (uint16_t)number};
        return true;
    }
    if (!field_text(d, f, &text))
        return false;
    if (parse_range(text, allow_range, out))
        return true;
    if (port_name_is_valid(text)) {
        *out = (struct model_port){.name = arena_copy(&d->resource->arena, text)};
        return true;
    }
    decode_error(d, f,
                 "%s is not a port (a number from 1 to 65535, %sor a name of at most 15 lower-case "
                 "letters, digits and single -)",
                 quote(text).text, allow_range ? "a range like \"8000:8080\" " : "");
    return false;
}

bool value_time(struct decoder *d, const struct field *f, int64_t *seconds)
{
    struct str text;
    int64_t value;
    if (!field_text(d, f, &text))
        return false;
    if (!time_parse(text, &value)) {
        decode_error(d, f, "%s is not a time (expected like 2024-01-31T12:00:00Z)",
                     quote(text).text);
        return false;
    }
    *seconds = value;
    return true;
}
