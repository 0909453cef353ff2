"""Hostile use of the socket of `dikastes server`: connections that idle, churn or crawl, and its path."""

import pathlib
import resource
import signal
import socket
import stat
import subprocess

import pytest

import http2_peer as h2
import victim
from http2_peer import END_STREAM, GREETING, PREFACE, call, data, headers, message
from server import DIKASTES, wait_for
from victim import ALLOWED, BAD, GOOD, MIB, REFUSED, Victim


@pytest.fixture(scope="module", autouse=True)
def many_files():
    """As many file descriptors as may be, here and in the servers started from here."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@pytest.fixture(scope="module")
def server(many_files):
    with victim.running() as running:
        yield running


@pytest.fixture
def attacked(server):
    """The server; after the test it must be as before."""
    server.begin()
    yield server
    server.assert_unharmed()


@pytest.fixture
def own():
    """A server that a test may stop."""
    with victim.running() as running:
        yield running


# ---- connections ----------------------------------------------------------------------------------

STATES = {
    "nothing said": b"",
    "half a preface": PREFACE[:10],
    "preface alone": PREFACE,
    "greeted": GREETING,
    "frame cut": GREETING + headers(1)[:20],
    "call open": GREETING + headers(1),
    "message cut": GREETING + headers(1) + data(1, message(GOOD)[:20]),
}


@pytest.mark.parametrize("said", STATES.values(), ids=STATES)
def test_hundreds_of_idle_connections(attacked, said):
    peers = [attacked.peer(greeting=said) for _ in range(600)]
    try:
        attacked.assert_serving()
        attacked.assert_memory_below(32 * MIB)
        # They are served, too, when they go on.
        rest = (GREETING + call(1, GOOD))[len(said):] if GREETING.startswith(said) else None
        if rest is not None:
            peers[300].send(rest)
            assert victim.verdict(peers[300].answer(1)) == ALLOWED
    finally:
        for peer in peers:
            peer.close()


@pytest.mark.parametrize("said", STATES.values(), ids=STATES)
def test_connections_that_come_and_go(attacked, said):
    for _ in range(1000):
        attacked.peer(greeting=said).close()


def test_more_connections_than_allowed(own):
    """Those beyond are closed; there is room again when others have gone, and their memory is free."""
    peers = [own.peer() for _ in range(1200)]
    try:
        assert wait_for(lambda: sum(peer.is_hung_up_on(0.001) for peer in peers[1000:]) >= 170)
        peers[0].send(call(1, GOOD))
        assert victim.verdict(peers[0].answer(1)) == ALLOWED
    finally:
        for peer in peers:
            peer.close()
    own.assert_serving()
    own.assert_memory_is_back(8 * MIB)


def test_peers_that_crawl(attacked):
    """A byte each in turn: nobody waits for anybody."""
    content = GREETING + call(1, GOOD)
    peers = [attacked.peer(greeting=b"") for _ in range(50)]
    for at in range(len(content)):
        for peer in peers:
            peer.send(content[at:at + 1])
        if at % 100 == 0:
            attacked.assert_serving()
    for peer in peers:
        assert victim.verdict(peer.answer(1)) == ALLOWED
        peer.close()


def test_peer_that_has_said_all(attacked):
    """It has closed its direction, and waits for the answers."""
    with attacked.peer() as peer:
        peer.send(call(1, GOOD) + call(3, BAD))
        peer.stop_sending()
        assert victim.verdict(peer.answer(1)) == ALLOWED
        assert victim.verdict(peer.answer(3)) == REFUSED
        assert peer.is_hung_up_on()


def test_peer_that_goes_before_its_answers(attacked):
    for _ in range(200):
        with attacked.peer(deaf=True) as peer:
            peer.send(b"".join(call(stream, GOOD) for stream in range(1, 101, 2)), patience=0.1)


def test_last_part_of_a_call_and_the_end_at_once(attacked):
    with attacked.peer() as peer:
        peer.send(headers(1) + data(1, message(GOOD)))
        peer.send(data(1, b"", END_STREAM))
        peer.stop_sending()
        assert victim.verdict(peer.answer(1)) == ALLOWED


def test_memory_of_many_streams_is_given_back():
    """Peers that opened all the streams they may, and are gone: their memory is free again."""
    with victim.running() as server:
        opened = b"".join(map(headers, range(1, 2 * 16000, 2)))
        peers = [server.peer() for _ in range(5)]
        for peer in peers:
            peer.send(opened + call(2 * 16000 + 1, GOOD))
            assert victim.verdict(peer.answer(2 * 16000 + 1)) == ALLOWED
        for peer in peers:
            peer.close()
        server.assert_serving()
        server.assert_memory_is_back(8 * MIB)


def test_settings_of_several_peers_with_many_streams(own):
    """Each of these frames costs work for every stream: others must not have to wait for all of it."""
    peers = [own.peer() for _ in range(8)]
    try:
        for peer in peers:
            peer.send(b"".join(map(headers, range(1, 2 * 16000, 2))))
        own.assert_serving()
        for peer in peers:
            peer.send(h2.settings((h2.INITIAL_WINDOW, 65535)) * 900)
        own.assert_serving()
    finally:
        for peer in peers:
            peer.close()


# ---- the path of the socket --------------------------------------------------------------------------


def other_on(server):
    """A second server, with its own policy, that listens on the path of the first."""
    def made():
        """When the socket was made; None in between."""
        return server.socket.stat().st_ctime_ns if server.socket.exists() else None

    before = made()
    other = Victim()
    other.socket = server.socket
    other.start()
    assert wait_for(lambda: made() not in (None, before))
    other.assert_serving()
    return other



def test_mode_does_not_depend_on_the_umask(own):
    own.stop()
    with open(own.log, "ab") as log:
        own.process = subprocess.Popen(
            [str(DIKASTES), "server", "-l", str(own.socket), "-d", f"directory:{own.resources}",
             "--workload", "bank/web-0"], stdin=subprocess.DEVNULL, stderr=log, umask=0o077)
    own.wait_until_ready()
    mode = own.socket.stat().st_mode
    assert stat.S_ISSOCK(mode) and stat.S_IMODE(mode) == 0o777


def test_nothing_is_left_of_the_socket(own):
    """And next to it there was never anything."""
    beside = set(own.folder.iterdir())
    assert own.stop() == 0
    assert beside - set(own.folder.iterdir()) == {own.socket}


def test_folder_that_is_a_link(own):
    own.stop()
    (own.folder / "real").mkdir()
    (own.folder / "link").symlink_to("real")
    own.socket = own.folder / "link" / "s"
    own.start_ready()
    assert stat.S_ISSOCK((own.folder / "real" / "s").lstat().st_mode)
    assert own.stop() == 0
    assert not (own.folder / "real" / "s").exists()


def test_link_to_a_socket_is_no_socket(own):
    """A link that somebody has put there does not make the server remove, or serve, elsewhere."""
    other = Victim()
    try:
        other.socket.symlink_to(own.socket)
        other.start()
        assert other.process.wait(timeout=10) != 0
        assert other.socket.is_symlink()
        own.assert_serving()
    finally:
        other.close()


def test_dangling_link(own):
    """Not followed: nothing is made where it points to."""
    own.stop()
    target = own.folder / "target"
    own.socket.symlink_to(target)
    own.start()
    assert own.process.wait(timeout=10) != 0
    assert own.socket.is_symlink() and not target.exists()


def test_socket_that_is_removed(own):
    """Those who are connected are still served, and the server ends in good order."""
    with own.peer() as peer:
        own.socket.unlink()
        peer.send(call(1, GOOD))
        assert victim.verdict(peer.answer(1)) == ALLOWED
    assert own.stop() == 0


def test_file_that_took_the_place_of_the_socket_is_kept(own):
    own.socket.unlink()
    own.socket.write_text("precious")
    assert own.stop() == 0
    assert own.socket.exists() and own.socket.read_text() == "precious"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_server_that_took_over_keeps_its_socket(own, number):
    """The first one's end, however it comes, does not cut off the second."""
    other = other_on(own)
    try:
        own.stop(number)
        assert other.socket.exists()
        other.assert_serving()
    finally:
        other.close()


def test_folder_link_that_is_turned_elsewhere(own):
    """When the server ends it removes its own socket, if any, and nobody else's."""
    own.stop()
    for name in ("real", "elsewhere"):
        (own.folder / name).mkdir()
    link = own.folder / "link"
    link.symlink_to("real")
    own.socket = link / "s"
    own.start_ready()
    with socket.socket(socket.AF_UNIX) as stranger:
        stranger.bind(str(own.folder / "elsewhere" / "s"))
        link.unlink()
        link.symlink_to("elsewhere")
        assert own.stop() == 0
        assert (own.folder / "elsewhere" / "s").exists()


def test_open_files_do_not_grow(own):
    """What a thousand peers of every kind leave open in the server."""
    def count():
        return len(list(pathlib.Path(f"/proc/{own.process.pid}/fd").iterdir()))

    before = count()
    for said in [*STATES.values(), b"\0" * 100]:
        for _ in range(130):
            own.peer(greeting=said).close()
    own.assert_serving()
    assert wait_for(lambda: count() <= before)
