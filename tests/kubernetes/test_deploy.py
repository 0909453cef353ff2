"""The manifests: the API server takes them, and felix needs every right that they give it and no other."""

from pathlib import Path
from typing import Iterator

import pytest
import yaml
from agents import agent_of
from client import Object
from cluster import Cluster
from objects import new_object
from waiting import wait_until

DEPLOY = Path(__file__).resolve().parents[2] / "deploy" / "kubernetes"
PLACES = ("FELIX_HEALTHHOST", "FELIX_HEALTHPORT", "FELIX_PROMETHEUSMETRICSPORT")
NAMESPACE, ACCOUNT = "dikast-system", "felix"


@pytest.fixture(scope="module")
def deployed(cluster: Cluster) -> Iterator[Cluster]:
    """As docs/kubernetes.md says."""
    cluster.kubectl("apply", "-k", str(DEPLOY / "felix"))
    yield cluster
    cluster.delete_namespace(NAMESPACE)
    for kind in ("ClusterRoleBinding", "ClusterRole"):
        cluster.admin.delete(new_object("rbac.authorization.k8s.io/v1", kind, "dikast-felix"))


def role() -> Object:
    for document in yaml.safe_load_all((DEPLOY / "felix" / "rbac.yaml").read_text()):
        if document["kind"] == "ClusterRole":
            return document
    raise KeyError("ClusterRole")


def test_rights_are_those_that_are_used(deployed: Cluster, tmp_path: Path) -> None:
    config = deployed.kubeconfig(tmp_path / "config", {"token": deployed.account_token(NAMESPACE, ACCOUNT)})
    with agent_of(config) as felix:
        felix.expect_ready()
        felix.expect_watching()
    asked = deployed.requests(f"system:serviceaccount:{NAMESPACE}:{ACCOUNT}")
    assert {each.status for each in asked} <= {200, 429}  # the last while definitions are new
    assert {each.verb for each in asked if each.path != "/apis"} <= {"list", "watch"}
    used = set()
    for each in asked:
        parts = each.path.split("?")[0].strip("/").split("/")
        if each.path != "/apis":
            used.add(("" if parts[0] == "api" else parts[1], parts[-1]))
    given = {(group, resource) for rule in role()["rules"] for group in rule["apiGroups"]
             for resource in rule["resources"] if group != "projectcalico.org"}
    assert used == given


def test_flow_control() -> None:
    """felix' lists fall under the schema of its own; other people's do not."""
    with Cluster(["--enable-priority-and-fairness=true"]) as fair:
        fair.kubectl("apply", "-k", str(DEPLOY / "felix"))
        fair.kubectl("apply", "-f", str(DEPLOY / "flow-control.yaml"))
        uid = fair.admin.get("flowcontrol.apiserver.k8s.io/v1", "FlowSchema", "dikast-felix")["metadata"]["uid"]
        felix, other = (fair.client(token=fair.account_token(NAMESPACE, name)) for name in (ACCOUNT, "other"))
        wait_until(lambda: felix.flow_schema() == uid, "the flow schema counts")
        assert other.flow_schema() not in (None, uid)


def test_felix_runs_as_the_manifest_says(deployed: Cluster) -> None:
    """The arguments and the environment of the container are ones that the program knows."""
    daemon_set = deployed.admin.get("apps/v1", "DaemonSet", "felix", NAMESPACE)
    container = daemon_set["spec"]["template"]["spec"]["containers"][0]
    assert container["image"].startswith("dikast/felix:")
    assert container["args"] == ["--datastore", "kubernetes", "--policy-sync-prefix", "/var/run/nodeagent"]
    given = {each["name"]: each.get("value") for each in container["env"]}
    assert set(given) == {"FELIX_FELIXHOSTNAME", "FELIX_HEALTHENABLED", *PLACES}
    # The probes must not be answered by upstream's node agent, which may have its own ports of the same node.
    for probe in ("livenessProbe", "readinessProbe"):
        asked = container[probe]["httpGet"]
        assert (asked["host"], str(asked["port"])) == (given["FELIX_HEALTHHOST"], given["FELIX_HEALTHPORT"])
    assert not {"9099", "9091"} & {given[name] for name in PLACES}


def test_flexvolume_driver_beside_it(deployed: Cluster) -> None:
    """The installer is one more container of the same pod; kubelet finds the file under the name it looks for."""
    whole = list(yaml.safe_load_all(deployed.kubectl("kustomize", str(DEPLOY / "flexvolume"))))
    pod = next(each for each in whole if each["kind"] == "DaemonSet")["spec"]["template"]["spec"]
    assert [each["name"] for each in pod["containers"]] == ["felix"]
    (driver,) = pod["initContainers"]
    assert driver["image"] == pod["containers"][0]["image"]
    assert [*driver["command"], *driver["args"]] == ["/usr/libexec/dikast/uds", "install", "--target", "/driver/uds"]
    host = next(each for each in pod["volumes"] if each["name"] == "driver")["hostPath"]["path"]
    assert host.endswith("/exec/nodeagent~uds")
    deployed.kubectl("apply", "--dry-run=server", "-k", str(DEPLOY / "flexvolume"))


def test_sample_pod_of_a_sidecar(deployed: Cluster) -> None:
    deployed.kubectl("apply", "--dry-run=server", "-f", str(DEPLOY / "sidecar" / "pod.yaml"))
    deployed.kubectl("apply", "--dry-run=server", "-f", str(DEPLOY / "sidecar" / "binding.yaml"))
