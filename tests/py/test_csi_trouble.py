"""The CSI driver when something fails, when it is killed, and when much is asked for at once."""

import concurrent.futures
import os
import pathlib
import re
import shutil
import socket

import pytest

from csi_driver import Capability, Driver, Volume, bind, capability, refused, status_of
from csi_driver import driver, node, volume  # noqa: F401 (fixtures)
from server import wait_for
from test_uds import CHANGES, fill
from victim import IS_SANITIZED


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


# As on a node with SELinux: what statfs finds is SELinux' file system.
SELINUX = ["-e", "trace=statfs", "-e", "inject=statfs:retval=0:poke_exit=@arg2=8cff7cf900000000"]


def test_with_selinux(node):
    """Container runtimes label what is in a volume, and could not in one that is read-only. Who wants it so gets it so."""
    def is_writable():
        inner = node.must("findmnt", "-n", "-o", "OPTIONS", f"{volume.dir}/nodeagent").split(",")
        outer = node.must("findmnt", "-n", "-o", "OPTIONS", volume.dir).split(",")
        assert {"nosuid", "nodev", "noexec"} <= set(inner) & set(outer) and inner[0] == outer[0]
        return inner[0] == "rw"

    with traced(node, "-selinux", *SELINUX) as driver:
        volume = Volume(driver)
        assert volume.publish() == ("OK", "") and is_writable()
        volume.unpublished()
        assert volume.publish(readonly=True) == ("OK", "") and not is_writable()
        volume.unpublished()
        reader = capability(Capability.AccessMode.SINGLE_NODE_READER_ONLY)
        assert volume.publish(volume_capability=reader) == ("OK", "") and not is_writable()
        volume.unpublished()


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
