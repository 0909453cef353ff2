"""The CSI driver, called as kubelet calls it, on a node that is a mount namespace."""

import os
import re
import shutil
import socket
import subprocess

import pytest

import wire
from csi_driver import UID, Capability, Driver, Volume, bind, capability, refused
from csi_driver import driver, node, volume  # noqa: F401 (fixtures)
from node import Pod
from protos import csi
from test_uds import CONNECT


# ---- the life of a volume


@pytest.mark.parametrize("node", ["shared", "private"], indirect=True)
def test_life(volume):
    volume.published()
    volume.unpublished()
    volume.forget()


def test_twice(node, volume):
    volume.published()
    mounts = node.mounts()
    volume.published()
    assert node.mounts() == mounts
    volume.unpublished()
    volume.unpublished()


def test_unpublish_of_what_never_was(node, volume):
    volume.unpublished()
    shutil.rmtree(node.path("kubelet/pods"))
    volume.unpublished()


def test_restarts_in_between(driver, volume):
    """All that there is to know is on the disk."""
    volume.published()
    driver.restart()
    volume.assert_whole()
    volume.published()
    driver.restart()
    volume.unpublished()
    driver.restart()
    volume.unpublished()


def test_killed_in_between(driver, volume):
    volume.published()
    driver.kill()
    driver.start()
    volume.assert_whole()
    volume.published()
    driver.kill()
    driver.start()
    volume.unpublished()


def test_two_volumes_of_a_pod(driver, volume):
    """Each has its own name, and so a folder and credentials of its own."""
    second = Volume(driver, volume="again")
    volume.published()
    second.published()
    volume.unpublished()
    second.assert_whole()
    second.unpublished()


def test_both_drivers(node, driver, volume):
    """A FlexVolume and a CSI volume of one pod, under the same prefix, are two volumes."""
    flex = Pod(node, UID)
    volume.published()
    assert flex.mount()[0] == "Success"
    volume.assert_whole()
    flex.assert_whole()
    volume.unpublished()
    flex.assert_whole()
    assert flex.unmount()[0] == "Success"


@pytest.mark.parametrize("root", ["kubelet/a b\tc", "kubelet/a\nb", "kubelet/a\\040b\\", "kubelet/ü#'\"",
                                  "kubelet/pods/x/volumes/y"])
def test_strange_paths(driver, root):
    volume = Volume(driver, root=root)
    volume.published()
    refused(volume.publish(target_path=volume.parent + "/other"), "FAILED_PRECONDITION")
    volume.unpublished()


def test_pod_reaches_the_socket_whoever_it_is(node, volume):
    """In a container the volume is at /var/run/felix; its user may be anybody, and is not root's group."""
    volume.published()
    node.must("mkdir", "/run/felix")
    node.must("mount", "--rbind", volume.dir, "/run/felix")
    with socket.socket(socket.AF_UNIX) as listener:
        bind(listener, volume.folder)
        os.chmod(volume.folder / "socket", 0o777)
        listener.listen()
        listener.settimeout(30)
        client = subprocess.Popen(
            node.command("setpriv", "--reuid=999", "--regid=999", "--clear-groups",
                         "--bounding-set=-all", "/usr/bin/python3", "-c", CONNECT,
                         "/var/run/felix/nodeagent/socket"), stdout=subprocess.PIPE, text=True)
        listener.accept()[0].sendall(b"hello")
        assert client.communicate(timeout=30)[0] == "hello\n"
    # That the pod has it too is not in the way.
    volume.published()
    volume.unpublished()


def test_in_a_container(node):
    """The driver has a mount namespace of its own, each time another; what it mounts is seen on the node, and the other way round."""
    driver = Driver(node, inside=["unshare", "-m", "--propagation", "unchanged"])
    volume = Volume(driver)
    with driver:
        volume.published()
        assert len(node.mounts()) == 2
        driver.stop()
    with driver:
        volume.published()
        volume.unpublished()
        volume.published()
        driver.stop()
    node.must("umount", "-R", volume.dir)
    with driver:
        assert not node.mounts()
        volume.published()
        volume.unpublished()
        driver.stop()


# ---- what is there already


def test_another_target(driver, volume):
    volume.published()
    elsewhere = volume.dir.replace("felix-sync", "again")
    volume.node.path(elsewhere).parent.mkdir()
    refused(volume.publish(target_path=elsewhere), "FAILED_PRECONDITION", "is at another target_path",
            volume.name)
    volume.assert_whole()
    # What kubelet may ask for after a failure.
    assert volume.unpublish(target_path=elsewhere)[0] == "OK"
    volume.assert_whole()
    volume.unpublished()


def test_seen_at_two_places(node, volume):
    """A container may see kubelet's folder twice: that is no other target."""
    node.must("mkdir", "/run/k/again")
    node.must("mount", "--rbind", "/run/k/kubelet", "/run/k/again")
    volume.published()
    volume.published()
    assert volume.publish(target_path=volume.dir.replace("kubelet/pods", "again/pods")) == ("OK", "")
    volume.unpublished()
    assert not node.mounts()


def test_another_volume_at_the_target(driver, volume):
    """Neither call touches it."""
    volume.published()
    refused(volume.publish(volume_id="csi-2"), "FAILED_PRECONDITION", "another volume", volume.name)
    refused(volume.unpublish(volume_id="csi-2"), "FAILED_PRECONDITION", "another volume", volume.name)
    volume.assert_whole()
    volume.unpublished()


@pytest.mark.parametrize("change", [{"name": "web-1"}, {"namespace": "shop"}, {"account": ""}])
def test_for_somebody_else(volume, change):
    volume.published()
    refused(volume.publish(change), "ALREADY_EXISTS", volume.name, "for the pod bank/web-0")
    volume.assert_whole()
    volume.unpublished()


def test_read_only_and_reader_are_the_same_here(volume):
    """Pods can only ever read, so this is compatible with what is there."""
    volume.published()
    assert volume.publish(readonly=True)[0] == "OK"
    reader = capability(Capability.AccessMode.SINGLE_NODE_READER_ONLY)
    assert volume.publish(volume_capability=reader)[0] == "OK"
    volume.published()


def test_credentials_that_are_spoilt(volume):
    volume.published()
    volume.credentials.write_text("{")
    volume.published()
    volume.credentials.unlink()
    volume.published()


def test_volume_of_upstream_s_driver(node, volume):
    """Its mounts are writable, and perhaps stacked; the names are the same. It is made right, or taken away."""
    for then in volume.published, volume.unpublished:
        volume.folder.mkdir(parents=True, exist_ok=True)
        node.path(volume.dir).mkdir(exist_ok=True)
        for _ in range(2):
            node.must("mount", "-t", "tmpfs", "-o", "size=8K", "tmpfs", volume.dir)
            node.must("mkdir", f"{volume.dir}/nodeagent")
            node.must("mount", "--bind", str(volume.folder).partition("root")[2], f"{volume.dir}/nodeagent")
        volume.credentials.parent.mkdir(exist_ok=True)
        volume.credentials.write_text('{"UID":"%s","Workload":"web-0","Namespace":"bank",'
                                      '"ServiceAccount":"web"}' % volume.uid)
        then()


# ---- what kubelet may not say


Mode = Capability.AccessMode


@pytest.mark.parametrize("context, changes, code, problem", [
    ({}, {"volume_id": ""}, "INVALID_ARGUMENT", "volume_id is missing"),
    ({}, {"volume_id": None}, "INVALID_ARGUMENT", "volume_id is missing"),
    *[({}, {"volume_id": bad}, "INVALID_ARGUMENT", "volume_id") for bad in
      [".", "..", "../x", "a/b", ".x", "a b", "a\n", "x" * 129, "ä", "a\0", '"']],
    ({}, {"target_path": ""}, "INVALID_ARGUMENT", "target_path is missing"),
    *[({}, {"target_path": bad}, "INVALID_ARGUMENT", "target_path") for bad in
      ["x", "/", "/tmp/x", f"/k/pods/{UID}/volumes/d", f"/k/pods/{UID}/volumes/d/..", "/pods/../volumes/d/n",
       f"/k/pods/{UID}/volumes/d/n\0", f"/k/pods/{UID}/volumes/d/" + "x" * 256,
       f"/pods/{UID}/volumes/d" + "/x" * 2100]],
    ({}, {"target_path": "/k/pods/other/volumes/d/n"}, "INVALID_ARGUMENT", "is not a volume of the pod whose"),
    ({}, {"volume_capability": None}, "INVALID_ARGUMENT", "volume_capability is missing"),
    ({}, {"volume_capability": Capability()}, "INVALID_ARGUMENT", "access_type is missing"),
    ({}, {"volume_capability": capability(Mode.UNKNOWN)}, "INVALID_ARGUMENT", "access_mode is missing"),
    ({}, {"volume_capability": capability(block=Capability.BlockVolume())}, "FAILED_PRECONDITION", "block"),
    *[({}, {"volume_capability": capability(mode)}, "FAILED_PRECONDITION", "access_mode")
      for mode in [3, 4, 5, 6, 7, 99, -1]],
    ({}, {"volume_capability": capability(mount=Capability.MountVolume(mount_flags=["suid"]))},
     "FAILED_PRECONDITION", "mount_flags"),
    ({}, {"volume_context": {}}, "INVALID_ARGUMENT", "podInfoOnMount"),
    *[({key: None}, {}, "INVALID_ARGUMENT", "is missing from volume_context") for key in
      ["uid", "name", "namespace", "account", "ephemeral"]],
    *[({"ephemeral": bad}, {}, "FAILED_PRECONDITION", "only ephemeral") for bad in ["false", "", "True", "1"]],
    *[({"uid": bad}, {}, "INVALID_ARGUMENT", "pod.uid") for bad in ["", "..", "a/b", "x" * 129, "other"]],
    *[({"name": bad}, {}, "INVALID_ARGUMENT", "pod.name") for bad in ["", "Web", "../x", "a\n", "a" * 254]],
    *[({"namespace": bad}, {}, "INVALID_ARGUMENT", "pod.namespace") for bad in ["", "a.b", "a" * 64, "a\x1b[2J"]],
    *[({"account": bad}, {}, "INVALID_ARGUMENT", "serviceAccount.name") for bad in ["Web", "a/b", "a" * 254]],
])
def test_bad_requests(driver, volume, context, changes, code, problem):
    """Nothing happens but that the log says so, without what could forge a line of it."""
    refused(volume.publish(context, **changes), code, problem)
    volume.assert_gone()
    assert os.listdir(driver.node.path("agent")) == []
    last = driver.text().splitlines()[-1]
    assert 'msg="Call failed" call=NodePublishVolume' in last and "\x1b" not in last


@pytest.mark.parametrize("changes", [{"volume_id": ""}, {"volume_id": "a/b"}, {"target_path": ""},
                                     {"target_path": "/etc"}, {"target_path": "/pods/../volumes/d/n"}])
def test_bad_unpublish(volume, changes):
    volume.published()
    refused(volume.unpublish(**changes), "INVALID_ARGUMENT", *changes)
    volume.assert_whole()


def test_what_does_not_matter(driver, volume):
    """File system type, secrets, contexts of others; what is secret is not told."""
    mount = capability(mount=Capability.MountVolume(fs_type="ext4"))
    request = volume.request(volume_capability=mount, secrets={"password": "hunter2"})
    request.volume_context["csi.storage.k8s.io/serviceAccount.tokens"] = "hunter3"
    assert driver.call("NodePublishVolume", request) == ("OK", "")
    volume.assert_whole()
    assert "hunter" not in driver.text()


def test_unknown_fields(driver, volume, rng):
    raw = volume.request().SerializeToString()
    path = "/csi.v1.Node/NodePublishVolume"
    for _ in range(20):
        assert driver.raw(path, wire.unknown_field(rng) + raw + wire.unknown_field(rng)) == ("OK", "")
    volume.assert_whole()


def test_key_twice(driver, volume):
    entry = wire.nested(wire.nested(b"csi.storage.k8s.io/pod.name", 1) + wire.nested(b"db-0", 2), 8)
    refused(driver.raw("/csi.v1.Node/NodePublishVolume", volume.request().SerializeToString() + entry),
            "INVALID_ARGUMENT", "volume_context has csi.storage.k8s.io/pod.name twice")
    volume.assert_gone()


def test_garbage(driver, volume, rng):
    """Any bytes are answered, and hurt neither the driver nor what is there."""
    volume.published()
    raw = volume.request(volume_id="csi-2", target_path=volume.dir + "2").SerializeToString()
    for method in ["Node/NodePublishVolume", "Node/NodeUnpublishVolume", "Node/NodeGetInfo",
                   "Node/NodeGetCapabilities", "Identity/Probe", "Identity/GetPluginInfo"]:
        assert driver.raw(f"/csi.v1.{method}", b"\x0a\x05")[0] == "INVALID_ARGUMENT"
        for _ in range(60):
            driver.raw(f"/csi.v1.{method}", wire.mutated(rng, raw))
    volume.assert_whole()
    volume.published()


# ---- the other calls


def test_identity(driver):
    info = driver.identity.GetPluginInfo(csi.GetPluginInfoRequest())
    assert info.name == "csi.tigera.io"
    assert re.fullmatch(r"\d+\.\d+\.\d+", info.vendor_version)
    assert driver.identity.GetPluginCapabilities(csi.GetPluginCapabilitiesRequest()).ByteSize() == 0
    assert driver.identity.Probe(csi.ProbeRequest()).ready.value is True


def test_node_info(driver):
    assert driver.node_service.NodeGetInfo(csi.NodeGetInfoRequest()).node_id == "node-1"
    assert driver.node_service.NodeGetCapabilities(csi.NodeGetCapabilitiesRequest()).ByteSize() == 0


@pytest.mark.parametrize("method", ["NodeStageVolume", "NodeUnstageVolume", "NodeGetVolumeStats",
                                    "NodeExpandVolume"])
def test_not_offered(driver, method):
    refused(driver.call(method, csi.NotOffered()), "UNIMPLEMENTED", "NodeGetCapabilities")


def test_unknown_service(driver):
    assert driver.raw("/csi.v1.Controller/CreateVolume", b"")[0] == "UNIMPLEMENTED"
