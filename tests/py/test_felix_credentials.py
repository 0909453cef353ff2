"""The folder of credentials as it may be found: files wrong in every way, full disks, and the folder itself gone.

A bad file is logged and serves nobody; whoever is served already is not disturbed.
"""

import json
import os
import shutil
import signal
import socket

import pytest

from node import Node
from node_agent import SECONDS, agent, credentials_of
from server import wait_for
from sync_client import Client

WORLD = {"Namespace bank": {}, "Pod bank/web-0": {"labels": {"app": "web"}, "ip": "10.0.0.2"},
         "GlobalNetworkPolicy p": {"ingress": [{"action": "Allow"}]}}
WEB = "bank/web-0"
GOOD = credentials_of(WEB)
BAD = "Bad credentials file"


@pytest.fixture
def node():
    with agent(world=WORLD) as made:
        yield made


@pytest.fixture
def web(node):
    """Is served, and is all the time."""
    with Client(node.mount("web", WEB)) as client:
        client.expect_in_sync()
        yield client
        node.put("late.yaml", '{"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "late"}}')
        client.expect(lambda _: "late" in client.namespaces)
        assert client.code is None


def changed(**changes):
    return {key: value for key, value in {**GOOD, **changes}.items() if value is not ...}


# What is in the file, and what the log says of it.
BAD_CONTENTS = {
    "nothing": (b"", "nothing"), "blanks": (b" \n\t", ""), "cut": (json.dumps(GOOD)[:-5], "JSON"),
    "not JSON": ("{", "JSON"),
    "YAML": ("UID: u\nWorkload: web-0\nNamespace: bank\nServiceAccount: web\n", "JSON"),
    "a comment": (json.dumps(GOOD) + "// x", "JSON"), "two objects": (json.dumps(GOOD) * 2, "JSON"),
    "a list": ([GOOD], "object"), "a text": ('"x"', "object"), "a number": ("7", "object"), "null": ("null", ""),
    "deep": ("[" * 30_000, "JSON"), "NUL bytes": (json.dumps(GOOD).encode() + b"\0", "JSON"),
    "not UTF-8": (json.dumps(GOOD).encode().replace(b"web-0", b"web-\xff"), "JSON"),
    "huge": (json.dumps({**GOOD, "x": "x" * 65536}), "65536"),
    "doubled key": (json.dumps(GOOD)[:-1] + ', "Workload": "customer-0"}', "Workload"),
    "doubled key, written otherwise": (json.dumps(GOOD)[:-1] + r', "\u0057orkload": "customer-0"}', "orkload"),
    **{f"without {key}": (changed(**{key: ...}), key) for key in GOOD},
    **{f"{key} as a number": (changed(**{key: 7}), key) for key in GOOD},
    **{f"{key} as null": (changed(**{key: None}), key) for key in GOOD},
    **{f"{key} as a list": (changed(**{key: ["x"]}), key) for key in GOOD},
    **{f"{key} with a slash": (changed(**{key: "a/b"}), key) for key in GOOD},
    **{f"{key} that climbs": (changed(**{key: "../x"}), key) for key in GOOD},
    **{f"{key} with a blank": (changed(**{key: "a b"}), key) for key in GOOD},
    **{f"{key} with a newline": (changed(**{key: "a\nb"}), key) for key in GOOD},
    **{f"{key} with a NUL": (json.dumps(changed(**{key: "a\0b"})), "") for key in GOOD},
    **{f"{key} too long": (changed(**{key: "a" * 254}), key) for key in GOOD},
    **{f"empty {key}": (changed(**{key: ""}), key) for key in ["UID", "Workload", "Namespace"]},
    **{f"{key} in capitals": (changed(**{key: "Web"}), key) for key in ["Workload", "Namespace", "ServiceAccount"]},
    "namespace with a dot": (changed(Namespace="a.b"), "Namespace"),
    "keys in small letters": ({key.lower(): value for key, value in GOOD.items()}, "UID"),
}


def test_bad_contents(node, web):
    """All of them at once; then each becomes good, and serves."""
    for number, (content, _) in enumerate(BAD_CONTENTS.values()):
        node.write_credentials(f"bad-{number}", content)
    node.mount("last", WEB + "x")
    for number, (case, (_, part)) in enumerate(BAD_CONTENTS.items()):
        line = node.expect_log(BAD, f"bad-{number}", level="error", name=f"bad-{number}")
        assert part in line["problem"], (case, line)
        assert not node.path("mount", f"bad-{number}").exists(), case
    assert sorted(os.listdir(node.path("mount"))) == ["last", "web"]
    for number in range(0, len(BAD_CONTENTS), 10):
        node.write_credentials(f"bad-{number}", credentials_of("bank/other"))
        node.expect_socket(f"bad-{number}")


@pytest.mark.parametrize("content", ["{", b"", json.dumps(changed(Workload="../x"))])
def test_good_file_that_turns_bad(node, content):
    """Nobody is served by it any more, until it is good again."""
    path = node.mount("turns", WEB)
    with Client(path) as client:
        client.expect_in_sync()
        node.write_credentials("turns", content)
        client.expect(lambda each: each.code is not None)
        node.expect_no_socket("turns")
    node.write_credentials("turns", GOOD)
    node.expect_socket("turns")


GOOD_NAMES = ["a.b", "a-b_c", "A", "0", "-", "pvc~csi", "x" * 128, "a=b", "csi-" + "0123456789abcdef" * 4]
BAD_NAMES = ["a b", " ", "a\tb", "a\nb", 'a"b', "a\\b", "x" * 129, "x" * 250, "ü", "a\x7fb", "a..b", "..", "a\x01"]


def test_names(node, web):
    for name in GOOD_NAMES + BAD_NAMES:
        node.path("creds", ".new").write_text(json.dumps(credentials_of("bank/other")))
        os.rename(node.path("creds", ".new"), node.path("creds", f"{name}.json"))
    for name in GOOD_NAMES:
        node.expect_socket(name)
    # Those that begin with a dot are somebody's temporary files.
    node.expect_log(BAD, level="error", count=len([name for name in BAD_NAMES if name != ".."]))
    assert set(os.listdir(node.path("mount"))) == {*GOOD_NAMES, "web"}
    assert "\x01" not in node.journal() and "\x7f" not in node.journal()


def test_what_is_no_regular_file(node, web):
    """Nothing is waited for, and no link is followed."""
    creds = node.path("creds")
    (node.folder / "good.json").write_text(json.dumps(credentials_of("bank/other")))
    (creds / "folder.json").mkdir()
    os.mkfifo(creds / "fifo.json")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(creds / "socket.json"))
    links = {"link": node.folder / "good.json", "self": "self.json", "zero": "/dev/zero", "beside": "web.json"}
    for name, target in links.items():
        (creds / f"{name}.json").symlink_to(target)
    (creds / "nowhere.json").symlink_to("gone")
    node.write_credentials("last", "{")
    node.expect_log(BAD, name="last")
    for name in links:
        node.expect_log(BAD, name=name, level="error")
    # Made in one step, and so never written to: they are looked at when something else about them is told.
    for name in "folder", "fifo", "socket":
        os.rename(creds / f"{name}.json", creds / f"{name}-2.json")
        node.expect_log(BAD, name=f"{name}-2", level="error")
    assert set(os.listdir(node.path("mount"))) == {"web"}


def test_file_that_felix_may_not_read(node):
    """As root nothing is kept from it, so it runs as nobody here."""
    if os.geteuid() != 0:
        pytest.fail("this test starts felix as another user, and must be run as root")
    node.stop()
    node.folder.chmod(0o777)
    for each in node.prefix, node.path("creds"):
        shutil.chown(each, "nobody")
    node.write_credentials("secret", GOOD)
    node.credentials("secret").chmod(0)
    node.start_as("nobody")
    node.expect_log(BAD, "Permission denied", name="secret", level="error")
    node.write_credentials("web", GOOD)
    node.expect_socket("web")
    assert not node.socket("secret").exists()


def test_things_in_the_socket_s_place(node):
    """Behind P/mount/NAME is the pod's: a folder, a file, a link stay, and nobody but that pod goes without."""
    other = node.folder / "other"
    other.write_text("mine")
    for name, make in {"file": lambda path: path.write_text("mine"), "folder": lambda path: path.mkdir(),
                       "link": lambda path: path.symlink_to(other), "dangling": lambda path: path.symlink_to("gone"),
                       "fifo": os.mkfifo}.items():
        path = node.socket(name)
        path.parent.mkdir(parents=True)
        make(path)
        node.write_credentials(name, GOOD)
        assert wait_for(lambda: any(str(path) in line["problem"] for line in node.lines("Cannot serve", level="error")),
                        SECONDS)
        assert path.exists() or path.is_symlink()
    assert other.read_text() == "mine"
    node.mount("good", WEB)
    node.socket("file").unlink()
    node.expect_socket("file")


def test_volume_that_is_no_folder(node):
    """Not even a link to one: whoever put it there might lead the socket elsewhere."""
    (node.folder / "elsewhere").mkdir()
    node.path("mount").mkdir()
    node.path("mount", "link").symlink_to(node.folder / "elsewhere")
    node.path("mount", "file").write_text("x")
    for name in "link", "file":
        node.write_credentials(name, GOOD)
        assert wait_for(lambda: any(f"mount/{name}" in line["problem"] for line in node.lines("Cannot serve")), SECONDS)
    assert not os.listdir(node.folder / "elsewhere")


def test_socket_that_somebody_took_away(node):
    """What is in its place when the volume goes is not felix', and stays."""
    path = node.mount("web", WEB)
    node.expect_log("Serving a workload", volume="web")
    path.unlink()
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        inode = path.stat().st_ino
        node.unmount("web")
        node.expect_log("A workload's volume is gone")
        assert path.stat().st_ino == inode


def test_remount_at_once(node, web):
    """In the wink of an eye: felix is stopped meanwhile.  The credentials say the same as before; the folder is another."""
    other = credentials_of("bank/other")
    node.mount("again", "bank/other")
    node.expect_log("Serving a workload", volume="again")
    node.process.send_signal(signal.SIGSTOP)
    node.credentials("again").unlink()
    shutil.rmtree(node.path("mount", "again"))
    node.path("mount", "again").mkdir()
    node.write_credentials("again", other)
    node.process.send_signal(signal.SIGCONT)
    node.expect_log("A workload's socket is not in its place any more", volume="again", level="warning")
    node.expect_socket("again")
    with Client(node.socket("again")) as client:
        client.expect_in_sync()


def test_socket_that_is_made_anew(node, web):
    """It is not looked for all the time, but when its credentials are written again; others are not disturbed."""
    other = credentials_of("bank/other")
    path = node.mount("gone", "bank/other")
    node.expect_log("Serving a workload", volume="gone")
    path.unlink()
    node.write_credentials("gone", other)
    node.expect_socket("gone")
    node.write_credentials("web", GOOD)
    node.write_credentials("last", other)
    node.expect_socket("last")
    assert len(node.lines("A workload's socket is not in its place")) == 1


def test_files_by_link(node, web):
    """The name is never written to, and the other is gone at once."""
    for name in "one", "two":
        new = node.path("creds", ".new")
        new.write_text(json.dumps(credentials_of("bank/other")))
        os.link(new, node.credentials(name))
        new.unlink()
        node.expect_socket(name)


# ---- the disk and the folder ----------------------------------------------------------------------------


@pytest.fixture
def namespace():
    made = Node()
    yield made
    made.close()


def test_disk_full(namespace):
    """A driver's file that was cut is bad; a folder that cannot be made is made when there is room."""
    namespace.must("mount", "-o", "remount,nr_inodes=12,size=64k", "/run/k/agent")
    with agent(node=namespace, prefix="/run/k/agent", world=WORLD) as node:
        node.mount("web", WEB)
        with Client(node.socket("web")) as client:
            client.expect_in_sync()
            node.write_credentials("first", "x")
            filler = node.path("filler")
            with pytest.raises(OSError):
                filler.write_bytes(bytes(1 << 20))
            with pytest.raises(OSError):
                node.credentials("cut").write_text(json.dumps(GOOD))
            node.expect_log(BAD, name="cut")
            filler.unlink()
            node.credentials("first").unlink()
            made = []
            with pytest.raises(OSError):
                while True:
                    made.append(node.path(f"filler-{len(made)}"))
                    made[-1].touch()
            node.credentials("cut").write_text(json.dumps(GOOD))  # in place: no file is made
            node.expect_log("Cannot serve a workload", "No space left", level="error")
            for each in made[:-1]:
                each.unlink()
            node.expect_socket("cut")
            assert client.code is None


def test_the_folder_goes_and_comes_back(node, web):
    """Its volumes are served meanwhile; what changed in it counts when it is back."""
    for name in "gone", "changed":
        node.mount(name, WEB + "x")
    creds, away = node.path("creds"), node.path("away")
    os.rename(creds, away)
    node.expect_log("Credentials folder went away", level="error")
    (away / "gone.json").unlink()
    (away / "changed.json").write_text(json.dumps(credentials_of("bank/other")))
    (away / "new.json").write_text(json.dumps(GOOD | {"Workload": "new-0"}))
    assert node.socket("gone").exists()
    os.rename(away, creds)
    node.expect_no_socket("gone")
    node.expect_socket("new")
    node.expect_log("Serving a workload", volume="changed", workload="bank/other")


def test_the_folder_goes_for_good(node, web):
    """A new one in its place counts, as it is."""
    node.mount("kept", WEB + "x")
    shutil.move(node.path("creds"), node.folder / "away")
    node.expect_log("Credentials folder went away")
    node.path("creds").mkdir()
    node.write_credentials("web", GOOD)
    node.expect_no_socket("kept")


def test_another_prefix_in_its_place(node):
    """Nothing happens to the folder itself, but to the one above."""
    node.mount("old", WEB)
    node.prefix.rename(node.folder / "away")
    node.expect_log("Credentials folder went away")
    assert node.process.poll() is None
    node.mount("new", WEB)
    assert not node.socket("old").exists()
    node.write_credentials("newer", credentials_of("bank/other"))
    node.expect_socket("newer")


def test_hundreds_of_volumes(node, web):
    """At once, then all gone at once; nothing stays behind."""
    files = node.files()
    for number in range(600):
        node.write_credentials(f"v{number}", "{" if number % 2 else credentials_of(f"bank/p-{number}"))
    node.expect_log("Serving a workload", count=301)
    node.expect_log(BAD, count=300)
    for number in range(600):
        node.credentials(f"v{number}").unlink()
    assert wait_for(lambda: node.files() == files, SECONDS), (node.files(), files)
    assert not list(node.path("mount").glob("v*/socket"))
