/* kube/config.h: kubeconfig files, which of them counts, and what is wrong with them. */
#include "kube/config.h"

#include <sched.h>
#include <sys/mount.h>

#include "folder.h"

/* ---- what was read, as text ---- */

static void show(struct buf *out, const char *name, const char *text)
{
    if (text != NULL)
        buf_printf(out, " %s=%s", name, text);
}

static void show_pem(struct buf *out, const char *name, const struct kube_pem *pem)
{
    show(out, name, pem->path);
    if (pem->data.len > 0)
        buf_printf(out, " %s:%.*s", name, STR_ARG(pem->data));
}

static void show_exec(struct buf *out, const struct kube_exec *exec)
{
    buf_printf(out, " exec=%s", exec->command);
    for (size_t i = 0; exec->args[i] != NULL; i++)
        buf_printf(out, " arg=%s", exec->args[i]);
    for (size_t i = 0; exec->env[i] != NULL; i++)
        buf_printf(out, " env=%s", exec->env[i]);
    buf_printf(out, " v=%s", strrchr(exec->api_version, '/') + 1);
    show(out, "hint", exec->install_hint);
    if (exec->provide_cluster_info)
        buf_append_str(out, STR(" info"));
}

static void show_config(struct buf *out, const struct kube_config *config)
{
    buf_printf(out, "%s %s", config->source, config->server);
    show(out, "name", config->server_name);
    show(out, "proxy", config->proxy);
    show_pem(out, "ca", &config->ca);
    if (config->insecure)
        buf_append_str(out, STR(" insecure"));
    show_pem(out, "cert", &config->client_certificate);
    show_pem(out, "key", &config->client_key);
    if (config->token.len > 0)
        buf_printf(out, " token=%.*s", STR_ARG(config->token));
    show(out, "token-file", config->token_file);
    show(out, "user", config->username);
    show(out, "password", config->password);
    if (config->exec.command != NULL)
        show_exec(out, &config->exec);
}

/* `expected`: what is shown, or "! " and a part of the error. */
static void check_load(const char *name, const char *path, const char *expected)
{
    struct kube_config config;
    struct error err = {""};
    CLEANUP_BUF struct buf shown = {0};
    bool ok = kube_config_load(&config, path, &err);
    if (ok)
        show_config(&shown, &config);
    else
        buf_printf(&shown, "%s", err.text);
    buf_append_byte(&shown, '\0');
    bool fails = expected[0] == '!';
    if (ok == fails ||
        (fails ? strstr(shown.data, expected + 2) == NULL : strcmp(shown.data, expected) != 0))
        fail_msg("%s:\n     got %s\nexpected %s", name, shown.data, expected);
    if (fails && strstr(err.text, "SECRET") != NULL)
        fail_msg("%s: a secret in: %s", name, err.text);
    kube_config_free(&config);
}

static void write_text(const char *name, const char *text)
{
    folder_write(name, str_from_c(text), 0600);
}

/* ---- one file ---- */

/* A file with one context, cluster and user. */
#define FILE_OF(cluster, user)                                                                     \
    "{current-context: c, contexts: [{name: c, context: {cluster: k, user: u}}],\n"                \
    "clusters: [{name: k, cluster: " cluster "}], users: [{name: u, user: " user "}]}\n"
#define SERVER        "server: 'https://h:6443'"
#define CLUSTER(more) FILE_OF("{" SERVER more "}", "{}")
#define USER(more)    FILE_OF("{" SERVER "}", "{" more "}")
#define EXEC(more)    USER("exec: {apiVersion: client.authentication.k8s.io/v1, command: run" more "}")

static const struct {
    const char *text, *expected;
} files[] = {
    {"apiVersion: v1\nkind: Config\npreferences: {}\ncurrent-context: c\n"
     "contexts:\n- name: other\n  context: {cluster: x}\n- name: c\n  context:\n    cluster: "
     "k\n"
     "    user: u\n    namespace: n\n"
     "clusters:\n- name: x\n  cluster: {}\n- name: k\n  cluster:\n    server: https://h:6443/\n"
     "users:\n- name: u\n  user:\n    token: secret\n",
     "./config https://h:6443 token=secret"},
    {"{\"current-context\":\"c\",\"contexts\":[{\"name\":\"c\",\"context\":{\"cluster\":\"k\"}}"
     "],\"clusters\":[{\"name\":\"k\",\"cluster\":{\"server\":\"http://[::1]:80//\"}}]}",
     "./config http://[::1]:80"},
    {FILE_OF("{server: 'https://h/base/path'}", "{}"), "./config https://h/base/path"},

    {CLUSTER(""), "./config https://h:6443"},
    {CLUSTER(", tls-server-name: other, proxy-url: 'socks5://p:1'"),
     "./config https://h:6443 name=other proxy=socks5://p:1"},
    {CLUSTER(", proxy-url: 'HTTP://p'"), "./config https://h:6443 proxy=HTTP://p"},
    {CLUSTER(", proxy-url: 'https://u:p@p:1'"), "./config https://h:6443 proxy=https://u:p@p:1"},
    {CLUSTER(", proxy-url: 'socks5h://p:1'"), "./config https://h:6443 proxy=socks5h://p:1"},
    {CLUSTER(", proxy-url: ''"), "./config https://h:6443"},
    {CLUSTER(", certificate-authority: ca.pem"), "./config https://h:6443 ca=./ca.pem"},
    {CLUSTER(", certificate-authority: ../a/ca.pem"), "./config https://h:6443 ca=./../a/ca.pem"},
    {CLUSTER(", certificate-authority: /a/ca.pem"), "./config https://h:6443 ca=/a/ca.pem"},
    {CLUSTER(", certificate-authority-data: UEVN"), "./config https://h:6443 ca:PEM"},
    {CLUSTER(", certificate-authority: ca.pem, certificate-authority-data: UEVN"),
     "./config https://h:6443 ca:PEM"},
    {CLUSTER(", certificate-authority: '', certificate-authority-data: ''"),
     "./config https://h:6443"},
    {CLUSTER(", insecure-skip-tls-verify: true"), "./config https://h:6443 insecure"},
    {CLUSTER(", insecure-skip-tls-verify: false, certificate-authority: /a"),
     "./config https://h:6443 ca=/a"},
    {CLUSTER(", extensions: [{name: x}], unknown: {a: [b]}"), "./config https://h:6443"},

    {USER("token: t"), "./config https://h:6443 token=t"},
    {USER("tokenFile: t"), "./config https://h:6443 token-file=./t"},
    {USER("token: t, tokenFile: /t"), "./config https://h:6443 token=t token-file=/t"},
    {USER("username: n, password: p"), "./config https://h:6443 user=n password=p"},
    {USER("username: n"), "./config https://h:6443 user=n"},
    {USER("client-certificate: c, client-key: /k"), "./config https://h:6443 cert=./c key=/k"},
    {USER("client-certificate-data: Yw==, client-key-data: aw=="),
     "./config https://h:6443 cert:c key:k"},
    {USER("client-certificate: x, client-certificate-data: Yw==, client-key: y, "
          "client-key-data: aw=="),
     "./config https://h:6443 cert:c key:k"},
    {USER("client-certificate-data: \"Y\\nw=\\n=\\n\", client-key: k"),
     "./config https://h:6443 cert:c key=./k"},
    {USER("as: null, auth-provider: ~, exec: null, token: t"), "./config https://h:6443 token=t"},

    {EXEC(""), "./config https://h:6443 exec=run v=v1"},
    {USER("exec: {apiVersion: client.authentication.k8s.io/v1beta1, command: run}"),
     "./config https://h:6443 exec=run v=v1beta1"},
    {USER("exec: {apiVersion: client.authentication.k8s.io/v1, command: bin/run}"),
     "./config https://h:6443 exec=./bin/run v=v1"},
    {USER("exec: {apiVersion: client.authentication.k8s.io/v1, command: /bin/run}"),
     "./config https://h:6443 exec=/bin/run v=v1"},
    {EXEC(", args: [a, '', 5, true, 'b c'], env: [{name: A, value: x}, {name: B, value: ''}]"),
     "./config https://h:6443 exec=run arg=a arg= arg=5 arg=true arg=b c env=A=x env=B= v=v1"},
    {EXEC(", args: null, env: null, installHint: do so, provideClusterInfo: true, "
          "interactiveMode: Never"),
     "./config https://h:6443 exec=run v=v1 hint=do so info"},
    {EXEC(", interactiveMode: IfAvailable, provideClusterInfo: false"),
     "./config https://h:6443 exec=run v=v1"},
};

static void test_one_file(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(files); i++) {
        write_text("config", files[i].text);
        check_load(files[i].text, "./config", files[i].expected);
    }
}

/* The message names the file, and what in it. */
static const struct {
    const char *text, *error;
} wrong_files[] = {
    {"", "there is nothing in kubeconfig \"./config\""},
    {"# nothing\n---\n", "there is nothing in kubeconfig \"./config\""},
    {"[]", "kubeconfig ./config is not a map"},
    {"{a: b", "kubeconfig ./config: line 2: "},
    {"a: 1\na: 2", "kubeconfig ./config: line 2: "},
    {"\xff", "kubeconfig ./config: line 1: "},
    {"{}", "kubeconfig ./config has no current-context"},
    {"current-context: ''", "kubeconfig ./config has no current-context"},
    {"current-context: [c]", "kubeconfig ./config has no current-context"},
    {"current-context: c", "kubeconfig ./config has no context \"c\""},
    {"{current-context: c, contexts: {c: d}}", "kubeconfig ./config has no context \"c\""},
    {"{current-context: c, contexts: [c, {name: d}, {name: [c]}]}",
     "kubeconfig ./config has no context \"c\""},
    {"{current-context: c, contexts: [{name: c}]}", "kubeconfig ./config has no context \"c\""},
    {"{current-context: c, contexts: [{name: c, context: c}]}",
     "kubeconfig ./config has no context \"c\""},
    {"{current-context: c, contexts: [{name: c, context: {}}]}",
     "kubeconfig ./config: context c names no cluster"},
    {"{current-context: c, contexts: [{name: c, context: {cluster: [k]}}]}",
     "./config: context c: cluster is no text"},
    {"{current-context: c, contexts: [{name: c, context: {cluster: k}}]}",
     "kubeconfig ./config: there is no cluster \"k\", which context c names"},
    {"{current-context: c, contexts: [{name: c, context: {cluster: k, user: u}}], clusters: "
     "[{name: k, cluster: {" SERVER "}}]}",
     "kubeconfig ./config: there is no user \"u\", which context c names"},
    {"{current-context: c, contexts: [{name: c, context: {cluster: k}}, {name: c}]}",
     "kubeconfig ./config has context \"c\" twice"},
    {"{current-context: c, contexts: [{name: c, context: {cluster: k, user: u}}], clusters: "
     "[{name: k, cluster: {" SERVER "}}], users: [{name: u, user: {}}, {name: u, user: {}}]}",
     "kubeconfig ./config has user \"u\" twice"},

    {FILE_OF("{}", "{}"), "./config: cluster k has no server"},
    {FILE_OF("{server: ''}", "{}"), "./config: cluster k has no server"},
    {FILE_OF("{server: {a: b}}", "{}"), "./config: cluster k: server is no text"},
    {FILE_OF("{server: h}", "{}"), "./config: cluster k: server \"h\" is not an http(s) URL"},
    {FILE_OF("{server: 'ftp://h'}", "{}"), "server \"ftp://h\" is not an http(s) URL"},
    {FILE_OF("{server: 'https://'}", "{}"), "server \"https://\" is not an http(s) URL"},
    {FILE_OF("{server: 'https:///h'}", "{}"), "server \"https:///h\" is not an http(s) URL"},
    {FILE_OF("{server: 'https:h'}", "{}"), "server \"https:h\" is not an http(s) URL"},
    {FILE_OF("{server: '///'}", "{}"), "server \"///\" is not an http(s) URL"},
    {FILE_OF("{server: 'https://joe:SECRET@h'}", "{}"),
     "./config: cluster k: server has an @ in it"},
    {FILE_OF("{server: 'joe:SECRET@h'}", "{}"), "./config: cluster k: server has an @ in it"},
    {CLUSTER(", proxy-url: 'p:3128'"),
     "./config: cluster k: proxy-url is no URL of http, https, socks5 or socks5h"},
    {CLUSTER(", proxy-url: 'ftp://joe:SECRET@p'"), "./config: cluster k: proxy-url is no URL"},
    {CLUSTER(", proxy-url: 'joe:SECRET@p'"), "./config: cluster k: proxy-url is no URL of"},
    {CLUSTER(", proxy-url: 'http://'"), "./config: cluster k: proxy-url is no URL of http"},
    {CLUSTER(", certificate-authority-data: '?'"),
     "./config: cluster k: certificate-authority-data is not base64"},
    {CLUSTER(", certificate-authority-data: UEV"), "certificate-authority-data is not base64"},
    {CLUSTER(", certificate-authority: [a]"),
     "./config: cluster k: certificate-authority is no text"},
    {CLUSTER(", insecure-skip-tls-verify: 'true'"),
     "./config: cluster k: insecure-skip-tls-verify is neither true nor false"},
    {CLUSTER(", insecure-skip-tls-verify: true, certificate-authority: a"),
     "./config: cluster k: insecure-skip-tls-verify and a certificate-authority exclude"},
    {CLUSTER(", insecure-skip-tls-verify: true, certificate-authority-data: UEVN"),
     "insecure-skip-tls-verify and a certificate-authority exclude"},

    {USER("as: admin"), "./config: user u: as is not supported"},
    {USER("as-uid: '1'"), "./config: user u: as-uid is not supported"},
    {USER("as-groups: [g]"), "./config: user u: as-groups is not supported"},
    {USER("as-user-extra: {a: [b]}"), "./config: user u: as-user-extra is not supported"},
    {USER("auth-provider: {name: gcp}"), "./config: user u: auth-provider is not supported"},
    {USER("token: t, username: n"), "./config: user u: a token and a username exclude"},
    {USER("tokenFile: t, username: n"), "./config: user u: a token and a username exclude"},
    {USER("token: \"a\\nb\""),
     "./config: user u: token has a blank or another strange character in it"},
    {USER("token: a b"), "./config: user u: token has a blank or another strange character in it"},
    {USER("token: \"a\\x80\""),
     "./config: user u: token has a blank or another strange character in it"},
    {USER("token: {a: b}"), "./config: user u: token is no text"},
    {USER("tokenFile: []"), "./config: user u: tokenFile is no text"},
    {USER("client-certificate: c"), "./config: user u: client-certificate and client-key need"},
    {USER("client-key-data: aw=="), "./config: user u: client-certificate and client-key need"},
    {USER("client-certificate-data: '%', client-key: k"),
     "./config: user u: client-certificate-data is not base64"},
    {USER("client-certificate: c, client-key-data: =aw="), "client-key-data is not base64"},

    {USER("exec: run"), "./config: user u: exec is no map"},
    {USER("exec: {}"), "./config: user u: exec needs command and apiVersion"},
    {USER("exec: {command: run}"), "exec needs command and apiVersion"},
    {USER("exec: {command: [run], apiVersion: client.authentication.k8s.io/v1}"),
     "./config: user u: command is no text"},
    {USER("exec: {command: run, apiVersion: client.authentication.k8s.io/v1alpha1}"),
     "./config: user u: exec: apiVersion \"client.authentication.k8s.io/v1alpha1\" is not"},
    {EXEC(", args: x"), "./config: user u: exec: args is no list"},
    {EXEC(", args: [a, [b]]"), "./config: user u: exec: args[1] is no text"},
    {EXEC(", args: [null]"), "./config: user u: exec: args[0] is no text"},
    {EXEC(", env: {A: x}"), "./config: user u: exec: env is no list"},
    {EXEC(", env: [{name: A, value: x}, {name: B}]"),
     "./config: user u: exec: env[1] has no name and value"},
    {EXEC(", env: [{value: x}]"), "env[0] has no name and value"},
    {EXEC(", env: [{name: '', value: x}]"), "env[0] has no name and value"},
    {EXEC(", env: [{name: A=B, value: x}]"), "env[0] has no name and value"},
    {EXEC(", env: [A=x]"), "env[0] has no name and value"},
    {EXEC(", interactiveMode: Always"),
     "./config: user u: exec: interactiveMode \"Always\" is not supported"},
    {EXEC(", provideClusterInfo: 1"),
     "./config: user u: provideClusterInfo is neither true nor false"},
};

static void test_wrong_file(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(wrong_files); i++) {
        CLEANUP_BUF struct buf expected = {0};
        buf_printf(&expected, "! %s", wrong_files[i].error);
        buf_append_byte(&expected, '\0');
        write_text("config", wrong_files[i].text);
        check_load(wrong_files[i].text, "./config", expected.data);
    }
}

static void test_files_that_cannot_be_read(void **state)
{
    (void)state;
    enum { MOST = 4 * 1024 * 1024 };
    CLEANUP_BUF struct buf text = {0};
    check_load("missing", "./none", "! cannot open kubeconfig \"./none\": No such file");
    check_load("no text", "a\nb", "! cannot open kubeconfig \"a\\x0ab\": No such file");
    mkdir("folder", 0700);
    check_load("a folder", "folder", "! cannot read kubeconfig \"folder\"");
    check_load("in a file", "config/x", "! cannot open kubeconfig \"config/x\": ");
    buf_append_str(&text, STR(CLUSTER("")));
    while (text.len < MOST)
        buf_append_byte(&text, '\n');
    folder_write("config", buf_str(&text), 0600);
    check_load("the longest", "config", "config https://h:6443");
    buf_append_byte(&text, '\n');
    folder_write("config", buf_str(&text), 0600);
    check_load("too long", "config",
               "! cannot read kubeconfig \"config\", or it is larger than 4 MiB");
}

/* ---- several files ---- */

static void test_paths_are_relative_to_the_file(void **state)
{
    (void)state;
    CLEANUP_BUF struct buf path = {0};
    CLEANUP_BUF struct buf expected = {0};
    const char *text = FILE_OF("{" SERVER ", certificate-authority: ca}", "{tokenFile: t}");
    mkdir("folder", 0700);
    write_text("folder/config", text);
    write_text("config", text);
    check_load("without a folder", "config", "config https://h:6443 ca=ca token-file=t");
    check_load("a folder", "folder/config",
               "folder/config https://h:6443 ca=folder/ca token-file=folder/t");
    buf_printf(&path, "%s/config", folder_path);
    buf_printf(&expected, "%s/config https://h:6443 ca=%s/ca token-file=%s/t", folder_path,
               folder_path, folder_path);
    buf_append_byte(&path, '\0');
    buf_append_byte(&expected, '\0');
    check_load("absolute", path.data, expected.data);
}

static void test_several_files(void **state)
{
    (void)state;
    static const struct {
        const char *name, *paths, *expected;
    } cases[] = {
        {"the first that names it", "a:b/b", "a https://a ca=ca token=of-a"},
        {"the other order", "b/b:a", "a https://b ca=b/ca token=of-b"},
        {"each thing where it is", "empty:context:b/b", "context https://b ca=b/ca token=of-b"},
        {"one is missing", "none:a", "a https://a ca=ca token=of-a"},
        {"the last is missing", "a:none", "a https://a ca=ca token=of-a"},
        {"blanks between", ":a::", "a https://a ca=ca token=of-a"},
        {"all are missing", "none:none2", "! there is nothing in kubeconfig \"none:none2\""},
        {"none is named", ":", "! there is nothing in kubeconfig \":\""},
        {"one is broken", "a:broken", "! kubeconfig broken: line "},
        {"one is broken behind one that is missing", "none:broken:a", "! kubeconfig broken: line "},
        {"one is not readable behind one that is missing", "none:b:a",
         "! cannot read kubeconfig \"b\""},
        {"one is in a file", "a/x:a", "! cannot open kubeconfig \"a/x\": Not a directory"},
        {"no context", "b/b:empty", "! kubeconfig b/b has no current-context"},
    };
    mkdir("b", 0700);
    write_text("empty", "\n");
    write_text("broken", "{");
    write_text("context", "{current-context: c, contexts: [{name: c, context: {cluster: k, user: "
                          "u}}]}");
    write_text("a", "{current-context: c, contexts: [{name: c, context: {cluster: k, user: u}}], "
                    "clusters: [{name: k, cluster: {server: 'https://a', certificate-authority: "
                    "ca}}], users: [{name: u, user: {token: of-a}}]}");
    write_text("b/b", "{clusters: [{name: k, cluster: {server: 'https://b', certificate-authority: "
                      "ca}}], users: [{name: u, user: {token: of-b}}]}");
    for (size_t i = 0; i < COUNT(cases); i++) {
        check_load(cases[i].name, cases[i].paths, cases[i].expected);
        setenv("KUBECONFIG", cases[i].paths, 1);
        check_load(cases[i].name, NULL, cases[i].expected);
        unsetenv("KUBECONFIG");
    }
}

/* ---- where it is looked for ---- */

#define POD_FOLDER "/var/run/secrets/kubernetes.io/serviceaccount"

static void make_folders(const char *path)
{
    CLEANUP_FREE char *copy = mem_strndup(str_from_c(path));
    for (char *slash = strchr(copy + 1, '/'); slash != NULL; slash = strchr(slash + 1, '/')) {
        *slash = '\0';
        mkdir(copy, 0755);
        *slash = '/';
    }
    assert_int_equal(mkdir(copy, 0755), 0);
}

/* What Kubernetes gives a pod, in a mount namespace of the test's own. False: that takes root. */
static bool become_pod(void)
{
    if (unshare(CLONE_NEWNS) != 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0 ||
        mount("none", "/var/run", "tmpfs", 0, NULL) != 0)
        return false;
    make_folders(POD_FOLDER);
    return true;
}

static void test_in_a_pod(void **state)
{
    (void)state;
    unsetenv("KUBECONFIG");
    setenv("HOME", "/nonexistent", 1);
    setenv("KUBERNETES_SERVICE_HOST", "10.0.0.1", 1);
    unsetenv("KUBERNETES_SERVICE_PORT");
    check_load("no port", NULL, "! KUBERNETES_SERVICE_PORT is not");
    setenv("KUBERNETES_SERVICE_PORT", "", 1);
    check_load("an empty port", NULL, "! KUBERNETES_SERVICE_PORT is not");
    setenv("KUBERNETES_SERVICE_PORT", "443", 1);
    check_load("no token", NULL,
               "! cannot read " POD_FOLDER "/token: No such file or directory; has the pod "
               "automountServiceAccountToken: false?");
    if (!become_pod())
        skip();
    FILE *file = fopen(POD_FOLDER "/token", "w");
    assert_non_null(file);
    fclose(file);
    check_load("IPv4", NULL,
               "in-cluster https://10.0.0.1:443 ca=" POD_FOLDER "/ca.crt token-file=" POD_FOLDER
               "/token");
    setenv("KUBERNETES_SERVICE_HOST", "fd00::1", 1);
    check_load("IPv6", NULL,
               "in-cluster https://[fd00::1]:443 ca=" POD_FOLDER "/ca.crt token-file=" POD_FOLDER
               "/token");
    /* A kubeconfig that is named goes before it, one in the home does not. */
    write_text("config", CLUSTER(""));
    check_load("a path", "config", "config https://h:6443");
    setenv("KUBECONFIG", "config", 1);
    check_load("KUBECONFIG", NULL, "config https://h:6443");
    setenv("KUBECONFIG", "", 1);
    mkdir(".kube", 0700);
    write_text(".kube/config", CLUSTER(""));
    setenv("HOME", ".", 1);
    check_load("an empty KUBECONFIG", NULL,
               "in-cluster https://[fd00::1]:443 ca=" POD_FOLDER "/ca.crt token-file=" POD_FOLDER
               "/token");
}

static void test_at_home(void **state)
{
    (void)state;
    unsetenv("KUBECONFIG");
    unsetenv("KUBERNETES_SERVICE_HOST");
    setenv("HOME", "home", 1);
    check_load("nothing", NULL, "! no Kubernetes cluster is known: this is no pod, KUBECONFIG is");
    unsetenv("HOME");
    check_load("no home", NULL, "! no Kubernetes cluster is known");
    setenv("HOME", "home", 1);
    mkdir("home", 0700);
    mkdir("home/.kube", 0700);
    write_text("home/.kube/config", CLUSTER(", certificate-authority: ca"));
    check_load("the one at home", NULL, "home/.kube/config https://h:6443 ca=home/.kube/ca");
    setenv("KUBERNETES_SERVICE_HOST", "", 1);
    check_load("an empty host", NULL, "home/.kube/config https://h:6443 ca=home/.kube/ca");
    write_text("home/.kube/config", "{");
    check_load("a broken one", NULL, "! kubeconfig home/.kube/config: line ");
    write_text("a", CLUSTER(""));
    setenv("KUBECONFIG", "a", 1);
    check_load("KUBECONFIG goes before it", NULL, "a https://h:6443");
    check_load("a path goes before both", "home/.kube/config", "! kubeconfig home/.kube/config: ");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_one_file),
        cmocka_unit_test(test_wrong_file),
        cmocka_unit_test(test_files_that_cannot_be_read),
        cmocka_unit_test(test_paths_are_relative_to_the_file),
        cmocka_unit_test(test_several_files),
        cmocka_unit_test(test_in_a_pod),
        cmocka_unit_test(test_at_home),
    };
    return cmocka_run_group_tests(tests, folder_enter, folder_leave);
}
