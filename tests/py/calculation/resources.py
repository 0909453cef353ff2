"""Short forms of resources, and the files they become.

A *world* is a dictionary from "KIND [NAMESPACE/]NAME" to the content:

  Pod bank/web: {labels: {app: web}, ip: 10.1.0.2, account: web, ports: [{name: http, containerPort: 80}]}
  NetworkPolicy bank/p: {selector: app == 'web', ingress: [{action: Allow}]}
  KubernetesNetworkPolicy bank/p: {podSelector: {}}

`labels`, `annotations` and `deletionTimestamp` go to the metadata.  What is left is
the spec, but of a kind that has none, and of a Pod: there `ip` or `ips`, `account` and `ports` fill spec and
status, and `spec` and `status` add to these.
"""

import yaml

CALICO = "projectcalico.org/v3"

# Kind in a world -> (apiVersion, kind in the file); all others are Calico's.
KUBERNETES = {
    "Namespace": ("v1", "Namespace"),
    "ServiceAccount": ("v1", "ServiceAccount"),
    "Pod": ("v1", "Pod"),
    "KubernetesNetworkPolicy": ("networking.k8s.io/v1", "NetworkPolicy"),
    "EndpointSlice": ("discovery.k8s.io/v1", "EndpointSlice"),
}
WITHOUT_SPEC = ("Namespace", "ServiceAccount", "EndpointSlice")
METADATA = ("labels", "annotations", "deletionTimestamp")


def merged(base, changes):
    """A world with some resources replaced, added, or (None) left out."""
    both = {**base, **(changes or {})}
    return {name: content for name, content in both.items() if content is not None}


def _pod(content):
    given = dict(content)
    ips = given.pop("ips", [given.pop("ip")] if "ip" in given else [])
    spec = {"nodeName": "node-1", "containers": [{"name": "main", "image": "example/main"}]}
    if "account" in given:
        spec["serviceAccountName"] = given.pop("account")
    if "ports" in given:
        spec["containers"][0]["ports"] = given.pop("ports")
    status = {"phase": "Running"}
    if ips:
        status.update(podIP=ips[0], podIPs=[{"ip": ip} for ip in ips])
    full = {"spec": merged(spec, given.pop("spec", {})),
            "status": merged(status, given.pop("status", {}))}
    assert not given, f"a pod has no {list(given)}"
    return full


def resource(name, content):
    """The whole resource for an entry of a world."""
    kind, _, full_name = name.partition(" ")
    namespace, _, short_name = full_name.rpartition("/")
    api, kind_in_file = KUBERNETES.get(kind, (CALICO, kind))
    metadata = {"name": short_name, **({"namespace": namespace} if namespace else {})}
    rest = dict(content or {})
    metadata.update({key: rest.pop(key) for key in METADATA if key in rest})
    if kind == "Pod":
        rest = _pod(rest)
    elif kind not in WITHOUT_SPEC:
        rest = {"spec": rest}
    return {"apiVersion": api, "kind": kind_in_file, "metadata": metadata, **rest}


def name_of(whole):
    """The name in a world of a whole resource, or of one of which only the key is there."""
    kind, metadata = whole["kind"], whole["metadata"]
    kinds = [name for name, api in KUBERNETES.items() if api == (whole["apiVersion"], kind)]
    place = f"{metadata['namespace']}/" if metadata.get("namespace") else ""
    return f"{kinds[0] if kinds else kind} {place}{metadata['name']}"


class _Dumper(yaml.SafeDumper):
    """Without anchors, which the tables use and files of resources need not."""

    def ignore_aliases(self, data):
        return True


def dump(resources):
    return yaml.dump_all(resources, Dumper=_Dumper, sort_keys=False, allow_unicode=True)


def write(folder, world, name="world.yaml"):
    """Writes a world as one file of many documents."""
    text = dump(resource(*entry) for entry in world.items())
    (folder / name).write_text(text, encoding="utf-8")
