"""The CSI driver, called as kubelet calls it, on a node that is a mount namespace."""

import concurrent.futures
import os
import pathlib
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import time

import grpc
import pytest

import http2_peer
import wire
from csi_driver import (CAP_SYS_ADMIN, CSI_DRIVER, UID, UNTRACED, Capability, Driver, Volume, bind,
                        capability, status_of)
from node import Node, Pod, call
from protos import csi, csi_grpc
from server import wait_for
from test_uds import CHANGES, CONNECT, fill
from victim import IS_SANITIZED


@pytest.fixture(params=["shared"])
def node(request):
    made = Node(request.param)
    made.path("kubelet/pods/own").mkdir()  # of the driver's pod
    yield made
    made.close()


@pytest.fixture
def driver(node):
    with Driver(node) as running:
        yield running
        if running.process.poll() is None:
            running.stop()


@pytest.fixture
def volume(driver):
    return Volume(driver)


def refused(answer, code, *parts):
    assert answer[0] == code, answer
    for part in parts:
        assert part in answer[1], answer


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


def test_authority_of_old_kubelets(driver):
    """They put the socket's path there, as it is, which a strict server would refuse."""
    for authority in b"/csi/csi.sock", b"%2Fcsi%2Fcsi.sock", b"localhost", b"":
        with http2_peer.Peer(driver.node.path(driver.socket)) as peer:
            fields = [(b":method", b"POST"), (b":scheme", b"http"), (b":authority", authority),
                      (b":path", b"/csi.v1.Identity/Probe"), *http2_peer.GRPC]
            block = b"".join(http2_peer.literal(*field) for field in fields)
            peer.send(http2_peer.frame(http2_peer.HEADERS, http2_peer.END_HEADERS, 1, block)
                      + http2_peer.whole_data(1, http2_peer.message(b"")))
            assert peer.answer(1).grpc_status == 0, authority


# ---- trouble


def test_disk_full(node, volume):
    fill(node.path("agent"))
    refused(volume.publish(), "INTERNAL", "No space left on device", "agent")
    volume.assert_gone()
    node.path("agent/filler").unlink()
    volume.published()
    # The old credentials stay if new ones cannot be written.
    fill(node.path("agent"))
    refused(volume.publish(), "INTERNAL", "credentials in", "No space left on device")
    volume.assert_whole()
    volume.unpublished()


@pytest.mark.parametrize("inodes", range(2, 6))
def test_no_inodes(node, volume, inodes):
    """Full at the folders, at the workload's folder, at the file; with the last number it just fits."""
    node.must("mount", "-t", "tmpfs", "-o", f"nr_inodes={inodes},mode=0755", "tmpfs", "/run/k/agent")
    if inodes < 5:
        refused(volume.publish(), "INTERNAL", "No space left on device")
        volume.assert_gone()
        assert not node.path(volume.dir).exists()
    else:
        assert volume.publish()[0] == "OK"
    volume.unpublished()


def test_read_only_prefix(node, volume):
    node.must("mount", "-o", "remount,ro", "/run/k/agent")
    refused(volume.publish(), "INTERNAL", "Read-only file system", "/run/k/agent/mount")
    volume.assert_gone()
    volume.unpublished()
    node.must("mount", "-o", "remount,rw", "/run/k/agent")
    volume.published()
    node.must("mount", "-o", "remount,ro", "/run/k/agent")
    refused(volume.unpublish(), "INTERNAL", "credentials in", "Read-only file system")
    assert node.mounts() == []
    node.must("mount", "-o", "remount,rw", "/run/k/agent")
    volume.unpublished()


def test_kubelet_s_folder_is_not_there(node, volume):
    shutil.rmtree(node.path("kubelet/pods"))
    refused(volume.publish(), "INTERNAL", "cannot open the folder of", "No such file")
    volume.assert_gone()


def test_something_else_is_mounted(node, volume):
    node.path(volume.dir).mkdir()
    node.must("mount", "-t", "proc", "proc", volume.dir)
    refused(volume.publish(), "INTERNAL", "something else is mounted")
    assert node.mounts() == [volume.dir]
    volume.unpublished()


@pytest.mark.parametrize("depth", range(1, 6))
def test_links_in_the_path(node, volume, depth):
    """From the pod's folder on, they are not followed: nothing is mounted elsewhere, nor unmounted there."""
    node.path("kubelet/victim").mkdir()
    node.must("mount", "-t", "tmpfs", "tmpfs", "/run/k/kubelet/victim")
    parts = pathlib.Path(volume.dir).parts
    link, behind = node.path("/".join(parts[:len(parts) - depth + 1])), parts[len(parts) - depth + 1:]
    shutil.rmtree(link, ignore_errors=True)
    link.symlink_to("/run/k/kubelet/victim")
    node.path("kubelet/victim").joinpath(*behind).mkdir(parents=True, exist_ok=True)
    before = node.mounts()
    refused(volume.publish(), "INTERNAL", "Not a directory")
    refused(volume.unpublish(), "INTERNAL", "Not a directory")
    assert node.mounts() == before
    assert not volume.folder.exists() and not volume.credentials.exists()


def test_leftovers_of_the_agent(node, volume):
    """The sockets it did not remove go with the folder. All else is not ours: it stays, and the log says so."""
    volume.published()
    with socket.socket(socket.AF_UNIX) as left:
        bind(left, volume.folder)
    volume.unpublished()
    volume.published()
    (volume.folder / "file").touch()
    assert volume.unpublish()[0] == "OK"
    assert "level=warning" in volume.driver.text()
    assert os.listdir(volume.folder) == ["file"]


# ---- killed at every step


# All by which something changes, but for writes: those of the log are too many.
NAMES = [name for name in CHANGES if name != "write"]


def traced(node, number, *options):
    """A driver under strace."""
    return Driver(node, inside=["strace", "-D", "-f", "-o", f"{node.home}/trace{number}", *options], number=number)


def calls_of(node, *acts):
    """The names of the system calls of a driver that does this and is killed, in order."""
    known = [n for n in NAMES if node.run("strace", "-e", f"trace={n}", "true").returncode == 0]
    file = node.path("trace-all")
    with traced(node, "-all", "-e", "trace=" + ",".join(known)) as driver:
        volume = Volume(driver)
        for act in acts:
            act(volume)
        driver.kill()
    assert wait_for(lambda: "+++ killed by SIGKILL +++" in file.read_text())
    with Driver(node) as clean:
        Volume(clean).unpublished()
        clean.stop()
    return re.findall(r"^\d+ +(\w+)\(", file.read_text(), re.MULTILINE)


def steps_of(node, prepare, act):
    """The system calls by which a call changes something, in order: [(name, which of that name in the whole life)]."""
    before, calls = calls_of(node, prepare), calls_of(node, prepare, act)
    assert calls[:len(before)] == before
    return [(name, calls[:i].count(name) + 1) for i, name in enumerate(calls)][len(before):]


def killed_at(node, step, prepare, act):
    name, count = step
    with traced(node, "-kill", "-e", f"trace={name}", "-e", f"inject={name}:signal=KILL:when={count}") as driver:
        volume = Volume(driver)
        prepare(volume)
        assert act(volume)[0] == "UNAVAILABLE", step
        driver.process.wait(timeout=20)


@pytest.mark.parametrize("what", ["publish", "unpublish"])
def test_killed_anywhere(node, what):
    """Whatever a killed call left, the next driver does what it is asked for, be it the one or the other."""
    prepare = Volume.published if what == "unpublish" else Volume.unpublished
    act = Volume.unpublish if what == "unpublish" else Volume.publish
    calls_of(node, Volume.publish)  # so that what is made only once is there
    steps = steps_of(node, prepare, act)
    assert ("move_mount" if what == "publish" else "umount2") in [name for name, _ in steps]
    for i, step in enumerate(steps):
        killed_at(node, step, prepare, act)
        with Driver(node) as driver:
            volume = Volume(driver)
            (volume.published, volume.unpublished)[i % 2]()
            volume.unpublished()
            driver.stop()


# ---- many at once


def test_fifty_volumes(node, driver):
    volumes = [Volume(driver, f"uid-{i}", name=f"web-{i}") for i in range(50)]
    with concurrent.futures.ThreadPoolExecutor(16) as pool:
        assert list(pool.map(Volume.publish, volumes)) == [("OK", "")] * 50
        for volume in volumes:
            volume.assert_whole()
        assert len(node.mounts()) == 100
        assert list(pool.map(Volume.unpublish, volumes)) == [("OK", "")] * 50
    assert node.mounts() == []
    assert os.listdir(node.path("agent/mount")) == os.listdir(node.path("agent/creds")) == []


def test_one_volume_many_times_at_once(volume):
    with concurrent.futures.ThreadPoolExecutor(10) as pool:
        for _ in range(5):
            assert set(pool.map(lambda _: volume.publish(), range(10))) == {("OK", "")}
            volume.assert_whole()
            assert set(pool.map(lambda _: volume.unpublish(), range(10))) == {("OK", "")}
            volume.assert_gone()


def test_nothing_grows(driver, volume):
    def in_use():
        status = status_of(driver.process)
        return len(os.listdir(f"/proc/{driver.process.pid}/fd")), int(status["VmRSS"].split()[0])

    for round_number in range(3):
        for _ in range(100):
            assert volume.publish()[0] == volume.unpublish()[0] == "OK"
            refused(volume.publish(volume_id=""), "INVALID_ARGUMENT")
        if round_number == 0:
            files, memory = in_use()
    assert in_use()[0] == files
    assert IS_SANITIZED or in_use()[1] < memory + 1024, "KiB; sanitizers keep what was freed"


# ---- the process


def test_least_privilege(driver, volume):
    status = status_of(driver.process)
    for kind in "CapInh", "CapPrm", "CapEff", "CapAmb":
        assert int(status[kind], 16) & ~(1 << CAP_SYS_ADMIN) == 0, kind
    assert int(status["CapEff"], 16) == 1 << CAP_SYS_ADMIN
    assert status["NoNewPrivs"] == "1"
    volume.published()
    volume.unpublished()


def test_without_the_capability(node):
    with Driver(node, inside=["setpriv", "--bounding-set=-all"]) as driver:
        volume = Volume(driver)
        refused(volume.publish(), "INTERNAL", "cannot mount", "Operation not permitted")
        volume.assert_gone()


def test_socket_is_root_s(node, driver):
    path = node.path(driver.socket)
    assert path.stat().st_mode & 0o7777 == 0o700
    done = node.run("setpriv", "--reuid=999", "--clear-groups", "/usr/bin/python3", "-c", CONNECT, driver.socket)
    assert done.returncode != 0 and "PermissionError" in done.stderr
    driver.stop()
    assert not path.exists()


@pytest.mark.parametrize("umask", ["000", "777"])
def test_whatever_the_umask(node, umask):
    with Driver(node, inside=["sh", "-c", f'umask {umask}; exec "$0" "$@"']) as driver:
        assert node.path(driver.socket).stat().st_mode & 0o7777 == 0o700
        volume = Volume(driver)
        volume.published()
        volume.unpublished()


def test_old_socket_is_replaced(node):
    driver = Driver(node)
    with driver:
        driver.kill()
        assert node.path(driver.socket).is_socket()
    with driver:
        driver.stop()


def test_socket_of_a_successor_stays(node, driver):
    with Driver(node) as second:
        assert wait_for(lambda: driver.text().count("msg=Serving") == 2)
        driver.stop()
        second.connect()
        Volume(second).published()


def test_something_else_at_the_endpoint(node):
    node.write("csi.sock", "precious")
    done = node.run(*Driver(node).words())
    assert done.returncode == 1 and "not a socket" in done.stderr
    assert node.path("csi.sock").read_text() == "precious"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_end(driver, number):
    driver.end(number, 0)
    assert "msg=Stopping" in driver.text()


def test_end_with_a_peer_that_stays(driver):
    """Who holds a half call gets some seconds, no more."""
    with http2_peer.Peer(driver.node.path(driver.socket)) as peer:
        peer.send(http2_peer.headers(1, b"/csi.v1.Identity/Probe"))
        assert driver.identity.Probe(csi.ProbeRequest()).ready.value
        start = time.monotonic()
        driver.stop()
        assert time.monotonic() - start < 8


# ---- the command line


def run_driver(node, *words):
    return node.run(CSI_DRIVER, *words)


@pytest.mark.parametrize("words, problem", [
    (["--nonsense"], "nonsense"),
    (["--endpoint"], "endpoint"),
    (["serve"], 'unexpected word "serve"'),
    (["--loglevel", "loud"], '--loglevel: "loud"'),
    (["--nodeid", "a b"], '--nodeid: "a b" is not a node\'s id'),
    (["--nodeid", "x" * 257], "is not a node's id"),
    (["--config", "/run/k/none"], "/run/k/none"),
])
def test_bad_command_lines(node, words, problem):
    done = run_driver(node, *words)
    assert done.returncode == 2 and problem in done.stderr and "--help" in done.stderr
    assert done.stdout == ""


@pytest.mark.parametrize("endpoint, problem", [
    ("/run/k/none/csi.sock", "No such file"), ("/run/k/", "is a folder"), ("unix://", "is empty"),
    ("/run/k/" + "x" * 200, "too long"), ("unix:/run/k/none/s", "No such file"),
])
def test_bad_endpoints(node, endpoint, problem):
    done = run_driver(node, "--endpoint", endpoint)
    assert done.returncode == 1 and problem in done.stderr


@pytest.mark.parametrize("config, problem", [("{", "not JSON"), ('{"endpoint": 1}', "endpoint is the number"),
                                             ('{"node_id": "a b"}', "is not a node's id"),
                                             ('{"log_level": "x"}', "log_level")])
def test_bad_configuration(node, config, problem):
    node.write("config", config)
    done = run_driver(node, "--config", "/run/k/config", "--endpoint", "/run/k/csi.sock")
    assert done.returncode == 2 and problem in done.stderr


def test_version_and_help(node):
    assert re.fullmatch(r"csi-driver \d+\.\d+\.\d+\n", node.must(CSI_DRIVER, "--version"))
    assert "csi: {driver: csi.tigera.io}" in node.must(CSI_DRIVER, "--help")


def served(node, *words):
    """The node's id that a driver with this command line tells, at /run/k/other.sock."""
    process = subprocess.Popen(node.command(CSI_DRIVER, *words), stderr=subprocess.PIPE, text=True)
    try:
        with grpc.insecure_channel(f"unix:{node.path('other.sock')}") as channel:
            assert wait_for(node.path("other.sock").exists), process.stderr.read()
            return csi_grpc.NodeStub(channel).NodeGetInfo(csi.NodeGetInfoRequest(), timeout=10).node_id
    finally:
        process.terminate()
        assert process.wait(timeout=20) == 0
        process.stderr.close()


def test_configuration_and_command_line(node):
    """The command line, as upstream's is typed, is stronger; what neither says is the machine's name."""
    node.write("config", '{"endpoint": "/run/k/other.sock", "node_id": "from-the-file"}')
    assert served(node, "-config=/run/k/config") == "from-the-file"
    assert served(node, "-config", "/run/k/config", "-nodeid=typed", "-loglevel", "info") == "typed"
    node.write("config", '{"endpoint": "/run/k/csi.sock"}')
    assert served(node, "--config=/run/k/config", "--endpoint=unix:///run/k/other.sock") == os.uname().nodename


def test_default_log_level(node):
    """Nothing is said in everyday life."""
    node.write("config", '{"nodeagent_management_home": "/run/k/agent"}')
    with Driver(node) as driver:
        Volume(driver).published()
        driver.stop()
        assert driver.text() == ""


# ---- what is stale at the start


GONE = "c1e8b6f2-0000-4000-8000-000000000000"  # no folder at kubelet


def write_credentials(volume, uid, name=None):
    volume.folder.mkdir(parents=True, exist_ok=True)
    volume.credentials.parent.mkdir(parents=True, exist_ok=True)
    (volume.credentials.parent / (name or volume.credentials.name)).write_text(
        '{"UID":"%s","Workload":"web-0","Namespace":"bank","ServiceAccount":"web"}' % uid)


@pytest.fixture
def ended(driver, volume):
    """A volume that nothing is there of, on a node whose driver does not run."""
    driver.stop()
    return volume


def test_stale_volume_of_a_pod_that_is_gone(driver, ended):
    write_credentials(ended, GONE)
    with socket.socket(socket.AF_UNIX) as left:
        bind(left, ended.folder)
    driver.start()
    ended.assert_gone()
    assert "volumes_removed=1" in driver.text()


def test_stale_folder_alone(driver, ended):
    ended.folder.mkdir(parents=True)
    driver.start()
    ended.assert_gone()


def test_stale_file_of_a_killed_writer(driver, ended):
    ended.credentials.parent.mkdir()
    ended.credentials.with_name(f".{ended.name}.json.new").write_text("{")
    driver.start()
    ended.assert_gone()


def test_volume_of_a_pod_that_is_there_stays(driver, ended):
    """As after a reboot, when kubelet has not begun yet: no mounts, but the pod's folder."""
    write_credentials(ended, ended.uid)
    driver.start()
    assert ended.credentials.exists() and ended.folder.is_dir()
    ended.published()
    ended.unpublished()


def test_volume_that_is_mounted_stays(node, driver, volume):
    """Even if its pod has no folder: whatever shows the workload's folder is in use, wherever it is."""
    volume.published()
    node.must("mkdir", "/run/felix")
    node.must("mount", "--bind", f"{volume.dir}/nodeagent", "/run/felix")
    node.must("umount", "-R", volume.dir)
    driver.stop()
    shutil.rmtree(node.path(f"kubelet/pods/{volume.uid}"))
    driver.start()
    assert volume.credentials.exists() and volume.folder.is_dir()
    node.must("umount", "/run/felix")
    driver.restart()
    volume.assert_gone()


def test_whole_volume_stays(node, driver, volume):
    volume.published()
    driver.restart()
    volume.assert_whole()
    assert "mounts_removed=0 volumes_removed=0 doubtful=0" in driver.text().splitlines()[-2]


@pytest.mark.parametrize("text", ["", "{", '{"UID": "../x"}'])
def test_credentials_that_cannot_be_read_stay(driver, ended, text):
    write_credentials(ended, GONE)
    ended.credentials.write_text(text)
    driver.start()
    assert ended.credentials.exists() and ended.folder.is_dir()
    assert "doubtful=1" in driver.text() and "level=warning" in driver.text()


def test_names_of_others_stay(node, driver, ended):
    """FlexVolumes' are UIDs; and who knows whose the others are."""
    ended.folder.parent.mkdir()
    ended.credentials.parent.mkdir()
    names = [GONE, "csi-0f1e", ended.name + "0", ended.name[:-1] + "G", "other"]
    for name in names:
        (ended.folder.parent / name).mkdir()
        (ended.credentials.parent / f"{name}.json").write_text(
            '{"UID":"%s","Workload":"w","Namespace":"n","ServiceAccount":"a"}' % GONE)
    driver.start()
    assert sorted(os.listdir(ended.folder.parent)) == sorted(names)
    assert len(os.listdir(ended.credentials.parent)) == len(names)


@pytest.mark.parametrize("state", ["empty", "missing", "file"])
def test_nothing_is_done_without_kubelet_s_folder(node, driver, ended, state):
    write_credentials(ended, GONE)
    shutil.rmtree(node.path("kubelet/pods"))
    if state == "empty":
        node.path("kubelet/pods").mkdir()
    elif state == "file":
        node.write("kubelet/pods", "")
    driver.start()
    assert ended.credentials.exists() and ended.folder.is_dir()
    assert "Cannot look for stale volumes" in driver.text()


def test_dead_mounts_go(node, driver, volume):
    """The folder that the pod sees was removed: whatever comes later under that name, it is another one."""
    volume.published()
    driver.stop()
    shutil.rmtree(node.path("agent/mount"))
    shutil.rmtree(node.path("agent/creds"))
    driver.start()
    assert node.mounts() == []
    assert "mounts_removed=1" in driver.text()
    volume.published()
    volume.unpublished()


def test_dead_mounts_under_live_ones_stay(node, driver, volume):
    """As upstream's driver stacks them: what is on top is in use."""
    volume.published()
    shutil.rmtree(volume.folder)
    volume.folder.mkdir()
    node.must("mount", "-t", "tmpfs", "tmpfs", volume.dir)
    node.must("mkdir", f"{volume.dir}/nodeagent")
    node.must("mount", "--bind", f"/run/k/agent/mount/{volume.name}", f"{volume.dir}/nodeagent")
    before = node.mounts()
    driver.restart()
    assert node.mounts() == before
    volume.published()
    volume.unpublished()


def test_mounts_that_nobody_knows_go(node, driver, volume):
    """Neither the node agent, by credentials, nor kubelet, by its file."""
    volume.published()
    driver.stop()
    volume.credentials.unlink()
    node.path(f"{volume.parent}/vol_data.json").unlink()
    driver.start()
    assert node.mounts() == []
    volume.assert_gone()


@pytest.mark.parametrize("lost", ["credentials", "vol_data"])
def test_mounts_that_somebody_knows_stay(node, driver, volume, lost):
    """kubelet will ask for its end; or the node agent serves the pod that may still run, and the log says so."""
    volume.published()
    driver.stop()
    (volume.credentials if lost == "credentials" else node.path(f"{volume.parent}/vol_data.json")).unlink()
    driver.start()
    assert len(node.mounts()) == 2
    assert ("level=warning" in driver.text()) == (lost == "vol_data")
    volume.published()
    volume.unpublished()
