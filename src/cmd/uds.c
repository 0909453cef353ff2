/* uds: Kubernetes' FlexVolume driver nodeagent/uds, which gives a pod the folder with the node agent's socket. This file is
 * the command line and the answer; node/flexvolume.h is what happens in between. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cmd/options.h"
#include "cmd/standard_files.h"
#include "node/flexvolume.h"

struct uds_options {
    const char *config; /* NULL: the default, which need not exist */
    const char *target;
    bool help, version;
};

/* The words behind the call's name. */
struct words {
    char **texts;
    int count;
};

/* ---- calls: each appends the answer's message, or sets the error ---- */

static bool load_config(const struct uds_options *o, struct arena *arena,
                        struct node_config *config, struct error *err)
{
    const char *path = o->config != NULL ? o->config : FLEXVOLUME_CONFIG;
    if (!node_config_read(path, o->config != NULL, arena, config, err))
        return false;
    log_set_level(config->log_level);
    return true;
}

static bool call_init(const struct uds_options *o, struct words words, struct error *err)
{
    CLEANUP_ARENA struct arena arena = {0};
    struct node_config config;
    (void)words;
    return load_config(o, &arena, &config, err);
}

static bool call_mount(const struct uds_options *o, struct words words, struct error *err)
{
    CLEANUP_ARENA struct arena arena = {0};
    struct node_config config;
    return load_config(o, &arena, &config, err) &&
           flexvolume_mount(&config, str_from_c(words.texts[0]), str_from_c(words.texts[1]), err);
}

static bool call_unmount(const struct uds_options *o, struct words words, struct error *err)
{
    CLEANUP_ARENA struct arena arena = {0};
    struct node_config config;
    return load_config(o, &arena, &config, err) &&
           flexvolume_unmount(&config, str_from_c(words.texts[0]), err);
}

static bool call_version(const struct uds_options *o, struct words words, struct error *err)
{
    (void)o;
    (void)words;
    (void)err;
    return true;
}

/* Puts a copy of this program where kubelet looks for it. In one step, since kubelet may start it at any moment; while it is
 * written, its name begins with a dot, and such files kubelet passes over. */
static bool call_install(const struct uds_options *o, struct words words, struct error *err)
{
    enum { PROGRAM_LIMIT = 64 * 1024 * 1024 };
    CLEANUP_BUF struct buf program = {0};
    (void)words;
    if (o->target == NULL)
        return error_set(err, "install needs --target FILE");
    const char *slash = strrchr(o->target, '/');
    if (strcmp(slash != NULL ? slash + 1 : o->target, "uds") != 0)
        return error_set(err, "--target %s: the file's name must be uds, for kubelet calls it so",
                         quote(str_from_c(o->target)).text);
    CLEANUP_FREE char *folder =
        slash != NULL ? mem_strndup(str_make(o->target, (size_t)(slash + 1 - o->target)))
                      : mem_strndup(STR("."));
    CLEANUP_CLOSE int fd = disk_open_folder(folder, false, err);
    if (fd < 0 ||
        disk_read(AT_FDCWD, "/proc/self/exe", true, PROGRAM_LIMIT, &program, err) != DISK_READ)
        return false;
    return disk_write(fd, "uds", 0550, buf_str(&program), err) ||
           error_prefix(err, "%s", quote(str_from_c(folder)).text);
}

static const struct call {
    const char *name, *arguments;
    int words;
    bool (*run)(const struct uds_options *o, struct words words, struct error *err);
    const char *message; /* on success */
} calls[] = {
    {"init", "", 0, call_init, "ready"},
    {"mount", " DIR OPTIONS", 2, call_mount, "mounted"},
    {"unmount", " DIR", 1, call_unmount, "unmounted"},
    {"version", "", 0, call_version, "uds " DIKAST_VERSION},
    {"install", " --target FILE", 0, call_install, "installed"},
};

static const struct call *find_call(const char *name)
{
    for (size_t i = 0; i < sizeof(calls) / sizeof(calls[0]); i++) {
        if (strcmp(name, calls[i].name) == 0)
            return &calls[i];
    }
    return NULL;
}

/* ---- around them ---- */

static void print_help(FILE *out, const struct option_spec *specs, size_t count)
{
    fputs("uds is the FlexVolume driver nodeagent/uds: it gives a pod the folder with the node\n"
          "agent's socket. kubelet calls it; people install it.\n"
          "\n"
          "Usage:\n"
          "  uds install --target FILE    copy this program into kubelet's plugin folder\n"
          "  uds init                     tell kubelet what it can do\n"
          "  uds mount DIR OPTIONS        mount a pod's volume; OPTIONS is kubelet's JSON\n"
          "  uds unmount DIR              take it away again\n"
          "  uds version\n"
          "\n"
          "Each answers with one JSON object on standard output.\n"
          "\n"
          "Options:\n",
          out);
    options_print(out, specs, count);
    fputs("\n"
          "Install it for kubelet, in its usual folder:\n"
          "  uds install --target \\\n"
          "    /usr/libexec/kubernetes/kubelet-plugins/volume/exec/nodeagent~uds/uds\n"
          "\n"
          "Exit status: 0 success, 1 failure.\n",
          out);
}

static bool is_same_file(int a, int b)
{
    struct stat first, second;
    return fstat(a, &first) == 0 && fstat(b, &second) == 0 && first.st_dev == second.st_dev &&
           first.st_ino == second.st_ino;
}

/* kubelet would not call mount a second time for a volume that is half mounted, so only what cannot be helped ends a call. */
static void hold_signals(void)
{
    sigset_t signals;
    sigemptyset(&signals);
    sigaddset(&signals, SIGHUP);
    sigaddset(&signals, SIGINT);
    sigaddset(&signals, SIGQUIT);
    sigaddset(&signals, SIGTERM);
    sigaddset(&signals, SIGPIPE);
    sigprocmask(SIG_BLOCK, &signals, NULL);
}

static int answer(enum flexvolume_status status, const char *message, bool is_init)
{
    CLEANUP_BUF struct buf text = {0};
    if (is_init)
        flexvolume_answer_init(&text);
    else
        flexvolume_answer(&text, status, message);
    if (write(STDOUT_FILENO, text.data, text.len) == (ssize_t)text.len)
        return status == FLEXVOLUME_SUCCESS ? EXIT_SUCCESS : EXIT_FAILURE;
    log_event(LOG_ERROR, "Cannot write the answer", LOG_C("problem", strerror(errno)));
    return EXIT_FAILURE;
}

static int fail(const char *call, const char *message)
{
    log_event(LOG_ERROR, "Call failed", LOG_C("call", call), LOG_C("problem", message));
    return answer(FLEXVOLUME_FAILURE, message, false);
}

static int run(const struct uds_options *o, const char *name, struct words words)
{
    struct error err;
    const struct call *call = find_call(name);
    if (call == NULL) {
        error_set(&err, "%s is none of init, mount, unmount, version, install",
                  quote(str_from_c(name)).text);
        return answer(FLEXVOLUME_NOT_SUPPORTED, err.text, false);
    }
    if (words.count != call->words) {
        error_set(&err, "not %d words behind %s, usage: uds %s%s", words.count, name, name,
                  call->arguments);
        return fail(name, err.text);
    }
    hold_signals();
    if (!call->run(o, words, &err))
        return fail(name, err.text);
    return answer(FLEXVOLUME_SUCCESS, call->message, call->run == call_init);
}

int main(int argc, char **argv)
{
    struct uds_options o = {0};
    const struct option_spec specs[] = {
        {0, "config", "FILE",
         "configuration (default: " FLEXVOLUME_CONFIG ",\nwhich need not exist)", &o.config, NULL},
        {0, "target", "FILE", "install: where to; the file's name must be uds", &o.target, NULL},
        {0, "version", NULL, "the program's version", NULL, &o.version},
        {'h', "help", NULL, "this text", NULL, &o.help},
    };
    const size_t count = sizeof(specs) / sizeof(specs[0]);
    struct error err;
    int words;
    if (!standard_files_open())
        return EXIT_FAILURE;
    if (is_same_file(STDOUT_FILENO, STDERR_FILENO))
        log_to_syslog("uds");
    if (!options_parse(specs, count, 1, argc, argv, &words, &err))
        return fail("", err.text);
    if (o.help) {
        print_help(stdout, specs, count);
        return EXIT_SUCCESS;
    }
    if (o.version) {
        puts("uds " DIKAST_VERSION);
        return EXIT_SUCCESS;
    }
    if (words == 0) {
        print_help(stderr, specs, count);
        return EXIT_FAILURE;
    }
    return run(&o, argv[1], (struct words){argv + 2, words - 1});
}
