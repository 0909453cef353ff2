"""felix' configuration: where a value comes from, and what is refused at once."""

import contextlib
import os
import re
import socket
import subprocess

import pytest

from felix_settings import SERVING, WEB, WORLD, free_port, http, run, settings
from node_agent import FELIX, NODE, SECONDS, agent
from server import wait_for
from sync_client import Client


@pytest.fixture
def node():
    """Not started, and with nothing on its command line but the directory."""
    with agent(world=WORLD, started=False) as made:
        yield made


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


def test_interface_prefix(node):
    """Of the list the first; of a FelixConfiguration as soon as it changes."""
    run(node, "--policy-sync-prefix", node.prefix)

    def named(prefix):
        return lambda sidecar: all(update.endpoint.name.startswith(prefix) and len(update.endpoint.name) == len(prefix) + 11
                                   for update in sidecar.endpoints.values()) and sidecar.in_sync

    with Client(node.mount("web", WEB)) as sidecar:
        sidecar.expect(named("cali"), "the built in prefix")
        node.put("default.yaml", settings(interfacePrefix="eni,veth"))
        sidecar.expect(named("eni"), "the prefix of the FelixConfiguration")
        node.remove("default.yaml")
        sidecar.expect(named("cali"), "the built in prefix again")


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
        "INTERFACEPREFIX": ("eni,veth", node.is_running),
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


# ---- what is refused at once ----------------------------------------------------------------------


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
    "a directory for a cluster": (["--datastore", "kubernetes", "--directory", "/tmp"], ["--directory", "kubernetes"]),
    "unknown datastore": (["--datastore", "etcd"], ["--datastore", "etcd"]),
    "node": (["--node", "a b"], ["--node", "a b"]),
    "relative prefix": (["--policy-sync-prefix", "p"], ["--policy-sync-prefix", '"p"']),
    "prefix too long": (["--policy-sync-prefix", "/" + "x" * 4095], ["--policy-sync-prefix", "4095"]),
    "prefix of two lines": (["--policy-sync-prefix", "/a\nb"], ["--policy-sync-prefix", "\\x0a"]),
    "dataplane": (["--dataplane", "iptables"], ["--dataplane", "iptables"]),
    "log level": (["--log-level", "loud"], ["--log-level", "loud"]),
    "log format": (["--log-format", "xml"], ["--log-format", "xml"]),
    "empty directory": (["--directory", ""], ["--directory", "empty"]),
    "empty node": (["--node="], ["--node", "empty"]),
    "config file": (["--config-file", "/nowhere/felix.cfg"], ["--config-file", "/nowhere/felix.cfg"]),
    "config file that is a folder": (["-c", "/"], ['"/"']),
}


@pytest.mark.parametrize("arguments, culprits", BAD_OPTIONS.values(), ids=BAD_OPTIONS)
def test_bad_options(node, arguments, culprits):
    refused(node, 2, culprits, *arguments)


BAD_VALUES = {"HealthEnabled": "maybe", "HealthHost": "a b", "HealthPort": "0", "PrometheusMetricsPort": "65536",
              "PrometheusMetricsEnabled": "2", "PolicySyncPathPrefix": "relative", "LogSeverityScreen": "loud",
              "FelixHostname": "a/b", "DatastoreType": "etcdv3", "Dataplane": "ebpf", "InterfacePrefix": "a.b", "PrometheusMetricsHost": "x;y"}


@pytest.mark.parametrize("name", BAD_VALUES)
def test_bad_values(node, name):
    """In the environment, and in a file, whose line is named."""
    value = BAD_VALUES[name]
    arguments = ["--directory", node.resources]
    refused(node, 2, ["environment", name, value], *arguments, **{f"FELIX_{name.upper()}": value})
    (node.folder / "cfg").write_text(f"# one\n\n{name} = {value}\n")
    refused(node, 2, [f"{node.folder}/cfg:3", name, value], *arguments, "-c", node.folder / "cfg")


@pytest.mark.parametrize("content, culprit", [("Word\n", ":1"), ("A=b\nHealthPort\n", ":2"), ("\0" * 100, ":1"),
                                              ("HealthPort = \0\n", ":1")], ids=["word", "no value", "NULs", "NUL"])
def test_bad_file(node, content, culprit):
    (node.folder / "cfg").write_text(content)
    refused(node, 2, [f"{node.folder}/cfg{culprit}"], "-c", node.folder / "cfg", "--directory", node.resources)


def test_directory_that_is_not_there(node):
    """It cannot start."""
    refused(node, 1, ["/nowhere/at-all"], "--directory", "/nowhere/at-all")
