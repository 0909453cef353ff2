/* kube/client.h: bodies that unpack to a lot are handed out in turns, between which the loop serves others. */
#include "client_world.h"

enum { MIB = 1024 * 1024, RUN = 258, RUNS = 5 * MIB / RUN };

/* `count` bits of a code, the highest first, as Huffman codes are packed (RFC 1951, 3.1.1). */
static void append_code(struct buf *out, unsigned *used, unsigned code, unsigned count)
{
    while (count-- > 0) {
        if (*used % 8 == 0)
            buf_append_byte(out, 0);
        if ((code >> count & 1) != 0)
            out->data[out->len - 1] = (char)(out->data[out->len - 1] | 1 << *used % 8);
        ++*used;
    }
}

/* RFC 1952 around a block of fixed codes (RFC 1951, 3.2.6): an x, and copies of it; some 200:1. `text` gets what is packed. */
static void append_packed(struct buf *out, struct buf *text)
{
    unsigned used = 0;
    memset(buf_reserve(text, 1 + RUNS * RUN), 'x', 1 + RUNS * RUN);
    text->len = 1 + RUNS * RUN;
    buf_append_str(out, STR("\x1f\x8b\x08\0\0\0\0\0\0\x03"));
    append_code(out, &used, 6, 3); /* the last block; its type, lowest bit first */
    append_code(out, &used, 0x30 + 'x', 8);
    for (int i = 0; i < RUNS; i++) {
        append_code(out, &used, 0xc5, 8); /* 258 bytes */
        append_code(out, &used, 0, 5);    /* from one byte before */
    }
    append_code(out, &used, 0, 7); /* the end */
    append_little(out, crc32_of(buf_str(text)), 4);
    append_little(out, (uint32_t)text->len, 4);
}

/* A call, the world's reply to which is `text`, packed. */
struct packed_world {
    struct world world;
    struct buf body, text;
};

static void start(struct packed_world *packed)
{
    append_packed(&packed->body, &packed->text);
    packed->world.reply =
        (struct api_reply){.headers = "Content-Encoding: gzip\r\n", .body = buf_str(&packed->body)};
    world_start(&packed->world, "");
}

static void end(struct packed_world *packed)
{
    world_end(&packed->world);
    buf_free(&packed->body);
    buf_free(&packed->text);
}

static void test_turns(void **state)
{
    (void)state;
    struct packed_world packed = {0};
    struct call calls[2] = {0};
    start(&packed);
    for (size_t i = 0; i < COUNT(calls); i++)
        call_start(&calls[i], &packed.world, "/", 20000);
    loop_run(packed.world.loop);
    for (size_t i = 0; i < COUNT(calls); i++) {
        assert_int_equal(calls[i].outcome, KUBE_OK);
        assert_true(str_eq(buf_str(&calls[i].body), buf_str(&packed.text)));
        assert_true(calls[i].turns >= 5);
        assert_true(calls[i].most_in_turn <= MIB + 16 * 1024);
        call_free(&calls[i]);
    }
    assert_int_equal(kube_client_stats(packed.world.client).bytes, 2 * packed.body.len);
    end(&packed);
}

/* ---- what may happen between two turns ---- */

static void stop(struct call *call)
{
    call->stops = true;
}

static void cancel(struct call *call)
{
    kube_request_cancel(call->request);
    call->request = NULL;
    call->world->open--;
    loop_stop(call->world->loop);
}

static void test_makes_no_sense_later(void **state)
{
    (void)state;
    struct packed_world packed = {0};
    struct call call = {.at_turn_end = stop};
    start(&packed);
    call_run(&call, &packed.world, "/");
    assert_int_equal(call.outcome, KUBE_FAILED);
    assert_true(call.turns == 2 && call.body.len < 2 * MIB && call.message.len > 0);
    clock_pass(packed.world.loop, 1000);
    call_free(&call);
    end(&packed);
}

static void test_cancelled_later(void **state)
{
    (void)state;
    struct packed_world packed = {0};
    struct call call = {.at_turn_end = cancel}, other = {0};
    start(&packed);
    call_start(&call, &packed.world, "/", 0);
    loop_run(packed.world.loop);
    assert_true(call.turns == 1 && !call.has_ended);
    call_run(&other, &packed.world, "/");
    assert_int_equal(other.outcome, KUBE_OK);
    call_free(&call);
    call_free(&other);
    end(&packed);
}

/* The end of the connection does not take away what was held. */
static void test_broken_off_later(void **state)
{
    (void)state;
    struct packed_world packed = {0};
    struct call call = {0};
    start(&packed);
    packed.world.reply.ending = API_CUT;
    call_run(&call, &packed.world, "/");
    assert_int_equal(call.outcome, KUBE_FAILED);
    assert_true(call.most_in_turn <= MIB + 16 * 1024);
    call_free(&call);
    end(&packed);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_turns),
        cmocka_unit_test(test_makes_no_sense_later),
        cmocka_unit_test(test_cancelled_later),
        cmocka_unit_test(test_broken_off_later),
    };
    clock_patience = 5;
    log_set_level(LOG_ERROR + 1);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
