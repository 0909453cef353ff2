/* kube/handle.h: what libcurl is told. The real one makes handles; its options are taken down. */
#include "kube/handle.h"

#include "check.h"
#include "folder.h"

/* "OPTION=VALUE" of each, of those that have a number or a text. */
static struct buf told;

static CURLcode take_down(CURL *easy, CURLoption option, ...)
{
    va_list args;
    assert_non_null(easy);
    va_start(args, option);
    if (option < CURLOPTTYPE_OBJECTPOINT) {
        buf_printf(&told, "%d=%ld\n", (int)option, va_arg(args, long));
    } else if (option == CURLOPT_PROXY || option == CURLOPT_NOPROXY || option == CURLOPT_CAINFO ||
               option == CURLOPT_CAPATH || option == CURLOPT_USERNAME ||
               option == CURLOPT_PASSWORD || option == CURLOPT_URL) {
        const char *text = va_arg(args, const char *);
        buf_printf(&told, "%d=%s\n", (int)option, text != NULL ? text : "NULL");
    } else if (option > CURLOPTTYPE_BLOB) {
        const struct curl_blob *blob = va_arg(args, const struct curl_blob *);
        buf_printf(&told, "%d=%.*s\n", (int)option, (int)blob->len, (const char *)blob->data);
    }
    va_end(args);
    return CURLE_OK;
}

static void open_handle(const struct kube_config *config)
{
    struct error err;
    struct kube_handle handle = {0};
    const struct kube_secret secret = {.token = config->token};
    const struct kube_curl *real = kube_curl_load(&err);
    assert_non_null(real);
    struct kube_curl curl = *real;
    curl.easy_setopt = take_down;
    told.len = 0;
    assert_true(kube_handle_open(&handle, &curl, config, "/api", &secret, &err));
    kube_handle_close(&handle);
    buf_append_byte(&told, '\0');
}

/* `value` NULL: it is left as it is. */
static void check_option(const char *name, CURLoption option, const char *value)
{
    char line[128];
    snprintf(line, sizeof(line), "%d=%s\n", (int)option, value != NULL ? value : "");
    const char *at = strstr(told.data, line);
    bool is_told = at != NULL && (at == told.data || at[-1] == '\n');
    if (value == NULL) {
        *strchr(line, '\n') = '\0';
        at = strstr(told.data, line);
        is_told = at == NULL || (at != told.data && at[-1] != '\n');
    }
    if (!is_told)
        fail_msg("%s: not %s in:\n%s", name, line, told.data);
}

/* ---- TLS ---- */

static void test_tls(void **state)
{
    (void)state;
    const struct kube_config plain = {.server = "https://h"};
    struct kube_config config = {.server = "https://h", .ca = {.path = "/ca"}};
    const struct kube_config insecure = {.server = "https://h", .insecure = true};
    char minimum[16];
    snprintf(minimum, sizeof(minimum), "%d", CURL_SSLVERSION_TLSv1_2);
    open_handle(&plain);
    check_option("the oldest", CURLOPT_SSLVERSION, minimum);
    check_option("authorities are read for each connection", CURLOPT_CA_CACHE_TIMEOUT, "0");
    check_option("the system's", CURLOPT_CAINFO, NULL);
    check_option("the system's", CURLOPT_CAPATH, NULL);
    check_option("it is checked", CURLOPT_SSL_VERIFYPEER, NULL);
    check_option("it is checked", CURLOPT_SSL_VERIFYHOST, NULL);
    open_handle(&config);
    check_option("a file", CURLOPT_CAINFO, "/ca");
    check_option("the system's not as well", CURLOPT_CAPATH, "NULL");
    check_option("it is checked", CURLOPT_SSL_VERIFYPEER, NULL);
    config.ca = (struct kube_pem){.data = STR("PEM")};
    open_handle(&config);
    check_option("its contents", CURLOPT_CAINFO, NULL);
    check_option("the system's not as well", CURLOPT_CAPATH, "NULL");
    open_handle(&insecure);
    check_option("insecure", CURLOPT_SSL_VERIFYPEER, "0");
    check_option("insecure", CURLOPT_SSL_VERIFYHOST, "0");
}

/* ---- the proxy ---- */

static void test_proxy(void **state)
{
    (void)state;
    static const char *const cases[][3] = {
        {NULL, NULL, NULL}, /* as the environment says */
        {"http://p:1", "http://p:1", ""},
        {"https://u:w@p:1", "https://u:w@p:1", ""},
        {"socks5h://p", "socks5h://p", ""},
        /* The proxy finds the server's address. */
        {"socks5://u:w@p:1", "socks5h://u:w@p:1", ""},
        {"SOCKS5://p", "socks5h://p", ""},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        const struct kube_config config = {.server = "https://h", .proxy = cases[i][0]};
        open_handle(&config);
        check_option("proxy", CURLOPT_PROXY, cases[i][1]);
        check_option("whatever no_proxy says", CURLOPT_NOPROXY, cases[i][2]);
    }
}

/* ---- who asks ---- */

static void test_identity(void **state)
{
    (void)state;
    const struct kube_config nobody = {.server = "https://h"};
    const struct kube_config by_name = {.server = "https://h", .username = "u", .password = "w"};
    const struct kube_config by_token = {.server = "https://h", .token = STR("t")};
    open_handle(&nobody);
    check_option("nobody", CURLOPT_USERNAME, NULL);
    open_handle(&by_name);
    check_option("a name", CURLOPT_USERNAME, "u");
    check_option("a password", CURLOPT_PASSWORD, "w");
    check_option("where", CURLOPT_URL, "https://h/api");
    open_handle(&by_token);
    check_option("a token", CURLOPT_USERNAME, NULL);
}

/* ---- certificates ---- */

/* libcurl goes by what is in the files, since it uses connections of the same certificate again. */
static void test_own_files(void **state)
{
    (void)state;
    static const struct {
        const char *path, *error; /* NULL: none */
    } cases[] = {
        {"sound", NULL},
        {"empty", "client-certificate: \"empty\" is empty"},
        {"missing", "client-certificate: "},
    };
    struct error err;
    const struct kube_config config = {.server = "https://h"};
    const struct kube_curl *real = kube_curl_load(&err);
    assert_non_null(real);
    struct kube_curl curl = *real;
    curl.easy_setopt = take_down;
    folder_write("sound", STR("PEM"), 0600);
    folder_write("empty", STR(""), 0600);
    for (size_t i = 0; i < COUNT(cases); i++) {
        const struct kube_pem pem = {.path = cases[i].path};
        const struct kube_secret secret = {.certificate = pem, .key = pem};
        struct kube_handle handle = {0};
        told.len = 0;
        err.text[0] = '\0';
        bool ok = kube_handle_open(&handle, &curl, &config, "/api", &secret, &err);
        buf_append_byte(&told, '\0');
        check_number(cases[i].path, ok, cases[i].error == NULL);
        if (ok)
            check_option(cases[i].path, CURLOPT_SSLCERT_BLOB, "PEM");
        if (ok)
            check_option(cases[i].path, CURLOPT_SSLKEY_BLOB, "PEM");
        CHECK(cases[i].path, ok || strncmp(err.text, cases[i].error, strlen(cases[i].error)) == 0);
        kube_handle_close(&handle);
    }
}

/* ---- a libcurl that does without ---- */

static CURLoption refused;

static CURLcode take_all_but_one(CURL *easy, CURLoption option, ...)
{
    assert_non_null(easy);
    return option == refused ? CURLE_NOT_BUILT_IN : CURLE_OK;
}

/* What is to be honoured and cannot be is an error: nobody connects without it. What nobody wants may be missing. */
static void test_not_taken(void **state)
{
    (void)state;
    const struct kube_pem file = {.path = "f"}, data = {.data = STR("PEM")};
    const struct {
        CURLoption option;
        struct kube_pem pem;
        const char *message;
    } cases[] = {
        {CURLOPT_CAINFO_BLOB, data, "the certificate-authority"},
        {CURLOPT_CAINFO, file, "the certificate-authority"},
        {CURLOPT_SSLCERT_BLOB, data, "the client-certificate"},
        {CURLOPT_SSLKEY_BLOB, data, "the client-key"},
        {CURLOPT_SSLCERT_BLOB, file, "the client-certificate"},
        {CURLOPT_SSLKEY_BLOB, file, "the client-key"},
        {CURLOPT_SSLVERSION, file, "TLS, 1.2"},
        {CURLOPT_PROXY, file, "the proxy"},
        {CURLOPT_CAINFO_BLOB, file, NULL},
        {CURLOPT_CAPATH, file, NULL},
        {CURLOPT_CA_CACHE_TIMEOUT, file, NULL},
    };
    struct error err;
    const struct kube_curl *real = kube_curl_load(&err);
    assert_non_null(real);
    struct kube_curl curl = *real;
    curl.easy_setopt = take_all_but_one;
    folder_write("f", STR("PEM"), 0600);
    for (size_t i = 0; i < COUNT(cases); i++) {
        const struct kube_config config = {
            .server = "https://h", .proxy = "http://p", .ca = cases[i].pem};
        const struct kube_secret secret = {.certificate = cases[i].pem, .key = cases[i].pem};
        struct kube_handle handle = {0};
        refused = cases[i].option;
        err.text[0] = '\0';
        bool ok = kube_handle_open(&handle, &curl, &config, "/api", &secret, &err);
        check_number("it is open", ok, cases[i].message == NULL);
        if (!ok && strstr(err.text, cases[i].message) == NULL)
            fail_msg("case %zu: %s", i, err.text);
        check_number("its handle", handle.easy != NULL, ok);
        kube_handle_close(&handle);
    }
}

static int leave(void **state)
{
    buf_free(&told);
    return folder_leave(state);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_tls),       cmocka_unit_test(test_proxy),
        cmocka_unit_test(test_identity),  cmocka_unit_test(test_own_files),
        cmocka_unit_test(test_not_taken),
    };
    return cmocka_run_group_tests(tests, folder_enter, leave);
}
