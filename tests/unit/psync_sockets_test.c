/* policysync/server.h: sockets that cannot be reached any more, cannot be made, or become another's; and who may call. */
#include "psync_server_world.h"

#define WEB "endpoint k8s/k/web/eth0\nin sync"

static void open_with_web(struct node *node, struct stream_seen *web)
{
    node_open(node);
    tell_endpoint(&node->told, "k/web", "", "");
    tell_in_sync(&node->told);
    stream_open(node, web, "web");
    check_stream("web", web, WEB);
}

/* The number that the next descriptor gets: the same as before, if none was left open. */
static int next_descriptor(void)
{
    int fd = dup(STDOUT_FILENO);
    assert_true(fd >= 0);
    close(fd);
    return fd;
}

/* The credentials file is written anew, as it was. */
static void remount(struct node *node)
{
    node_mount("web", "web");
    node_pass(node, 1);
}

static void move_folder(void)
{
    assert_int_equal(rename("mount/web", "mount/moved"), 0);
    assert_int_equal(mkdir("mount/web", 0755), 0);
}

static void forget_folder(void)
{
    assert_int_equal(rename("mount/web", "mount/moved"), 0);
}

static void remove_socket(void)
{
    assert_int_equal(unlink("mount/web/socket"), 0);
}

static void replace_socket(void)
{
    remove_socket();
    close(listen_at("mount/web/socket"));
}

/* Whatever happened to a socket or its folder, a volume that is mounted again can be reached, and one that could be is left alone. */
static void test_mounted_again(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        void (*happens)(void);
    } cases[] = {{"another folder", move_folder},
                 {"no folder", forget_folder},
                 {"no socket", remove_socket},
                 {"another socket", replace_socket}};
    int before = next_descriptor();
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct node node;
        struct stream_seen web, again;
        open_with_web(&node, &web);
        remount(&node);
        check_stream(cases[i].name, &web, "");
        cases[i].happens();
        remount(&node);
        CHECK(cases[i].name, web.has_ended);
        stream_open(&node, &again, "web");
        check_stream(cases[i].name, &again, WEB);
        check_number(cases[i].name, (long long)psync_server_stats(node.server).sockets, 2);
        stream_close(&node, &web);
        stream_close(&node, &again);
        node_close(&node);
        check_number(cases[i].name, next_descriptor(), before);
        rmdir("mount/moved");
    }
}

/* A socket that cannot be made is tried again, until it can or its volume is gone; none of its descriptors is left. */
static void test_socket_that_cannot_be_made(void **state)
{
    (void)state;
    struct node node;
    struct stream_seen web, again;
    open_with_web(&node, &web);
    forget_folder();
    assert_int_equal(symlink("moved", "mount/web"), 0); /* as if it led elsewhere */
    remount(&node);
    assert_int_equal(psync_server_stats(node.server).sockets, 1);
    assert_int_equal(psync_server_stats(node.server).waiting, 1);
    assert_true(web.has_ended);
    assert_int_equal(unlink("mount/web"), 0);
    assert_int_equal(mkdir("mount/web", 0755), 0);
    assert_int_equal(mkdir("mount/web/socket", 0755), 0);
    assert_int_equal(mkdir("mount/web/socket/in the way", 0755), 0);
    int before = next_descriptor();
    node_pass(&node, 60000);
    assert_int_equal(next_descriptor(), before);
    assert_int_equal(psync_server_stats(node.server).waiting, 1);
    assert_int_equal(rmdir("mount/web/socket/in the way"), 0);
    assert_int_equal(rmdir("mount/web/socket"), 0);
    node_pass(&node, 60000);
    assert_int_equal(psync_server_stats(node.server).waiting, 0);
    stream_open(&node, &again, "web");
    check_stream("again", &again, WEB);
    stream_close(&node, &web);
    stream_close(&node, &again);
    /* And one that waits when all ends. */
    remove_socket();
    assert_int_equal(mkdir("mount/web/socket", 0755), 0);
    assert_int_equal(mkdir("mount/web/socket/in the way", 0755), 0);
    remount(&node);
    assert_int_equal(psync_server_stats(node.server).waiting, 1);
    node_close(&node);
    assert_int_equal(rmdir("mount/web/socket/in the way"), 0);
    assert_int_equal(rmdir("mount/web/socket"), 0);
    rmdir("mount/moved");
}

/* Whoever gets the volume is not told what the one before was: its stream is ended, whatever it is that differs. */
static void test_credentials_of_another(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        struct credentials credentials;
        const char *expected;
    } cases[] = {
        {"pod", {STR_INIT("uid"), STR_INIT("db"), STR_INIT("k"), STR_INIT("sa")}, "in sync"},
        {"namespace", {STR_INIT("uid"), STR_INIT("web"), STR_INIT("l"), STR_INIT("sa")}, "in sync"},
        {"account", {STR_INIT("uid"), STR_INIT("web"), STR_INIT("k"), STR_INIT("other")}, WEB},
        {"uid", {STR_INIT("other"), STR_INIT("web"), STR_INIT("k"), STR_INIT("sa")}, WEB},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct node node;
        struct error err;
        struct stream_seen web, again;
        open_with_web(&node, &web);
        assert_true(credentials_write("creds", STR("web"), &cases[i].credentials, &err));
        node_pass(&node, 1);
        CHECK(cases[i].name, web.has_ended);
        stream_open(&node, &again, "web");
        check_stream(cases[i].name, &again, cases[i].expected);
        stream_close(&node, &web);
        stream_close(&node, &again);
        node_close(&node);
    }
}

/* Some of Go's clients send the socket's path as :authority, which HTTP does not allow. */
static void test_path_as_authority(void **state)
{
    (void)state;
    struct node node;
    struct stream_seen web;
    CLEANUP_PEER_CALL struct peer_call call = {0};
    const char *const headers[] = {":method",
                                   "POST",
                                   ":scheme",
                                   "http",
                                   ":path",
                                   SYNC,
                                   ":authority",
                                   "/var/run/felix/nodeagent/socket",
                                   "content-type",
                                   "application/grpc",
                                   NULL};
    open_with_web(&node, &web);
    struct peer *peer = peer_new(&node.peers, LOOP_SCRATCH);
    buf_append_str(&call.body, STR("\0\0\0\0\0"));
    peer_open(peer, &call, headers, true);
    UNTIL(&node.peers, call.data.len > 0 || call.closed);
    assert_int_equal(call.http_status, 200);
    assert_false(call.closed);
    peer_free(peer);
    stream_close(&node, &web);
    node_close(&node);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_mounted_again),
        cmocka_unit_test(test_socket_that_cannot_be_made),
        cmocka_unit_test(test_credentials_of_another),
        cmocka_unit_test(test_path_as_authority),
    };
    return cmocka_run_group_tests(tests, folder_enter, folder_leave);
}
