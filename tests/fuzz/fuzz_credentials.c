/* Any text as the three JSON objects that come to a volume driver: a credentials file, kubelet's options, the
 * configuration. What is accepted keeps what the headers promise. */
#include <assert.h>

#include "fuzz.h"
#include "node/flexvolume.h"

static void check_credentials(struct arena *arena, const struct credentials *c)
{
    CLEANUP_BUF struct buf text = {0};
    struct credentials again;
    struct error err;
    assert(credentials_check(c, &credentials_file_keys, &err));
    assert(str_find(c->uid, '/') == c->uid.len && !str_contains(c->uid, STR("..")));
    credentials_format(&text, c);
    assert(credentials_parse(arena, buf_str(&text), &credentials_file_keys, &again, &err));
    assert(str_eq(c->uid, again.uid) && str_eq(c->workload, again.workload));
    assert(str_eq(c->namespace, again.namespace) && str_eq(c->account, again.account));
}

static void check_home(const char *path)
{
    assert(path[0] == '/');
    assert(strstr(path, "/../") == NULL && !str_ends_with(str_from_c(path), STR("/..")));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    CLEANUP_ARENA struct arena arena = {0};
    struct str text = str_make((const char *)data, size);
    struct credentials c;
    struct node_config config;
    struct error err;
    if (credentials_parse(&arena, text, &credentials_file_keys, &c, &err))
        check_credentials(&arena, &c);
    if (flexvolume_parse_options(&arena, text, &c, &err))
        check_credentials(&arena, &c);
    if (node_config_parse(&arena, text, &config, &err)) {
        check_home(config.homes.workloads);
        check_home(config.homes.credentials);
    }
    return 0;
}
