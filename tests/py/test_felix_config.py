"""felix' configuration: where a value comes from, what changes while it runs, and what is refused at once."""

import contextlib
import os
import re
import signal
import socket
import subprocess
import urllib.error
import urllib.request

import pytest

from calculation.resources import merged, resource
from node import Node
from node_agent import FELIX, NODE, SECONDS, Agent, agent, credentials_of
from server import wait_for
from sync_client import Client, told

WORLD = {"Namespace bank": {}, "Pod bank/web-0": {"labels": {"app": "web"}, "ip": "10.0.0.2"},
         "GlobalNetworkPolicy p": {"ingress": [{"action": "Allow"}]}}
WEB = "bank/web-0"
SERVING, CANNOT_SERVE = "Serving the Policy Sync API", "Cannot serve the Policy Sync API"


@pytest.fixture
def node():
    """Not started, and with nothing on its command line but the directory."""
    with agent(world=WORLD, started=False) as made:
        yield made


def settings(name="default", **spec):
    return resource(f"FelixConfiguration {name}", spec)


def run(node, *arguments, **environment):
    node.run("--directory", node.resources, "--node", NODE, *arguments, environment=environment)
    node.expect_log("Felix is running")
    return node


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def http(port, path):
    """(status, body); None if nobody is there."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=5) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()
    except OSError:
        return None


def expect_http(port, path, status):
    assert wait_for(lambda: (http(port, path) or [None])[0] == status, SECONDS), http(port, path)
    return http(port, path)[1] if status else None


# ---- where a value comes from ---------------------------------------------------------------------

LEVELS = ["command line", "environment", "file", "node.NAME", "selected", "default", "built in"]


@pytest.mark.parametrize("strongest", range(len(LEVELS)), ids=LEVELS)
def test_precedence(node, strongest):
    """All sources from `strongest` on set the prefix, each to another."""
    prefixes = [str(node.folder / f"p{level}") for level in range(len(LEVELS))]
    set_at = {level: prefixes[number] for number, level in enumerate(LEVELS[:-1]) if number >= strongest}
    config = node.folder / "felix.cfg"
    config.write_text(f"PolicySyncPathPrefix = {set_at['file']}\n" if "file" in set_at else "")
    node.put("node.yaml", {"apiVersion": "v1", "kind": "Node", "metadata": {"name": NODE, "labels": {"zone": "a"}}})
    names = {"node.NAME": f"node.{NODE}", "selected": "chosen", "default": "default"}
    for level, name in names.items():
        if level in set_at:
            selector = {"nodeSelector": "zone == 'a'"} if level == "selected" else {}
            node.put(f"{name}.yaml", settings(name, policySyncPathPrefix=set_at[level], **selector))
    options = ["--policy-sync-prefix", set_at["command line"]] if "command line" in set_at else []
    environment = {"FELIX_POLICYSYNCPATHPREFIX": set_at["environment"]} if "environment" in set_at else {}
    run(node, "--config-file", config, *options, **environment)
    if strongest < len(LEVELS) - 1:
        node.expect_log(SERVING, prefix=prefixes[strongest])
        assert len(node.lines(SERVING)) == 1
    else:
        node.expect_log("Policy Sync API is off")


def test_resources_take_each_other_s_place(node):
    """While it runs: the node's own before the selected one before the default."""
    prefix = {name: str(node.folder / name) for name in ["default", "chosen", "own"]}

    def served(name, count=1):
        node.expect_log(SERVING, prefix=prefix[name], count=count)

    run(node)
    node.put("default.yaml", settings(policySyncPathPrefix=prefix["default"]))
    served("default")
    node.put("chosen.yaml", settings("chosen", policySyncPathPrefix=prefix["chosen"], nodeSelector="zone == 'a'"))
    node.put("node.yaml", {"apiVersion": "v1", "kind": "Node", "metadata": {"name": NODE, "labels": {"zone": "a"}}})
    served("chosen")
    node.put("own.yaml", settings(f"node.{NODE}", policySyncPathPrefix=prefix["own"]))
    served("own")
    node.put("others.yaml", settings("node.another", policySyncPathPrefix="/nowhere"))
    node.remove("own.yaml")
    served("chosen", 2)
    node.put("node.yaml", {"apiVersion": "v1", "kind": "Node", "metadata": {"name": NODE, "labels": {"zone": "b"}}})
    served("default", 2)
    node.remove("default.yaml")
    node.expect_log("Policy Sync API is off", count=2)


def test_several_that_select_the_node(node):
    """The oldest, then the first by name."""
    for name, year in ("b", 2020), ("c", 2019), ("a", 2021), ("d", 2019):
        whole = settings(name, policySyncPathPrefix=str(node.folder / name), nodeSelector="all()")
        whole["metadata"]["creationTimestamp"] = f"{year}-01-01T00:00:00Z"
        node.put(f"{name}.yaml", whole)
    run(node)
    node.expect_log(SERVING, prefix=str(node.folder / "c"))
    node.expect_log("Several FelixConfigurations select this node", name="c")


def _variables(node):
    """Every variable of --help with a value, and how its effect is seen."""
    ports = [free_port(), free_port()]
    (node.folder / "elsewhere").mkdir()

    def is_debugging():
        with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX) as client:
            client.connect(str(node.socket("web")))
        return node.lines(level="debug")

    return {
        "DATASTORETYPE": ("directory", lambda: node.lines("Felix is running", datastore="directory")),
        "DIRECTORY": (str(node.resources), lambda: node.socket("web").exists()),
        "FELIXHOSTNAME": ("some-node", lambda: node.lines("Felix is running", node="some-node")),
        "POLICYSYNCPATHPREFIX": (str(node.prefix), lambda: node.lines(SERVING, prefix=str(node.prefix))),
        "DATAPLANE": ("none", node.is_running),
        "LOGSEVERITYSCREEN": ("debug", is_debugging),
        "HEALTHENABLED": ("true", lambda: http(ports[0], "/liveness")),
        "HEALTHHOST": ("127.0.0.1", lambda: http(ports[0], "/liveness")),
        "HEALTHPORT": (str(ports[0]), lambda: http(ports[0], "/liveness")),
        "PROMETHEUSMETRICSENABLED": ("yes", lambda: http(ports[1], "/metrics")),
        "PROMETHEUSMETRICSHOST": ("localhost", lambda: http(ports[1], "/metrics")),
        "PROMETHEUSMETRICSPORT": (str(ports[1]), lambda: http(ports[1], "/metrics")),
    }


@pytest.mark.parametrize("source", ["environment", "Environment", "file"])
def test_every_variable(node, source):
    """In any case of letters; in a file with comments, sections, blanks, and what this program does not know."""
    variables = _variables(node)
    node.mount("web", WEB)
    if source == "file":
        lines = "".join(f"{name.title()}\t=  {value} \r\n" for name, (value, _) in variables.items())
        (node.folder / "cfg").write_text(f"# comment\n[global]\n; = x\n\nUnknown = a = b\n{lines}")
        node.run("--config-file", node.folder / "cfg")
    else:
        change = str if source == "environment" else str.title
        node.run(environment={f"{change('FELIX')}_{change(name)}": value for name, (value, _) in variables.items()})
    for name, (_, has_effect) in variables.items():
        assert wait_for(has_effect, SECONDS), (name, node.journal())


def test_help_names_every_variable(node):
    found = subprocess.run([str(FELIX), "--help"], capture_output=True, text=True, timeout=SECONDS)
    assert found.returncode == 0 and not found.stderr
    assert set(re.findall(r"FELIX_([A-Z]+)", found.stdout)) == set(_variables(node))
    options = set(re.findall(r"^ +(?:-\w, )?(--[a-z-]+)", found.stdout, re.M))
    assert options == {"--datastore", "--directory", "--node", "--policy-sync-prefix", "--dataplane", "--config-file",
                       "--log-level", "--log-format", "--help", "--version"}


def test_version():
    found = subprocess.run([str(FELIX), "--version"], capture_output=True, text=True, timeout=SECONDS)
    assert (found.returncode, found.stderr) == (0, "") and re.fullmatch(r"felix [0-9.]+\S*\n", found.stdout)


def test_empty_variable_counts_as_none(node):
    node.put("default.yaml", settings(policySyncPathPrefix=str(node.prefix)))
    run(node, FELIX_POLICYSYNCPATHPREFIX="", FELIX_HEALTHPORT="")
    node.expect_log(SERVING, prefix=str(node.prefix))


@pytest.mark.parametrize("value", ["none", "None", ""])
def test_prefix_switched_off_on_the_command_line(node, value):
    node.put("default.yaml", settings(policySyncPathPrefix=str(node.prefix)))
    run(node, "--policy-sync-prefix", value).expect_log("Policy Sync API is off")
    assert not node.prefix.exists()


# ---- the prefix -----------------------------------------------------------------------------------


def test_prefix_moves_while_it_runs(node):
    """Old sockets and streams go, new ones are there; what is under it at that time counts."""
    second = Agent(prefix=node.folder / "q")
    for each in node, second:
        each.mount("web", WEB)
    run(node).expect_log("Policy Sync API is off")
    node.put("default.yaml", settings(policySyncPathPrefix=str(node.prefix)))
    node.expect_socket("web")
    with Client(node.socket("web")) as client:
        client.expect_in_sync().expect_state(told(WORLD, WEB))
        node.put("default.yaml", settings(policySyncPathPrefix=str(second.prefix)))
        node.expect_no_socket("web")
        client.expect(lambda each: each.code is not None, "the end of the stream")
    assert wait_for(second.socket("web").is_socket, SECONDS)
    with Client(second.socket("web")) as client:
        client.expect_in_sync().expect_state(told(WORLD, WEB))
        node.put("default.yaml", settings(policySyncPathPrefix=""))
        client.expect(lambda each: each.code is not None, "the end of the stream")
    assert wait_for(lambda: not second.socket("web").exists(), SECONDS)
    node.put("default.yaml", settings(policySyncPathPrefix=str(node.prefix)))
    node.expect_socket("web")
    node.put("default.yaml", settings(policySyncPathPrefix=str(node.prefix), logSeverityScreen="Debug"))
    node.put("other.yaml", settings("node.other"))
    assert len(node.lines(SERVING)) == 3
    second.close()


def test_file_in_the_way(node):
    node.prefix.write_text("mine")
    run(node, "--policy-sync-prefix", node.prefix / "deeper")
    node.expect_log(CANNOT_SERVE, str(node.prefix / "deeper"), level="error")
    assert node.prefix.read_text() == "mine"
    node.prefix.unlink()
    node.expect_log(SERVING)
    assert len(node.lines(CANNOT_SERVE)) == 1, "it is said once"


def test_name_too_long_for_the_system(node):
    prefix = node.folder / ("x" * 256)
    run(node, "--policy-sync-prefix", prefix).expect_log(CANNOT_SERVE, "x" * 100)


def test_long_prefix(node):
    """Longer than the address of a socket; whoever sees it under a shorter path can connect."""
    node.prefix = node.folder / ("x" * 200) / ("y" * 200)
    run(node, "--policy-sync-prefix", node.prefix)
    node.mount("web", WEB)
    (node.folder / "short").symlink_to(node.socket("web").parent)
    with Client(node.folder / "short" / "socket") as client:
        client.expect_in_sync().expect_state(told(WORLD, WEB))


@pytest.fixture
def namespace():
    made = Node()
    yield made
    made.close()


def test_read_only_file_system(namespace):
    """Nothing can be made under the prefix: it is said once, and had as soon as it can be."""
    namespace.must("mount", "-o", "remount,ro", "/run/k/agent")
    with agent(node=namespace, prefix="/run/k/agent/p", started=False, world=WORLD) as node:
        node.run("--directory", node.resources, "--node", NODE, "--policy-sync-prefix", node.prefix)
        node.expect_log(CANNOT_SERVE, "/run/k/agent/p", level="error")
        namespace.must("mount", "-o", "remount,rw", "/run/k/agent")
        node.expect_log(SERVING)
        node.path("mount").mkdir()
        namespace.must("mount", "-t", "tmpfs", "-o", "ro", "tmpfs", "/run/k/agent/p/mount")
        node.write_credentials("web", credentials_of(WEB))
        node.expect_log("Cannot serve a workload", "/run/k/agent/p/mount/web", level="error", workload=WEB)
        namespace.must("mount", "-o", "remount,rw", "/run/k/agent/p/mount")
        node.expect_socket("web")
        assert len(node.lines("Cannot serve a workload")) == 1


# ---- what else changes while it runs ----------------------------------------------------------------


def test_log_severity(node):
    run(node, "--policy-sync-prefix", node.prefix)
    node.put("default.yaml", settings(logSeverityScreen="Debug"))

    def connects():
        with socket.socket(socket.AF_UNIX) as client:
            client.connect(str(node.socket("web")))
        return node.lines("Peer connected", level="debug")

    node.mount("web", WEB)
    assert wait_for(connects, SECONDS)
    node.put("default.yaml", settings(logSeverityScreen="Error"))
    node.put("bad.yaml", "{")
    node.expect_log("Bad resource", file="bad.yaml")
    node.mount("other", WEB)
    node.put("bad.yaml", "[")
    node.expect_log("Bad resource", file="bad.yaml", count=2)
    assert not node.lines("Serving a workload", volume="other")


def test_ports(node):
    """Opened, moved and closed; a taken one is reported, and had when it is free."""
    ports = [free_port() for _ in range(4)]
    run(node, "--policy-sync-prefix", node.prefix)
    node.put("default.yaml", settings(healthEnabled=True, healthPort=ports[0], prometheusMetricsEnabled=True,
                                      prometheusMetricsPort=ports[1]))
    assert expect_http(ports[0], "/liveness", 200) == "ok\n"
    expect_http(ports[0], "/readiness", 200)
    expect_http(ports[0], "/metrics", 404)
    expect_http(ports[1], "/liveness", 404)
    body = expect_http(ports[1], "/metrics", 200)
    for line in body.splitlines():
        assert line.startswith("#") or re.fullmatch(r'[a-z_]+(\{([a-z_]+="[^"\n]*",?)*\})? [0-9.e+-]+', line), line
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", ports[2]))
        holder.listen()
        node.put("default.yaml", settings(healthEnabled=True, healthPort=ports[2], prometheusMetricsEnabled=True,
                                          prometheusMetricsPort=ports[3]))
        expect_http(ports[3], "/metrics", 200)
        node.expect_log("Cannot open an HTTP port", str(ports[2]), level="error")
        assert http(ports[0], "/liveness") is None and http(ports[1], "/metrics") is None
    expect_http(ports[2], "/liveness", 200)
    node.put("default.yaml", settings(healthEnabled=False, prometheusMetricsEnabled=True, prometheusMetricsPort=ports[3]))
    expect_http(ports[2], "/liveness", None)
    node.remove("default.yaml")
    expect_http(ports[3], "/metrics", None)


def test_wrong_settings_leave_the_last_good_ones(node):
    port = free_port()
    run(node)
    node.put("default.yaml", settings(healthEnabled=True, healthPort=port, policySyncPathPrefix=str(node.prefix)))
    expect_http(port, "/readiness", 200)
    for field, value in [("healthPort", 70000), ("policySyncPathPrefix", "relative"), ("healthHost", "a b"),
                         ("logSeverityScreen", "loud"), ("healthEnabled", "maybe")]:
        node.put("default.yaml", settings(**{"healthEnabled": True, "healthPort": port + 1, field: value}))
        node.expect_log("Bad resource", f"spec.{field}", file="default.yaml", count=len(node.lines("Bad resource")) or 1)
        expect_http(port, "/readiness", 200)


def test_readiness_tells_what_is_missing(node):
    port = free_port()
    node.prefix.write_text("in the way")
    run(node, "--policy-sync-prefix", node.prefix, FELIX_HEALTHENABLED="true", FELIX_HEALTHPORT=str(port))
    assert "cannot be served" in expect_http(port, "/readiness", 503)
    expect_http(port, "/liveness", 200)
    node.prefix.unlink()
    expect_http(port, "/readiness", 200)


def _cluster(ready):
    return resource("ClusterInformation default", {"clusterGUID": "a", "datastoreReady": ready})


def test_datastore_that_is_not_ready_holds_everything(node):
    port = free_port()
    run(node, "--policy-sync-prefix", node.prefix, FELIX_HEALTHENABLED="true", FELIX_HEALTHPORT=str(port))
    with Client(node.mount("web", WEB)) as client:
        client.expect_in_sync()
        node.put("cluster.yaml", _cluster(False))
        assert "not ready" in expect_http(port, "/readiness", 503)
        known = client.known()
        changed = merged(WORLD, {"GlobalNetworkPolicy p": {"ingress": [{"action": "Deny"}]}, "Namespace new": {}})
        node.put_world(changed)
        with Client(node.mount("late", "bank/late-0")) as late:  # who comes meanwhile is told what is in force
            late.expect_state(told(WORLD, "bank/late-0"))
        assert client.known() == known and client.code is None
        node.put("cluster.yaml", _cluster(True))
        client.expect_state(told(changed, WEB))
        expect_http(port, "/readiness", 200)


def test_datastore_that_is_not_ready_at_the_start(node):
    """Nothing is in sync, so sidecars keep what they have."""
    node.put("cluster.yaml", _cluster(False))
    run(node, "--policy-sync-prefix", node.prefix)
    with Client(node.mount("web", WEB)) as client:
        node.put_world(merged(WORLD, {"Namespace new": {}}))
        node.mount("other", WEB)
        assert not client.kinds
        node.remove("cluster.yaml")
        client.expect_state(told(merged(WORLD, {"Namespace new": {}}), WEB))


# ---- the end, and what is refused at once -----------------------------------------------------------


@pytest.mark.parametrize("signals", [[signal.SIGTERM], [signal.SIGINT], [signal.SIGTERM] * 2,
                                     [signal.SIGTERM, signal.SIGINT, signal.SIGTERM]])
def test_stop(node, signals):
    """Status 0, streams ended, sockets gone; impatience changes nothing."""
    run(node, "--policy-sync-prefix", node.prefix)
    with Client(node.mount("web", WEB)) as client:
        client.expect_in_sync()
        for each in signals:
            node.process.send_signal(each)
        assert node.process.wait(SECONDS) == 0
        client.expect(lambda each: each.code is not None, "the end of the stream")
    assert not node.socket("web").exists()
    assert node.lines("Stopping")


def refused(node, status, culprits, *arguments, **environment):
    done = subprocess.run([str(FELIX), *map(str, arguments)], capture_output=True, text=True, timeout=SECONDS,
                          stdin=subprocess.DEVNULL, cwd=node.folder, env={**os.environ, **environment})
    lines = [line for line in done.stderr.splitlines() if not line.startswith("Try: ")]
    assert (done.returncode, len(lines), done.stdout) == (status, 1, ""), (done.returncode, done.stderr)
    for culprit in culprits:
        assert culprit in lines[0], lines[0]


BAD_OPTIONS = {
    "unknown flag": (["--frobnicate"], ["--frobnicate"]),
    "no value": (["--node"], ["--node"]),
    "a value too many": (["--help=x"], ["--help"]),
    "a word": (["surplus"], ["surplus"]),
    "a word behind flags": (["--node", "a", "surplus"], ["surplus"]),
    "no directory": (["--datastore", "directory"], ["--directory"]),
    "unknown datastore": (["--datastore", "etcd"], ["--datastore", "etcd"]),
    "node": (["--node", "a b"], ["--node", "a b"]),
    "relative prefix": (["--policy-sync-prefix", "p"], ["--policy-sync-prefix", '"p"']),
    "prefix too long": (["--policy-sync-prefix", "/" + "x" * 1024], ["--policy-sync-prefix", "1,024"]),
    "prefix of two lines": (["--policy-sync-prefix", "/a\nb"], ["--policy-sync-prefix", "\\x0a"]),
    "dataplane": (["--dataplane", "iptables"], ["--dataplane", "iptables"]),
    "log level": (["--log-level", "loud"], ["--log-level", "loud"]),
    "log format": (["--log-format", "xml"], ["--log-format", "xml"]),
    "config file": (["--config-file", "/nowhere/felix.cfg"], ["--config-file", "/nowhere/felix.cfg"]),
    "config file that is a folder": (["-c", "/"], ['"/"']),
}


@pytest.mark.parametrize("arguments, culprits", BAD_OPTIONS.values(), ids=BAD_OPTIONS)
def test_bad_options(node, arguments, culprits):
    refused(node, 2, culprits, *arguments)


BAD_VALUES = {"HealthEnabled": "maybe", "HealthHost": "a b", "HealthPort": "0", "PrometheusMetricsPort": "65536",
              "PrometheusMetricsEnabled": "2", "PolicySyncPathPrefix": "relative", "LogSeverityScreen": "loud",
              "FelixHostname": "a/b", "DatastoreType": "etcdv3", "Dataplane": "ebpf", "PrometheusMetricsHost": "x;y"}


@pytest.mark.parametrize("name", BAD_VALUES)
def test_bad_values(node, name):
    """In the environment, and in a file, whose line is named."""
    value = BAD_VALUES[name]
    arguments = ["--directory", node.resources]
    refused(node, 2, ["environment", name, value], *arguments, **{f"FELIX_{name.upper()}": value})
    (node.folder / "cfg").write_text(f"# one\n\n{name} = {value}\n")
    refused(node, 2, [f"{node.folder}/cfg:3", name, value], *arguments, "-c", node.folder / "cfg")


@pytest.mark.parametrize("content, culprit", [("Word\n", ":1"), ("A=b\nHealthPort\n", ":2"), ("\0" * 100, ":1")])
def test_bad_file(node, content, culprit):
    (node.folder / "cfg").write_text(content)
    refused(node, 2, [f"{node.folder}/cfg{culprit}"], "-c", node.folder / "cfg", "--directory", node.resources)


def test_directory_that_is_not_there(node):
    """It cannot start."""
    refused(node, 1, ["/nowhere/at-all"], "--directory", "/nowhere/at-all")
