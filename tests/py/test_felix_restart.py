"""felix dies, comes back and is changed meanwhile, under a sidecar that is asked all the time: no verdict is wrong.

The policy has parts that flip on their own between two states, as in flips.py, here as resources.  A verdict is right
if it is that of a state which was in force, or on its way, at some moment of the call.
"""

import contextlib
import itertools
import signal
import time

import pytest

import flips
import scenario
from flips import X, Y
from node_agent import SECONDS, agent
from policy_sync_server import CHECK, Answer, Sidecar
from server import wait_for

WEB = "bank/web-0"


def _pod(ip, **labels):
    return {"labels": labels, "ip": ip}


def _policy(*rules):
    return {"selector": "app == 'web'", "ingress": list(rules)}


def _http(action, method, path=None):
    return {"action": action, "http": {"methods": [method], **({"paths": [{"prefix": path}]} if path else {})}}


def _allow_under(path):
    return {"action": "Allow", "http": {"paths": [{"prefix": path}]}}


def _swap(state):
    member = {"selector": "swap == 'yes'"}
    rules = [{**_http("Deny", "SWAP"), "source": member, "destination": member},
             {**_http("Allow", "SWAP"), "source": member}, {**_http("Allow", "SWAP"), "destination": member}]
    values = ["yes", "no"] if state == 0 else ["no", "yes"]
    return {"Pod bank/x": _pod(X, swap=values[0]), "Pod bank/y": _pod(Y, swap=values[1]),
            "NetworkPolicy bank/swap": _policy(*rules)}


def _exchanged(name, action, state, *more):
    rules = [_http(action, "GET", f"/{name}/1"), _http(action, "POST", f"/{name}/2")]
    return {f"NetworkPolicy bank/{name}": _policy(*(rules if state == 0 else rules[::-1]), *more)}


def _parts(state):
    method, path = [("GET", "/parts/1"), ("POST", "/parts/2")][state]
    return {"NetworkPolicy bank/parts": _policy(_http("Deny", method, path), _allow_under("/parts"))}


def _hand_over(state):
    """Two sets with the same member; the policy needs one or the other."""
    return {"Pod bank/member": _pod("10.1.0.9", a="yes", b="yes"), "NetworkPolicy bank/handover": _policy(
        {**_http("Allow", "HAND"), "source": {"selector": f"{'ab'[state]} == 'yes'"}})}


# Each flip as resources of a file of its own, and (request, its answers in the two states).
FLIPS = {
    "swap": (_swap, flips.PROBES[0:2]),
    "open": (lambda state: _exchanged("open", "Allow", state), flips.PROBES[2:4]),
    "shut": (lambda state: _exchanged("shut", "Deny", state, _allow_under("/shut")), flips.PROBES[4:6]),
    "parts": (_parts, flips.PROBES[6:8]),
    "handover": (_hand_over, [({"method": "HAND", "from": "10.1.0.9"}, flips.PROBES[8][1])]),
}


def _named(answer):
    """The policies are a namespace's here."""
    return Answer(answer.reason, answer.policy.replace("GlobalNetworkPolicy ", "NetworkPolicy bank/"), answer.rule)


PROBES = [(flip, request, [_named(answer) for answer in answers])
          for flip, (_, probes) in FLIPS.items() for request, answers in probes]


class Load(flips.Load):
    """Remembers when each call was, and what it was told."""

    CLIENTS = 3

    def __init__(self, sidecar):
        super().__init__(sidecar)
        self.calls = []  # (number of the probe, answer, began, ended)

    def _ask(self, _):
        raws = [scenario.request(request).SerializeToString() for _, request, _ in PROBES]
        probes = itertools.cycle(enumerate(raws))
        with self.sidecar.channel() as channel:
            check = channel.unary_unary(CHECK)
            while not self._over.is_set():
                began = time.monotonic()
                calls = [(number, check.future(raw, timeout=SECONDS))
                         for number, raw in itertools.islice(probes, self.IN_FLIGHT)]
                answers = [(number, self._outcome(call)) for number, call in calls]
                ended = time.monotonic()
                self.calls += [(number, answer, began, ended) for number, answer in answers]


class Story:
    """felix, a real sidecar on it, and all that was in force when."""

    def __init__(self, node):
        self.node = node
        self.states = {}
        self.times = {flip: [] for flip in FLIPS}  # [state, since it was written, until another was surely in force]
        node.put_world({"Namespace bank": {}, "Pod bank/web-0": _pod("10.1.0.3", app="web")}, "base.yaml")
        self.flip(*FLIPS)
        node.start()
        self.sidecar = Sidecar(str(node.mount("web", WEB))).start()

    def flip(self, *which):
        for flip in which:
            state = 1 - self.states.get(flip, 1)
            self.states[flip] = state
            self.times[flip].append([state, time.monotonic(), None])
            self.node.put_world(FLIPS[flip][0](state), f"{flip}.yaml")

    def wanted(self):
        return [answers[self.states[flip]] for flip, _, answers in PROBES]

    def answers(self):
        return [self.sidecar.ask(request) for _, request, _ in PROBES]

    def settle(self):
        """Waits until the state of the files is in force."""
        assert wait_for(lambda: self.answers() == self.wanted(), SECONDS), (
            self.answers(), self.wanted(), self.sidecar.journal(), self.node.journal())
        now = time.monotonic()
        for times in self.times.values():
            for earlier in times[:-1]:
                earlier[2] = earlier[2] or now

    def kill(self):
        self.node.process.send_signal(signal.SIGKILL)
        self.node.process.wait()

    def wrong(self, calls):
        return [(PROBES[number][1], answer) for number, answer, began, ended in calls
                if not self._is_right(number, answer, began, ended)]

    def _is_right(self, number, answer, began, ended):
        flip, _, answers = PROBES[number]
        return any(answer == answers[state] and since <= ended and (until is None or began <= until)
                   for state, since, until in self.times[flip])


@pytest.fixture
def story():
    with agent(started=False) as node:
        made = Story(node)
        try:
            made.settle()
            yield made
        finally:
            made.sidecar.close()


@contextlib.contextmanager
def load(story, least=300):
    """In the end there were so many calls at least, and none was answered wrong."""
    with Load(story.sidecar) as clients:
        yield clients
        assert wait_for(lambda: len(clients.calls) >= least, SECONDS)
    assert not story.wrong(clients.calls)


def test_the_witness_sees_what_is_wrong(story):
    """Each probe's other answer, while nothing flips."""
    now = time.monotonic()
    for number, (flip, _, answers) in enumerate(PROBES):
        right, other = answers[story.states[flip]], answers[1 - story.states[flip]]
        assert not story.wrong([(number, right, now, now)])
        assert right == other or story.wrong([(number, other, now, now)])
    story.flip("open")
    story.settle()
    number = next(number for number, probe in enumerate(PROBES) if probe[0] == "open")
    old = PROBES[number][2][1 - story.states["open"]]
    later = time.monotonic()
    assert not story.wrong([(number, old, now, later)]) and story.wrong([(number, old, later, later)])


def test_changes_while_it_runs(story, rng):
    with load(story, 2000):
        for _ in range(40):
            story.flip(*rng.sample(list(FLIPS), rng.randint(1, 3)))
            if rng.random() < 0.5:
                story.settle()
        story.settle()


def _change_then_kill(story, which):
    story.flip(*which)
    story.kill()


def _kill_then_change(story, which):
    story.kill()
    story.flip(*which)


def _change_kill_change_back(story, which):
    story.flip(*which)
    story.kill()
    story.flip(*which)


def _kill_in_the_middle_of_joining(story, which):
    story.kill()
    story.flip(*which)
    story.node.start()
    story.node.expect_socket("web")
    story.kill()


def _stop(story, which):
    story.flip(*which[:1])
    assert story.node.stop() == 0
    story.flip(*which[1:])


DEATHS = [_change_then_kill, _kill_then_change, _change_kill_change_back, _kill_in_the_middle_of_joining, _stop]


def test_it_dies_over_and_over(story, rng):
    """The sidecar keeps its last policy, and has the new one soon after felix is back."""
    with load(story, 2000):
        for death in DEATHS + rng.sample(DEATHS, 2):
            death(story, rng.sample(list(FLIPS), 3))
            story.node.start()
            story.settle()
            story.flip(*rng.sample(list(FLIPS), 2))
            story.settle()
    assert story.sidecar.journal().count("In sync with Policy Sync server") >= len(DEATHS)


@pytest.mark.parametrize("how", [signal.SIGSTOP, signal.SIGTERM, signal.SIGKILL], ids=lambda how: how.name)
def test_what_was_in_force_stays_so_without_it(story, how):
    before = story.wanted()
    story.node.process.send_signal(how)
    if how != signal.SIGSTOP:
        story.node.process.wait()
    with load(story, 500) as clients:
        story.flip(*FLIPS)
        assert wait_for(lambda: len(clients.calls) >= 500, SECONDS)
        assert story.answers() == before
        assert story.sidecar.is_alive()
        if how == signal.SIGSTOP:
            story.node.process.send_signal(signal.SIGCONT)
        else:
            story.node.start()
        story.settle()


def test_many_sidecars_of_a_node(story):
    """All of them are back."""
    with contextlib.ExitStack() as stack:
        sidecars = []
        for number in range(6):
            name = f"other-{number}"
            story.node.put_world({f"Pod bank/{name}": _pod(f"10.2.0.{number}", app="web")}, f"{name}.yaml")
            sidecar = Sidecar(str(story.node.mount(name, f"bank/{name}")))
            stack.callback(sidecar.close)
            sidecars.append(sidecar.start())
        story.settle()
        story.kill()
        story.flip(*FLIPS)
        story.node.start()
        story.settle()
        for sidecar in sidecars:
            assert wait_for(lambda: [sidecar.ask(request) for _, request, _ in PROBES] == story.wanted(), SECONDS)
