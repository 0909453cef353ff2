#include "kube/missing.h"

#include "model/doc.h"

bool kube_missing_is_said(struct str body)
{
    CLEANUP_ARENA struct arena arena = {0};
    if (str_eq(body, STR("404 page not found")) || str_eq(body, STR("404 page not found\n")))
        return true;
    struct doc_file file = doc_load(&arena, body, true);
    if (file.count != 1 || file.entries[0].failed)
        return false;
    const struct doc_node *status = file.entries[0].root;
    return str_eq(doc_get_text(status, STR("kind")), STR("Status")) &&
           str_eq(doc_get_text(status, STR("reason")), STR("NotFound"));
}
