"""Servers and the load generator as processes, each on a core of its own, and what the kernel says about them."""

import contextlib
import os
import shlex
import shutil
import subprocess
import tempfile
import time

SERVER_CORE, LOAD_CORE = 0, 1
START_LIMIT = 30  # seconds; a server that does not serve by then is broken


class WrongAnswer(Exception):
    """A server did not give the verdict that is right: its speed means nothing."""


@contextlib.contextmanager
def _on_core(core):
    """Children that are started meanwhile stay on this core."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {core})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def _popen(command, core, **how):
    with _on_core(core):
        return subprocess.Popen(command, stdin=subprocess.DEVNULL, **how)


class Load:
    """The load generator, for one case."""

    def __init__(self, program, case, folder):
        self.program, self.case = program, case
        self.message = folder / (case.name + ".message")
        self.message.write_bytes(case.message)

    def start(self, socket, **options):
        words = [f"--{name.replace('_', '-')}={value}" for name, value in options.items()]
        return _popen([self.program, "--socket", socket, "--message", self.message, *words], LOAD_CORE,
                      stdout=subprocess.PIPE, text=True)

    def finish(self, process, seconds):
        """What it printed, as numbers."""
        try:
            out, _ = process.communicate(timeout=seconds + START_LIMIT)
        finally:
            process.kill()
        return {name: float(value) for name, value in map(str.split, out.splitlines())}

    def run(self, server, seconds, **options):
        figures = self.finish(self.start(server.socket, seconds=seconds, **options), seconds)
        verdict = server.right_verdict(self.case)
        if figures.get(f"verdict_{verdict}") != figures.get("calls", 0):
            raise WrongAnswer(f"{server.name}, {self.case.name}: not always verdict {verdict}: {figures}")
        return figures


class Server:
    """One server program; in its command {socket}, {directory} and {workload} are replaced."""

    def __init__(self, name, command, verdict=None):
        self.name, self.command = name, shlex.split(command)
        self.verdict = verdict  # what it always says; None: what is right
        self.process = self.folder = self.socket = None

    def right_verdict(self, case):
        return case.verdict if self.verdict is None else self.verdict

    def _words(self, fixture):
        values = {"{socket}": self.socket, "{directory}": str(fixture.directory), "{workload}": fixture.workload}
        words = self.command
        for name, value in values.items():
            words = [word.replace(name, value) for word in words]
        return words

    def start(self, fixture, load):
        """Starts it; milliseconds until it listens, and until it has given its first right verdict, by the clock
        and of CPU time."""
        self.folder = tempfile.mkdtemp(prefix="bench-")
        self.socket = os.path.join(self.folder, "s")
        client = load.start(self.socket, wait=START_LIMIT, calls=1)
        time.sleep(0.02)  # so that it waits already
        began = time.monotonic_ns()
        self.process = _popen(self._words(fixture), SERVER_CORE)
        first = last = load.finish(client, START_LIMIT)
        # A server that listens before it knows its policy may have refused.
        while last.get(f"verdict_{self.right_verdict(load.case)}") != 1:
            if time.monotonic_ns() > began + START_LIMIT * 1e9:
                raise WrongAnswer(f"{self.name} does not start, or not with the right verdict: {last}")
            last = load.finish(load.start(self.socket, calls=1), START_LIMIT)
        return {"listening_ms": (first.get("connected_at_ns", last["connected_at_ns"]) - began) / 1e6,
                "serving_ms": (last["first_answer_at_ns"] - began) / 1e6, "cpu_ms": self.cpu_ns() / 1e6}

    def stop(self):
        if self.process is not None:
            self.process.terminate()
            try:
                self.process.wait(timeout=10)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        if self.folder is not None:
            shutil.rmtree(self.folder)
        self.process = self.folder = None

    def cpu_ns(self):
        """CPU time of all its threads so far, user and system, to the nanosecond: the clock that
        clock_getcpuclockid(3) gives for a process."""
        return time.clock_gettime_ns(~self.process.pid << 3 | 2)

    def memory(self):
        """Resident KiB: all, and what is not a file's."""
        with open(f"/proc/{self.process.pid}/status", encoding="ascii") as lines:
            status = dict(line.split(":", 1) for line in lines)
        return {"resident_kib": int(status["VmRSS"].split()[0]), "private_kib": int(status["RssAnon"].split()[0])}

    def binary_bytes(self):
        """The size of the program without its symbols."""
        with tempfile.NamedTemporaryFile() as stripped:
            subprocess.run(["strip", "-o", stripped.name, shutil.which(self.command[0])], check=True, timeout=60)
            return os.path.getsize(stripped.name)
