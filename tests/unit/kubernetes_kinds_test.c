/* datastore/kubernetes_kinds.h: what is left out of an object means nothing, and what must not be held is left out. */
#include "datastore/kubernetes_kinds.h"

#include "objects_world.h"
#include "split_listener.h"

/* SECRET stands wherever nothing may be kept. */
static const char metadata[] =
    "`name`:`x`,`namespace`:`n`,`uid`:`u`,`resourceVersion`:`1`,"
    "`creationTimestamp`:`2024-01-31T12:00:00Z`,"
    "`managedFields`:[{`manager`:`SECRET`,`fieldsV1`:{`f:metadata`:{}}}]";

/* With a name (twice), and the number of a port. */
static const char container[] =
    "{`name`:`%.*s`,`image`:`i`,`command`:[`SECRET`],`args`:[`SECRET`],"
    "`env`:[{`name`:`E`,`value`:`SECRET`}],`envFrom`:[{`secretRef`:{`name`:`SECRET`}}],"
    "`volumeMounts`:[{`name`:`SECRET`}],`resources`:{`limits`:{`cpu`:`SECRET`}},"
    "`livenessProbe`:{`exec`:{`command`:[`SECRET`]}},"
    "`readinessProbe`:{`exec`:{`command`:[`SECRET`]}},"
    "`startupProbe`:{`exec`:{`command`:[`SECRET`]}},"
    "`lifecycle`:{`preStop`:{`exec`:{`command`:[`SECRET`]}}},"
    "`securityContext`:{`seLinuxOptions`:{`level`:`SECRET`}},"
    "`ports`:[{`name`:`%.*s`,`containerPort`:%.*s,`protocol`:`UDP`}]}";

#define LABELS "`labels`:{`a`:`b`,`env`:`secrets`}"
#define POLICY                                                                                     \
    "`spec`:{`order`:5,`selector`:`a == 'b'`,`types`:[`Ingress`],`ingress`:[{`action`:`Allow`,"    \
    "`protocol`:`TCP`,`source`:{`selector`:`has(c)`},`destination`:{`ports`:[80]}}]}"
#define NETS "`spec`:{`nets`:[`10.0.0.0/8`]}"

/* Objects: what their metadata have besides, and what they have beside their metadata, with ` for the quotes of JSON, and <NAME:PORT>
 * for a container. */
static const struct sample {
    const char *resource;
    bool is_calico;
    enum model_kind kind;
    const char *metadata, *rest;
} samples[] = {
    {"namespaces", false, MODEL_NAMESPACE, LABELS,
     "`spec`:{`finalizers`:[`kubernetes`]},`status`:{`phase`:`Active`}"},
    {"serviceaccounts", false, MODEL_SERVICE_ACCOUNT, LABELS,
     "`secrets`:[{`name`:`SECRET`}],`imagePullSecrets`:[{`name`:`SECRET`}]"},
    {"pods", false, MODEL_POD,
     LABELS ",`annotations`:{`cni.projectcalico.org/podIP`:`10.0.0.9`},"
            "`ownerReferences`:[{`name`:`SECRET`}]",
     "`spec`:{`nodeName`:`here`,`serviceAccountName`:`account`,`hostNetwork`:false,"
     "`containers`:[<one:80>,<two:81>],`initContainers`:[<three:82>],"
     "`volumes`:[{`name`:`SECRET`}],`affinity`:{`nodeAffinity`:{`x`:`SECRET`}},"
     "`tolerations`:[{`key`:`SECRET`}],`securityContext`:{`sysctls`:[{`name`:`SECRET`}]},"
     "`topologySpreadConstraints`:[{`topologyKey`:`SECRET`}]},"
     "`status`:{`phase`:`Running`,`podIP`:`10.0.0.1`,"
     "`podIPs`:[{`ip`:`10.0.0.1`},{`ip`:`fd00::1`}],`conditions`:[{`type`:`SECRET`}],"
     "`containerStatuses`:[{`name`:`SECRET`}],`initContainerStatuses`:[{`name`:`SECRET`}],"
     "`ephemeralContainerStatuses`:[{`name`:`SECRET`}]}"},
    {"nodes", false, MODEL_NODE, LABELS,
     "`spec`:{`podCIDR`:`SECRET`},`status`:{`images`:[{`names`:[`SECRET`]}]}"},
    {"networkpolicies", false, MODEL_KUBERNETES_NETWORK_POLICY, "",
     "`spec`:{`podSelector`:{`matchLabels`:{`a`:`b`}},"
     "`ingress`:[{`ports`:[{`port`:80}],`from`:[{`podSelector`:{}}]}],"
     "`policyTypes`:[`Ingress`]}"},
    {"endpointslices", false, MODEL_ENDPOINT_SLICE, "`labels`:{`kubernetes.io/service-name`:`s`}",
     "`addressType`:`IPv4`,"
     "`endpoints`:[{`addresses`:[`10.0.0.1`],`conditions`:{`ready`:true}}],"
     "`ports`:[{`name`:`http`,`port`:80,`protocol`:`TCP`}]"},
    {"tiers", true, MODEL_TIER, "", "`spec`:{`order`:7,`defaultAction`:`Pass`}"},
    {"networkpolicies", true, MODEL_NETWORK_POLICY, "", POLICY},
    {"globalnetworkpolicies", true, MODEL_GLOBAL_NETWORK_POLICY, "", POLICY},
    {"stagednetworkpolicies", true, MODEL_STAGED_NETWORK_POLICY, "", POLICY},
    {"stagedglobalnetworkpolicies", true, MODEL_STAGED_GLOBAL_NETWORK_POLICY, "", POLICY},
    {"stagedkubernetesnetworkpolicies", true, MODEL_STAGED_KUBERNETES_NETWORK_POLICY, "",
     "`spec`:{`podSelector`:{},`ingress`:[{}]}"},
    {"networksets", true, MODEL_NETWORK_SET, LABELS, NETS},
    {"globalnetworksets", true, MODEL_GLOBAL_NETWORK_SET, LABELS, NETS},
    {"hostendpoints", true, MODEL_HOST_ENDPOINT, LABELS,
     "`spec`:{`node`:`here`,`interfaceName`:`eth0`,`expectedIPs`:[`10.0.0.1`],"
     "`ports`:[{`name`:`http`,`port`:80,`protocol`:`TCP`}]}"},
    {"felixconfigurations", true, MODEL_FELIX_CONFIGURATION, "",
     "`spec`:{`logSeverityScreen`:`Debug`,`healthPort`:9099}"},
    {"clusterinformations", true, MODEL_CLUSTER_INFORMATION, "", "`spec`:{`datastoreReady`:false}"},
};

static void append_containers(struct buf *out, struct str text)
{
    struct str before, name, port;
    while (str_cut(text, '<', &before, &text)) {
        str_cut(text, ':', &name, &text);
        str_cut(text, '>', &port, &text);
        buf_append_str(out, before);
        buf_printf(out, container, STR_ARG(name), STR_ARG(name), STR_ARG(port));
    }
    buf_append_str(out, before);
}

static struct str make_object(const struct sample *sample, struct buf *out)
{
    bool has_more = sample->metadata[0] != '\0';
    buf_printf(out, "{`metadata`:{%s%s%s},", metadata, has_more ? "," : "", sample->metadata);
    append_containers(out, str_from_c(sample->rest));
    buf_append_byte(out, '}');
    for (size_t i = 0; i < out->len; i++)
        out->data[i] = out->data[i] == '`' ? '"' : out->data[i];
    return buf_str(out);
}

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
static void drop_fields(const struct kubernetes_kind *kind, struct str json, struct buf *out)
{
    struct listener l = {0};
    struct error err;
    struct kube_split *split = listener_start(SPLIT_VALUES, kind->drop, NULL, &l);
    CHECK(kind->resource, kube_split_feed(split, json, &err));
    assert_int_equal(l.pieces, 1);
    buf_append_str(out, buf_str(&l.trace));
    kube_split_free(split);
    buf_free(&l.trace);
}

static void check_kind(const struct kubernetes_kind *kind, struct str calico_api)
{
    const struct sample *sample = find_sample(kind);
    CLEANUP_BUF struct buf bytes = {0};
    CLEANUP_BUF struct buf whole = {0};
    CLEANUP_BUF struct buf rest = {0};
    CLEANUP_BUF struct buf rest_shown = {0};
    struct str json = make_object(sample, &bytes);
    show_object(kind, calico_api, json, &whole);
    drop_fields(kind, json, &rest);
    show_object(kind, calico_api, buf_str(&rest), &rest_shown);
    check_text(kind->resource, buf_str(&rest_shown), buf_str(&whole));
    CHECK(kind->resource, str_starts_with(buf_str(&whole), model_kind_name(sample->kind)));
    CHECK(kind->resource, str_contains(json, STR("SECRET")));
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
        CLEANUP_BUF struct buf bytes = {0};
        CLEANUP_BUF struct buf rest = {0};
        CLEANUP_BUF struct buf shown = {0};
        drop_fields(kind, make_object(find_sample(kind), &bytes), &rest);
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
