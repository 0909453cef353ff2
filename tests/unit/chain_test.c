/* chain.h: each position meets every message behind it once, and what nobody has ahead is forgotten. */
#include "policysync/chain.h"

#include <stdio.h>
#include <stdlib.h>

#include "random.h"

static void append(struct chain *chain, const char *message, uint64_t tag)
{
    chain_append(chain, str_from_c(message), tag);
}

/* What so many messages with so many bytes between them count for. */
static size_t waiting(size_t links, size_t bytes)
{
    return links * sizeof(struct chain_link) + bytes;
}

/* The next message of a position is this one; NULL: there is none. */
static void check_next(const char *name, struct chain_link **position, const char *expected)
{
    CHECK(name, chain_is_at_end(*position) == (expected == NULL));
    CHECK(name, chain_advance(position) == (expected != NULL));
    if (expected != NULL)
        check_text(name, blob_str((*position)->message), str_from_c(expected));
}

static void test_positions(void **state)
{
    (void)state;
    struct chain chain;
    size_t total = 0;
    chain_init(&chain, &total);
    append(&chain, "nobody reads this", 1);
    assert_int_equal(total, 0);
    struct chain_link *early = chain_hold(&chain), *late;
    check_next("nothing yet", &early, NULL);
    append(&chain, "one", 11);
    append(&chain, "", 12);
    late = chain_hold(&chain);
    append(&chain, "three", 13);
    assert_int_equal(total, waiting(3, 8));
    check_next("late", &late, "three");
    assert_true(late->tag == 13);
    check_next("late, again", &late, NULL);
    check_next("early 1", &early, "one");
    assert_true(early->tag == 11);
    check_next("early 2", &early, "");
    assert_int_equal(total, waiting(1, 5));
    check_next("early 3", &early, "three");
    check_next("early, again", &early, NULL);
    assert_int_equal(total, 0);
    chain_release(&late);
    assert_null(late);
    chain_release(&late);
    chain_release(&early);
    chain_free(&chain);
    assert_int_equal(total, 0);
}

/* A message that all have read does not wait, though the last one is kept until the next one comes. Lag is a reader's own. */
static void test_bytes(void **state)
{
    (void)state;
    struct chain chain;
    size_t total = 0;
    chain_init(&chain, &total);
    struct chain_link *position = chain_hold(&chain), *other = chain_hold(&chain);
    append(&chain, "large message", 0);
    assert_int_equal(total, waiting(1, 13));
    assert_true(chain_advance(&position));
    assert_int_equal(total, waiting(1, 13));
    assert_true(chain_advance(&other));
    assert_int_equal(total, 0);
    append(&chain, "x", 0);
    assert_int_equal(total, waiting(1, 1));
    append(&chain, "yz", 0);
    assert_true(chain_advance(&position));
    assert_int_equal(total, waiting(2, 3));
    assert_int_equal(chain_lag(position), waiting(1, 2));
    assert_int_equal(chain_lag(other), waiting(2, 3));
    chain_release(&other); /* the slow one goes */
    assert_int_equal(total, waiting(1, 2));
    chain_release(&position);
    assert_int_equal(total, 0);
    append(&chain, "nobody", 0);
    assert_int_equal(total, 0);
    chain_free(&chain);
    assert_int_equal(total, 0);
}

/* A long chain goes at once, without recursion. */
static void test_long(void **state)
{
    (void)state;
    struct chain chain;
    size_t total = 0;
    chain_init(&chain, &total);
    struct chain_link *position = chain_hold(&chain);
    for (int i = 0; i < 200000; i++)
        append(&chain, "0123456789", 0);
    assert_int_equal(total, waiting(200000, 2000000));
    chain_release(&position);
    assert_int_equal(total, 0);
    chain_free(&chain);
    assert_int_equal(total, 0);
}

/* ---- against numbers ---- */

enum { READERS = 5, STEPS = 20000 };

/* Messages are numbered; a reader knows which comes next, 0: it does not read. */
struct reader {
    struct chain_link *position;
    uint64_t next;
};

/* Bytes of the message number n. */
static size_t size_of(uint64_t n)
{
    return n % 7;
}

static void read_one(struct reader *reader, uint64_t last)
{
    assert_int_equal(chain_advance(&reader->position), reader->next <= last);
    if (reader->next > last)
        return;
    assert_true(reader->position->tag == reader->next);
    assert_int_equal(blob_str(reader->position->message).len, size_of(reader->next));
    reader->next++;
}

/* What the slowest has ahead of it. */
static size_t ahead_of(const struct reader *readers, uint64_t last)
{
    uint64_t first = last;
    size_t bytes = 0;
    for (size_t i = 0; i < READERS; i++) {
        if (readers[i].next > 0 && readers[i].next - 1 < first)
            first = readers[i].next - 1;
    }
    for (uint64_t n = first + 1; n <= last; n++)
        bytes += waiting(1, size_of(n));
    return bytes;
}

static void test_random_readers(void **state)
{
    (void)state;
    struct random random = random_start();
    struct reader readers[READERS] = {{NULL, 0}};
    uint64_t last = 0;
    struct chain chain;
    size_t total = 0;
    chain_init(&chain, &total);
    for (int step = 0; step < STEPS; step++) {
        struct reader *reader = &readers[random_below(&random, READERS)];
        size_t what = random_below(&random, 20);
        if (what < 8) {
            last++;
            chain_append(&chain, str_make("abcdefg", size_of(last)), last);
        } else if (reader->next == 0) {
            *reader = (struct reader){chain_hold(&chain), last + 1};
        } else if (what < 19) {
            read_one(reader, last);
        } else {
            chain_release(&reader->position);
            reader->next = 0;
        }
        assert_int_equal(total, ahead_of(readers, last));
    }
    for (size_t i = 0; i < READERS; i++)
        chain_release(&readers[i].position);
    chain_free(&chain);
    assert_int_equal(total, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_positions),
        cmocka_unit_test(test_bytes),
        cmocka_unit_test(test_long),
        cmocka_unit_test(test_random_readers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
