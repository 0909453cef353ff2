"""The demo as a user meets it: its exit status, and what it leaves behind."""

import os
import shlex
import signal
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Callable, Iterator

import pytest

from mesh import requirements
from mesh.requirements import Missing, Programs
from world import eventually

DEMO = Path(requirements.REPOSITORY) / "demo" / "yaobank.py"
NAMESPACES = Path("/run/netns")
_SECONDS = 60.0


class Demo:
    """One run of the demo, and the traces it could leave."""

    def __init__(self, *arguments: str, **environment: str) -> None:
        inherited = {name: value for name, value in os.environ.items() if name not in ("KEEP", "FORCE_COLOR")}
        self.process = subprocess.Popen(
            [sys.executable, str(DEMO), *arguments],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env=inherited | environment,
        )
        self._inodes: set[int] = set()

    def read_until(self, text: str) -> list[str]:
        """Follow the story up to a line, note which namespaces it has by then, and return what was told."""
        told = []
        for line in self.process.stdout:
            told.append(line.strip())
            if text in line:
                self._inodes = {path.stat().st_ino for path in self.namespaces()}
                return told
        pytest.fail(f"the demo ended before it said {text!r}")

    def finish(self) -> tuple[int, str]:
        """Let the demo end by itself: its exit status and the rest of what it said."""
        said, _ = self.process.communicate(timeout=_SECONDS)
        return self.process.returncode, said

    def namespaces(self) -> list[Path]:
        """The network namespaces of this run."""
        return list(NAMESPACES.glob(f"yaobank-{self.process.pid}-*"))

    def processes(self) -> list[str]:
        """Whatever still runs in the namespaces that were noted."""
        return [process.name for process in Path("/proc").glob("[0-9]*") if _network_inode(process) in self._inodes]

    def directories(self) -> list[Path]:
        """The run's directory of logs, keys and sockets, while it is there."""
        return list(Path(tempfile.gettempdir()).glob(f"yaobank-{self.process.pid}-*"))

    def mounts(self) -> list[str]:
        """Mounts that the machine should never see: of the run's directory, and of the node's volumes."""
        lines = Path("/proc/self/mountinfo").read_text().splitlines()
        return [line for line in lines if f"/yaobank-{self.process.pid}-" in line and str(NAMESPACES) not in line]

    def assert_nothing_left(self) -> None:
        """No namespace, no process, no file, no mount."""
        assert not self.namespaces()
        assert not self.processes()
        assert not self.directories()
        assert not self.mounts()


def _network_inode(process: Path) -> int | None:
    try:
        return (process / "ns" / "net").stat().st_ino
    except OSError:  # it ended meanwhile
        return None


Start = Callable[..., Demo]


@pytest.fixture(name="start")
def fixture_start(programs: Programs) -> Iterator[Start]:
    """Starts demos; none outlives its test."""
    started: list[Demo] = []

    def start(*arguments: str, **environment: str) -> Demo:
        started.append(Demo(*arguments, **environment))
        return started[-1]

    yield start
    for demo in started:
        if demo.process.poll() is None:
            demo.process.terminate()
            demo.process.communicate(timeout=_SECONDS)


def test_every_step_comes_out_as_told(start: Start) -> None:
    demo = start()
    status, said = demo.finish()
    assert status == 0, said
    assert "✗" not in said and "\033" not in said
    demo.assert_nothing_left()


def test_two_runs_at_once(start: Start) -> None:
    demos = [start(), start()]
    for demo in demos:
        status, said = demo.finish()
        assert status == 0, said


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
@pytest.mark.parametrize("moment", ["Yao Bank opens", "1. ", "9. "])
def test_interrupted_demo_leaves_nothing_behind(start: Start, number: signal.Signals, moment: str) -> None:
    demo = start()
    demo.read_until(moment)
    demo.process.send_signal(number)
    status, said = demo.finish()
    assert status == 128 + number, said
    demo.assert_nothing_left()


def test_kept_bank_stays_open_until_interrupted(start: Start) -> None:
    """And the hints it gives then are good."""
    demo = start(KEEP="1")
    demo.read_until("The bank stays open")
    running = demo.processes()
    hints = [line.removeprefix("# ") for line in demo.read_until("envoy.yaml and logs") if line.startswith("# ")]
    answers = "".join(
        subprocess.check_output(shlex.split(hint, comments=True), stdin=subprocess.DEVNULL, text=True) for hint in hints
    )
    for part in ("balance", "403 Forbidden", "GlobalNetworkPolicy customer", "felix_policy_sync_sockets 3", "/socket"):
        assert part in answers
    assert running and running == demo.processes()
    assert not demo.mounts()
    demo.process.send_signal(signal.SIGINT)
    status, said = demo.finish()
    assert status == 0, said
    demo.assert_nothing_left()


def test_killed_demo_leaves_no_sidecar_running(start: Start) -> None:
    """Not even SIGKILL, which leaves no chance to clean up, leaves programs running."""
    demo = start()
    demo.read_until("7. ")
    namespaces = demo.namespaces()
    demo.process.kill()
    demo.finish()
    try:
        eventually(lambda: not demo.processes(), "programs of a killed demo still run")
    finally:
        for namespace in namespaces:
            subprocess.run(["ip", "netns", "delete", namespace.name], check=True)
        for directory in demo.directories():
            shutil.rmtree(directory)


@pytest.mark.parametrize("name", ["dikastes", "felix", "uds"])
def test_missing_program_is_named(start: Start, name: str) -> None:
    status, said = start(**{name.upper(): f"/nowhere/{name}"}).finish()
    assert status == 2
    assert f"/nowhere/{name}" in said and "Traceback" not in said


@pytest.mark.parametrize("name", ["dikastes", "felix", "uds"])
def test_failed_start_shows_the_log(start: Start, tmp_path: Path, name: str) -> None:
    """A program that ends at once: the demo shows its last words."""
    broken = tmp_path / name
    broken.write_text("#!/bin/sh\necho last words\nexit 9\n")
    broken.chmod(0o755)
    demo = start(**{name.upper(): str(broken)})
    status, said = demo.finish()
    assert status == 1
    assert "last words" in said and "Traceback" not in said
    demo.assert_nothing_left()


def test_temporary_files_that_the_node_would_hide(start: Start) -> None:
    status, said = start(TMPDIR="/run").finish()
    assert status == 2
    assert "TMPDIR" in said and "Traceback" not in said


def test_without_root_it_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    with pytest.raises(Missing, match="must be root"):
        requirements.find_programs()
