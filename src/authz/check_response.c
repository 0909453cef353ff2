#include "authz/check_response.h"

#include "pb/reader.h"
#include "pb/writer.h"

/* Field numbers: CheckResponse status 1, denied_response 2, ok_response 3, dynamic_metadata 4;
 * google.rpc.Status code 1, message 2; google.protobuf.Struct fields 1 (map: key 1, value 2);
 * google.protobuf.Value number_value 2, string_value 3. */

static size_t begin_entry(struct buf *out, struct str key, size_t *value)
{
    size_t entry = pb_begin(out, 1);
    pb_write_bytes(out, 1, key);
    *value = pb_begin(out, 2);
    return entry;
}

static void write_text(struct buf *out, struct str key, struct str text)
{
    size_t value, entry = begin_entry(out, key, &value);
    pb_write_bytes(out, 3, text);
    pb_end(out, value);
    pb_end(out, entry);
}

static void write_number(struct buf *out, struct str key, double number)
{
    size_t value, entry = begin_entry(out, key, &value);
    pb_write_double(out, 2, number);
    pb_end(out, value);
    pb_end(out, entry);
}

static void write_policy(struct buf *out, const struct psync_policy_id *id)
{
    size_t value, entry = begin_entry(out, STR("policy"), &value);
    size_t text = pb_begin(out, 3);
    psync_policy_id_format(out, id);
    pb_end(out, text);
    pb_end(out, value);
    pb_end(out, entry);
}

static void write_metadata(struct buf *out, const struct authz_verdict *verdict)
{
    size_t metadata = pb_begin(out, 4);
    write_text(out, STR("action"), authz_verdict_action(verdict));
    write_text(out, STR("reason"), authz_reason_name(verdict->reason));
    if (verdict->tier.len > 0)
        write_text(out, STR("tier"), verdict->tier);
    if (verdict->policy != NULL)
        write_policy(out, verdict->policy);
    if (verdict->rule >= 0)
        write_number(out, STR("rule"), verdict->rule);
    pb_end(out, metadata);
}

void check_response_encode(struct buf *out, const struct authz_verdict *verdict)
{
    size_t status = pb_begin(out, 1);
    if (verdict->code != AUTHZ_OK) {
        pb_write_varint(out, 1, verdict->code);
        pb_write_bytes(out, 2, authz_reason_name(verdict->reason));
    }
    pb_end(out, status);
    write_metadata(out, verdict);
}

static bool decode_status(struct str bytes, struct check_answer *answer)
{
    struct pb_reader r = pb_reader(bytes);
    struct pb_field f;
    while (pb_next(&r, &f)) {
        if (f.number == 1)
            answer->code = (int)(int32_t)(uint32_t)pb_varint(&r, &f);
        else if (f.number == 2)
            answer->message = pb_bytes(&r, &f);
    }
    return !r.failed;
}

static bool decode_value(struct str bytes, struct str *text, double *number)
{
    struct pb_reader r = pb_reader(bytes);
    struct pb_field f;
    while (pb_next(&r, &f)) {
        if (f.number == 2 && f.wire == PB_FIXED64)
            memcpy(number, &f.value, sizeof(*number));
        else if (f.number == 3)
            *text = pb_bytes(&r, &f);
    }
    return !r.failed;
}

static bool decode_entry(struct str bytes, struct check_answer *answer)
{
    struct pb_reader r = pb_reader(bytes);
    struct pb_field f;
    struct str key = {NULL, 0}, text = {NULL, 0};
    double number = -1;
    while (pb_next(&r, &f)) {
        if (f.number == 1)
            key = pb_bytes(&r, &f);
        else if (f.number == 2 && !decode_value(pb_bytes(&r, &f), &text, &number))
            return false;
    }
    const struct {
        struct str key;
        struct str *place;
    } texts[] = {
        {STR("action"), &answer->action},
        {STR("reason"), &answer->reason},
        {STR("tier"), &answer->tier},
        {STR("policy"), &answer->policy},
    };
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        if (str_eq(key, texts[i].key))
            *texts[i].place = text;
    }
    if (str_eq(key, STR("rule")) && number >= 0 && number <= INT32_MAX)
        answer->rule = (int)number;
    return !r.failed;
}

static bool decode_metadata(struct str bytes, struct check_answer *answer)
{
    struct pb_reader r = pb_reader(bytes);
    struct pb_field f;
    while (pb_next(&r, &f)) {
        if (f.number == 1 && !decode_entry(pb_bytes(&r, &f), answer))
            return false;
    }
    return !r.failed;
}

bool check_response_decode(struct str message, struct check_answer *answer)
{
    struct pb_reader r = pb_reader(message);
    struct pb_field f;
    *answer = (struct check_answer){.rule = -1};
    while (pb_next(&r, &f)) {
        if (f.number == 1 && !decode_status(pb_bytes(&r, &f), answer))
            return false;
        if (f.number == 4 && !decode_metadata(pb_bytes(&r, &f), answer))
            return false;
    }
    return !r.failed;
}
