"""A server whose directory is changed while it runs.

The pod bank/web-0 is isolated from the start; each policy of `allow` then opens it to
one HTTP method, so that `in_force` tells which policies the server goes by.
"""

import json
import os
import re
import shutil
import subprocess
import time

import scenario
from calculation import resources
from protos import ext_authz, ext_authz_grpc
from server import CUSTOMER, DIKASTES, WEB, Server, wait_for

METHODS = ["GET", "HEAD", "PUT", "POST", "PATCH", "DELETE"]
STILL_SECONDS = 0.4  # how long a wrong change is waited for


def allow(method, name=None, **spec):
    """A policy that lets requests of one method in; its name is the method's unless given."""
    rule = {"action": "Allow", "http": {"methods": [method]}}
    return resources.resource(f"NetworkPolicy bank/{name or method.lower()}",
                              {"selector": "app == 'web'", "ingress": [rule], **spec})


def isolated():
    return resources.resource("NetworkPolicy bank/isolated", {"selector": "app == 'web'"})


def text(*documents):
    return resources.dump(documents)


_LOGFMT = re.compile(r'([a-z_]+)=("(?:[^"\\]|\\.)*"|[^\s"]*)(?: |$)')


def log_fields(line):
    """A line of logfmt as a dictionary; whatever is not of that form fails."""
    fields, at = {}, 0
    while at < len(line):
        match = _LOGFMT.match(line, at)
        assert match, f"not logfmt: {line!r}"
        value = match[2]
        fields[match[1]] = json.loads(value) if value.startswith('"') else value
        at = match.end()
    return fields


class WatchedServer(Server):
    """Server with an isolated pod, methods to change its directory, and to see what it does."""

    def __init__(self):
        super().__init__()
        (self.resources / "policy.yaml").unlink()
        self.write("isolated.yaml", [isolated()])
        self._channel = None

    def path(self, name):
        return self.resources / name

    def put(self, name, content):
        """Writes a file in place."""
        self.path(name).write_text(content, encoding="utf-8")

    def start_ready(self):
        self.start()
        return self._ready()

    def start_as_nobody(self):
        """As a user for whom file modes count, which root is not."""
        self.folder.chmod(0o777)
        program = self.folder / "dikastes"  # the build may lie where nobody can reach
        shutil.copy(DIKASTES, program)
        program.chmod(0o755)
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen(
                [str(program), "server", "-l", str(self.socket), "-d", f"directory:{self.resources}",
                 "--workload", "bank/web-0"], stdin=subprocess.DEVNULL, stderr=log,
                user="nobody" if os.geteuid() == 0 else None)
        return self._ready()

    def _ready(self):
        self.wait_until_ready()
        self._channel = self.channel()
        return self

    def close(self):
        if self._channel:
            self._channel.close()
        super().close()

    def verdict(self, **given):
        """(code, reason) of a check."""
        raw = scenario.request({"from": CUSTOMER, "to": WEB, **given}).SerializeToString()
        answer = ext_authz_grpc.AuthorizationStub(self._channel).Check(
            ext_authz.CheckRequest.FromString(raw), timeout=10)
        return answer.status.code, answer.dynamic_metadata["reason"]

    def in_force(self):
        """The methods that are let in; None if any verdict is a refusal for want of policy."""
        codes = {method: self.verdict(method=method)[0] for method in METHODS}
        if not set(codes.values()) <= {0, 7}:
            return None
        return {method for method, code in codes.items() if code == 0}

    def expect(self, *methods):
        """Waits until just these methods are let in."""
        self.expect_that(self.in_force, set(methods))

    def expect_verdict(self, code, reason, **given):
        self.expect_that(lambda: self.verdict(**given), (code, reason))

    def expect_that(self, ask, wanted):
        seen = []

        def as_wanted():
            seen[:] = [ask()]
            return seen[0] == wanted

        assert wait_for(as_wanted), f"{seen[0]} instead of {wanted}; the log:\n{self._log_of_files()}"

    def expect_no_change(self, *methods):
        """What is in force stays so for a while."""
        end = time.monotonic() + STILL_SECONDS
        while time.monotonic() < end:
            assert self.in_force() == set(methods)

    def _log_of_files(self):
        return "".join(line for line in self.log.read_text(encoding="utf-8").splitlines(True)
                       if "about requests" not in line and "Denied request" not in line)

    def reports(self, **wanted):
        """The log's lines (as dictionaries) about a file, or all."""
        lines = [log_fields(line) for line in self.log.read_text(encoding="utf-8").splitlines()]
        return [line for line in lines
                if all(str(line.get(key)) == str(value) for key, value in wanted.items())]

    def expect_report(self, file, *parts, **wanted):
        """Waits for the one line (of those that are wanted) about a file; all parts stand in it."""
        assert wait_for(lambda: self.reports(file=file, **wanted)), \
            f"nothing about {file} in the log:\n{self._log_of_files()}"
        line, = self.reports(file=file, **wanted)
        for part in parts:
            assert any(part in str(value) for value in line.values()), f"no {part!r} in {line}"
        return line


def replace_link(link, target):
    """Makes a symbolic link, in one step if there is one already."""
    new = link.with_name(link.name + ".new-link")
    os.symlink(target, new)
    os.replace(new, link)
