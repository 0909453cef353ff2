"""API servers that do less than the newest: ones that stream no lists, or no kinds of Calico's."""

import itertools
import time
from pathlib import Path
from typing import Callable, Iterator

import pytest
from agents import agent_of, client_of
from fake import VERSION, Answer, FakeServer, Request, event, listed_bytes
from fake_world import PATHS, POLICIES, WEB, expected, kubeconfig, policy, things


@pytest.fixture
def server(tmp_path: Path) -> Iterator[FakeServer]:
    """The server; a test makes it old."""
    with FakeServer(tmp_path / "authority") as made:
        made.objects = things()
        yield made


def older(server: FakeServer, answer: Callable[[Request], Answer | None]) -> None:
    """Have it answer so, or, if that is None, as ever."""

    def either(request: Request) -> Answer:
        return answer(request) or server.sense(request)

    server.nonsense = {path: either for path in PATHS}


def refuses_streams(request: Request) -> Answer | None:
    """One that has the feature switched off."""
    refused = b'{"kind":"Status","message":"sendInitialEvents is forbidden for watch","code":422}'
    return Answer(refused, 422) if "sendInitialEvents" in request.query else None


def test_lists_come_in_pages(server: FakeServer, tmp_path: Path) -> None:
    def pages(request: Request) -> Answer | None:
        if request.is_watch:
            return refuses_streams(request)
        all_things = server.objects[request.path]
        at = int(request.query.get("continue", "0"))
        more = {"continue": str(at + 1)} if at + 1 < len(all_things) else {}
        return Answer(listed_bytes(all_things[at : at + 1], **more))

    older(server, pages)
    with agent_of(kubeconfig(server, tmp_path)) as felix, client_of(felix.expect_ready(), WEB) as client:
        client.expect_state(expected(server.objects))
        felix.expect_watching()


def test_stream_that_never_says_that_the_list_is_complete(server: FakeServer, tmp_path: Path) -> None:
    """Servers that do not know it leave out what they do not know, and are never silent for long."""

    def plain_watch(request: Request) -> Answer | None:
        return Answer(events(request)) if request.is_watch else None

    def events(request: Request) -> Iterator[bytes]:
        for thing in server.objects[request.path] if "sendInitialEvents" in request.query else []:
            yield event("ADDED", thing)
        for number in itertools.count(int(VERSION)):
            time.sleep(0.5)
            yield event("BOOKMARK", {"metadata": {"resourceVersion": str(number)}})

    older(server, plain_watch)
    with agent_of(kubeconfig(server, tmp_path)) as felix, client_of(felix.expect_ready(), WEB) as client:
        client.expect_state(expected(server.objects))


def test_one_of_two_names_goes_with_a_list(server: FakeServer, tmp_path: Path) -> None:
    """`web` and `default.web` are one policy; all is listed anew, twice, and in pages."""
    server.objects[POLICIES] = [policy("web", "other"), policy("default.web", "friend")]
    gone = event("ERROR", {"kind": "Status", "code": 410, "message": "too old resource version"})
    is_old = False

    def answer(request: Request) -> Answer | None:
        if request.is_watch and is_old and "sendInitialEvents" not in request.query:
            return Answer([gone])
        return refuses_streams(request)

    older(server, answer)
    with agent_of(kubeconfig(server, tmp_path)) as felix, client_of(felix.expect_ready(), WEB) as client:
        felix.expect_watching()
        server.objects[POLICIES] = [policy("web", "other")]
        is_old = True
        server.drop_connections()
        client.expect_state(expected(server.objects))
        is_old = False
        felix.expect_watching()
        client.expect_state(expected(server.objects))


def test_some_kinds_are_not_there(server: FakeServer, tmp_path: Path) -> None:
    """Older releases of Calico had no staged policies; what is built into every server is never missing."""
    for path in PATHS:
        if "staged" in path:
            del server.objects[path]
    with agent_of(kubeconfig(server, tmp_path)) as felix, client_of(felix.expect_ready(), WEB) as client:
        client.expect_state(expected(things()))
        felix.expect_words("Not installed in the cluster: it counts as empty", "stagednetworkpolicies", "no such kind")
        felix.expect_watching()
        assert felix.metric("felix_kubernetes_watches") == len([path for path in PATHS if "staged" not in path])
        assert not felix.lines("stays in force")
    del server.objects["/api/v1/pods"]
    with agent_of(kubeconfig(server, tmp_path)) as felix:
        felix.expect_words("/api/v1/pods", "HTTP status 404")
        assert felix.readiness()[0] == 503
