/* datastore/kubernetes_kinds.h: what is left out of an object means nothing, and what must not be held is left out. */
#include "datastore/kubernetes_kinds.h"

#include "objects_world.h"
#include "split_listener.h"

/* SECRET stands wherever nothing may be kept. */
#define METADATA(more)                                                                             \
    "\"metadata\":{\"name\":\"x\",\"namespace\":\"n\",\"uid\":\"u\",\"resourceVersion\":\"1\","    \
    "\"creationTimestamp\":\"2024-01-31T12:00:00Z\",\"managedFields\":[{\"manager\":\"SECRET\","   \
    "\"fieldsV1\":{\"f:metadata\":{}}}]" more "}"
#define LABELS ",\"labels\":{\"a\":\"b\",\"env\":\"secrets\"}"
#define CONTAINER(name, port)                                                                      \
    "{\"name\":\"" name "\",\"image\":\"i\",\"command\":[\"SECRET\"],\"args\":[\"SECRET\"],"       \
    "\"env\":[{\"name\":\"E\",\"value\":\"SECRET\"}],\"envFrom\":[{\"secretRef\":{\"name\":"       \
    "\"SECRET\"}}],\"volumeMounts\":[{\"name\":\"SECRET\"}],\"resources\":{\"limits\":{\"cpu\":"   \
    "\"SECRET\"}},\"livenessProbe\":{\"exec\":{\"command\":[\"SECRET\"]}},\"readinessProbe\":{"    \
    "\"exec\":{\"command\":[\"SECRET\"]}},\"startupProbe\":{\"exec\":{\"command\":[\"SECRET\"]}}," \
    "\"lifecycle\":{\"preStop\":{\"exec\":{\"command\":[\"SECRET\"]}}},\"securityContext\":{"      \
    "\"seLinuxOptions\":{\"level\":\"SECRET\"}},\"ports\":[{\"name\":\"" name "\","                \
    "\"containerPort\":" port ",\"protocol\":\"UDP\"}]}"
#define POLICY                                                                                     \
    "{" METADATA(                                                                                  \
        "") ",\"spec\":{\"order\":5,\"selector\":\"a == 'b'\",\"types\":[\"Ingress\"],"            \
            "\"ingress\":[{\"action\":\"Allow\",\"protocol\":\"TCP\",\"source\":{\"selector\":"    \
            "\"has(c)\"},\"destination\":{\"ports\":[80]}}]}}"
#define NETS "{" METADATA(LABELS) ",\"spec\":{\"nets\":[\"10.0.0.0/8\"]}}"

static const struct sample {
    const char *resource;
    bool is_calico;
    enum model_kind kind;
    const char *json;
} samples[] = {
    {"namespaces", false, MODEL_NAMESPACE,
     "{" METADATA(LABELS) ",\"spec\":{\"finalizers\":[\"kubernetes\"]},\"status\":{\"phase\":"
                          "\"Active\"}}"},
    {"serviceaccounts", false, MODEL_SERVICE_ACCOUNT,
     "{" METADATA(LABELS) ",\"secrets\":[{\"name\":\"SECRET\"}],\"imagePullSecrets\":[{\"name\":"
                          "\"SECRET\"}]}"},
    {"pods", false, MODEL_POD,
     "{" METADATA(
         LABELS
         ",\"annotations\":{\"cni.projectcalico.org/podIP\":\"10.0.0.9\"},"
         "\"ownerReferences\":[{\"name\":\"SECRET\"}]") ",\"spec\":{\"nodeName\":\"here\","
                                                        "\"serviceAccountName\":\"account\","
                                                        "\"hostNetwork\":false,"
                                                        "\"containers\":[" CONTAINER(
                                                            "one",
                                                            "80") "," CONTAINER("two",
                                                                                "81") "],"
                                                                                      "\"initContai"
                                                                                      "ners\":"
                                                                                      "[" CONTAINER(
                                                                                          "three",
                                                                                          "82") "],"
                                                                                                "\""
                                                                                                "vo"
                                                                                                "lu"
                                                                                                "me"
                                                                                                "s"
                                                                                                "\""
                                                                                                ":"
                                                                                                "[{"
                                                                                                "\""
                                                                                                "na"
                                                                                                "me"
                                                                                                "\""
                                                                                                ":"
                                                                                                "\""
                                                                                                "SE"
                                                                                                "CR"
                                                                                                "ET"
                                                                                                "\""
                                                                                                "}]"
                                                                                                ","
                                                                                                "\""
                                                                                                "af"
                                                                                                "fi"
                                                                                                "ni"
                                                                                                "ty"
                                                                                                "\""
                                                                                                ":{"
                                                                                                "\""
                                                                                                "no"
                                                                                                "de"
                                                                                                "Af"
                                                                                                "fi"
                                                                                                "ni"
                                                                                                "ty"
                                                                                                "\""
                                                                                                ":"
                                                                                                "{"
                                                                                                "\""
                                                                                                "x"
                                                                                                "\""
                                                                                                ":"
                                                                                                "\""
                                                                                                "SE"
                                                                                                "CR"
                                                                                                "ET"
                                                                                                "\""
                                                                                                "}}"
                                                                                                ","
                                                                                                "\""
                                                                                                "to"
                                                                                                "le"
                                                                                                "ra"
                                                                                                "ti"
                                                                                                "o"
                                                                                                "ns"
                                                                                                "\""
                                                                                                ":["
                                                                                                "{"
                                                                                                "\""
                                                                                                "ke"
                                                                                                "y"
                                                                                                "\""
                                                                                                ":"
                                                                                                "\""
                                                                                                "SE"
                                                                                                "CR"
                                                                                                "ET"
                                                                                                "\""
                                                                                                "}]"
                                                                                                ","
                                                                                                "\""
                                                                                                "se"
                                                                                                "cu"
                                                                                                "ri"
                                                                                                "ty"
                                                                                                "C"
                                                                                                "on"
                                                                                                "te"
                                                                                                "xt"
                                                                                                "\""
                                                                                                ":{"
                                                                                                "\""
                                                                                                "sy"
                                                                                                "sc"
                                                                                                "tl"
                                                                                                "s"
                                                                                                "\""
                                                                                                ":"
                                                                                                "[{"
                                                                                                "\""
                                                                                                "na"
                                                                                                "me"
                                                                                                "\""
                                                                                                ":"
                                                                                                "\""
                                                                                                "SE"
                                                                                                "CR"
                                                                                                "ET"
                                                                                                "\""
                                                                                                "}]"
                                                                                                "},"
                                                                                                "\""
                                                                                                "to"
                                                                                                "po"
                                                                                                "lo"
                                                                                                "gy"
                                                                                                "Sp"
                                                                                                "re"
                                                                                                "ad"
                                                                                                "Co"
                                                                                                "ns"
                                                                                                "tr"
                                                                                                "ai"
                                                                                                "nt"
                                                                                                "s"
                                                                                                "\""
                                                                                                ":["
                                                                                                "{"
                                                                                                "\""
                                                                                                "to"
                                                                                                "po"
                                                                                                "lo"
                                                                                                "gy"
                                                                                                "Ke"
                                                                                                "y"
                                                                                                "\""
                                                                                                ":"
                                                                                                "\""
                                                                                                "SE"
                                                                                                "CR"
                                                                                                "ET"
                                                                                                "\""
                                                                                                "}]"
                                                                                                "},"
                                                                                                "\""
                                                                                                "st"
                                                                                                "at"
                                                                                                "us"
                                                                                                "\""
                                                                                                ":{"
                                                                                                "\""
                                                                                                "ph"
                                                                                                "as"
                                                                                                "e"
                                                                                                "\""
                                                                                                ":"
                                                                                                "\""
                                                                                                "Ru"
                                                                                                "nn"
                                                                                                "in"
                                                                                                "g"
                                                                                                "\""
                                                                                                ","
                                                                                                "\""
                                                                                                "po"
                                                                                                "dI"
                                                                                                "P"
                                                                                                "\""
                                                                                                ":"
                                                                                                "\""
                                                                                                "10"
                                                                                                ".0"
                                                                                                ".0"
                                                                                                "."
                                                                                                "1"
                                                                                                "\""
                                                                                                ","
                                                                                                "\""
                                                                                                "po"
                                                                                                "dI"
                                                                                                "Ps"
                                                                                                "\""
                                                                                                ":["
                                                                                                "{"
                                                                                                "\""
                                                                                                "ip"
                                                                                                "\""
                                                                                                ":"
                                                                                                "\""
                                                                                                "10"
                                                                                                ".0"
                                                                                                ".0"
                                                                                                "."
                                                                                                "1"
                                                                                                "\""
                                                                                                "},"
                                                                                                "{"
                                                                                                "\""
                                                                                                "ip"
                                                                                                "\""
                                                                                                ":"
                                                                                                "\""
                                                                                                "fd"
                                                                                                "00"
                                                                                                "::"
                                                                                                "1"
                                                                                                "\""
                                                                                                "}"
                                                                                                "],"
                                                                                                "\""
                                                                                                "co"
                                                                                                "nd"
                                                                                                "it"
                                                                                                "io"
                                                                                                "ns"
                                                                                                "\""
                                                                                                ":["
                                                                                                "{"
                                                                                                "\""
                                                                                                "ty"
                                                                                                "pe"
                                                                                                "\""
                                                                                                ":"
                                                                                                "\""
                                                                                                "SE"
                                                                                                "CR"
                                                                                                "ET"
                                                                                                "\""
                                                                                                "}]"
                                                                                                ","
                                                                                                "\""
                                                                                                "co"
                                                                                                "nt"
                                                                                                "ai"
                                                                                                "ne"
                                                                                                "r"
                                                                                                "St"
                                                                                                "at"
                                                                                                "us"
                                                                                                "es"
                                                                                                "\""
                                                                                                ":["
                                                                                                "{"
                                                                                                "\""
                                                                                                "na"
                                                                                                "me"
                                                                                                "\""
                                                                                                ":"
                                                                                                "\""
                                                                                                "SE"
                                                                                                "CR"
                                                                                                "ET"
                                                                                                "\""
                                                                                                "}]"
                                                                                                ","
                                                                                                "\""
                                                                                                "in"
                                                                                                "it"
                                                                                                "Co"
                                                                                                "nt"
                                                                                                "a"
                                                                                                "in"
                                                                                                "er"
                                                                                                "St"
                                                                                                "at"
                                                                                                "us"
                                                                                                "es"
                                                                                                "\""
                                                                                                ":["
                                                                                                "{"
                                                                                                "\""
                                                                                                "na"
                                                                                                "me"
                                                                                                "\""
                                                                                                ":"
                                                                                                "\""
                                                                                                "SE"
                                                                                                "CR"
                                                                                                "ET"
                                                                                                "\""
                                                                                                "}]"
                                                                                                ","
                                                                                                "\""
                                                                                                "ep"
                                                                                                "he"
                                                                                                "me"
                                                                                                "ra"
                                                                                                "lC"
                                                                                                "on"
                                                                                                "ta"
                                                                                                "in"
                                                                                                "er"
                                                                                                "St"
                                                                                                "at"
                                                                                                "us"
                                                                                                "es"
                                                                                                "\""
                                                                                                ":["
                                                                                                "{"
                                                                                                "\""
                                                                                                "na"
                                                                                                "me"
                                                                                                "\""
                                                                                                ":"
                                                                                                "\""
                                                                                                "SE"
                                                                                                "CR"
                                                                                                "ET"
                                                                                                "\""
                                                                                                "}]"
                                                                                                "}"
                                                                                                "}"},
    {"nodes", false, MODEL_NODE,
     "{" METADATA(LABELS) ",\"spec\":{\"podCIDR\":\"SECRET\"},\"status\":{\"images\":[{\"names\":["
                          "\"SECRET\"]}]}}"},
    {"networkpolicies", false, MODEL_KUBERNETES_NETWORK_POLICY,
     "{" METADATA("") ",\"spec\":{\"podSelector\":{\"matchLabels\":{\"a\":\"b\"}},\"ingress\":[{"
                      "\"ports\":[{\"port\":80}],\"from\":[{\"podSelector\":{}}]}],\"policyTypes\":"
                      "[\"Ingress\"]}}"},
    {"endpointslices", false, MODEL_ENDPOINT_SLICE,
     "{" METADATA(
         ",\"labels\":{\"kubernetes.io/service-name\":\"s\"}") ",\"addressType\":\"IPv4\","
                                                               "\"endpoints\":[{\"addresses\":["
                                                               "\"10.0.0.1\"],\"conditions\":{"
                                                               "\"ready\":true}}],\"ports\":[{"
                                                               "\"name\":\"http\",\"port\":80,"
                                                               "\"protocol\":\"TCP\"}]}"},
    {"tiers", true, MODEL_TIER,
     "{" METADATA("") ",\"spec\":{\"order\":7,\"defaultAction\":\"Pass\"}}"},
    {"networkpolicies", true, MODEL_NETWORK_POLICY, POLICY},
    {"globalnetworkpolicies", true, MODEL_GLOBAL_NETWORK_POLICY, POLICY},
    {"stagednetworkpolicies", true, MODEL_STAGED_NETWORK_POLICY, POLICY},
    {"stagedglobalnetworkpolicies", true, MODEL_STAGED_GLOBAL_NETWORK_POLICY, POLICY},
    {"stagedkubernetesnetworkpolicies", true, MODEL_STAGED_KUBERNETES_NETWORK_POLICY,
     "{" METADATA("") ",\"spec\":{\"podSelector\":{},\"ingress\":[{}]}}"},
    {"networksets", true, MODEL_NETWORK_SET, NETS},
    {"globalnetworksets", true, MODEL_GLOBAL_NETWORK_SET, NETS},
    {"hostendpoints", true, MODEL_HOST_ENDPOINT,
     "{" METADATA(
         LABELS) ",\"spec\":{\"node\":\"here\",\"interfaceName\":\"eth0\",\"expectedIPs\":["
                 "\"10.0.0.1\"],\"ports\":[{\"name\":\"http\",\"port\":80,\"protocol\":\"TCP\"}]}"
                 "}"},
    {"felixconfigurations", true, MODEL_FELIX_CONFIGURATION,
     "{" METADATA("") ",\"spec\":{\"logSeverityScreen\":\"Debug\",\"healthPort\":9099}}"},
    {"clusterinformations", true, MODEL_CLUSTER_INFORMATION,
     "{" METADATA("") ",\"spec\":{\"datastoreReady\":false}}"},
};

static const struct sample *find_sample(const struct kubernetes_kind *kind)
{
    for (size_t i = 0; i < COUNT(samples); i++) {
        if (strcmp(samples[i].resource, kind->resource) == 0 &&
            samples[i].is_calico == (kind->group == NULL))
            return &samples[i];
    }
    fail_msg("%s: no sample", kind->resource);
    return NULL;
}

/* The resource that an object becomes, as text. */
static void show_object(const struct kubernetes_kind *kind, struct str calico_api, struct str json,
                        struct buf *out)
{
    struct world world;
    world_start(&world, kind->group != NULL ? kind->api : calico_api, kind->kind);
    world_take(&world, json, false);
    CHECK(kind->resource, world.trace.len > 0 && world.trace.data[0] == '+');
    buf_append_str(out, buf_str(&world.shown));
    world_end(&world);
}

/* The object as it comes out of a list. */
static void drop_fields(const struct kubernetes_kind *kind, const char *json, struct buf *out)
{
    struct listener l = {0};
    struct error err;
    struct kube_split *split = listener_start(SPLIT_VALUES, kind->drop, NULL, &l);
    CHECK(kind->resource, kube_split_feed(split, str_from_c(json), &err));
    assert_int_equal(l.pieces, 1);
    buf_append_str(out, buf_str(&l.trace));
    kube_split_free(split);
    buf_free(&l.trace);
}

static void check_kind(const struct kubernetes_kind *kind, struct str calico_api)
{
    const struct sample *sample = find_sample(kind);
    CLEANUP_BUF struct buf whole = {0};
    CLEANUP_BUF struct buf rest = {0};
    CLEANUP_BUF struct buf rest_shown = {0};
    show_object(kind, calico_api, str_from_c(sample->json), &whole);
    drop_fields(kind, sample->json, &rest);
    show_object(kind, calico_api, buf_str(&rest), &rest_shown);
    check_text(kind->resource, buf_str(&rest_shown), buf_str(&whole));
    CHECK(kind->resource, str_starts_with(buf_str(&whole), model_kind_name(sample->kind)));
    CHECK(kind->resource, strstr(sample->json, "SECRET") != NULL);
    CHECK(kind->resource, !str_contains(buf_str(&rest), STR("SECRET")));
}

static void test_dropped_fields_mean_nothing(void **state)
{
    (void)state;
    for (size_t i = 0; i < kubernetes_kind_count; i++) {
        check_kind(&kubernetes_kinds[i], STR("crd.projectcalico.org/v1"));
        check_kind(&kubernetes_kinds[i], STR("projectcalico.org/v3"));
    }
    assert_int_equal(kubernetes_kind_count, COUNT(samples));
}

/* What is known of a pod, of this node or another: all that a policy can look at. */
static void test_a_pod_is_whole(void **state)
{
    (void)state;
    static const char expected[] =
        "Pod n/x live node=here id=k8s,n/x,eth0 if=a7a469fc497 sa=account "
        "labels=a:b,env:secrets,projectcalico.org/namespace:n,projectcalico.org/orchestrator:k8s,"
        "projectcalico.org/serviceaccount:account profiles=kns.n,ksa.n.account "
        "nets=10.0.0.1/32,fd00::1/128 one=17:80 two=17:81 three=17:82";
    for (size_t i = 0; i < kubernetes_kind_count; i++) {
        const struct kubernetes_kind *kind = &kubernetes_kinds[i];
        if (strcmp(kind->resource, "pods") != 0)
            continue;
        CLEANUP_BUF struct buf rest = {0};
        CLEANUP_BUF struct buf shown = {0};
        drop_fields(kind, find_sample(kind)->json, &rest);
        show_object(kind, kind->api, buf_str(&rest), &shown);
        check_text("pod", buf_str(&shown), STR(expected));
        return;
    }
    fail();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_dropped_fields_mean_nothing),
        cmocka_unit_test(test_a_pod_is_whole),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
