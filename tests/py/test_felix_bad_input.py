"""What is wrong in felix' directory: the log names it, the sidecar concerned refuses, and nothing else is disturbed.

The verdicts are our evaluator's on what the two sidecars were told.
"""

import itertools
import json
import os
import re
import signal
import threading
import time
from resource import RLIMIT_NOFILE, prlimit

import pytest

import scenario
import vectors
import worlds
from calculation.resources import dump, resource
from node_agent import NODE, SECONDS, agent
from plain.state import plan, state, told_to
from server import CLUSTER, CUSTOMER, WEB, wait_for
from sync_client import Client
from test_broken_resources import DENIED, REFUSED, STORIES

CONCERNED, OTHER = "bank/web-0", "bank/customer-0"

# Then the line is that of an item, or of what it is missing in.
ITEM_OR_MISSING = re.compile(r"\]: |: missing$")


def put(node, name, *documents):
    """As YAML, so that lines say something."""
    node.put(name, dump(documents))
    return dump(documents)


def verdict(probe, client, **request):
    """(code, reason) of a sidecar that was told what this client was."""
    probe.reset()
    probe.sync(client.messages)
    answer = probe.check(scenario.request({"from": CUSTOMER, "to": WEB, **request}).SerializeToString())
    return answer["code"], answer["reason"]


def expect_verdict(probe, client, wanted, **request):
    client.expect(lambda _: client.in_sync)
    assert wait_for(lambda: verdict(probe, client, **request) == wanted, SECONDS), verdict(probe, client, **request)


def _leaves(data, place=""):
    """(path, value) of all that is no map nor list."""
    if isinstance(data, dict):
        inner = [(f"{place}.{key}" if place else key, value) for key, value in data.items()]
    elif isinstance(data, list):
        inner = [(f"{place}[{number}]", value) for number, value in enumerate(data)]
    else:
        return {(place, repr(data))}
    return {leaf for path, value in inner for leaf in _leaves(value, path)}


def broken_fields(sound, broken):
    return [path for path, _ in _leaves(broken) - _leaves(sound)]


def expect_report(node, file, content, *fields):
    """A line about a file, as an error: it names one of the fields, and the line where that stands."""
    report = node.expect_log("Bad resource", file=file, level="error")
    field = max([each for each in fields if each in report["problem"]], key=len, default=None)
    assert field, (fields, report)
    line = content.splitlines()[int(report["line"]) - 1]
    assert field.endswith("]") or f"{field.rpartition('.')[2]}:" in line or ITEM_OR_MISSING.search(report["problem"]), \
        (report, line)


@pytest.fixture
def node():
    with agent(started=False) as made:
        put(made, "cluster.yaml", *CLUSTER)
        yield made


@pytest.mark.parametrize("name", STORIES)
def test_resource_that_breaks(node, probe, name):
    """While it runs, and mended; then from the start on."""
    beside, sound, broken, from_the_start = STORIES[name]
    put(node, "beside.yaml", *beside)
    put(node, "it.yaml", sound)
    node.start()
    with Client(node.mount("web", CONCERNED)) as web, Client(node.mount("other", OTHER)) as other:
        expect_verdict(probe, web, (DENIED, "denied_by_rule"))
        expect_verdict(probe, other, (0, "allowed_by_profile"))
        known = other.known()
        content = put(node, "it.yaml", broken)
        expect_report(node, "it.yaml", content, *broken_fields(sound, broken))
        assert verdict(probe, web)[0] in (DENIED, REFUSED)
        put(node, "it.yaml", sound)
        put(node, "marker.yaml", resource("Namespace marker", {}))
        web.expect(lambda _: "marker" in web.namespaces)
        other.expect(lambda _: "marker" in other.namespaces)
        assert verdict(probe, web) == (DENIED, "denied_by_rule")
        assert other.since(known) == ["namespace_update"]
    node.stop()
    put(node, "it.yaml", broken)
    node.start()
    node.expect_socket("web")
    with Client(node.socket("web")) as web, Client(node.socket("other")) as other:
        expect_verdict(probe, web, from_the_start)
        expect_verdict(probe, other, (0, "allowed_by_profile"))


def test_every_policy_that_cannot_be_understood(node, probe):
    """Each in a file of its own and for a pod of its own; that pod refuses, and the others do not."""
    cases = vectors.load("calculation.yaml")["closed"]
    contents = []
    for number, case in enumerate(cases):
        kind = case.get("kind", "NetworkPolicy")
        whole = resource(f"{kind} bank/p{number}", case["policy"])
        whole["spec"].update({"podSelector": {"matchLabels": {"number": f"v{number}"}}} if kind.startswith("Kubernetes")
                             else {"selector": f"number == 'v{number}'"})
        contents.append("\n" * number + put(node, f"{number}.yaml", whole))
        node.put(f"{number}.yaml", contents[-1])
        node.put(f"pod-{number}.json", resource(f"Pod bank/pod-{number}", {"labels": {"number": f"v{number}"},
                                                                         "ip": f"10.7.0.{number}"}))
        node.mount(f"v{number}", f"bank/pod-{number}")
    node.mount("web", CONCERNED)
    node.start()
    node.expect_log("Serving a workload", count=len(cases) + 1)
    for number, case in enumerate(cases):
        assert len(node.lines("Bad resource", file=f"{number}.yaml")) == 1, (case, node.lines(file=f"{number}.yaml"))
        expect_report(node, f"{number}.yaml", contents[number], case["field"])
        with Client(node.socket(f"v{number}")) as client:
            expect_verdict(probe, client, (REFUSED, "malformed_policy"))
    with Client(node.socket("web")) as client:
        expect_verdict(probe, client, (0, "allowed_by_profile"))


def test_random_worlds_with_broken_resources(rng):
    """From the start on: as the plain model says, which closes what is broken; each broken one is reported."""
    for _ in range(12):
        made = worlds.sequence(rng, 20, worlds.Options())
        world = {}
        for flush in made:
            world = worlds.apply(world, flush)
        world.update({name: resource(name, content) for name, content in {
            "Pod bank/steady": {"labels": {"k": "v"}, "ip": "10.0.0.1", "account": "a"},
            "Pod shop/steady": {"labels": {"k": "w"}, "ip": "10.0.1.2"}}.items()})
        with agent(started=False) as node:
            for number, whole in enumerate(world.values()):
                node.put(f"{number}.json", json.dumps(whole))
            sockets = {workload: node.mount(workload.replace("/", "."), workload)
                       for workload in ["bank/steady", "shop/steady", "bank/p0"]}
            node.start()
            whole = state(plan(world, node=NODE))
            for workload, socket in sockets.items():
                node.expect_socket(workload.replace("/", "."))
                with Client(socket) as client:
                    client.expect_state(told_to(whole, workload))


# ---- files that are not resources --------------------------------------------------------------------

BAD_FILES = {
    "not YAML": (b"a: [", "Bad resource"), "binary": (bytes(range(256)) * 10, "Bad resource"),
    "NULs": (bytes(1000), "Bad resource"), "not UTF-8": (b"kind: \xff\xfe", "Bad resource"),
    "a text": (b"hello", "Bad resource"), "a list": (b"[1, 2]", "Bad resource"),
    "deep": (b"[" * 100_000, "Bad resource"),
    "no kind": (b"apiVersion: v1\nmetadata: {name: x}", "Bad resource"),
    "unknown kind": (b"apiVersion: v1\nkind: Pot\nmetadata: {name: x}", "Bad resource"),
    "no name": (b"apiVersion: v1\nkind: Pod", "Bad resource"),
    "aliases without end": (b"a: &a [x, x]\n" + b"".join(
        b"b%d: &b%d [%s]\n" % (n, n, b", ".join([b"*b%d" % (n - 1) if n else b"*a"] * 10)) for n in range(12)),
        "Bad resource"),
}


@pytest.mark.parametrize("content, message", BAD_FILES.values(), ids=BAD_FILES)
def test_bad_file(node, content, message):
    """It is reported; the sound one beside it counts, and the next version too."""
    node.start()
    with Client(node.mount("web", CONCERNED)) as client:
        (node.resources / "bad.yaml").write_bytes(content)
        node.expect_log(message, file="bad.yaml", level="error")
        node.put("new.yaml", resource("Namespace new", {}))
        client.expect(lambda _: "new" in client.namespaces)
        node.put("bad.yaml", resource("Namespace mended", {}))
        client.expect(lambda _: "mended" in client.namespaces)


def test_files_that_cannot_be_read(node):
    """A folder, a FIFO, a link to nowhere, to itself, to a device, and what is no data file."""
    (node.resources / "folder.yaml").mkdir()
    os.mkfifo(node.resources / "fifo.yaml")
    for name, target in [("nowhere", "gone"), ("itself", "itself.yaml"), ("zero", "/dev/zero"), ("tty", "/dev/tty")]:
        (node.resources / f"{name}.yaml").symlink_to(target)
    for name in [".hidden.yaml", "x.yaml~", "x.txt", "yaml"]:
        (node.resources / name).write_text("{")
    node.start()
    with Client(node.mount("web", CONCERNED)) as client:
        client.expect_in_sync()
        for name in ["folder", "fifo", "itself", "zero", "tty"]:
            node.expect_log("File cannot be read", file=f"{name}.yaml", level="error")
        assert not [line for line in node.lines() if line.get("file") in (".hidden.yaml", "x.yaml~", "x.txt", "yaml")]


def test_names_that_would_forge_the_log(node):
    node.start()
    name = 'a" level=info\nmsg=forged file=x.yaml\x1b[2J.yaml'
    (node.resources / name).write_text('kind: "X\\n msg=forged"')
    node.expect_log("Bad resource")
    assert not node.lines("forged") and "\x1b" not in node.journal()


# ---- the folder -----------------------------------------------------------------------------------------


def test_the_folder_goes_and_comes_back(node):
    """Nobody is told anything while it is away; then what changed."""
    node.start()
    with Client(node.mount("web", CONCERNED)) as client:
        client.expect_in_sync()
        known, away = client.known(), node.folder / "away"
        os.rename(node.resources, away)
        node.expect_log("Directory went away", level="error")
        (away / "new.yaml").write_text(dump([resource("Namespace new", {})]))
        node.mount("other", OTHER)
        assert client.known() == known
        os.rename(away, node.resources)
        client.expect(lambda _: "new" in client.namespaces)
        assert client.since(known) == ["namespace_update"]


def test_no_file_descriptors_left(node):
    """What was known counts until files can be read again, and then nothing was missed."""
    node.put("old.yaml", resource("Namespace old", {}))
    node.start()
    kept = node.mount("kept", CONCERNED)
    with Client(kept) as client:
        client.expect_in_sync()
        limits = prlimit(node.process.pid, RLIMIT_NOFILE)
        prlimit(node.process.pid, RLIMIT_NOFILE, (3, limits[1]))
        node.put("new.yaml", resource("Namespace new", {}))
        node.put("old.yaml", resource("Namespace old", {"labels": {"a": "b"}}))
        node.write_credentials("kept", node.credentials("kept").read_text())
        for file in "new.yaml", "old.yaml":
            node.expect_log("File cannot be read", "Too many open files", file=file, level="error")
        node.expect_log("Credentials file cannot be read now", name="kept", level="error")
        prlimit(node.process.pid, RLIMIT_NOFILE, limits)
        client.expect(lambda _: "new" in client.namespaces and client.namespaces["old"].get("a") == "b")
        assert "old" in client.namespaces and kept.is_socket() and client.code is None


def test_more_changes_than_the_kernel_remembers(node):
    """felix is stopped meanwhile; nothing is missed, in either folder."""
    most = int(open("/proc/sys/fs/inotify/max_queued_events", encoding="ascii").read())
    node.put("old.yaml", resource("Namespace old", {}))
    node.start()
    kept, gone, changed = (node.mount(name, CONCERNED) for name in ["kept", "gone", "changed"])
    with Client(kept) as client:
        client.expect_in_sync()
        node.process.send_signal(signal.SIGSTOP)
        for folder in node.resources, node.path("creds"):
            for number in range(most // 2 + 10):
                (folder / "x.json").touch()
                (folder / "x.json").unlink()
        node.remove("old.yaml")
        node.put("new.yaml", resource("Namespace new", {}))
        node.credentials("gone").unlink()
        node.write_credentials("changed", json.dumps({"UID": "u", "Workload": "customer-0", "Namespace": "bank",
                                                      "ServiceAccount": ""}))
        node.write_credentials("new", node.credentials("kept").read_text())
        node.process.send_signal(signal.SIGCONT)
        client.expect(lambda _: "new" in client.namespaces and "old" not in client.namespaces)
    node.expect_socket("new")
    assert wait_for(lambda: not gone.exists(), SECONDS)
    node.expect_log("Serving a workload", workload=OTHER, volume="changed")
    with Client(changed) as client:
        client.expect(lambda _: any(OTHER in name for name in client.endpoints))


def test_thousands_of_files(node):
    """At the start, and more while it runs; a good part of them is bad."""
    def write(first, count):
        for number in range(first, first + count):
            node.put(f"{number}.json", "{" if number % 3 == 0 else resource(f"ServiceAccount bank/a{number}", {}))

    write(0, 1200)
    node.start()
    with Client(node.mount("web", CONCERNED)) as client:
        write(1200, 600)
        wanted = len([number for number in range(1800) if number % 3]) + 2
        client.expect(lambda _: len(client.service_accounts) == wanted)
        for number in range(1800):
            node.remove(f"{number}.json")
        client.expect(lambda _: len(client.service_accounts) == 2)


def test_files_that_are_rewritten_all_the_time(node):
    """In both folders; the others' changes come through."""
    node.start()
    over = threading.Event()

    def rewrite(replace):
        for number in itertools.count():
            if over.is_set():
                return
            replace(number)

    node.mount("noisy", OTHER)
    accounts = [{"UID": "u", "Workload": "customer-0", "Namespace": "bank", "ServiceAccount": each} for each in "ab"]
    writers = [threading.Thread(target=rewrite, args=[each]) for each in [
        lambda number: node.put("noisy.yaml", resource("Namespace noisy", {"labels": {"n": str(number)}})),
        lambda number: node.write_credentials("noisy", accounts[number % 2])]]
    for each in writers:
        each.start()
    try:
        with Client(node.mount("web", CONCERNED)) as client:
            for number in range(5):
                time.sleep(0.2)
                node.mount(f"new-{number}", CONCERNED + "x")
                node.put("quiet.yaml", resource(f"Namespace quiet-{number}", {}))
                client.expect(lambda _: f"quiet-{number}" in client.namespaces)
    finally:
        over.set()
        for each in writers:
            each.join()
    node.write_credentials("noisy", accounts[0])
    node.expect_socket("noisy")
