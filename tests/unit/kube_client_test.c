/* kube/client.h: what comes of answers, and what is sent. */
#include <stdlib.h>
#include <unistd.h>

#include "client_world.h"
#include "kube/curl.h"

/* ---- outcomes ---- */

static void test_outcomes(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        struct api_reply reply;
        enum kube_outcome outcome;
        const char *message;
        unsigned retry_after;
    } cases[] = {
        {"200", {.body = STR_INIT("x")}, KUBE_OK, "", 0},
        {"201", {.status = 201, .body = STR_INIT("x")}, KUBE_OK, "", 0},
        {"a body that ends with the connection",
         {.body = STR_INIT("x"), .ending = API_UNTIL_CLOSE},
         KUBE_OK,
         "",
         0},
        {"301",
         {.status = 301, .headers = "Location: /other\r\n"},
         KUBE_FAILED,
         "HTTP status 301: ",
         0},
        {"400", {.status = 400, .body = STR_INIT("why")}, KUBE_INVALID, "HTTP status 400: why", 0},
        {"401", {.status = 401}, KUBE_UNAUTHORIZED, "HTTP status 401: ", 0},
        {"403", {.status = 403}, KUBE_FORBIDDEN, "HTTP status 403: ", 0},
        {"404",
         {.status = 404, .body = STR_INIT("404 page not found\n")},
         KUBE_NOT_FOUND,
         "HTTP status 404: 404 page not found\n",
         0},
        {"another's 404",
         {.status = 404, .body = STR_INIT("<html>")},
         KUBE_FAILED,
         "HTTP status 404: <html>",
         0},
        {"409", {.status = 409}, KUBE_INVALID, "HTTP status 409: ", 0},
        {"410", {.status = 410}, KUBE_GONE, "HTTP status 410: ", 0},
        {"422", {.status = 422}, KUBE_INVALID, "HTTP status 422: ", 0},
        {"429",
         {.status = 429, .headers = "Retry-After: 9\r\n"},
         KUBE_BUSY,
         "HTTP status 429: ",
         9},
        {"500", {.status = 500}, KUBE_FAILED, "HTTP status 500: ", 0},
        {"503",
         {.status = 503, .headers = "Retry-After: 2\r\n"},
         KUBE_FAILED,
         "HTTP status 503: ",
         2},
        {"a body that breaks off",
         {.body = STR_INIT("x"), .ending = API_CUT},
         KUBE_FAILED,
         "transfer closed with outstanding read data remaining",
         0},
        {"no answer", {.ending = API_HANG_UP}, KUBE_FAILED, "Empty reply from server", 0},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct world world = {.reply = cases[i].reply};
        struct call call = {0};
        world_start(&world, "");
        call_run(&call, &world, "/api/v1/pods");
        CHECK(cases[i].name, call.outcome == cases[i].outcome);
        check_text(cases[i].name, buf_str(&call.message), str_from_c(cases[i].message));
        check_number(cases[i].name, call.retry_after, cases[i].retry_after);
        bool is_good = cases[i].reply.status < 300 && cases[i].reply.body.len > 0;
        check_text(cases[i].name, buf_str(&call.body), is_good ? STR("x") : STR(""));
        call_free(&call);
        world_end(&world);
    }
}

static void test_messages(void **state)
{
    (void)state;
    static const struct {
        const char *name, *body, *message;
    } cases[] = {
        {"a Status",
         "{\"kind\":\"Status\",\"message\":\"pods is forbidden: \\\"x\\\"\",\"code\":403}",
         "pods is forbidden: \\\"x\\\""},
        {"an empty message", "{\"message\":\"\"}", "{\"message\":\"\"}"},
        {"one without an end", "{\"message\":\"abc", "abc"},
        {"one that ends in an escape", "{\"message\":\"abc\\", "{\"message\":\"abc\\"},
        {"no message", "{\"code\":403}", "{\"code\":403}"},
        {"a text", "no way\n", "no way\n"},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct world world = {.reply = {.status = 403, .body = str_from_c(cases[i].body)}};
        struct call call = {0};
        world_start(&world, "");
        call_run(&call, &world, "/");
        check_text(cases[i].name, str_from(buf_str(&call.message), STR("HTTP status 403: ").len),
                   str_from_c(cases[i].message));
        call_free(&call);
        world_end(&world);
    }
}

static void send_byte(void *ctx)
{
    struct world *world = ctx;
    api_server_send(&world->server, STR("y"));
}

/* Of a long answer no more is kept than is needed; of it all that is no Status, a line. */
static void test_long_refusal(void **state)
{
    (void)state;
    CLEANUP_BUF struct buf body = {0};
    while (body.len < 1024 * 1024)
        buf_append_byte(&body, 'x');
    struct world world = {.reply = {.status = 500, .body = buf_str(&body)}};
    struct call call = {0};
    world_start(&world, "");
    call_run(&call, &world, "/");
    check_text(
        "message", buf_str(&call.message),
        STR("HTTP status 500: "
            "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"
            "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"
            "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"));
    call_free(&call);
    world_end(&world);
}

/* One that has no end is over when no more of it is kept, or its time is. */
static void test_endless_refusal(void **state)
{
    (void)state;
    static char much[16 * 1024];
    memset(much, 'x', sizeof(much));
    const struct {
        struct str body;
        enum kube_outcome outcome;
        uint64_t least, most;
    } cases[] = {
        {str_make(much, sizeof(much)), KUBE_FORBIDDEN, 0, 1000},
        {STR("x"), KUBE_SILENT, 20000, 25100},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct world world = {.reply = {.status = 403, .body = cases[i].body, .ending = API_OPEN}};
        struct call call = {0};
        struct loop_timer timer = {.callback = send_byte, .ctx = &world};
        world_start(&world, "");
        uint64_t begun = loop_now(world.loop);
        call_start(&call, &world, "/", 20000);
        loop_arm(world.loop, &timer, 14000);
        loop_run(world.loop);
        uint64_t took = loop_now(world.loop) - begun;
        loop_disarm(world.loop, &timer);
        CHECK("outcome", call.outcome == cases[i].outcome);
        CHECK("time", took >= cases[i].least && took < cases[i].most);
        call_free(&call);
        world_end(&world);
    }
}

/* A message behind what is kept is not looked for. */
static void test_long_status(void **state)
{
    (void)state;
    CLEANUP_BUF struct buf body = {0};
    buf_append_str(&body, STR("{\"kind\":\"Status\",\"details\":\""));
    while (body.len < 17 * 1024)
        buf_append_byte(&body, 'x');
    buf_append_str(&body, STR("\",\"message\":\"late\"}"));
    struct world world = {.reply = {.status = 500, .body = buf_str(&body), .chunk = 5000}};
    struct call call = {0};
    world_start(&world, "");
    call_run(&call, &world, "/");
    CHECK("message", str_starts_with(buf_str(&call.message), STR("HTTP status 500: {")));
    call_free(&call);
    world_end(&world);
}

static void test_cannot_connect(void **state)
{
    (void)state;
    struct world world = {0};
    struct call call = {0};
    world_start(&world, "");
    int fd = dup(world.server.listener.fd);
    /* Its port is taken, but nobody listens on it any more. */
    api_server_stop(&world.server);
    close(fd);
    call_run(&call, &world, "/");
    CHECK("refused", call.outcome == KUBE_FAILED && call.message.len > 0);
    call_free(&call);
    kube_client_free(world.client);
    loop_free(world.loop);
}

static CURLMcode take_none(CURLM *multi, CURL *easy)
{
    (void)multi;
    (void)easy;
    return CURLM_OUT_OF_MEMORY;
}

static void test_libcurl_refuses(void **state)
{
    (void)state;
    struct world world = {.reply = {.body = STR("x")}};
    struct call call = {0};
    struct error err;
    struct kube_curl *curl = (struct kube_curl *)kube_curl_load(&err);
    struct kube_curl sound = *curl;
    world_start(&world, "");
    curl->multi_add_handle = take_none;
    call_run(&call, &world, "/");
    curl->multi_add_handle = sound.multi_add_handle;
    CHECK("refused", call.outcome == KUBE_FAILED && world.asked == 0);
    check_text("refused", buf_str(&call.message),
               STR("libcurl does not take the request: Out of memory"));
    call_free(&call);
    world_end(&world);
}

static void test_data_that_makes_no_sense(void **state)
{
    (void)state;
    struct world world = {.reply = {.body = STR("x"), .ending = API_OPEN}};
    struct call call = {.stops = true};
    world_start(&world, "");
    call_run(&call, &world, "/");
    CHECK("stopped", call.outcome == KUBE_FAILED && call.message.len > 0 && call.turns == 1);
    call_free(&call);
    world_end(&world);
}

/* ---- what is sent ---- */

static void check_head(const struct world *world, const char *part)
{
    if (!str_contains(buf_str(&world->head), str_from_c(part)))
        fail_msg("not in the head: %s: %.*s", part, (int)world->head.len, world->head.data);
}

static void test_request(void **state)
{
    (void)state;
    struct world world = {.reply = {.body = STR("x")}};
    struct call call = {0};
    world_start(&world, "/base/path");
    call_run(&call, &world, "/api/v1/pods?watch=1&continue=a%2Fb");
    check_text("target", buf_str(&world.target),
               STR("/base/path/api/v1/pods?watch=1&continue=a%2Fb"));
    check_head(&world, "GET ");
    check_head(&world, "\r\nAccept: application/json\r\n");
    check_head(&world, "\r\nUser-Agent: dikast/");
    check_head(&world, "\r\nAccept-Encoding: gzip\r\n");
    assert_false(str_contains(buf_str(&world.head), STR("Authorization")));
    call_free(&call);
    world_end(&world);
}

static void test_identities(void **state)
{
    (void)state;
    static const struct {
        struct kube_config config;
        const char *header;
    } cases[] = {
        {{.token = STR_INIT("abc.def")}, "\r\nAuthorization: Bearer abc.def\r\n"},
        {{.username = "name", .password = "pass"}, "\r\nAuthorization: Basic bmFtZTpwYXNz\r\n"},
        {{.username = "name"}, "\r\nAuthorization: Basic bmFtZTo=\r\n"},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct world world = {.config = cases[i].config, .reply = {.body = STR("x")}};
        struct call call = {0};
        world_start(&world, "");
        call_run(&call, &world, "/");
        check_head(&world, cases[i].header);
        call_free(&call);
        world_end(&world);
    }
}

/* libcurl shows the URL of a proxy that it does not understand. */
static void test_no_password_is_shown(void **state)
{
    (void)state;
    static const char *const proxies[] = {"x://u:SECRET@p", "http://u:SECRET@p:99999",
                                          "http://u:SECRET@p:y"};
    for (size_t i = 0; i < COUNT(proxies); i++) {
        struct world world = {.config = {.proxy = proxies[i]}};
        struct call call = {0};
        world_start(&world, "");
        call_run(&call, &world, "/");
        CHECK(proxies[i], call.outcome == KUBE_FAILED);
        CHECK(proxies[i], str_starts_with(buf_str(&call.message), STR("Unsupported proxy s")));
        CHECK(proxies[i], !str_contains(buf_str(&call.message), STR("SECRET")));
        call_free(&call);
        world_end(&world);
    }
}

static void write_token(const char *path, const char *token)
{
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    fputs(token, file);
    fclose(file);
}

/* After a 401 the file is read again. */
static void test_refused_token(void **state)
{
    (void)state;
    char path[] = "/tmp/dikast-token-XXXXXX";
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    close(fd);
    struct world world = {.config = {.token_file = path}, .reply = {.body = STR("x")}};
    struct call calls[4] = {0};
    world_start(&world, "");
    write_token(path, "one");
    call_run(&calls[0], &world, "/");
    check_head(&world, "\r\nAuthorization: Bearer one\r\n");
    write_token(path, "two");
    world.reply.status = 401;
    call_run(&calls[1], &world, "/");
    check_head(&world, "\r\nAuthorization: Bearer one\r\n");
    world.reply.status = 200;
    call_run(&calls[2], &world, "/");
    check_head(&world, "\r\nAuthorization: Bearer two\r\n");
    remove(path);
    world.reply.status = 401;
    call_run(&calls[3], &world, "/");
    for (size_t i = 0; i < COUNT(calls); i++)
        call_free(&calls[i]);
    world_end(&world);
}

/* Told later, and of each that could not be sent; none is asked for. */
static void test_without_credentials(void **state)
{
    (void)state;
    struct world world = {.config = {.token_file = "/nonexistent/token"}};
    struct call calls[5] = {0};
    world_start(&world, "");
    for (size_t i = 0; i < COUNT(calls); i++)
        call_start(&calls[i], &world, "/", 0);
    kube_request_cancel(calls[2].request);
    world.open--;
    loop_run(world.loop);
    for (size_t i = 0; i < COUNT(calls); i++) {
        assert_int_equal(calls[i].has_ended, i != 2);
        if (i != 2)
            CHECK("outcome", calls[i].outcome == KUBE_FAILED);
        if (i != 2)
            check_text(
                "message", buf_str(&calls[i].message),
                STR("token file: \"/nonexistent/token\": cannot open: No such file or directory"));
        call_free(&calls[i]);
    }
    assert_int_equal(world.asked, 0);
    world_end(&world);
}

/* ---- bodies ---- */

/* RFC 1952 around one block that is stored as it is (RFC 1951, 3.2.4). */
static void append_gzip(struct buf *out, struct str text)
{
    buf_append_str(out, STR("\x1f\x8b\x08\0\0\0\0\0\0\x03\x01"));
    append_little(out, (uint32_t)text.len, 2);
    append_little(out, ~(uint32_t)text.len, 2);
    buf_append_str(out, text);
    append_little(out, crc32_of(text), 4);
    append_little(out, (uint32_t)text.len, 4);
}

static void test_gzip(void **state)
{
    (void)state;
    CLEANUP_BUF struct buf body = {0};
    append_gzip(&body, STR("{\"items\":[]}"));
    struct world world = {
        .reply = {.headers = "Content-Encoding: gzip\r\n", .body = buf_str(&body), .chunk = 3}};
    struct call call = {0};
    world_start(&world, "");
    call_run(&call, &world, "/");
    check_text("body", buf_str(&call.body), STR("{\"items\":[]}"));
    assert_int_equal(kube_client_stats(world.client).bytes, body.len);
    call_free(&call);
    world_end(&world);
}

static void test_stats(void **state)
{
    (void)state;
    CLEANUP_BUF struct buf body = {0};
    while (body.len < 100000)
        buf_append_byte(&body, 'x');
    struct world world = {.reply = {.body = buf_str(&body), .chunk = 777}};
    struct call calls[3] = {0};
    world_start(&world, "");
    for (size_t i = 0; i < COUNT(calls); i++) {
        call_run(&calls[i], &world, "/");
        assert_int_equal(calls[i].body.len, 100000);
        assert_true(calls[i].turns >= 1);
        call_free(&calls[i]);
    }
    assert_int_equal(kube_client_stats(world.client).requests, 3);
    assert_int_equal(kube_client_stats(world.client).bytes, 300000);
    /* One after the other they share a connection. */
    assert_int_equal(world.server.accepted, 1);
    world_end(&world);
}

static void test_many_at_once(void **state)
{
    (void)state;
    struct world world = {.reply = {.body = STR("x"), .lasts = 100}};
    struct call calls[60] = {0};
    world_start(&world, "");
    for (size_t i = 0; i < COUNT(calls); i++)
        call_start(&calls[i], &world, "/", 0);
    loop_run(world.loop);
    for (size_t i = 0; i < COUNT(calls); i++) {
        CHECK("many", calls[i].has_ended && calls[i].outcome == KUBE_OK);
        call_free(&calls[i]);
    }
    world_end(&world);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_outcomes),
        cmocka_unit_test(test_messages),
        cmocka_unit_test(test_long_refusal),
        cmocka_unit_test(test_endless_refusal),
        cmocka_unit_test(test_long_status),
        cmocka_unit_test(test_cannot_connect),
        cmocka_unit_test(test_libcurl_refuses),
        cmocka_unit_test(test_data_that_makes_no_sense),
        cmocka_unit_test(test_request),
        cmocka_unit_test(test_identities),
        cmocka_unit_test(test_no_password_is_shown),
        cmocka_unit_test(test_refused_token),
        cmocka_unit_test(test_without_credentials),
        cmocka_unit_test(test_gzip),
        cmocka_unit_test(test_stats),
        cmocka_unit_test(test_many_at_once),
    };
    clock_patience = 5;
    log_set_level(LOG_ERROR + 1);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
