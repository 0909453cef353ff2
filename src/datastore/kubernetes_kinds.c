#include "datastore/kubernetes_kinds.h"

/* Of all objects: who wrote which field of it, which is often more than the rest. */
static const char *const metadata_drop[] = {"metadata.managedFields", NULL};

#define CONTAINER(list)                                                                            \
    "spec." list ".env", "spec." list ".envFrom", "spec." list ".volumeMounts",                    \
        "spec." list ".resources", "spec." list ".livenessProbe", "spec." list ".readinessProbe",  \
        "spec." list ".startupProbe", "spec." list ".lifecycle", "spec." list ".command",          \
        "spec." list ".args", "spec." list ".securityContext"

/* Of a pod there remain names, labels, annotations, node, account, ports and addresses. */
static const char *const pod_drop[] = {
    "metadata.managedFields",
    "metadata.ownerReferences",
    "spec.volumes",
    "spec.affinity",
    "spec.tolerations",
    "spec.securityContext",
    "spec.topologySpreadConstraints",
    CONTAINER("containers"),
    CONTAINER("initContainers"),
    "status.conditions",
    "status.containerStatuses",
    "status.initContainerStatuses",
    "status.ephemeralContainerStatuses",
    NULL,
};

static const char *const account_drop[] = {"metadata.managedFields", "secrets", "imagePullSecrets",
                                           NULL};

static const char *const node_drop[] = {"metadata.managedFields", "spec", "status", NULL};

#define CORE       "api/v1", .api = STR_INIT("v1")
#define NETWORKING "apis/networking.k8s.io/v1", .api = STR_INIT("networking.k8s.io/v1")
#define DISCOVERY  "apis/discovery.k8s.io/v1", .api = STR_INIT("discovery.k8s.io/v1")
#define CALICO     NULL, .api = STR_INIT("")

/* Pods that run somewhere and have not finished. */
#define RUNNING_PODS                                                                               \
    "fieldSelector=spec.nodeName%21%3D%2Cstatus.phase%21%3DSucceeded%2Cstatus.phase%21%3DFailed"

const struct kubernetes_kind kubernetes_kinds[] = {
    {.group = CORE, .resource = "namespaces", .kind = STR_INIT("Namespace"), .drop = metadata_drop},
    {.group = CORE,
     .resource = "serviceaccounts",
     .kind = STR_INIT("ServiceAccount"),
     .drop = account_drop},
    {.group = CORE,
     .resource = "pods",
     .kind = STR_INIT("Pod"),
     .drop = pod_drop,
     .query = RUNNING_PODS},
    {.group = CORE,
     .resource = "nodes",
     .kind = STR_INIT("Node"),
     .drop = node_drop,
     .is_of_node = true,
     .is_for_agents = true},
    {.group = NETWORKING,
     .resource = "networkpolicies",
     .kind = STR_INIT("NetworkPolicy"),
     .drop = metadata_drop,
     .is_policy = true},
    {.group = DISCOVERY,
     .resource = "endpointslices",
     .kind = STR_INIT("EndpointSlice"),
     .drop = metadata_drop,
     .query = "labelSelector=kubernetes.io%2Fservice-name"},
    {.group = CALICO, .resource = "tiers", .kind = STR_INIT("Tier"), .drop = metadata_drop},
    {.group = CALICO,
     .resource = "networkpolicies",
     .kind = STR_INIT("NetworkPolicy"),
     .drop = metadata_drop,
     .is_policy = true},
    {.group = CALICO,
     .resource = "globalnetworkpolicies",
     .kind = STR_INIT("GlobalNetworkPolicy"),
     .drop = metadata_drop},
    {.group = CALICO,
     .resource = "stagednetworkpolicies",
     .kind = STR_INIT("StagedNetworkPolicy"),
     .drop = metadata_drop,
     .is_policy = true},
    {.group = CALICO,
     .resource = "stagedglobalnetworkpolicies",
     .kind = STR_INIT("StagedGlobalNetworkPolicy"),
     .drop = metadata_drop},
    {.group = CALICO,
     .resource = "stagedkubernetesnetworkpolicies",
     .kind = STR_INIT("StagedKubernetesNetworkPolicy"),
     .drop = metadata_drop,
     .is_policy = true},
    {.group = CALICO,
     .resource = "networksets",
     .kind = STR_INIT("NetworkSet"),
     .drop = metadata_drop},
    {.group = CALICO,
     .resource = "globalnetworksets",
     .kind = STR_INIT("GlobalNetworkSet"),
     .drop = metadata_drop},
    {.group = CALICO,
     .resource = "hostendpoints",
     .kind = STR_INIT("HostEndpoint"),
     .drop = metadata_drop},
    {.group = CALICO,
     .resource = "felixconfigurations",
     .kind = STR_INIT("FelixConfiguration"),
     .drop = metadata_drop,
     .is_for_agents = true},
    {.group = CALICO,
     .resource = "clusterinformations",
     .kind = STR_INIT("ClusterInformation"),
     .drop = metadata_drop,
     .is_for_agents = true},
};
const size_t kubernetes_kind_count = sizeof(kubernetes_kinds) / sizeof(kubernetes_kinds[0]);
