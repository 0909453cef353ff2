"""What the CSI driver takes away when it starts, and what not: see src/node/stale.h."""

import os
import shutil
import socket

import pytest

from csi_driver import bind
from csi_driver import driver, node, volume  # noqa: F401 (fixtures)


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
