/* csi_messages.h: requests by the byte, which of them are fulfilled, and answers. tests/py/test_csi.py does the same with messages that
 * another program makes. */
#include "node/csi_messages.h"

#include "check.h"
#include "pb/writer.h"

#define ID   "csi-0f1e"
#define PATH "/k/pods/u-1/volumes/kubernetes.io~csi/felix-sync/mount"

#define POD_UID   "csi.storage.k8s.io/pod.uid"
#define NAME      "csi.storage.k8s.io/pod.name"
#define NAMESPACE "csi.storage.k8s.io/pod.namespace"
#define ACCOUNT   "csi.storage.k8s.io/serviceAccount.name"
#define EPHEMERAL "csi.storage.k8s.io/ephemeral"

/* ---- a request, put together */

static void add_context(struct buf *out, const char *key, const char *value)
{
    size_t entry = pb_begin(out, 8);
    pb_write_bytes(out, 1, str_from_c(key));
    pb_write_bytes(out, 2, str_from_c(value));
    pb_end(out, entry);
}

/* access: 1 block, 2 mount, 0 neither. */
static void add_capability(struct buf *out, uint32_t access, uint64_t mode)
{
    size_t capability = pb_begin(out, 5);
    if (access > 0)
        pb_end(out, pb_begin(out, access));
    size_t access_mode = pb_begin(out, 3);
    if (mode > 0)
        pb_write_varint(out, 1, mode);
    pb_end(out, access_mode);
    pb_end(out, capability);
}

/* All that is good, but for what the case leaves out or has otherwise. */
struct request {
    const char *id, *path;
    bool no_capability;
    uint32_t access;
    uint64_t mode;
    const char *key, *value; /* of volume_context, another value; NULL for none */
};

static void write_request(struct buf *out, const struct request *r)
{
    static const char *const context[][2] = {{POD_UID, "u-1"},    {NAME, "web-0"},
                                             {NAMESPACE, "bank"}, {ACCOUNT, "web"},
                                             {EPHEMERAL, "true"}, {"other", "x"}};
    pb_write_bytes(out, 1, str_from_c(r->id));
    pb_write_bytes(out, 4, str_from_c(r->path));
    if (!r->no_capability)
        add_capability(out, r->access, r->mode);
    for (size_t i = 0; i < COUNT(context); i++) {
        bool is_it = r->key != NULL && strcmp(context[i][0], r->key) == 0;
        if (!is_it)
            add_context(out, context[i][0], context[i][1]);
        else if (r->value != NULL)
            add_context(out, context[i][0], r->value);
    }
}

static const struct request good = {ID, PATH, false, 2, 1, NULL, NULL};

static void test_good(void **state)
{
    (void)state;
    CLEANUP_BUF struct buf bytes = {0};
    struct csi_publish request;
    struct credentials c;
    struct error err;
    write_request(&bytes, &good);
    assert_true(csi_decode_publish(buf_str(&bytes), &request, &err));
    assert_int_equal(csi_check_publish(&request, &c, &err), GRPC_OK);
    check_text("id", request.volume_id, STR(ID));
    check_text("path", request.target_path, STR(PATH));
    check_text("uid", c.uid, STR("u-1"));
    check_text("pod", c.workload, STR("web-0"));
    check_text("namespace", c.namespace, STR("bank"));
    check_text("account", c.account, STR("web"));
    assert_false(request.read_only);
    pb_write_varint(&bytes, 6, 1);
    assert_true(csi_decode_publish(buf_str(&bytes), &request, &err) && request.read_only);
}

/* Who may only read gets the same as with `readonly`. */
static void test_reader(void **state)
{
    (void)state;
    CLEANUP_BUF struct buf bytes = {0};
    struct csi_publish request;
    struct credentials c;
    struct error err;
    struct request reader = good;
    reader.mode = 2;
    write_request(&bytes, &reader);
    assert_true(csi_decode_publish(buf_str(&bytes), &request, &err) && !request.read_only);
    assert_int_equal(csi_check_publish(&request, &c, &err), GRPC_OK);
    assert_true(request.read_only);
}

static void test_refused(void **state)
{
    (void)state;
    static const struct {
        struct request request;
        enum grpc_code code;
        const char *message;
    } cases[] = {
        {{"", PATH, false, 2, 1, NULL, NULL}, GRPC_INVALID_ARGUMENT, "volume_id is missing"},
        {{"a/b", PATH, false, 2, 1, NULL, NULL},
         GRPC_INVALID_ARGUMENT,
         "volume_id \"a/b\" is not a plain file name"},
        {{"..", PATH, false, 2, 1, NULL, NULL}, GRPC_INVALID_ARGUMENT, "volume_id \"..\" is not"},
        {{ID, "", false, 2, 1, NULL, NULL}, GRPC_INVALID_ARGUMENT, "target_path is missing"},
        {{ID, "x", false, 2, 1, NULL, NULL},
         GRPC_INVALID_ARGUMENT,
         "target_path: \"x\" is not an absolute path"},
        {{ID, "/tmp/target", false, 2, 1, NULL, NULL},
         GRPC_INVALID_ARGUMENT,
         "target_path: \"/tmp/target\" is not the path of a pod's volume"},
        {{ID, "/k/pods/u-2/volumes/d/n", false, 2, 1, NULL, NULL},
         GRPC_INVALID_ARGUMENT,
         "target_path \"/k/pods/u-2/volumes/d/n\" is not a volume of the pod whose " POD_UID
         " is \"u-1\""},
        {{ID, PATH, true, 2, 1, NULL, NULL}, GRPC_INVALID_ARGUMENT, "volume_capability is missing"},
        {{ID, PATH, false, 0, 1, NULL, NULL},
         GRPC_INVALID_ARGUMENT,
         "volume_capability.access_type is missing"},
        {{ID, PATH, false, 2, 0, NULL, NULL},
         GRPC_INVALID_ARGUMENT,
         "volume_capability.access_mode is missing"},
        {{ID, PATH, false, 1, 1, NULL, NULL},
         GRPC_FAILED_PRECONDITION,
         "volume_capability is block"},
        {{ID, PATH, false, 2, 3, NULL, NULL},
         GRPC_FAILED_PRECONDITION,
         "volume_capability.access_mode is neither"},
        {{ID, PATH, false, 2, 7, NULL, NULL}, GRPC_FAILED_PRECONDITION, "volume_capability.access"},
        {{ID, PATH, false, 2, UINT64_MAX, NULL, NULL},
         GRPC_FAILED_PRECONDITION,
         "volume_capability.access"},
        {{ID, PATH, false, 2, 1, POD_UID, NULL},
         GRPC_INVALID_ARGUMENT,
         POD_UID " is missing from volume_context; is podInfoOnMount true"},
        {{ID, PATH, false, 2, 1, ACCOUNT, NULL},
         GRPC_INVALID_ARGUMENT,
         ACCOUNT " is missing from volume_context"},
        {{ID, PATH, false, 2, 1, EPHEMERAL, NULL},
         GRPC_INVALID_ARGUMENT,
         EPHEMERAL " is missing from volume_context"},
        {{ID, PATH, false, 2, 1, EPHEMERAL, "false"},
         GRPC_FAILED_PRECONDITION,
         EPHEMERAL " is \"false\": there are only ephemeral volumes"},
        {{ID, PATH, false, 2, 1, EPHEMERAL, "True"}, GRPC_FAILED_PRECONDITION, EPHEMERAL " is"},
        {{ID, PATH, false, 2, 1, POD_UID, "u/1"}, GRPC_INVALID_ARGUMENT, POD_UID " \"u/1\" is not"},
        {{ID, PATH, false, 2, 1, NAME, "Web"}, GRPC_INVALID_ARGUMENT, NAME " \"Web\" is not"},
        {{ID, PATH, false, 2, 1, NAMESPACE, ""}, GRPC_INVALID_ARGUMENT, NAMESPACE " \"\" is not"},
        {{ID, PATH, false, 2, 1, ACCOUNT, "-"}, GRPC_INVALID_ARGUMENT, ACCOUNT " \"-\" is not"},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        CLEANUP_BUF struct buf bytes = {0};
        struct csi_publish request;
        struct credentials c;
        struct error err = {""};
        const char *message = cases[i].message;
        write_request(&bytes, &cases[i].request);
        CHECK(message, csi_decode_publish(buf_str(&bytes), &request, &err));
        check_number(message, csi_check_publish(&request, &c, &err), cases[i].code);
        if (strncmp(err.text, message, strlen(message)) != 0)
            fail_msg("got \"%s\", expected \"%s\"", err.text, message);
    }
}

static void test_mount_flags(void **state)
{
    (void)state;
    CLEANUP_BUF struct buf bytes = {0};
    struct csi_publish request;
    struct credentials c;
    struct error err;
    write_request(&bytes, &good);
    size_t capability = pb_begin(&bytes, 5);
    size_t mount = pb_begin(&bytes, 2);
    pb_write_bytes(&bytes, 1, STR("ext4")); /* fs_type, which is as good as none */
    pb_end(&bytes, mount);
    pb_end(&bytes, capability);
    assert_true(csi_decode_publish(buf_str(&bytes), &request, &err));
    assert_int_equal(csi_check_publish(&request, &c, &err), GRPC_OK);
    capability = pb_begin(&bytes, 5);
    mount = pb_begin(&bytes, 2);
    pb_write_bytes(&bytes, 2, STR("noatime"));
    pb_end(&bytes, mount);
    pb_end(&bytes, capability);
    assert_true(csi_decode_publish(buf_str(&bytes), &request, &err));
    assert_int_equal(csi_check_publish(&request, &c, &err), GRPC_FAILED_PRECONDITION);
    assert_non_null(strstr(err.text, "mount_flags"));
}

/* ---- bytes that are no message */

static void test_garbage(void **state)
{
    (void)state;
    static const struct {
        struct str bytes;
        const char *message;
    } cases[] = {
        {STR_INIT("\x0a"), "the message is not a NodePublishVolumeRequest"},
        {STR_INIT("\x0a\x05" ID), "the message is not a NodePublishVolumeRequest"},
        {STR_INIT("\x08\x01"), "the message is not"},             /* volume_id as a number */
        {STR_INIT("\x32\x01x"), "the message is not"},            /* readonly as text */
        {STR_INIT("\xff\xff\xff\xff\xff"), "the message is not"}, /* a tag without end */
        {STR_INIT("\x2a\x01\x08"), "volume_capability is not a VolumeCapability"},
        {STR_INIT("\x2a\x02\x10\x01"), "volume_capability is not"}, /* mount as a number */
        {STR_INIT("\x2a\x03\x1a\x01\x08"), "volume_capability is not"},
        {STR_INIT("\x2a\x03\x0a\x01\x08"), "volume_capability is not"}, /* within block */
        {STR_INIT("\x42\x01\x0a"), "volume_context is not a map of strings"},
        {STR_INIT("\x42\x02\x08\x01"), "volume_context is not a map of strings"},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct csi_publish request;
        struct error err = {""};
        struct quoted name = quote(cases[i].bytes);
        CHECK(name.text, !csi_decode_publish(cases[i].bytes, &request, &err));
        if (strncmp(err.text, cases[i].message, strlen(cases[i].message)) != 0)
            fail_msg("%s: got \"%s\"", name.text, err.text);
    }
    struct csi_unpublish request;
    struct error err;
    assert_false(csi_decode_unpublish(STR("\x12\x09/"), &request, &err));
    assert_string_equal(err.text, "the message is not a NodeUnpublishVolumeRequest");
    assert_false(csi_is_message(STR("\x0a\x05")));
    assert_true(csi_is_message(STR("\x0a\x01x")) && csi_is_message(STR("")));
}

/* A request is read right or not at all, wherever it is cut off; and unknown fields change nothing. */
static void test_cut(void **state)
{
    (void)state;
    CLEANUP_BUF struct buf bytes = {0};
    struct csi_publish request;
    struct credentials c;
    struct error err;
    write_request(&bytes, &good);
    for (size_t len = 0; len < bytes.len; len++) {
        struct str part = str_head(buf_str(&bytes), len);
        if (csi_decode_publish(part, &request, &err) && len < bytes.len - 12)
            assert_int_not_equal(csi_check_publish(&request, &c, &err), GRPC_OK);
    }
    pb_write_varint(&bytes, 3000, 7);
    pb_write_double(&bytes, 3001, 1.5);
    pb_write_bytes(&bytes, 7, STR("\x0a\x01k\x12\x01s")); /* secrets */
    assert_true(csi_decode_publish(buf_str(&bytes), &request, &err));
    assert_int_equal(csi_check_publish(&request, &c, &err), GRPC_OK);
}

static void test_key_twice(void **state)
{
    (void)state;
    CLEANUP_BUF struct buf bytes = {0};
    struct csi_publish request;
    struct error err;
    write_request(&bytes, &good);
    add_context(&bytes, NAME, "web-0");
    assert_false(csi_decode_publish(buf_str(&bytes), &request, &err));
    assert_string_equal(err.text, "volume_context has " NAME " twice");
}

/* Bytes behind a NUL count. */
static void test_nul(void **state)
{
    (void)state;
    CLEANUP_BUF struct buf bytes = {0};
    struct csi_publish request;
    struct credentials c;
    struct error err;
    write_request(&bytes, &good);
    pb_write_bytes(&bytes, 1, STR(ID "\0x"));
    assert_true(csi_decode_publish(buf_str(&bytes), &request, &err));
    assert_int_equal(csi_check_publish(&request, &c, &err), GRPC_INVALID_ARGUMENT);
    pb_write_bytes(&bytes, 1, STR(ID));
    pb_write_bytes(&bytes, 4, STR(PATH "\0"));
    assert_true(csi_decode_publish(buf_str(&bytes), &request, &err));
    assert_int_equal(csi_check_publish(&request, &c, &err), GRPC_INVALID_ARGUMENT);
    assert_non_null(strstr(err.text, "has NUL in it"));
}

static void test_unpublish(void **state)
{
    (void)state;
    static const struct {
        const char *id, *path, *message; /* NULL: it is good */
    } cases[] = {
        {ID, PATH, NULL},
        {"", PATH, "volume_id is missing"},
        {ID, "", "target_path is missing"},
        {"a b", PATH, "volume_id \"a b\" is not a plain file name"},
        {ID, "/etc", "target_path: \"/etc\" is not the path of a pod's volume"},
        {ID, "/k/pods/../volumes/d/n", "target_path: \"/k/pods/../volumes/d/n\" has .. in it"},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        CLEANUP_BUF struct buf bytes = {0};
        struct csi_unpublish request;
        struct error err = {""};
        pb_write_bytes(&bytes, 1, str_from_c(cases[i].id));
        pb_write_bytes(&bytes, 2, str_from_c(cases[i].path));
        pb_write_bytes(&bytes, 9, STR("unknown"));
        assert_true(csi_decode_unpublish(buf_str(&bytes), &request, &err));
        bool good_one = csi_check_unpublish(&request, &err) == GRPC_OK;
        CHECK(cases[i].path, good_one == (cases[i].message == NULL));
        if (!good_one && strncmp(err.text, cases[i].message, strlen(cases[i].message)) != 0)
            fail_msg("got \"%s\", expected \"%s\"", err.text, cases[i].message);
    }
}

static void test_answers(void **state)
{
    (void)state;
    CLEANUP_BUF struct buf out = {0};
    csi_encode_plugin_info(&out, STR("csi.tigera.io"), STR("0.1"));
    csi_encode_ready(&out);
    csi_encode_node_info(&out, STR("node-1"));
    check_text("answers", buf_str(&out),
               STR("\x0a\x0d"
                   "csi.tigera.io\x12\x03"
                   "0.1\x0a\x02\x08\x01\x0a\x06node-1"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_good),      cmocka_unit_test(test_reader),
        cmocka_unit_test(test_refused),   cmocka_unit_test(test_mount_flags),
        cmocka_unit_test(test_garbage),   cmocka_unit_test(test_cut),
        cmocka_unit_test(test_key_twice), cmocka_unit_test(test_nul),
        cmocka_unit_test(test_unpublish), cmocka_unit_test(test_answers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
