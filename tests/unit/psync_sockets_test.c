/* policysync/server.h: sockets that cannot be reached any more, or cannot be made. */
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
    int before = dup(0), after;
    close(before);
    node_pass(&node, 60000);
    after = dup(0);
    close(after);
    assert_int_equal(after, before);
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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_mounted_again),
        cmocka_unit_test(test_socket_that_cannot_be_made),
    };
    return cmocka_run_group_tests(tests, folder_enter, folder_leave);
}
