/* Private to kube/config*.c: the documents of kubeconfig files, and what is found in them.
 */
#ifndef KUBE_CONFIG_DOC_H
#define KUBE_CONFIG_DOC_H

#include "kube/config.h"
#include "model/doc.h"

struct config_file {
    const char *path;
    const struct doc_node *root; /* a map */
};

struct config_files {
    struct config_file *items;
    size_t count;
};

/* A named thing of a file: a context, a cluster or a user. */
struct config_item {
    const char *kind, *name, *file;
    const struct doc_node *node; /* a map */
};

/* `paths`: one or more, divided by `:`; those that are not there are passed over, unless none is. */
bool config_read_files(struct arena *arena, const char *paths, struct config_files *files,
                       struct error *err);

bool config_find_context(const struct config_files *files, struct config_item *context,
                         struct error *err);
/* The cluster or user of that name, which `context` names. */
bool config_find(const struct config_files *files, const char *kind, const char *name,
                 const struct config_item *context, struct config_item *item, struct error *err);

/* The value of a key; NULL (false): it is not there, or empty. Texts end with NUL and live as long as the files. */
const char *config_text(const struct config_item *item, const char *key);
bool config_bool(const struct config_item *item, const char *key);
bool config_has(const struct config_item *item, const char *key);
/* A path, relative to the file's folder. */
const char *config_path(struct arena *arena, const struct config_item *item, const char *key);
/* NULL stays NULL. */
const char *config_copy(struct arena *arena, const char *text);

/* users[].user.exec, if there is one. */
bool config_exec(struct arena *arena, const struct config_item *user, struct kube_exec *exec,
                 struct error *err);

#endif
