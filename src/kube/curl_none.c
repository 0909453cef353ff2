#include "kube/curl.h"

const struct kube_curl *kube_curl_load(struct error *err)
{
    error_set(err, "Kubernetes needs libcurl, which this build (static) cannot load; take the "
                   "dynamic one");
    return NULL;
}
