"""The C code under test, as one process that answers JSON lines.

Ops and answers are those of the harness build/tests/probe.  A crash fails the
test that caused it; the next request starts a new process.
"""

import base64
import json
import os
import pathlib
import select
import subprocess

ROOT = pathlib.Path(__file__).resolve().parents[2]

# Where the programs are built; a sanitizer build may point elsewhere.
BUILD = ROOT / os.environ.get("DIKAST_BUILD", "build")
PROBE = BUILD / "tests" / "probe"


def b64(raw):
    return base64.b64encode(raw).decode("ascii")


def unb64(text):
    return base64.b64decode(text, validate=True)


class ProbeDied(AssertionError):
    """The process ended instead of answering."""


class Probe:
    ANSWER_SECONDS = 30

    def __init__(self, binary=PROBE):
        self.binary = binary
        self.process = None

    def _start(self):
        if not os.access(self.binary, os.X_OK):
            raise FileNotFoundError(f"{self.binary} is not there: build it first")
        self.process = subprocess.Popen([str(self.binary)], stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE)

    def ask(self, op, **arguments):
        """Sends one operation and returns the answer as a dictionary."""
        if self.process is None:
            self._start()
        line = json.dumps({"op": op, **arguments}).encode("ascii") + b"\n"
        try:
            self.process.stdin.write(line)
            self.process.stdin.flush()
            answer = self._read_line()
        except BrokenPipeError:
            answer = b""
        if not answer.endswith(b"\n"):
            self._bury(line)
        return json.loads(answer)

    def _read_line(self):
        ready, _, _ = select.select([self.process.stdout], [], [], self.ANSWER_SECONDS)
        if not ready:
            self.process.kill()
            return b""
        return self.process.stdout.readline()

    def _bury(self, line):
        self.process.kill()
        status = self.process.wait()
        self.process = None
        raise ProbeDied(f"the probe ended with status {status} on {line[:2000]!r}")

    def close(self):
        """Ends the process in good order; its exit code shows leaks and the like."""
        if self.process is None:
            return
        self.process.stdin.close()
        status = self.process.wait(timeout=self.ANSWER_SECONDS)
        self.process.stdout.close()
        self.process = None
        assert status == 0, f"the probe exited with {status}"

    # The operations, with bytes in and out.

    def path(self, raw):
        """(normal form or None, does it start with "/")."""
        answer = self.ask("path", raw=b64(raw))
        return (unb64(answer["normal"]) if answer["ok"] else None), not answer.get("invalid", False)

    def rule_path(self, raw):
        answer = self.ask("rule_path", raw=b64(raw))
        return unb64(answer["normal"]) if answer["ok"] else None

    def identity(self, principal, trust_domains=None):
        """"none", "unknown" or (trust domain, namespace, account)."""
        pinned = {} if trust_domains is None else {"trust_domains": trust_domains}
        answer = self.ask("identity", principal=b64(principal), **pinned)
        if answer["kind"] != "spiffe":
            return answer["kind"]
        return tuple(unb64(answer[key]) for key in ("trust_domain", "namespace", "account"))

    def selector(self, text):
        return self.ask("selector", text=b64(text))

    def selector_match(self, text, labels):
        answer = self.ask("selector_eval", text=b64(text), labels=labels)
        assert answer["ok"], f"{text!r} should parse: {answer}"
        return answer["match"]

    def cidr(self, text):
        answer = self.ask("cidr", text=b64(text))
        return answer["normal"] if answer["ok"] else None

    def address(self, text):
        answer = self.ask("address", text=b64(text))
        return answer["normal"] if answer["ok"] else None

    def decode(self, raw):
        return self.ask("decode", request=b64(raw))

    def reset(self, trust_domains=None):
        pinned = {} if trust_domains is None else {"trust_domains": trust_domains}
        assert self.ask("reset", **pinned)["ok"]

    def sync(self, messages):
        assert self.try_sync(messages)

    def try_sync(self, messages):
        """Whether all of the messages decoded."""
        return self.ask("sync", messages=[b64(message) for message in messages])["ok"]

    def check(self, request):
        return self.ask("check", request=b64(request))
