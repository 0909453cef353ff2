"""felix as a process of its own: on a directory, a prefix with credentials as the volume drivers write them, and a log.

    agent.put("a.yaml", resource, …)          a file of the directory, in one step
    agent.mount("web", "bank/web-0")          credentials and folder of a volume
    agent.expect_log("Serving a workload")    waits for a line
"""

import contextlib
import json
import os
import pathlib
import shutil
import signal
import subprocess
import tempfile

from calculation import resources
from calculation.watched import log_fields
from probe import BUILD
from server import wait_for

FELIX = BUILD / "bin" / "felix"
SECONDS = 60  # how long anything may take before a test gives up; nothing needs it
NODE = "node-1"


def replace(path, content):
    """Writes a file beside, and puts it in its place."""
    new = path.with_name(f".{path.name}.new")
    new.write_bytes(content if isinstance(content, bytes) else content.encode())
    os.replace(new, path)


def credentials_of(workload, account="", uid="a-uid"):
    namespace, _, name = workload.partition("/")
    return {"UID": uid, "Workload": name, "Namespace": namespace, "ServiceAccount": account}


class Agent:
    """One felix with its own folder; with a Node (node.py) it runs in that mount namespace."""

    def __init__(self, node=None, prefix=None):
        # A short path: the name of a socket has little room.
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="dikast-"))
        self.resources = self.folder / "resources"
        self.resources.mkdir()
        self.prefix = pathlib.Path(prefix or self.folder / "p")
        self.log = self.folder / "log"
        self.log.touch()
        self.node = node
        self.process = None

    # ---- the process ----------------------------------------------------------------

    def run(self, *arguments, environment=None):
        """Starts it with just these arguments, and nothing of ours in its environment."""
        if not os.access(FELIX, os.X_OK):
            raise FileNotFoundError(f"{FELIX} is not there: build it first")
        command = [str(FELIX), *map(str, arguments)]
        clean = {name: value for name, value in os.environ.items() if not name.upper().startswith("FELIX_")}
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen(self.node.command(*command) if self.node else command,
                                            stdin=subprocess.DEVNULL, stderr=log, env={**clean, **(environment or {})})
        return self

    def start(self, *arguments, environment=None):
        """On its directory and prefix; in sync on return."""
        self.run("--directory", self.resources, "--node", NODE, "--policy-sync-prefix", self.prefix, *arguments,
                 environment=environment)
        assert wait_for(lambda: self.is_running() and (self.path("creds")).is_dir(), SECONDS), self.journal()
        return self

    def start_as(self, user):
        """As a user for whom file modes count, which root is not."""
        program = self.folder / "felix"  # the build may lie where that user cannot reach
        shutil.copy(FELIX, program)
        program.chmod(0o755)
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen(
                [str(program), "--directory", str(self.resources), "--node", NODE,
                 "--policy-sync-prefix", str(self.prefix)],
                stdin=subprocess.DEVNULL, stderr=log, user=user, group="nogroup", extra_groups=[])
        self.expect_log("Serving the Policy Sync API")
        return self

    def is_running(self):
        status = self.process.poll()
        assert status is None, f"felix ended with {status}; its log:\n{self.journal()}"
        return True

    def stop(self, number=signal.SIGTERM):
        """Sends the signal and returns the exit status."""
        self.process.send_signal(number)
        return self.process.wait(timeout=SECONDS)

    def close(self):
        """Stops it; what a sanitizer found comes out here at the latest."""
        try:
            if self.process and self.process.returncode is None:
                self.is_running()
                self.process.send_signal(signal.SIGCONT)
                assert self.stop() == 0, self.journal()
            assert "runtime error" not in self.log.read_text(errors="replace"), self.journal()
        finally:
            if self.process and self.process.poll() is None:
                self.process.kill()
                self.process.wait()
            shutil.rmtree(self.folder, ignore_errors=True)

    def _status(self, name):
        for line in pathlib.Path(f"/proc/{self.process.pid}/status").read_text().splitlines():
            if line.startswith(name + ":"):
                return int(line.split()[1])
        raise AssertionError(f"no {name}: felix is gone")

    def memory(self):
        """Resident, in KiB."""
        return self._status("VmRSS")

    def files(self):
        """Open file descriptors."""
        return len(os.listdir(f"/proc/{self.process.pid}/fd"))

    # ---- the directory -----------------------------------------------------------------

    def put(self, name, *documents):
        """Documents are resources, or text.  Resources are written as JSON, which is YAML too, and quick to write."""
        parts = [each if isinstance(each, str) else json.dumps(each) for each in documents]
        replace(self.resources / name, "\n---\n".join(parts))

    def put_world(self, world, name="world.yaml"):
        """{name: short content}, as calculation/resources.py has it."""
        self.put(name, *[resources.resource(*entry) for entry in world.items()])

    def remove(self, name):
        (self.resources / name).unlink()

    # ---- volumes -------------------------------------------------------------------------

    def path(self, *parts):
        """A file under the prefix, from outside."""
        path = self.prefix.joinpath(*parts)
        return self.node.path(str(path)) if self.node else path

    def socket(self, name):
        return self.path("mount", name, "socket")

    def credentials(self, name):
        return self.path("creds", f"{name}.json")

    def write_credentials(self, name, content):
        """Text, bytes, or an object; in one step."""
        self.path("creds").mkdir(parents=True, exist_ok=True)
        replace(self.credentials(name), content if isinstance(content, (str, bytes)) else json.dumps(content))

    def mount(self, name, workload, **fields):
        """What the drivers do; the socket is there on return, if felix runs."""
        self.path("mount", name).mkdir(parents=True, exist_ok=True)
        self.write_credentials(name, credentials_of(workload, **fields))
        if self.process:
            self.expect_socket(name)
        return self.socket(name)

    def unmount(self, name):
        self.credentials(name).unlink()

    def expect_socket(self, name):
        assert wait_for(lambda: self.is_running() and self.socket(name).is_socket(), SECONDS), self.journal()

    def expect_no_socket(self, name):
        assert wait_for(lambda: self.is_running() and not self.socket(name).exists(), SECONDS), self.journal()

    # ---- the log ---------------------------------------------------------------------------

    def journal(self):
        return self.log.read_text(errors="replace")[-20000:]

    def lines(self, message="", **wanted):
        """The log's lines, as dictionaries, whose message begins so, and which have these fields."""
        found = []
        for line in self.log.read_text(errors="replace").splitlines():
            with contextlib.suppress(AssertionError):  # a sanitizer's
                fields = log_fields(line)
                if fields.get("msg", "").startswith(message) and all(
                        str(fields.get(key)) == str(value) for key, value in wanted.items()):
                    found.append(fields)
        return found

    def expect_log(self, message, *parts, count=1, **wanted):
        """Waits for so many lines; all parts stand in the last one, which is returned."""
        assert wait_for(lambda: self.is_running() and len(self.lines(message, **wanted)) >= count, SECONDS), \
            f"no {message!r} {wanted} in the log:\n{self.journal()}"
        line = self.lines(message, **wanted)[-1]
        for part in parts:
            assert any(part in str(value) for value in line.values()), f"no {part!r} in {line}"
        return line


@contextlib.contextmanager
def agent(*arguments, world=None, node=None, prefix=None, started=True):
    made = Agent(node, prefix)
    try:
        if world:
            made.put_world(world)
        if started:
            made.start(*arguments)
        yield made
    except BaseException:
        with contextlib.suppress(AssertionError, OSError, subprocess.TimeoutExpired):
            made.close()
        raise
    made.close()
