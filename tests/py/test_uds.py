"""The FlexVolume driver, called as kubelet calls it, on a node that is a mount namespace."""

import errno
import json
import os
import pathlib
import re
import shutil
import signal
import socket
import subprocess
import tempfile

import pytest

from node import UDS, Node, Pod, call, judge


@pytest.fixture(params=["shared"])
def node(request):
    made = Node(request.param)
    yield made
    made.close()


@pytest.fixture
def pod(node):
    return Pod(node)


def mounted(pod):
    assert pod.mount() == ("Success", "mounted")
    pod.assert_whole()


def unmounted(pod):
    assert pod.unmount() == ("Success", "unmounted")
    pod.assert_gone()


def refused(answer, *parts):
    status, message = answer
    assert status == "Failure"
    for part in parts:
        assert part in message


# ---- the life of a volume


@pytest.mark.parametrize("node", ["shared", "private"], indirect=True)
def test_life(node, pod):
    mounted(pod)
    unmounted(pod)
    assert not node.path(pod.dir).exists()


def test_twice(node, pod):
    mounted(pod)
    mounts = node.mounts()
    mounted(pod)
    assert node.mounts() == mounts
    unmounted(pod)
    unmounted(pod)


def test_unmount_of_what_never_was(pod):
    unmounted(pod)
    shutil.rmtree(pod.node.path("kubelet/pods"))
    unmounted(pod)


def test_default_configuration(node, pod):
    words = [word for word in pod.mount_words() if "config" not in str(word)]
    assert call(node, *words) == ("Success", "mounted")
    assert node.path(f"/run/nodeagent/creds/{pod.uid}.json").exists()
    assert node.path(f"/run/nodeagent/mount/{pod.uid}").is_dir()
    words = [word for word in pod.unmount_words() if "config" not in str(word)]
    assert call(node, *words) == ("Success", "unmounted")
    assert os.listdir(node.path("/run/nodeagent/creds")) == []
    assert os.listdir(node.path("/run/nodeagent/mount")) == []
    assert node.mounts() == []


def test_whatever_the_umask(pod):
    words = " ".join(f"'{word}'" for word in pod.mount_words())
    for umask in "000", "777":
        assert call(pod.node, "sh", "-c", f"umask {umask}; exec {words}") == ("Success", "mounted")
        pod.assert_whole()
        unmounted(pod)


CONNECT = """
import socket, sys
s = socket.socket(socket.AF_UNIX)
s.connect(sys.argv[1])
print(s.recv(10).decode())
"""


def test_pod_reaches_the_socket_whoever_it_is(node, pod):
    """In a container the volume is at /var/run/felix; its user may be anybody, and is not root's group."""
    mounted(pod)
    node.must("mkdir", "/run/felix")
    node.must("mount", "--rbind", pod.dir, "/run/felix")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(pod.folder / "socket"))
        os.chmod(pod.folder / "socket", 0o777)
        listener.listen()
        listener.settimeout(30)
        client = subprocess.Popen(
            node.command("setpriv", "--reuid=999", "--regid=999", "--clear-groups",
                         "--bounding-set=-all", "/usr/bin/python3", "-c", CONNECT,
                         "/var/run/felix/nodeagent/socket"), stdout=subprocess.PIPE, text=True)
        listener.accept()[0].sendall(b"hello")
        assert client.communicate(timeout=30)[0] == "hello\n"


def test_leftovers_of_the_agent(node, pod):
    """The sockets it did not remove go with the folder. All else is not ours: it stays, and the log says so."""
    mounted(pod)
    for name in "socket", ".socket.new":
        with socket.socket(socket.AF_UNIX) as left:
            left.bind(str(pod.folder / name))
    unmounted(pod)
    mounted(pod)
    (pod.folder / "file").touch()
    done = node.run(*pod.unmount_words())
    assert judge(done.returncode, done.stdout.encode()) == ("Success", "unmounted")
    assert "level=warning" in done.stderr and pod.uid in done.stderr
    assert os.listdir(pod.folder) == ["file"]
    (pod.folder / "file").unlink()
    mounted(Pod(node))
    unmounted(pod)


def test_volume_in_use(node, pod):
    """Who looks into it at that moment cannot keep the pod from ending."""
    mounted(pod)
    user = subprocess.Popen(node.command("sh", "-c", f"cd {pod.dir}/nodeagent && echo in && exec cat"),
                            stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    user.stdout.readline()
    unmounted(pod)
    user.communicate(timeout=10)


def test_two_volumes_of_a_pod(node, pod):
    """They share the workload's folder. One that fails does not take the other's."""
    mounted(pod)
    second = Pod(node, volume="again")
    mounted(second)
    assert second.unmount()[0] == "Success"
    mounted(pod)
    third = Pod(node, volume="third")
    node.must("mount", "-o", "remount,ro", "/run/k/agent")
    assert third.mount()[0] == "Failure"
    assert not [mount for mount in node.mounts() if "third" in mount]
    node.must("mount", "-o", "remount,rw", "/run/k/agent")
    pod.assert_whole()
    unmounted(pod)


@pytest.mark.parametrize("root", ["kubelet/a b\tc", "kubelet/a\nb", "kubelet/a\\040b\\", "kubelet/ü#'\"",
                                  "kubelet/pods/x/volumes/y"])
def test_strange_paths(node, root):
    pod = Pod(node, root=root)
    mounted(pod)
    unmounted(pod)


# ---- what kubelet may not say


BAD_OPTIONS = [
    ("", "there is nothing in it"),
    ("{", "not JSON"),
    ("null", "there is nothing in it"),
    ("[]", "not a JSON object"),
    ('"x"', "not a JSON object"),
    ("{}", "kubernetes.io/pod.uid is missing"),
    ('{"kubernetes.io/pod.uid": "u", "kubernetes.io/pod.uid": "u"}', "not JSON"),
    ('{"kubernetes.io/pod.uid": "u\\u0000"}', "not JSON"),
    ("{" * 100000, "not JSON"),
    (b'{"kubernetes.io/pod.uid": "\xff"}', "not JSON"),
]


@pytest.mark.parametrize("options, problem", BAD_OPTIONS)
def test_bad_options(node, pod, options, problem):
    words = node.command(*pod.mount_words()[:-1])
    done = subprocess.run([*words, options], check=False, capture_output=True, timeout=60)
    refused(judge(done.returncode, done.stdout), "the options of mount: ", problem)
    pod.assert_gone()


BAD_FIELDS = [
    *[("uid", value, "kubernetes.io/pod.uid") for value in
      [None, "", ".", "..", "../x", "a/b", "/", ".x", "a b", "a\nb", "x" * 129, "ä", 1, None, [], {}]],
    *[("name", value, "kubernetes.io/pod.name") for value in
      [None, "", "Web", "../x", "a/b", "-", "a" * 254, "a\n", 7, True, ["web"]]],
    *[("namespace", value, "kubernetes.io/pod.namespace") for value in
      [None, "", "Bank", "a.b", "a/b", "a" * 64, "a\x1b[2J", {}]],
    *[("account", value, "kubernetes.io/serviceAccount.name") for value in
      [None, "Web", "../web", "a" * 254, 1.5, False]],
]


@pytest.mark.parametrize("field, value, key", BAD_FIELDS)
def test_bad_fields(node, pod, field, value, key):
    words = [*pod.mount_words()[:-1], pod.options(**{field: value})]
    refused(call(node, *words), key)
    pod.assert_gone()
    assert os.listdir(node.path("agent")) == []


def test_without_account(node, pod):
    pod.fields["account"] = ""
    mounted(pod)


def test_uid_of_another_pod(node, pod):
    refused(call(node, *pod.mount_words()[:-1], pod.options(uid="other")),
            "is not a volume of the pod whose kubernetes.io/pod.uid is")
    pod.assert_gone()


@pytest.mark.parametrize("path, problem", [
    ("", "not an absolute path"),
    ("kubelet/pods/u/volumes/d/n", "not an absolute path"),
    ("/", "not the path of a pod's volume"),
    ("/run/k/kubelet/u/volumes/d/n", "not the path of a pod's volume"),
    ("/run/k/kubelet/pods/u/volumes/d", "not the path of a pod's volume"),
    ("/run/k/kubelet/pods/u/volumes/d/..", "has .. in it"),
    ("/run/k/kubelet/pods/../volumes/d/n", "has .. in it"),
    ("/pods/u/volumes/d/n" + "/x" * 2100, "longer than 4095 bytes"),
    ("/pods/u/volumes/d/" + "x" * 256, "a name of more than 255 bytes"),
    ("/pods/a..b/volumes/d/n", "not a plain file name"),
])
def test_bad_paths(node, path, problem):
    pod = Pod(node, "u")
    for words in [*pod.mount_words()[:-2], path, pod.options()], [*pod.unmount_words()[:-1], path]:
        answer = call(node, *words)
        refused(answer, problem if "a..b" not in path or words[3] == "unmount" else "a..b")
    assert os.listdir(node.path("agent")) == []


def test_path_that_is_not_there(node, pod):
    shutil.rmtree(node.path("kubelet/pods"))
    refused(pod.mount(), "cannot open the folder of", "No such file")
    pod.assert_gone()


@pytest.mark.parametrize("config, problem", [
    ("", "there is nothing in it"),
    ("{", "not JSON"),
    ('{"nodeagent_management_home": "agent"}', "not an absolute path"),
    ('{"nodeagent_credentials_home": "../x"}', "nodeagent_credentials_home"),
    ('{"log_level": 1}', "log_level is the number `1`"),
    (" " * 70000, "larger than 65536 bytes"),
])
def test_bad_configuration(node, pod, config, problem):
    """No call goes on with defaults, so that the fault is seen at once."""
    node.write("config", config)
    for words in pod.mount_words(), pod.unmount_words(), [*pod.unmount_words()[:3], "init"]:
        refused(call(node, *words), '"/run/k/config": ', problem)


def test_configuration_that_is_not_there(node, pod):
    node.path("config").unlink()
    refused(pod.mount(), "/run/k/config", "No such file")


# ---- the command line


def test_init(node):
    done = node.run(UDS, "init")
    assert json.loads(done.stdout) == {"status": "Success", "message": "ready",
                                       "capabilities": {"attach": False, "fsGroup": False}}


@pytest.mark.parametrize("words", [
    ["getvolumename", "{}"], ["attach", "{}", "node"], ["detach", "/dev/x"], ["waitforattach", "/x", "{}"],
    ["isattached"], ["mountdevice", "/x", "/dev/x", "{}"], ["unmountdevice", "/x"], ["expandvolume"],
    ["INIT"], [""], ["\n\x1b\xff"]])
def test_not_supported(node, words):
    assert call(node, UDS, *words)[0] == "Not supported"


@pytest.mark.parametrize("words", [["mount"], ["mount", "/x"], ["mount", "/x", "/dev/x", "{}"], ["unmount"],
                                   ["unmount", "/x", "/y"], ["init", "x"], ["mount", "-x", "{}"],
                                   ["install"], ["install", "--target"], ["version", "x"]])
def test_wrong_words(node, words):
    assert call(node, UDS, *words)[0] == "Failure"


def test_version(node):
    status, message = call(node, UDS, "version")
    assert status == "Success" and message + "\n" == node.must(UDS, "--version")
    assert re.fullmatch(r"uds \d+\.\d+\.\d+", message)


def test_help(node):
    shown = node.must(UDS, "--help")
    assert "uds mount DIR OPTIONS" in shown and "install --target" in shown
    done = node.run(UDS)
    assert done.returncode == 1 and done.stdout == "" and done.stderr == shown


def test_log_goes_to_syslog_beside_kubelet(node, pod):
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as log:
        log.bind(str(node.path("/dev/log")))
        log.settimeout(10)
        assert pod.mount()[0] == "Success"
        line = log.recv(4096).decode()
        assert re.match(r"<30>uds\[\d+\]: time=\S+Z level=info msg=Mounted dir=/run/k/", line)
        assert f"uid={pod.uid} namespace=bank pod=web-0 account=web\n" in line
        assert call(node, UDS, "mount", "x", "{}")[0] == "Failure"
        assert re.match(r"<27>uds\[\d+\]: time=\S+Z level=error msg=\"Call failed\" call=mount ",
                        log.recv(4096).decode())


def test_log_goes_to_standard_error_elsewhere(node, pod):
    done = node.run(*pod.mount_words())
    assert judge(done.returncode, done.stdout.encode()) == ("Success", "mounted")
    assert re.fullmatch(r"time=\S+ level=info msg=Mounted .*\n", done.stderr)
    node.write("config", json.dumps({"nodeagent_management_home": "/run/k/agent"}))
    assert node.run(*pod.unmount_words()).stderr == ""


@pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-", "<&- >&- 2>&-"])
def test_closed_files(pod, closed):
    """What the driver opens must not take the place of standard output."""
    words = " ".join(f"'{word}'" for word in pod.mount_words())
    done = pod.node.run("sh", "-c", f"exec {words} {closed}")
    assert done.returncode == 0
    pod.assert_whole()
    unmounted(pod)


def test_nobody_reads_the_answer(pod):
    reader, writer = os.pipe()
    os.close(reader)
    done = subprocess.run(pod.node.command(*pod.mount_words()), check=False, stdout=writer, timeout=60,
                          stderr=subprocess.PIPE)
    os.close(writer)
    assert done.returncode == 1 and b"Cannot write the answer" in done.stderr
    pod.assert_whole()


def test_least_capabilities(node, pod):
    """CAP_SYS_ADMIN is all that it needs of root's."""
    least = ["setpriv", "--bounding-set=-all,+sys_admin"]
    assert call(node, *least, *pod.mount_words()) == ("Success", "mounted")
    pod.assert_whole()
    assert call(node, *least, *pod.unmount_words()) == ("Success", "unmounted")
    pod.assert_gone()
    refused(call(node, "setpriv", "--bounding-set=-all", *pod.mount_words()), "cannot mount",
            "Operation not permitted")
    pod.assert_gone()


# ---- trouble


def fill(folder):
    with pytest.raises(OSError) as caught, open(folder / "filler", "wb", buffering=0) as file:
        while True:
            file.write(bytes(4096))
    assert caught.value.errno == errno.ENOSPC


def test_disk_full(node, pod):
    fill(node.path("agent"))
    refused(pod.mount(), "No space left on device", "agent")
    pod.assert_gone()
    node.path("agent/filler").unlink()
    mounted(pod)
    # The old credentials stay if new ones cannot be written.
    fill(node.path("agent"))
    refused(pod.mount(), "credentials in \"/run/k/agent/creds\"", "No space left on device")
    pod.assert_whole()
    unmounted(pod)


@pytest.mark.parametrize("inodes", range(2, 6))
def test_no_inodes(node, pod, inodes):
    """Full at the folders, at the workload's folder, at the file; with the last number it just fits."""
    node.must("mount", "-t", "tmpfs", "-o", f"nr_inodes={inodes},mode=0755", "tmpfs", "/run/k/agent")
    if inodes < 5:
        refused(pod.mount(), "No space left on device")
        pod.assert_gone()
    else:
        assert pod.mount()[0] == "Success"
    unmounted(pod)


def test_read_only_prefix(node, pod):
    node.must("mount", "-o", "remount,ro", "/run/k/agent")
    refused(pod.mount(), "Read-only file system", "/run/k/agent/mount")
    pod.assert_gone()
    unmounted(pod)
    node.must("mount", "-o", "remount,rw", "/run/k/agent")
    node.path(pod.dir).mkdir(exist_ok=True)
    mounted(pod)
    node.must("mount", "-o", "remount,ro", "/run/k/agent")
    refused(pod.unmount(), "credentials in", "Read-only file system")
    # What could be done was done.
    assert node.mounts() == []
    node.must("mount", "-o", "remount,rw", "/run/k/agent")
    unmounted(pod)
    # Where there is nothing to remove, that it could not be does not matter.
    node.must("mount", "-o", "remount,ro", "/run/k/agent")
    unmounted(pod)


@pytest.mark.parametrize("place", ["agent/creds", "agent/mount", "agent/mount/UID", "agent/creds/UID.json"])
def test_something_is_in_the_way(node, pod, place):
    """A file for a folder, a folder for a file: refused with its name, and nothing else is left."""
    path = node.path(place.replace("UID", pod.uid))
    path.parent.mkdir(exist_ok=True)
    if place.endswith(".json"):
        path.mkdir()
    else:
        path.touch()
    refused(pod.mount(), path.name)
    path.rmdir() if place.endswith(".json") else path.unlink()
    pod.assert_gone()
    mounted(pod)


def test_something_else_is_mounted(node, pod):
    node.must("mount", "-t", "proc", "proc", pod.dir)
    refused(pod.mount(), "something else is mounted")
    assert node.mounts() == [pod.dir]
    assert not pod.folder.exists()
    unmounted(pod)


def test_stale_files(node, pod):
    """What an earlier life of the pod left: a file aside, credentials, a folder with a socket, a tmpfs."""
    pod.folder.mkdir(parents=True, mode=0o700)
    pod.credentials.parent.mkdir()
    pod.credentials.write_text('{"UID": "old"}')
    pod.credentials.with_name(f".{pod.uid}.json.new").write_text("{")
    with socket.socket(socket.AF_UNIX) as left:
        left.bind(str(pod.folder / "socket"))
    node.must("mount", "-t", "tmpfs", "tmpfs", pod.dir)
    mounted(pod)
    unmounted(pod)


# ---- hostile folders


@pytest.mark.parametrize("depth", range(1, 5))
def test_links_in_the_path(node, pod, depth):
    """From the pod's folder on, they are not followed: nothing is mounted elsewhere, nor unmounted there."""
    node.path("kubelet/victim").mkdir()
    node.must("mount", "-t", "tmpfs", "tmpfs", "/run/k/kubelet/victim")
    parts = pathlib.Path(pod.dir).parts
    link, behind = node.path("/".join(parts[:len(parts) - depth + 1])), parts[len(parts) - depth + 1:]
    shutil.rmtree(link)
    link.symlink_to("/run/k/kubelet/victim")
    node.path("kubelet/victim").joinpath(*behind).mkdir(parents=True, exist_ok=True)
    before = node.mounts()
    refused(pod.mount(), "Not a directory")
    assert node.mounts() == before
    refused(pod.unmount(), "Not a directory")
    assert node.mounts() == before
    assert not pod.folder.exists() and not pod.credentials.exists()


def test_links_above_are_the_administrator_s(node, pod):
    node.must("mv", "/run/k/kubelet/pods", "/run/k/kubelet/real")
    node.must("ln", "-s", "real", "/run/k/kubelet/pods")
    assert pod.mount()[0] == "Success"
    real = pod.dir.replace("kubelet/pods", "kubelet/real")
    assert node.mounts() == [real, f"{real}/nodeagent"]
    assert pod.unmount()[0] == "Success"
    assert node.mounts() == []


def test_link_in_place_of_the_workload_s_folder(node, pod):
    node.must("mkdir", "-p", "/run/k/victim", "/run/k/agent/mount")
    pod.folder.symlink_to("/run/k/victim")
    refused(pod.mount(), f"agent/mount/{pod.uid}", "Not a directory")
    assert node.mounts() == [] and not pod.credentials.exists()
    assert node.path("victim").stat().st_mode & 0o777 == 0o755
    refused(pod.unmount(), f"agent/mount/{pod.uid}", "Not a directory")
    assert node.path("victim").is_dir() and pod.folder.is_symlink()


def test_link_in_place_of_the_credentials(node, pod):
    """It is replaced, or removed; where it leads nothing changes."""
    node.must("mkdir", "-p", "/run/k/agent/creds")
    node.write("victim", "precious")
    pod.credentials.symlink_to("/run/k/victim")
    pod.credentials.with_name(f".{pod.uid}.json.new").symlink_to("/run/k/victim")
    mounted(pod)
    assert not pod.credentials.is_symlink()
    pod.credentials.unlink()
    pod.credentials.symlink_to("/run/k/victim")
    unmounted(pod)
    assert node.path("victim").read_text() == "precious"


def test_links_in_a_volume_of_another_driver(node, pod):
    """Upstream's volumes are writable: what their pods put there must not lead us anywhere."""
    node.path("kubelet/victim").mkdir()
    node.must("mount", "-t", "tmpfs", "tmpfs", "/run/k/kubelet/victim")
    node.must("mount", "-t", "tmpfs", "tmpfs", pod.dir)
    node.path(f"{pod.dir}/nodeagent").symlink_to("/run/k/kubelet/victim")
    pod.folder.mkdir(parents=True)
    (pod.folder / "socket").symlink_to("/run/k/kubelet/victim")
    assert pod.unmount()[0] == "Success"
    assert node.mounts() == ["/run/k/kubelet/victim"]
    assert (pod.folder / "socket").is_symlink()


# ---- at every step


# The second has no calls by which mounts are made ready before they are seen.
KERNELS = pytest.mark.parametrize("kernel", ["new", "old"])
CHANGES = ["mkdir", "mkdirat", "fsopen", "fsconfig", "fsmount", "open_tree", "mount_setattr", "move_mount", "mount",
           "umount2", "fchmod", "fsync", "write", "rename", "renameat", "unlinkat", "flock"]


def strace(kernel, output, names, *options):
    """A strace that watches these system calls; on an old kernel fsopen fails as it would there."""
    old = ["-e", "inject=fsopen:error=ENOSYS"] if kernel == "old" else []
    return ["strace", "-o", output, "-e", "trace=" + ",".join({*names, *(["fsopen"] if old else [])}), *old, *options]


def trace(node, *words, kernel="new"):
    """The system calls by which the driver changes something, in order: [(name, which of that name)]."""
    with tempfile.NamedTemporaryFile("r") as file:
        known = [n for n in CHANGES if node.run("strace", "-e", f"trace={n}", "true").returncode == 0]
        done = node.run(*strace(kernel, file.name, known), *words, env=UNTRACED)
        assert done.returncode == 0, done.stderr
        calls = re.findall(r"^(\w+)\(", file.read(), re.MULTILINE)
    steps = [(name, calls[:i].count(name) + 1) for i, name in enumerate(calls)]
    return [step for step in steps if kernel == "new" or step[0] != "fsopen"]


def disturbed(node, step, what, *words, kernel="new"):
    """The call, with this happening at this system call."""
    name, number = step
    return node.run(*strace(kernel, "/dev/null", [name], "-e", f"inject={name}:{what}:when={number}"), *words,
                    env=UNTRACED)


# LeakSanitizer cannot work beside another tracer.
UNTRACED = {**os.environ, "ASAN_OPTIONS": "detect_leaks=0"}


def anew(pod):
    """As before the first call, so that the same system calls follow."""
    pod.node.path(pod.dir).mkdir(exist_ok=True)
    for folder in "agent/mount", "agent/creds":
        shutil.rmtree(pod.node.path(folder), ignore_errors=True)


def steps_of_mount(node, pod, kernel="new"):
    anew(pod)
    steps = trace(node, *pod.mount_words(), kernel=kernel)
    pod.assert_whole()
    names = [name for name, _ in steps]
    assert (names.count("move_mount"), names.count("mount")) == ((2, 0) if kernel == "new" else (0, 4))
    unmounted(pod)
    return steps


def steps_of_unmount(node, pod):
    anew(pod)
    mounted(pod)
    steps = trace(node, *pod.unmount_words())
    assert ("umount2", 1) in steps
    pod.assert_gone()
    return steps


@KERNELS
def test_order(node, pod, kernel):
    """The node agent goes by the credentials: they come last and go first."""
    mounting = "move_mount" if kernel == "new" else "mount"
    names = [name for name, _ in steps_of_mount(node, pod, kernel)]
    assert names.index("mkdirat") < names.index(mounting) < names.index("fsync") < names.index("renameat")
    assert mounting not in names[names.index("renameat"):]
    names = [name for name, _ in steps_of_unmount(node, pod)]
    assert names.index("unlinkat") < names.index("umount2")


@KERNELS
@pytest.mark.parametrize("then", [mounted, unmounted])
def test_mount_killed_anywhere(node, pod, then, kernel):
    """Whatever a killed call left, the next one of either kind does what it should."""
    for step in steps_of_mount(node, pod, kernel):
        anew(pod)
        done = disturbed(node, step, "signal=KILL", *pod.mount_words(), kernel=kernel)
        assert done.returncode == -signal.SIGKILL
        then(pod)
        unmounted(pod)


@pytest.mark.parametrize("then", [mounted, unmounted])
def test_unmount_killed_anywhere(node, pod, then):
    for step in steps_of_unmount(node, pod):
        anew(pod)
        mounted(pod)
        assert disturbed(node, step, "signal=KILL", *pod.unmount_words()).returncode == -signal.SIGKILL
        node.path(pod.dir).mkdir(exist_ok=True)
        then(pod)
        unmounted(pod)


def without_answer(steps):
    """All but the last write, which is the answer."""
    answer = [step for step in steps if step[0] == "write"][-1]
    return [step for step in steps if step != answer]


def test_mount_killed_then_disk_full(node, pod):
    """What the killed one made is nobody's: it does not stay either."""
    anew(pod)
    disturbed(node, ("unlinkat", 1), "signal=KILL", *pod.mount_words())
    assert len(node.mounts()) == 2
    fill(node.path("agent"))
    refused(pod.mount(), "No space left on device")
    pod.assert_gone()


@KERNELS
@pytest.mark.parametrize("error", ["EIO", "ENOSPC"])
def test_mount_fails_anywhere(node, pod, error, kernel):
    """It says so and leaves nothing."""
    for step in without_answer(steps_of_mount(node, pod, kernel)):
        anew(pod)
        done = disturbed(node, step, f"error={error}", *pod.mount_words(), kernel=kernel)
        refused(judge(done.returncode, done.stdout.encode()), os.strerror(getattr(errno, error)))
        pod.assert_gone()
        mounted(pod)
        unmounted(pod)


def test_unmount_fails_anywhere(node, pod):
    """It says so, and the next one finishes it."""
    for step in without_answer(steps_of_unmount(node, pod)):
        anew(pod)
        mounted(pod)
        done = disturbed(node, step, "error=EIO", *pod.unmount_words())
        refused(judge(done.returncode, done.stdout.encode()), os.strerror(errno.EIO))
        unmounted(pod)


@pytest.mark.parametrize("name", ["HUP", "INT", "TERM"])
def test_signals_wait(node, pod, name):
    """kubelet does not call mount again for a volume that is half mounted, so a call is brought to its end."""
    done = disturbed(node, ("move_mount", 2), f"signal={name}", *pod.mount_words())
    assert judge(done.returncode, done.stdout.encode()) == ("Success", "mounted")
    pod.assert_whole()


# ---- many at once


def all_at_once(node, commands):
    running = [subprocess.Popen(node.command(*words), stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
               for words in commands]
    return [judge(process.wait(timeout=120), process.stdout.read()) for process in running]


def test_fifty_pods(node):
    pods = [Pod(node, f"uid-{i}", name=f"web-{i}") for i in range(50)]
    assert all_at_once(node, [pod.mount_words() for pod in pods]) == [("Success", "mounted")] * 50
    for pod in pods:
        pod.assert_whole()
    assert len(node.mounts()) == 100
    assert len(os.listdir(node.path("agent/creds"))) == 50
    assert all_at_once(node, [pod.unmount_words() for pod in pods]) == [("Success", "unmounted")] * 50
    for pod in pods:
        pod.assert_gone()
    assert os.listdir(node.path("agent/mount")) == os.listdir(node.path("agent/creds")) == []


def test_one_pod_many_times_at_once(node, pod):
    for _ in range(5):
        node.path(pod.dir).mkdir(exist_ok=True)
        assert set(all_at_once(node, [pod.mount_words()] * 10)) == {("Success", "mounted")}
        pod.assert_whole()
        assert set(all_at_once(node, [pod.unmount_words()] * 10)) == {("Success", "unmounted")}
        pod.assert_gone()


def test_mount_and_unmount_at_once(node, pod):
    """Either order may win, but not half of each."""
    for _ in range(10):
        node.path(pod.dir).mkdir(exist_ok=True)
        answers = all_at_once(node, [pod.mount_words(), pod.unmount_words()])
        assert answers == [("Success", "mounted"), ("Success", "unmounted")]
        if pod.credentials.exists():
            pod.assert_whole()
            unmounted(pod)
        pod.assert_gone()


# ---- install


@pytest.fixture
def plugins(tmp_path):
    folder = tmp_path / "nodeagent~uds"
    folder.mkdir()
    return folder


def install(target, **options):
    done = subprocess.run([UDS, "install", "--target", str(target)], check=False, timeout=60,
                          capture_output=True, **options)
    return judge(done.returncode, done.stdout)


def test_install(plugins):
    target = plugins / "uds"
    for _ in range(2):
        assert install(target) == ("Success", "installed")
        assert target.read_bytes() == UDS.read_bytes()
        assert target.stat().st_mode & 0o7777 == 0o550
        assert os.listdir(plugins) == ["uds"]
    assert json.loads(subprocess.check_output([target, "init"]))["status"] == "Success"


def test_install_replaces(plugins):
    """Also a link, and not what it leads to; also a program that runs."""
    (plugins / "other").write_text("precious")
    (plugins / "uds").symlink_to("other")
    (plugins / ".uds.new").write_text("left by a killed one")
    assert install(plugins / "uds")[0] == "Success"
    assert (plugins / "other").read_text() == "precious"
    assert sorted(os.listdir(plugins)) == ["other", "uds"]


def test_install_here(plugins):
    assert install("uds", cwd=plugins)[0] == "Success"
    assert os.listdir(plugins) == ["uds"]


@pytest.mark.parametrize("target, problem", [
    ("", "must be uds"), ("x", "must be uds"), ("uds/", "must be uds"), ("uds2", "must be uds"),
    ("none/uds", "No such file"), ("file/uds", "Not a directory"), ("folder/uds", "Is a directory"),
])
def test_install_refused(plugins, target, problem):
    (plugins / "file").touch()
    (plugins / "folder" / "uds").mkdir(parents=True)
    refused(install(f"{plugins}/{target}" if target else ""), problem)
    assert sorted(os.listdir(plugins)) == ["file", "folder"]
    assert os.listdir(plugins / "folder") == ["uds"]


def test_install_on_a_full_disk(node):
    node.must("mount", "-t", "tmpfs", "-o", "size=16k", "tmpfs", "/run/k/agent")
    refused(call(node, UDS, "install", "--target", "/run/k/agent/uds"), "No space left on device")
    assert os.listdir(node.path("agent")) == []
