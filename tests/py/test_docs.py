"""Manual pages and completion know every option, and the manual's example does what it says."""

import os
import pathlib
import re
import shlex
import signal
import subprocess

import pytest

from csi_driver import CSI_DRIVER
from node import UDS
from server import DIKASTES, wait_for

ROOT = pathlib.Path(__file__).parents[2]
MANUALS = ROOT / "docs" / "man"
MANUAL = MANUALS / "dikastes.8"
COMPLETIONS = ROOT / "completions"
FELIX = DIKASTES.parent / "felix"
COMMANDS = ["server", "client", "health"]


def run(*args, **options):
    return subprocess.run(args, check=False, capture_output=True, text=True, timeout=30, **options)


def options_of(*command):
    """Every option of --help: a set of names, with the dashes."""
    shown = run(*map(str, command), "--help").stdout
    lines = re.findall(r"^  (?:(-\w), |    )(--[\w-]+)", shown, re.MULTILINE)
    assert len(lines) > 1, shown
    return {name for line in lines for name in line if name}


def manual_options(manual, subsection):
    """The options that a subsection explains."""
    text = manual.read_text(encoding="utf-8").split(f".Ss {subsection}\n")[1]
    section = re.split(r"^\.S[sh] ", text, flags=re.MULTILINE)[0]
    items = re.findall(r"^\.It (Fl .*)", section, re.MULTILINE)
    return {"-" + name for item in items for name in re.findall(r"(?:Fl |, )(-?[a-z][\w-]*)", item)}


def complete(*words, program="dikastes"):
    """What completion offers for the last word."""
    script = ('source "$0"; compopt() { :; }; COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); '
              f'_{program}; printf "%s\\n" "${{COMPREPLY[@]}}"')
    done = run("bash", "-c", script, str(COMPLETIONS / f"{program}.bash"), *words)
    assert done.returncode == 0 and not done.stderr, done.stderr
    return set(done.stdout.split())


@pytest.mark.parametrize("command", COMMANDS)
def test_manual_has_just_the_options(command):
    assert manual_options(MANUAL, f"dikastes {command}") == options_of(DIKASTES, command)


def test_manual_of_uds_has_just_the_options():
    assert manual_options(MANUALS / "uds.8", "Options") == options_of(UDS)


def test_manual_of_csi_driver_has_just_the_options():
    assert manual_options(MANUALS / "csi-driver.8", "Options") == options_of(CSI_DRIVER)


def test_manual_of_felix_has_just_the_options():
    assert manual_options(MANUALS / "felix.8", "felix") == options_of(FELIX)
    assert manual_options(MANUALS / "felix.8", "felix check") == options_of(FELIX, "check")


def test_completion_of_felix():
    assert complete("felix", "-", program="felix") == options_of(FELIX)
    assert complete("felix", "check", "-", program="felix") == options_of(FELIX, "check")
    assert complete("felix", "c", program="felix") == {"check"}
    assert complete("felix", "--datastore", "d", program="felix") == {"directory"}


@pytest.mark.parametrize("command", COMMANDS)
def test_completion_has_just_the_options(command):
    assert complete("dikastes", command, "-") == options_of(DIKASTES, command)


def test_completion_of_words():
    assert complete("dikastes", "") == set(COMMANDS)
    assert complete("dikastes", "s") == {"server"}
    assert complete("dikastes", "health", "") == {"liveness", "readiness"}
    assert complete("/libexec/healthz", "r") == {"readiness"}
    assert complete("/libexec/healthz", "--d") == {"--dial-path"}
    assert complete("dikastes", "server", "--log-level", "w") == {"warning"}
    assert complete("dikastes", "server", "--workload", "") == set()
    assert "--version" in complete("dikastes", "-")


@pytest.mark.parametrize("manual", sorted(MANUALS.iterdir()), ids=lambda path: path.name)
def test_manual_is_well_formed(manual):
    done = run("man", "--warnings", "-l", str(manual),
               env={**os.environ, "LC_ALL": "C.UTF-8", "MANWIDTH": "100"})
    assert done.returncode == 0 and not done.stderr, done.stderr
    assert manual.name.removesuffix(".8") in done.stdout


def example():
    """The commands of the manual's first examples: [(command, the output that it shows)]."""
    text = MANUAL.read_text(encoding="utf-8").split(".Sh EXAMPLES")[1].split("Under a node agent")[0]
    blocks = re.findall(r"^\.Bd .*\n((?:.*\n)*?)\.Ed", text, re.MULTILINE)
    lines = "".join(blocks).replace("\\e\n", "")
    return re.findall(r"^\$ (.*)\n((?:(?!\$).*\n)*)", lines, re.MULTILINE)


def test_manual_s_example(tmp_path):
    socket = tmp_path / "s"
    bin_path = f"{DIKASTES.resolve().parent}:{os.environ['PATH']}"
    server = None
    try:
        for command, shown in example():
            here = command.replace("/tmp/d.sock", str(socket)).replace("/tmp/policy", str(tmp_path / "p"))
            if here.startswith("cat > "):
                pathlib.Path(shlex.split(here)[2]).write_text(shown, encoding="utf-8")
            elif here.endswith("&"):
                server = subprocess.Popen(shlex.split(here.removesuffix("&")),
                                          env={**os.environ, "PATH": bin_path})
                assert wait_for(socket.exists)
            elif here == "echo $?":
                assert f"{done.returncode}\n" == shown
            else:
                done = run("sh", "-c", here, env={**os.environ, "PATH": bin_path})
                assert done.stdout == shown, done.stderr
    finally:
        server.send_signal(signal.SIGTERM)
        assert server.wait(timeout=10) == 0
