/* decode.h: Kubernetes' policies and pods, Calico's endpoints, profiles, tiers and network sets. */
#include "decode_check.h"

#define POD_LABELS "labels=projectcalico.org/namespace:k,projectcalico.org/orchestrator:k8s"
#define ALL_PODS   "projectcalico.org/orchestrator == \"k8s\""

static void test_kubernetes_policies(void **state)
{
    (void)state;
    static const struct example examples[] = {
        {KNP("podSelector: {}"),
         "KubernetesNetworkPolicy k/p tier=default order=1000 in sel=<" ALL_PODS ">\n"},
        {KNP("podSelector: {matchLabels: {b: '1', a: x}, matchExpressions: [{key: c, operator: In, "
             "values: [u, "
             "z]}, {key: d, operator: NotIn, values: [w]}, {key: e, operator: Exists}, {key: f, "
             "operator: "
             "DoesNotExist}]}, policyTypes: [Egress]"),
         "KubernetesNetworkPolicy k/p tier=default order=1000 out sel=<(" ALL_PODS
         " && a == \"x\" && b "
         "== \"1\" && c in {\"u\", \"z\"} && d not in {\"w\"} && has(e) && !has(f))>\n"},
        /* One rule a protocol in byte order, then a peer; ports merged; an entry without a number. */
        {KNP("ingress: [{ports: [{port: 82, protocol: UDP}, {port: 80, protocol: UDP}, {port: 81, "
             "protocol: "
             "UDP}, {port: 90, endPort: 95, protocol: UDP}, {port: dns, protocol: UDP}, {port: 1}, "
             "{protocol: "
             "SCTP}, {port: 7, protocol: SCTP}], from: [{podSelector: {}}, {namespaceSelector: "
             "{}}]}]"),
         "KubernetesNetworkPolicy k/p tier=default order=1000 in sel=<" ALL_PODS ">\n"
         "  < allow proto=sctp/132 src{ sel=<" ALL_PODS "> }\n"
         "  < allow proto=sctp/132 src{ sel=<" ALL_PODS "> ns=<all()> }\n"
         "  < allow proto=tcp/6 src{ sel=<" ALL_PODS "> } dst{ ports=1 }\n"
         "  < allow proto=tcp/6 src{ sel=<" ALL_PODS "> ns=<all()> } dst{ ports=1 }\n"
         "  < allow proto=udp/17 src{ sel=<" ALL_PODS "> } dst{ ports=dns,80-82,90-95 }\n"
         "  < allow proto=udp/17 src{ sel=<" ALL_PODS
         "> ns=<all()> } dst{ ports=dns,80-82,90-95 }\n"},
        {KNP("ingress: [{}], egress: [{to: [{ipBlock: {cidr: 10.0.0.0/8, except: [10.1.0.0/16]}}, "
             "{podSelector: {matchLabels: {a: b}}, namespaceSelector: {matchLabels: {c: d}}}]}]"),
         "KubernetesNetworkPolicy k/p tier=default order=1000 inout sel=<" ALL_PODS ">\n  < allow\n"
         "  > allow dst{ nets=10.0.0.0/8 !nets=10.1.0.0/16 }\n"
         "  > allow dst{ sel=<(" ALL_PODS " && a == \"b\")> ns=<c == \"d\"> }\n"},
        {KNP("ingress: [{from: [], ports: [{port: http}, {port: '80'}]}]"),
         "KubernetesNetworkPolicy k/p tier=default order=1000 in sel=<" ALL_PODS ">\n"
         "  < allow proto=tcp/6 dst{ ports=http,80 }\n"},
        {KNP("egress: [{ports: [{port: 65534, endPort: 65535}, {port: 65535}, {port: 1, endPort: "
             "65533}]}], "
             "policyTypes: [Ingress]"),
         "KubernetesNetworkPolicy k/p tier=default order=1000 in sel=<" ALL_PODS ">\n"
         "  > allow proto=tcp/6 dst{ ports=1-65535 }\n"},
        {KNP("policyTypes: [Egress, Egress]"),
         "KubernetesNetworkPolicy k/p tier=default order=1000 out sel=<" ALL_PODS ">\n"},
        {CALICO("StagedKubernetesNetworkPolicy",
                "p") ", spec: {stagedAction: Ignore, podSelector: {}, ingress: "
                     "[{}]}}",
         "StagedKubernetesNetworkPolicy default/p tier=default order=1000 in sel=<" ALL_PODS
         "> ignore\n"
         "  < allow\n"},
        {CALICO("StagedKubernetesNetworkPolicy", "p") ", spec: {stagedAction: Delete}}",
         "StagedKubernetesNetworkPolicy default/p tier=default order=1000 in sel=<" ALL_PODS
         "> delete\n"},
    };
    ASSERT_ALL(examples);
}

/* Each closes the policy, with one error. */
static void test_bad_kubernetes_policies(void **state)
{
    (void)state;
    static const struct {
        const char *ingress, *problem;
    } examples[] = {
        {"{ports: [{port: 0}]}", "ports[0].port: 0 is not between 1 and 65535"},
        {"{ports: [{port: 80, protocol: tcp}]}",
         "ports[0].protocol: \"tcp\" is none of TCP, UDP, SCTP (did you mean TCP?)"},
        {"{ports: [{port: 80, protocol: ICMP}]}",
         "ports[0].protocol: \"ICMP\" is none of TCP, UDP, SCTP"},
        {"{ports: [{port: '80:90'}]}", "ports[0].port: \"80:90\" is not a port (a number from 1 to "
                                       "65535, or a name of at most 15 lower-case "
                                       "letters, digits and single -)"},
        {"{ports: [{endPort: 80}]}", "ports[0].endPort: needs a port next to it"},
        {"{ports: [{port: 90, endPort: 80}]}",
         "ports[0].endPort: needs a port next to it that is a number and not greater"},
        {"{ports: [{port: http, endPort: 80}]}",
         "ports[0].endPort: needs a port next to it that is a number and not greater"},
        {"{from: [{}]}", "from[0]: one of podSelector, namespaceSelector and ipBlock is needed"},
        {"{from: [{podSelector: {}, ipBlock: {cidr: 10.0.0.0/8}}]}",
         "from[0]: ipBlock may not stand next to a selector"},
        {"{from: [{ipBlock: {}}]}", "from[0].ipBlock.cidr: missing"},
        {"{from: [{ipBlock: {cidr: 10.0.0.1}}]}",
         "from[0].ipBlock.cidr: \"10.0.0.1\" is not a CIDR (expected like 10.0.0.0/8 or "
         "2001:db8::/32)"},
        {"{from: [{ipBlock: {cidr: 10.0.0.0/8, except: [11.0.0.0/16]}}]}",
         "from[0].ipBlock.except: \"11.0.0.0/16\" is no part of 10.0.0.0/8"},
        {"{from: [{podSelector: {matchLabels: {a: \"x' || has(b) || a == '\"}}}]}",
         "from[0].podSelector.matchLabels.a: \"x' || has(b) || a == '\" is not a label value (at "
         "most 63 "
         "letters, digits, -, _ and ., beginning and ending with a letter or digit)"},
        {"{from: [{podSelector: {matchExpressions: [{key: 'a b', operator: Exists}]}}]}",
         "from[0].podSelector.matchExpressions[0].key: \"a b\" is not a label key"},
        {"{from: [{podSelector: {matchExpressions: [{key: a, operator: in, values: [b]}]}}]}",
         "from[0].podSelector.matchExpressions[0].operator: \"in\" is none of In, NotIn, Exists, "
         "DoesNotExist "
         "(did you mean In?)"},
        {"{from: [{podSelector: {matchExpressions: [{key: a, operator: In}]}}]}",
         "from[0].podSelector.matchExpressions[0].values: missing; In needs values"},
        {"{from: [{podSelector: {matchExpressions: [{key: a, operator: Exists, values: [b]}]}}]}",
         "from[0].podSelector.matchExpressions[0].values: Exists takes no values"},
        {"{from: [{podSelector: {matchExpressions: [{key: a, operator: In, values: [1]}]}}]}",
         "from[0].podSelector.matchExpressions[0].values[0]: expected a string, found the number "
         "`1` (quote it "
         "to make it a string)"},
        {"{from: [~]}", "from[0]: expected a map, found nothing"},
        {"{from: {podSelector: {}}}", "from: expected a list, found a map"},
    };
    for (size_t i = 0; i < sizeof(examples) / sizeof(examples[0]); i++) {
        CLEANUP_BUF struct buf text = {0}, expected = {0};
        buf_printf(&text, KNP("podSelector: {matchLabels: {x: q}}, ingress: [{},\n%s]") "%c",
                   examples[i].ingress, 0);
        buf_printf(&expected,
                   "KubernetesNetworkPolicy k/p BROKEN tier=default order=1000 in sel=<(" ALL_PODS
                   " && x == \"q\")>\n3: KubernetesNetworkPolicy k/p: spec.ingress[1].%s\n%c",
                   examples[i].problem, 0);
        assert_decoded(text.data, expected.data);
    }
    assert_decoded(
        KNP("podSelector: {matchLabels: {x: 'a b'}}, policyTypes: [All]"),
        "KubernetesNetworkPolicy k/p BROKEN tier=default order=1000 inout sel=NULL\n2: "
        "KubernetesNetworkPolicy k/p: spec.podSelector.matchLabels.x: \"a b\" is not a label value "
        "(at most 63 letters, digits, -, _ and ., beginning and ending with a letter or digit)\n2: "
        "KubernetesNetworkPolicy k/p: spec.policyTypes[0]: \"All\" is none of Ingress, Egress\n");
}

static void test_pods(void **state)
{
    (void)state;
    static const struct example examples[] = {
        {"apiVersion: v1\nkind: Pod\nmetadata:\n  name: p\n  namespace: k\n  labels: {app: web, "
         "pcns.x: q, "
         "pcsa.x: q, projectcalico.org/namespace: other, projectcalico.org/serviceaccount: "
         "other}\nspec:\n"
         "  nodeName: node1\n  serviceAccountName: acc\n  unknown: 1\n  containers:\n  - ports: "
         "[{name: http, "
         "containerPort: 80}, {containerPort: 81}, {name: dns, containerPort: 53, protocol: UDP}]\n"
         "  initContainers:\n  - ports: [{name: init, containerPort: 9, protocol: "
         "SCTP}]\nstatus:\n  podIP: "
         "10.0.0.9\n  podIPs: [{ip: 10.0.0.1}, {ip: 'fd00::1'}]\n",
         "Pod k/p live node=node1 id=k8s,k/p,eth0 if=86567e87dfb sa=acc "
         "labels=app:web,projectcalico.org/namespace:k,"
         "projectcalico.org/orchestrator:k8s,projectcalico.org/serviceaccount:acc "
         "profiles=kns.k,ksa.k.acc "
         "nets=10.0.0.1/32,fd00::1/128 http=6:80 dns=17:53 init=132:9\n"},
        {POD("spec: {nodeName: m}, status: {podIP: 10.0.0.2}"),
         "Pod k/p live node=m id=k8s,k/p,eth0 if=86567e87dfb " POD_LABELS
         " profiles=kns.k nets=10.0.0.2/32\n"},
        {POD("spec: {nodeName: m, serviceAccountName: '', containers: [{ports: [{name: a, "
             "containerPort: 1, protocol: ''}]}]}, status: {podIP: 10.0.0.2}"),
         "Pod k/p live node=m id=k8s,k/p,eth0 if=86567e87dfb " POD_LABELS
         " profiles=kns.k nets=10.0.0.2/32 a=6:1\n"},
        /* No endpoint: on the host, nowhere, finished, without address. */
        {POD("spec: {nodeName: m, hostNetwork: true}, status: {podIP: 10.0.0.2}"),
         "Pod k/p none node=m id=k8s,k/p,eth0 if=86567e87dfb " POD_LABELS " profiles=kns.k\n"},
        {POD("spec: {}, status: {podIP: 10.0.0.2}"),
         "Pod k/p none id=k8s,k/p,eth0 if=86567e87dfb " POD_LABELS " profiles=kns.k\n"},
        {POD("spec: {nodeName: m}, status: {podIP: 10.0.0.2, phase: Succeeded}"),
         "Pod k/p none node=m id=k8s,k/p,eth0 if=86567e87dfb " POD_LABELS " profiles=kns.k\n"},
        {POD("spec: {nodeName: m}, status: {podIP: 10.0.0.2, phase: Failed}"),
         "Pod k/p none node=m id=k8s,k/p,eth0 if=86567e87dfb " POD_LABELS " profiles=kns.k\n"},
        {POD("spec: {nodeName: m}"),
         "Pod k/p none node=m id=k8s,k/p,eth0 if=86567e87dfb " POD_LABELS " profiles=kns.k\n"},
        {POD("spec: {nodeName: m}, status: {podIPs: [], podIP: ''}"),
         "Pod k/p none node=m id=k8s,k/p,eth0 if=86567e87dfb " POD_LABELS " profiles=kns.k\n"},
        {POD("spec: {nodeName: m}, status: {podIPs: [{ip: 10.0.0.2}], podIP: 10.0.0.x}"),
         "Pod k/p live node=m id=k8s,k/p,eth0 if=86567e87dfb " POD_LABELS
         " profiles=kns.k nets=10.0.0.2/32\n"},
        {POD("spec: {nodeName: m}, status: {podIP: 10.0.0.2/24}"),
         "Pod k/p BROKEN none node=m id=k8s,k/p,eth0 if=86567e87dfb " POD_LABELS
         " profiles=kns.k\n1: Pod k/p: status.podIP: "
         "\"10.0.0.2/24\" is not an IP address\n"},
        {POD("spec: {nodeName: m}, status: {podIPs: [{ip: 10.0.0.2}, {ip: bad}]}"),
         "Pod k/p BROKEN none node=m id=k8s,k/p,eth0 if=86567e87dfb " POD_LABELS
         " profiles=kns.k\n1: Pod k/p: "
         "status.podIPs[1].ip: \"bad\" is not an IP address\n"},
        {POD("spec: {nodeName: m, hostNetwork: 'no'}, status: {podIP: 10.0.0.2}"),
         "Pod k/p BROKEN none node=m id=k8s,k/p,eth0 if=86567e87dfb " POD_LABELS
         " profiles=kns.k\n1: Pod k/p: "
         "spec.hostNetwork: expected true or false, found the string \"no\"\n"},
        {POD("spec: {nodeName: m, containers: [{ports: [{name: a, containerPort: 70000}, {name: b, "
             "protocol: "
             "TCP}]}]}, status: {podIP: 10.0.0.2}"),
         "Pod k/p BROKEN none node=m id=k8s,k/p,eth0 if=86567e87dfb " POD_LABELS
         " profiles=kns.k\n1: Pod k/p: "
         "spec.containers[0].ports[0].containerPort: 70000 is not between 1 and 65535\n1: Pod k/p: "
         "spec.containers[0].ports[1].containerPort: missing\n"},
    };
    ASSERT_ALL(examples);
}

#define ANNOTATED(more, annotations)                                                               \
    "{apiVersion: v1, kind: Pod, spec: {nodeName: m}, metadata: {name: p, namespace: k, " more     \
    "annotations: {" annotations "}}"

static void test_pod_annotations(void **state)
{
    (void)state;
    static const char live1[] = "Pod k/p live node=m id=k8s,k/p,eth0 if=86567e87dfb " POD_LABELS
                                " profiles=kns.k nets=10.0.0.1/32\n";
    static const char live2[] = "Pod k/p live node=m id=k8s,k/p,eth0 if=86567e87dfb " POD_LABELS
                                " profiles=kns.k nets=10.0.0.1/32,fd00::1/128\n";
    static const char none[] =
        "Pod k/p none node=m id=k8s,k/p,eth0 if=86567e87dfb " POD_LABELS " profiles=kns.k\n";
    static const struct example examples[] = {
        {ANNOTATED("", "cni.projectcalico.org/podIP: 10.0.0.1/32") "}", live1},
        {ANNOTATED("", "cni.projectcalico.org/podIP: 10.0.0.9, cni.projectcalico.org/podIPs: "
                       "'10.0.0.1/32,fd00::1/128'") "}",
         live2},
        {ANNOTATED("", "cni.projectcalico.org/podIP: 10.0.0.9/32") ", status: {podIP: 10.0.0.1}}",
         live1},
        {ANNOTATED("", "vpc.amazonaws.com/pod-ips: 10.0.0.1") "}", live1},
        /* While it is being deleted a pod counts, until its network is taken away. */
        {ANNOTATED("deletionTimestamp: '2024-01-01T00:00:00Z', ",
                   "a: b") ", status: {podIP: 10.0.0.1}}",
         live1},
        {ANNOTATED("deletionTimestamp: '2024-01-01T00:00:00Z', ",
                   "cni.projectcalico.org/podIP: ''") ", status: {podIP: 10.0.0.1}}",
         none},
        {ANNOTATED("", "cni.projectcalico.org/podIP: ''") ", status: {podIP: 10.0.0.1}}", live1},
        /* Not broken: who may make a pod in one namespace could close the policies of others. */
        {ANNOTATED("", "cni.projectcalico.org/podIPs: '10.0.0.1, fd00::1', "
                       "cni.projectcalico.org/podIP: 10.0.0.9") "}",
         "Pod k/p none node=m id=k8s,k/p,eth0 if=86567e87dfb " POD_LABELS
         " profiles=kns.k\n1? Pod k/p: "
         "metadata.annotations[\"cni.projectcalico.org/podIPs\"]: \" fd00::1\" is not an IP "
         "address; the annotation is passed over\n"},
        {ANNOTATED(
             "",
             "cni.projectcalico.org/allowedSourcePrefixes: '[\"10.0.0.0/8\"]'") ", status: {podIP: "
                                                                                "10.0.0.1}}",
         "Pod k/p live node=m id=k8s,k/p,eth0 if=86567e87dfb " POD_LABELS
         " profiles=kns.k nets=10.0.0.1/32\n1? Pod k/p: "
         "metadata.annotations[\"cni.projectcalico.org/allowedSourcePrefixes\"]: ignored, whatever "
         "workloadSourceSpoofing says: no other addresses than the pod's own stand for it\n"},
    };
    ASSERT_ALL(examples);
}

#define WEP(rest) CALICO("WorkloadEndpoint", "w") ",\n spec: {" rest "}}"

static void test_workload_endpoints(void **state)
{
    (void)state;
    static const struct example examples[] = {
        {"{apiVersion: projectcalico.org/v3, kind: WorkloadEndpoint, metadata: {name: w, "
         "namespace: k, labels: {a: "
         "b, pcns.x: q}}, spec: {orchestrator: vm, workload: web, node: m, endpoint: eth1, "
         "containerID: X, "
         "ipNetworks: [10.0.0.1, 10.1.0.0/16], profiles: [p, kns.k], interfaceName: tap0, mac: "
         "'aa:bb:cc:dd:ee:ff', serviceAccountName: acc, ports: [{name: http, protocol: TCP, port: "
         "80}, "
         "{protocol: UDP, port: 1, hostPort: 2}]}}",
         "WorkloadEndpoint k/w live node=m id=vm,k/web,eth1 if=tap0 sa=acc labels=a:b,"
         "projectcalico.org/namespace:k,projectcalico.org/orchestrator:vm,"
         "projectcalico.org/serviceaccount:acc profiles=p,kns.k nets=10.0.0.1/32,10.1.0.0/16 "
         "http=6:80\n"},
        {WEP("orchestrator: k8s, pod: q, node: m, endpoint: eth0, serviceAccountName: ''"),
         "WorkloadEndpoint default/w none node=m id=k8s,default/q,eth0 "
         "labels=projectcalico.org/namespace:default,projectcalico.org/orchestrator:k8s\n"},
        {WEP("orchestrator: vm, ipNetworks: [10.0.0.x]"),
         "WorkloadEndpoint default/w BROKEN none id=vm,default/, "
         "labels=projectcalico.org/namespace:default,projectcalico.org/orchestrator:vm\n2: "
         "WorkloadEndpoint "
         "default/w: spec.workload: missing\n2: WorkloadEndpoint default/w: spec.node: missing\n2: "
         "WorkloadEndpoint default/w: spec.endpoint: missing\n2: WorkloadEndpoint default/w: "
         "spec.ipNetworks[0]: \"10.0.0.x\" is not a CIDR (expected like 10.0.0.0/8 or "
         "2001:db8::/32)\n"},
        {WEP("orchestrator: k8s, pod: q, node: m, endpoint: eth0, ipNetworks: [10.0.0.1],\n ports: "
             "[{name: a, "
             "protocol: ICMP, port: 1},\n {name: 'a b', protocol: TCP, port: 1},\n {name: a, "
             "protocol: TCP, "
             "port: 0},\n {protocol: TCP, port: 1}, {name: c, port: 1}]"),
         "WorkloadEndpoint default/w BROKEN none node=m id=k8s,default/q,eth0 "
         "labels=projectcalico.org/namespace:default,projectcalico.org/orchestrator:k8s a=1:1\n3: "
         "WorkloadEndpoint default/w: spec.ports[0].protocol: this protocol has no ports\n4: "
         "WorkloadEndpoint "
         "default/w: spec.ports[1].name: \"a b\" is not the name of a port\n5: WorkloadEndpoint "
         "default/w: "
         "spec.ports[2].port: 0 is not between 1 and 65535\n6: WorkloadEndpoint default/w: "
         "spec.ports[3].name: missing\n6: WorkloadEndpoint default/w: spec.ports[4].protocol: "
         "missing\n"},
    };
    ASSERT_ALL(examples);
}

static void test_sets(void **state)
{
    (void)state;
    static const struct example examples[] = {
        {"{apiVersion: projectcalico.org/v3, kind: NetworkSet, metadata: {name: s, labels: {a: "
         "b}}, spec: {nets: "
         "[10.0.0.1, 10.1.2.3/16, '::1']}}",
         "NetworkSet default/s labels=a:b nets=10.0.0.1/32,10.1.0.0/16,::1/128\n"},
        {"{apiVersion: projectcalico.org/v3, kind: GlobalNetworkSet, metadata: {name: s, labels: "
         "{a: b}}, spec: "
         "{nets: [10.0.0.1, x, 10.0.0.2/32], net: []}}",
         "GlobalNetworkSet s BROKEN labels=a:b nets=10.0.0.1/32,10.0.0.2/32\n1? GlobalNetworkSet "
         "s: spec.net: "
         "unknown field (did you mean nets?)\n1: GlobalNetworkSet s: spec.nets[1]: \"x\" is not a "
         "CIDR "
         "(expected like 10.0.0.0/8 or 2001:db8::/32)\n"},
        {"{apiVersion: projectcalico.org/v3, kind: NetworkSet, metadata: {name: s, labels: "
         "{projectcalico.org/namespace: b}}}",
         "NetworkSet default/s BROKEN labels=projectcalico.org/namespace:b\n1: NetworkSet "
         "default/s: "
         "metadata.labels[\"projectcalico.org/namespace\"]: this label is set by the namespace "
         "alone\n"},
        {CALICO("Tier", "t") ", spec: {order: 5, defaultAction: Pass}, status: {}}",
         "Tier t order=5 pass\n"},
        {CALICO("Tier", "t") "}", "Tier t deny\n"},
        {CALICO("Tier", "default") "}", "Tier default order=1e+06 deny\n"},
        {CALICO("Tier", "kube-admin") ", spec: {order: 1000, defaultAction: Pass}}",
         "Tier kube-admin order=1000 pass\n"},
        {CALICO("Tier", "default") ", spec: {order: 5,\n defaultAction: Pass}}",
         "Tier default BROKEN order=1e+06 deny\n1: Tier default: spec.order: the order of this "
         "tier is always "
         "1000000\n2: Tier default: spec.defaultAction: the default action of this tier is always "
         "Deny\n"},
        {CALICO("Tier", "t") ", spec: {order: high, defaultAction: Allow}}",
         "Tier t BROKEN order=-inf deny\n1: Tier t: spec.order: expected a number, found the "
         "string "
         "\"high\"\n1: Tier t: "
         "spec.defaultAction: \"Allow\" is none of Deny, Pass\n"},
        {CALICO("Tier", "a.b") "}",
         "Tier a.b BROKEN deny\n1: Tier a.b: metadata.name: \"a.b\" is not a name for "
         "this kind (lower-case letters, digits and -, not at the ends, at most 63 "
         "bytes)\n"},
        {CALICO("Profile",
                "kns.x") ", spec: {labelsToApply: {pcns.a: b}, ingress: [{action: Allow}], egress: "
                         "[{action: Deny, protocol: TCP, destination: {ports: [80]}}]}}",
         "Profile kns.x gives=pcns.a:b\n  < allow\n  > deny proto=tcp/6 dst{ ports=80 }\n"},
        {CALICO("Profile", "p") ", spec: {labelsToApply: {a: b, c: 1}, ingress: [{action: Allow}, "
                                "{action: Go}]}}",
         "Profile p BROKEN gives=a:b,c:1\n1: Profile p: spec.labelsToApply.c: expected a string, "
         "found "
         "the number "
         "`1` (quote it to make it a string)\n1: Profile p: spec.ingress[1].action: \"Go\" is none "
         "of Allow, "
         "Deny, Log, Pass\n"},
    };
    ASSERT_ALL(examples);
}

/* Names of broken resources may hold a slash, and yet no two of them are known by one text. */
static void test_key_texts(void **state)
{
    (void)state;
    static const struct model_key keys[] = {
        {MODEL_NETWORK_POLICY, STR_INIT("a"), STR_INIT("b/c")},
        {MODEL_NETWORK_POLICY, STR_INIT("a/b"), STR_INIT("c")},
        {MODEL_NETWORK_POLICY, STR_INIT(""), STR_INIT("a/b/c")},
        {MODEL_GLOBAL_NETWORK_POLICY, STR_INIT(""), STR_INIT("a/b/c")},
    };
    for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++) {
        CLEANUP_BUF struct buf text = {0};
        struct model_key back = model_key_of_text(model_key_text(&text, &keys[i]));
        assert_true(model_key_eq(&back, &keys[i]));
        for (size_t j = 0; j < i; j++) {
            CLEANUP_BUF struct buf other = {0};
            assert_false(str_eq(buf_str(&text), model_key_text(&other, &keys[j])));
        }
    }
}

static void test_keys(void **state)
{
    (void)state;
    CLEANUP_ARENA struct arena arena = {0};
    struct model_key key = {MODEL_NETWORK_POLICY, STR("n"), STR("a")};
    struct model_key other = key;
    assert_true(model_key_eq(&key, &other));
    other.kind = MODEL_STAGED_NETWORK_POLICY;
    assert_false(model_key_eq(&key, &other));
    other = (struct model_key){MODEL_TIER, STR(""), STR("x\x1b[2J")};
    assert_true(str_eq(model_key_format(&arena, &key), STR("NetworkPolicy n/a")));
    assert_true(str_eq(model_key_format(&arena, &other), STR("Tier \"x\\x1b[2J\"")));

    struct label items[] = {{STR("a"), STR("1")}, {STR("b"), STR("")}, {STR("d"), STR("3")}};
    struct labels labels = {items, 3};
    struct str value;
    assert_true(labels_get(&labels, STR("a"), &value) && str_eq(value, STR("1")));
    assert_true(labels_get(&labels, STR("b"), &value) && value.len == 0);
    assert_true(labels_get(&labels, STR("d"), &value) && str_eq(value, STR("3")));
    assert_false(labels_get(&labels, STR("c"), &value));
    assert_false(labels_get(&labels, STR(""), &value));
    for (int kind = 0; kind < MODEL_KIND_COUNT; kind++)
        assert_true(model_kind_name((enum model_kind)kind).len > 0);
    model_resource_free(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_kubernetes_policies),
        cmocka_unit_test(test_bad_kubernetes_policies),
        cmocka_unit_test(test_pods),
        cmocka_unit_test(test_pod_annotations),
        cmocka_unit_test(test_workload_endpoints),
        cmocka_unit_test(test_sets),
        cmocka_unit_test(test_key_texts),
        cmocka_unit_test(test_keys),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
