"""The CSI driver, judged by the public conformance suite of CSI, csi-sanity, and called by csc; and its manifests."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any, Iterator

import pytest
import yaml
from client import ApiError
from cluster import Cluster
from csi_stand_in import StandIn
from part import NotBuilt, find_program

REPOSITORY = Path(__file__).resolve().parents[2]
sys.path.append(str(REPOSITORY / "tests" / "py"))

from csi_driver import CSI_DRIVER, Driver, Volume  # noqa: E402 (found by the line above)
from csi_driver import driver, node, volume  # noqa: E402, F401 (fixtures)
from node import Node  # noqa: E402

MANIFEST = REPOSITORY / "deploy" / "kubernetes" / "csi-driver.yaml"
SAMPLE = MANIFEST.with_name("csi-driver-sample.yaml")

# Specs that csi-sanity is told not to run, and why.
NOT_RUN = {
    r"\[Controller Server\]": "there is no controller: GetPluginCapabilities does not name CONTROLLER_SERVICE",
    r"\[GroupController ": "nor one of groups: GetPluginCapabilities does not name GROUP_CONTROLLER_SERVICE",
}
# One more, of the suite Node Service, that cannot run without a controller; it runs with the stand-in.
NEEDS_VOLUME = {"should remove target path": "its volume is to come from CreateVolume"}
# Specs that csi-sanity passes over by itself, since the driver does not offer what they are about.
NOT_OFFERED = {
    "NodePublishVolume with single node multi writer capability",  # SINGLE_NODE_MULTI_WRITER
    "NodeStageVolume",  # STAGE_UNSTAGE_VOLUME
    "NodeUnstageVolume",  # STAGE_UNSTAGE_VOLUME
    "NodeGetVolumeStats",  # GET_VOLUME_STATS
    "NodeGetVolumeHealth",  # GET_VOLUME_HEALTH, newer than CSI 1.12
    "NodeGetStorageHealth",  # GET_STORAGE_HEALTH, newer than CSI 1.12
    "NodeExpandVolume",  # EXPAND_VOLUME
}
# And those that need a volume of a controller, if there is none.
WITHOUT_CONTROLLER = {"Node Service should work", "Node Service should be idempotent"}
BASIC = {
    "Identity Service GetPluginCapabilities should return appropriate capabilities",
    "Identity Service Probe should return appropriate information",
    "Identity Service GetPluginInfo should return appropriate information",
    "Node Service NodeGetCapabilities should return appropriate capabilities",
    "Node Service NodeGetInfo should return appropriate values",
    "Node Service NodePublishVolume should fail when no volume id is provided",
    "Node Service NodePublishVolume should fail when no target path is provided",
    "Node Service NodePublishVolume should fail when no volume capability is provided",
    "Node Service NodeUnpublishVolume should fail when no volume id is provided",
    "Node Service NodeUnpublishVolume should fail when no target path is provided",
}


def program(name: str) -> Path:
    """The path of a part, or the test's failure."""
    try:
        return find_program(name)
    except NotBuilt as missing:
        pytest.fail(str(missing), pytrace=False)


def run_sanity(node: Node, endpoint: str, mount_dir: str, skip: list[str]) -> dict[str, set[str]]:
    """Run csi-sanity on the node: the names of the specs by how they ended. One that failed fails the test."""
    report = f"{node.home}/report.json"
    options = [f"-ginkgo.skip={expression}" for expression in skip]
    done = node.run(
        *(program("csi-sanity"), "-csi.endpoint", endpoint, "-csi.mountdir", mount_dir),
        *("-csi.stagingdir", f"{node.home}/staging", "-csi.testnodevolumeattachlimit"),
        *("-ginkgo.no-color", "-ginkgo.randomize-all", f"-ginkgo.json-report={report}", *options),
    )
    assert done.returncode == 0, done.stdout[-5000:] + done.stderr
    ended: dict[str, set[str]] = {}
    for suite in json.loads(node.path(report).read_text()):
        for spec in suite["SpecReports"]:
            # One that it was told not to run has no reason; a pending one it never runs.
            told = spec["State"] == "skipped" and not spec.get("Failure")
            if spec["LeafNodeType"] == "It" and spec["State"] != "pending" and not told:
                name = " ".join([*spec["ContainerHierarchyTexts"], spec["LeafNodeText"]])
                ended.setdefault(spec["State"], set()).add(name.replace("  ", " "))
    return ended


def unexplained(skipped: set[str], reasons: set[str]) -> set[str]:
    """The specs that were passed over for none of the reasons."""
    return {name for name in skipped if not any(reason in name for reason in reasons)}


def test_csi_sanity(driver: Driver, volume: Volume) -> None:
    """Identity and Node, as the driver is."""
    ended = run_sanity(driver.node, driver.socket, f"{volume.parent}2", [*NOT_RUN, *NEEDS_VOLUME])
    assert ended.pop("passed") == BASIC
    assert not unexplained(ended.pop("skipped"), NOT_OFFERED | WITHOUT_CONTROLLER)
    assert not ended


def test_csi_sanity_with_volumes(driver: Driver, volume: Volume) -> None:
    """Node once more, with volumes to publish: once, and ten times each."""
    node = driver.node
    address = f"unix:{node.path('stand-in.sock')}"
    with StandIn(address, f"unix:{node.path(driver.socket)}", volume.context()) as stand_in:
        ended = run_sanity(node, f"{node.home}/stand-in.sock", f"{volume.parent}2", list(NOT_RUN))
    extra = {f"Node Service NodeUnpublishVolume {name}" for name in NEEDS_VOLUME}
    assert ended.pop("passed") == BASIC | WITHOUT_CONTROLLER | extra
    assert not unexplained(ended.pop("skipped"), NOT_OFFERED)
    assert not ended
    assert stand_in.passed.count("NodePublishVolume") >= 3 + 1 + 1 + 10
    assert "NodeStageVolume" not in stand_in.passed
    assert node.mounts() == [] and list(node.path("agent/creds").iterdir()) == []


def csc(driver: Driver, *words: str) -> subprocess.CompletedProcess[str]:
    """Call the driver by csc, which holds what comes back against CSI's specification."""
    done: subprocess.CompletedProcess[str] = driver.node.run(
        program("csc"), "--endpoint", f"unix://{driver.socket}", "--with-spec-validation", *words
    )
    return done


def test_csc_calls_as_kubelet_does(driver: Driver, volume: Volume) -> None:
    """From registration to the pod's end. The exit status is gRPC's."""
    context = ",".join(f"{key}={value}" for key, value in volume.context().items())
    publish = ["node", "publish", volume.name, "--target-path", volume.dir, "--vol-context", context]
    unpublish = ["node", "unpublish", volume.name, "--target-path", volume.dir]

    def said(*words: str) -> str:
        done = csc(driver, *words)
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    assert said("identity", "plugin-info").startswith('"csi.tigera.io"\t')
    assert said("identity", "probe") == "true"
    assert said("identity", "plugin-capabilities") == said("node", "get-capabilities") == ""
    assert said("node", "get-info").startswith("node-1\t0\t")
    for _ in range(2):
        assert said(*publish, "--cap", "SINGLE_NODE_WRITER,mount,") == volume.name
        volume.assert_whole()
    driver.restart()
    assert csc(driver, *publish, "--cap", "SINGLE_NODE_WRITER,block").returncode == 9
    assert csc(driver, *publish[:-1], context.replace("true", "false"), "--cap", "1,mount,").returncode == 9
    stage = ["node", "stage", volume.name, "--staging-target-path", volume.dir, "--cap", "1,mount,"]
    assert csc(driver, *stage).returncode == 12
    volume.assert_whole()
    for _ in range(2):
        assert said(*unpublish) == volume.name
        volume.assert_gone()


# Manifests


def objects(path: Path) -> list[Any]:
    """The objects of a manifest."""
    return [thing for thing in yaml.safe_load_all(path.read_text()) if thing]


def find(kind: str) -> Any:
    """The one object of a kind."""
    return next(thing for thing in objects(MANIFEST) if thing["kind"] == kind)


@pytest.fixture
def applied(cluster: Cluster) -> Iterator[Cluster]:
    """The cluster, with what a user types done."""
    cluster.kubectl("apply", "-f", str(MANIFEST), "-f", str(SAMPLE))
    yield cluster
    cluster.admin.delete(*objects(SAMPLE), find("DaemonSet"), find("CSIDriver"))
    cluster.delete_namespace(find("Namespace")["metadata"]["name"])


def test_manifests_are_taken_as_they_are(applied: Cluster) -> None:
    """With no field that the server does not know; twice is as good as once."""
    for path in (MANIFEST, SAMPLE):
        applied.admin.apply(*objects(path))
        applied.kubectl("apply", "-f", str(path))
    spec = applied.admin.get("storage.k8s.io/v1", "CSIDriver", "csi.tigera.io")["spec"]
    wanted = {
        "podInfoOnMount": True,
        "attachRequired": False,
        "volumeLifecycleModes": ["Ephemeral"],
        "fsGroupPolicy": "None",
        "requiresRepublish": False,
        "seLinuxMount": False,
    }
    assert {key: spec[key] for key in wanted} == wanted
    volumes = applied.admin.get("v1", "Pod", "example", "default")["spec"]["volumes"]
    assert [volume["csi"]["driver"] for volume in volumes if "csi" in volume] == ["csi.tigera.io"]


def test_mounting_for_the_node_needs_privilege(applied: Cluster) -> None:
    """So it is not asked for in vain."""
    daemon_set = find("DaemonSet")
    daemon_set["metadata"]["name"] = "less"
    daemon_set["spec"]["template"]["spec"]["containers"][0]["securityContext"]["privileged"] = False
    with pytest.raises(ApiError, match="Bidirectional mount propagation is available only to privileged containers"):
        applied.admin.create(daemon_set)


def test_manifest_fits_the_program() -> None:
    """The containers, the program's options and defaults, and kubelet's folders are the same wherever they are named."""
    spec = find("DaemonSet")["spec"]["template"]["spec"]
    own, registrar = spec["containers"]
    done = subprocess.run(
        [CSI_DRIVER, *own["args"], "--version"], capture_output=True, text=True, timeout=30, check=False
    )
    assert done.returncode == 0, done.stderr
    shown = subprocess.run([CSI_DRIVER, "--help"], capture_output=True, text=True, timeout=30, check=True).stdout
    paths = {volume["name"]: volume["hostPath"]["path"] for volume in spec["volumes"]}
    places = {mount["name"]: mount["mountPath"] for mount in own["volumeMounts"]}
    # Kubelet names targets as they are on the node.
    assert places["pods"] == paths["pods"] == "/var/lib/kubelet/pods"
    assert "(default: /var/lib/kubelet)" in shown
    assert places["nodeagent"] == paths["nodeagent"] == "/var/run/nodeagent"
    assert "(default: /csi/csi.sock)" in shown and places["socket"] == "/csi"
    assert registrar["args"] == [
        "--csi-address=/csi/csi.sock",
        f"--kubelet-registration-path={paths['socket']}/csi.sock",
    ]
    assert registrar["args"][1] in registrar["livenessProbe"]["exec"]["command"]
    assert spec["priorityClassName"] == "system-node-critical"
    driver_object = find("CSIDriver")
    assert paths["socket"].endswith(driver_object["metadata"]["name"])
