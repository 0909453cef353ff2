"""An API server that talks nonsense, of many kinds at once: nothing is opened by it, nor forgotten, it takes no memory and
no rest; what is wrong is said; and when the server talks sense again all is well."""

import gzip
import json
from itertools import count, repeat
from pathlib import Path
from typing import Callable, Iterator

import pytest
from agents import IS_SANITIZED, ClusterAgent, agent_of, client_of
from client import Object
from fake import Answer, FakeServer, Nonsense, Request, event, list_end, listed
from fake_world import PATHS, POLICIES, WEB, expected, kubeconfig, things

MEMORY_KIB = 96 * 1024  # more than objects of the greatest size take while they are looked at


# ---- nonsense ------------------------------------------------------------------------------------------------


GONE = event("ERROR", {"kind": "Status", "code": 410, "message": "too old resource version"})


def plain(body: bytes, **how: object) -> Nonsense:
    """The same for whatever is asked for."""
    return lambda request: Answer(body, **how)


def as_json(value: object) -> Nonsense:
    return plain(json.dumps(value).encode())


def endless(piece: bytes, first: bytes = b"") -> Nonsense:
    """As much of it as is taken."""

    def pieces() -> Iterator[bytes]:
        yield first + piece
        yield from repeat(piece)

    return lambda request: Answer(pieces())


def events(*lines: bytes) -> Nonsense:
    """To a watch; a list of the same kind is in order."""
    return lambda request: Answer(lines) if request.is_watch else Answer(json.dumps(listed([])).encode())


def pages(page: Callable[[Request], Object]) -> Nonsense:
    """To a list; streamed ones are not understood, and a watch is told to list anew."""

    def answer(request: Request) -> Answer:
        if "sendInitialEvents" in request.query:
            return Answer(b'{"message":"sendInitialEvents: Forbidden"}', 422)
        if request.is_watch:
            return Answer([GONE])
        return Answer(json.dumps(page(request)).encode())

    return answer


def gone_at_once(request: Request) -> Answer:
    """Every version is too old, also that of the list which came just now, in which all is as it was."""
    told = [event("ADDED", thing) for thing in things()[request.path]]
    return Answer([*told, list_end(), GONE] if "sendInitialEvents" in request.query else [GONE])


_tokens = count()
NAMED = {"metadata": {"name": "x", "namespace": "x", "resourceVersion": "1"}}

# Name → the answer, and a part of what is said of it.
SORTS: dict[str, tuple[Nonsense, str]] = {
    "no JSON": (plain(b'{"kind": nope'), "no JSON|broke off"),
    "nothing": (plain(b""), "ended too soon|broke off"),
    "a page": (plain(b"<html>404</html>"), "no JSON as expected"),
    "an error as a success": (as_json({"kind": "Status", "status": "Failure", "code": 403}), "event without an object"),
    "an empty object": (as_json({}), "event without an object"),
    "a list": (as_json([]), "an object was expected"),
    "no version": (pages(lambda request: {"kind": "List", "metadata": {}, "items": []}), "no resourceVersion"),
    "no items": (pages(lambda request: {"kind": "List", "metadata": {"resourceVersion": "1"}}), "is no list"),
    "items that are none": (pages(lambda request: {**listed([]), "items": {"a": {}}}), "items are no array"),
    "items that are words": (pages(lambda request: listed(["a", "b"])), "an item that is no object"),
    "items that are numbers": (pages(lambda request: listed([1, 2])), "an item that is no object"),
    "the same page": (pages(lambda request: listed([NAMED], **{"continue": "again"})), "the same page of a list for ever"),
    "empty pages": (pages(lambda request: listed([], **{"continue": str(next(_tokens))})), "says that more comes"),
    "no metadata": (pages(lambda request: listed([{"spec": {}}])), "object without a name"),
    "a name that is a number": (events(event("ADDED", {"metadata": {"name": 5}})), "object without a name"),
    "an endless word": (endless(b"x" * 65536, b'{"type":"'), "more than 16 MiB"),
    "an endless number": (endless(b"1" * 65536, b'{"type":'), "more than 16 MiB"),
    "brackets": (plain(b'{"a":' + b"[" * 1000), "nest too deep"),
    "brackets that do not pair": (plain(b'{"a":[}]'), "do not pair up"),
    "too many events at a time": (plain(b"{}" * 10), "event without an object"),
    "an event that nobody knows": (events(event("RENAMED", NAMED)), 'type "RENAMED"'),
    "an object that is a word": (events(event("ADDED", "x")), "event without an object"),
    "another kind": (events(event("ADDED", {**NAMED, "kind": "Secret", "apiVersion": "v1"})), 'says that it is a "Secret"'),
    "an error without end": (events(event("ERROR", {"code": 500, "message": "etcd is lost"})), "etcd is lost"),
    "too old for ever": (gone_at_once, "too old resource version"),
    "another place": (plain(b"", status=302, headers={"Location": "https://127.0.0.1:1/"}), "HTTP status 302"),
    "not there": (plain(b"default backend - 404", status=404), "HTTP status 404|no such kind"),
    "an error": (plain(b"oops\x00\xff\n", status=500), "HTTP status 500"),
    "too busy": (plain(b'{"message":"too many requests"}', status=429, headers={"Retry-After": "1"}), "HTTP status 429"),
    "broken chunks": (plain(b"", raw=b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n"), "chunked-encoding"),
    "less than was said": (plain(b"", raw=b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n{"), "transfer closed"),
    "no gzip": (plain(b"no gzip", headers={"Content-Encoding": "gzip"}), "content unencoding"),
    "a bomb": (plain(gzip.compress(b'{"type":"' + bytes(200 << 20)), headers={"Content-Encoding": "gzip"}), "16 MiB"),
    "no HTTP": (plain(b"", raw=b"SSH-2.0-OpenSSH_9\r\n"), "HTTP/0.9"),
    "endless headers": (plain(b"", raw=b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 500_000), "eader"),
}


def shares() -> list[dict[str, str]]:
    """Which kind gets which nonsense: enough sets that every sort comes to be, and each kind has another in each."""
    sorts = list(SORTS)
    sets = []
    for start in range(0, len(sorts), len(PATHS)):
        sets.append({path: sorts[(start + index) % len(sorts)] for index, path in enumerate(PATHS)})
    return sets


# ---- the tests --------------------------------------------------------------------------------------------------------


@pytest.fixture
def server(tmp_path: Path) -> Iterator[FakeServer]:
    """One that talks sense."""
    with FakeServer(tmp_path / "authority") as made:
        made.objects = things()
        yield made


def expect_words(felix: ClusterAgent, share: dict[str, str]) -> None:
    """Of each kind it is said what is wrong."""
    for path, sort in share.items():
        felix.expect(lambda: says(felix, path, SORTS[sort][1]), f"{sort}: of {path} it says {SORTS[sort][1]}")


def says(felix: ClusterAgent, path: str, words: str) -> bool:
    """Whether any of the words, divided by |, stand in what it says of a kind, or of an object."""
    said = [line["problem"] for line in felix.lines() if line.get("resource") == path or "object" in line]
    return any(word in problem for word in words.split("|") for problem in said)


def expect_modest(felix: ClusterAgent, server: FakeServer) -> None:
    """It neither grows, nor asks without a pause."""
    assert felix.most_memory() < MEMORY_KIB * (4 if IS_SANITIZED else 1)
    busiest, number = server.requests.most_common(1)[0]
    assert number < 60, f"{busiest} was asked for {number} times"


@pytest.mark.parametrize("share", shares(), ids=lambda share: share[POLICIES])
def test_from_the_start(server: FakeServer, tmp_path: Path, share: dict[str, str]) -> None:
    """It never becomes ready; then it does."""
    server.nonsense = {path: SORTS[sort][0] for path, sort in share.items() if "globalnetworkpolicies" not in path}
    with agent_of(kubeconfig(server, tmp_path)) as felix:
        expect_words(felix, {path: share[path] for path in server.nonsense})
        assert felix.readiness()[0] == 503
        expect_modest(felix, server)
        server.nonsense = {}
        server.drop_connections()
        with client_of(felix.expect_ready(), WEB) as client:
            client.expect_state(expected(server.objects))


@pytest.mark.parametrize("share", shares(), ids=lambda share: share[POLICIES])
def test_afterwards(server: FakeServer, tmp_path: Path, share: dict[str, str]) -> None:
    """What was read stays in force."""
    with agent_of(kubeconfig(server, tmp_path)) as felix, client_of(felix.expect_ready(), WEB) as client:
        wanted = expected(server.objects)
        client.expect_state(wanted)
        felix.expect_watching()
        told = client.known()
        server.requests.clear()
        server.nonsense = {path: SORTS[sort][0] for path, sort in share.items()}
        server.drop_connections()
        felix.expect(lambda: set(felix.blind_spots()) == set(PATHS), "nothing is read any more")
        expect_words(felix, share)
        assert client.since(told) == []
        expect_modest(felix, server)
        server.nonsense = {}
        server.drop_connections()
        felix.expect_watching()
        client.expect_state(wanted)
        assert client.since(told) == []
