"""A node as a volume driver sees it: a mount namespace of its own, in which a kubelet calls the driver.

    /run/k/kubelet/pods/UID/volumes/DRIVER/…    where the pod's volume is to be
    /run/k/agent                                the prefix P of the node agent
    /run/k/config                               the driver's configuration

/run, /dev and all below are this namespace's alone.
"""

import errno
import json
import os
import pathlib
import re
import subprocess

import pytest

from probe import BUILD

UDS = BUILD / "bin" / "uds"

SETUP = r"""
mount -t tmpfs -o mode=0755 tmpfs /run
mount -t tmpfs -o mode=0755 tmpfs /dev
mknod -m 0666 /dev/null c 1 3
mkdir -p /run/k/kubelet/pods /run/k/agent
mount -t tmpfs -o size=256k,mode=0755 tmpfs /run/k/agent
mount --make-r"$0" /
echo ready
exec cat
"""


def unescape(path):
    """A path of /proc/PID/mountinfo."""
    return re.sub(r"\\([0-7]{3})", lambda found: chr(int(found[1], 8)), path)


class Node:
    home = "/run/k"

    def __init__(self, propagation="shared"):
        if os.geteuid() != 0:
            pytest.fail("this test makes a mount namespace, and must be run as root")
        if not os.access(UDS, os.X_OK):
            raise FileNotFoundError(f"{UDS} is not there: build it first")
        self.process = subprocess.Popen(
            ["unshare", "-m", "--propagation", "private", "sh", "-e", "-c", SETUP, propagation],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        assert self.process.stdout.readline() == "ready\n"
        self.write("config", json.dumps({"nodeagent_management_home": f"{self.home}/agent",
                                         "log_level": "INFO"}))

    def close(self):
        self.process.stdin.close()
        self.process.wait(timeout=10)

    def path(self, name):
        """A file of the node, from outside: absolute, or below its home."""
        return pathlib.Path(f"/proc/{self.process.pid}/root{os.path.join(self.home, name)}")

    def write(self, name, text):
        self.path(name).write_text(text, encoding="utf-8")

    def command(self, *args):
        """A command line that runs this one on the node."""
        return ["nsenter", f"--mount=/proc/{self.process.pid}/ns/mnt", *map(str, args)]

    def run(self, *args, **options):
        return subprocess.run(self.command(*args), check=False, capture_output=True, text=True,
                              timeout=60, **options)

    def must(self, *args):
        done = self.run(*args)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def mounts(self):
        """Where something is mounted below the home: paths, stacked ones as often as they are."""
        text = pathlib.Path(f"/proc/{self.process.pid}/mountinfo").read_text(encoding="utf-8")
        points = [unescape(line.split(" ")[4]) for line in text.splitlines()]
        return sorted(point for point in points if point.startswith(f"{self.home}/kubelet"))


class Pod:
    """One pod on the node, and what kubelet asks of the FlexVolume driver for it."""

    def __init__(self, node, uid="20154c76-bf4e-11e7-8a7e-080027631ab3", root="kubelet",
                 volume="sync", **fields):
        self.node = node
        self.uid = uid
        self.name = uid  # of the volume
        self.dir = f"{node.home}/{root}/pods/{uid}/volumes/nodeagent~uds/{volume}"
        self.fields = {"uid": uid, "name": "web-0", "namespace": "bank", "account": "web", **fields}
        node.path(self.dir).mkdir(parents=True, exist_ok=True)

    def options(self, **changes):
        """What kubelet gives mount; None leaves a key out."""
        keys = {"uid": "kubernetes.io/pod.uid", "name": "kubernetes.io/pod.name",
                "namespace": "kubernetes.io/pod.namespace",
                "account": "kubernetes.io/serviceAccount.name"}
        values = {**self.fields, **changes}
        return json.dumps({"kubernetes.io/fsType": "", "kubernetes.io/readwrite": "rw",
                           "kubernetes.io/pvOrVolumeName": "sync",
                           **{keys[k]: v for k, v in values.items() if v is not None}})

    def mount_words(self):
        return [UDS, "--config", f"{self.node.home}/config", "mount", self.dir, self.options()]

    def unmount_words(self):
        return [UDS, "--config", f"{self.node.home}/config", "unmount", self.dir]

    def mount(self):
        return call(self.node, *self.mount_words())

    def unmount(self):
        """As kubelet: not if DIR is gone, and DIR is removed afterwards if it is still there."""
        answer = call(self.node, *self.unmount_words())
        if answer[0] == "Success" and self.node.path(self.dir).exists():
            self.node.path(self.dir).rmdir()
        return answer

    @property
    def folder(self):
        return self.node.path(f"agent/mount/{self.name}")

    @property
    def credentials(self):
        return self.node.path(f"agent/creds/{self.name}.json")

    def assert_whole(self):
        assert self.node.mounts().count(self.dir) == 1, self.node.mounts()
        assert self.node.mounts().count(f"{self.dir}/nodeagent") == 1
        assert json.loads(self.credentials.read_text(encoding="utf-8")) == {
            "UID": self.uid, "Workload": self.fields["name"], "Namespace": self.fields["namespace"],
            "ServiceAccount": self.fields["account"]}
        assert self.credentials.stat().st_mode & 0o7777 == 0o644
        assert self.folder.stat().st_mode & 0o7777 == 0o711
        assert self.folder.stat().st_uid == 0
        # What the node agent puts there the pod sees, and can only look at.
        (self.folder / "mark").touch()
        seen = self.node.path(f"{self.dir}/nodeagent")
        assert os.listdir(seen) == os.listdir(self.folder)
        (self.folder / "mark").unlink()
        for place in seen, seen.parent:
            with pytest.raises(OSError) as caught:
                (place / "x").touch()
            assert caught.value.errno == errno.EROFS

    def assert_gone(self):
        """No trace, nor of an attempt."""
        assert not [mount for mount in self.node.mounts() if mount.startswith(self.dir)]
        assert not self.folder.exists()
        assert not self.credentials.exists()
        creds = self.node.path("agent/creds")
        assert not creds.exists() or not [n for n in os.listdir(creds) if self.name in n]


def call(node, *words, **options):
    """A call as kubelet makes it: standard output and standard error are one, and are one JSON object."""
    done = subprocess.run(node.command(*words), check=False, stdin=subprocess.DEVNULL,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=60, **options)
    return judge(done.returncode, done.stdout)


def judge(returncode, output):
    """(status, message) of an answer."""
    assert output.endswith(b"\n") and output.count(b"\n") == 1, output
    answer = json.loads(output)
    assert (answer["status"] == "Success") == (returncode == 0), output
    assert returncode in (0, 1)
    return answer["status"], answer["message"]
