#include "kube/curl.h"

#include <dlfcn.h>

#include "base/str.h"

#define LIBRARY "libcurl.so.4"

/* Where a function's address goes. */
struct function {
    const char *name;
    size_t offset;
};

#define FUNCTION(name)                                                                             \
    {                                                                                              \
        "curl_" #name, offsetof(struct kube_curl, name)                                            \
    }

static const struct function functions[] = {
    FUNCTION(global_init),      FUNCTION(easy_init),           FUNCTION(easy_setopt),
    FUNCTION(easy_getinfo),     FUNCTION(easy_pause),          FUNCTION(easy_cleanup),
    FUNCTION(easy_strerror),    FUNCTION(multi_init),          FUNCTION(multi_setopt),
    FUNCTION(multi_add_handle), FUNCTION(multi_remove_handle), FUNCTION(multi_assign),
    FUNCTION(multi_info_read),  FUNCTION(multi_socket_action), FUNCTION(multi_cleanup),
    FUNCTION(multi_strerror),   FUNCTION(slist_append),        FUNCTION(slist_free_all),
};

static bool load_functions(void *library, struct kube_curl *curl, struct error *err)
{
    for (size_t i = 0; i < sizeof(functions) / sizeof(functions[0]); i++) {
        void *address = dlsym(library, functions[i].name);
        if (address == NULL)
            return error_set(err, "%s has no %s", LIBRARY, functions[i].name);
        memcpy((char *)curl + functions[i].offset, &address, sizeof(address));
    }
    return true;
}

const struct kube_curl *kube_curl_load(struct error *err)
{
    static struct kube_curl curl; /* the program's, like the library itself */
    static bool is_loaded;
    if (is_loaded)
        return &curl;
    void *library = dlopen(LIBRARY, RTLD_NOW | RTLD_LOCAL);
    if (library == NULL) {
        const char *why = dlerror();
        error_set(err, "Kubernetes needs libcurl, which cannot be loaded: %s",
                  why != NULL ? why : LIBRARY);
        return NULL;
    }
    if (!load_functions(library, &curl, err))
        return NULL;
    if (curl.global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK) {
        error_set(err, "libcurl cannot be initialised");
        return NULL;
    }
    is_loaded = true;
    return &curl;
}
