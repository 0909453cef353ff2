"""A policy that flips between two states, A and B, such that a torn mixture shows.

What an agent tells in one message is in force at once or not at all, and messages
in their order.  So here every message leads from one whole state to another, and
each probe is judged alike in all of them: what is to be let in always is, by the
rule of A or that of B, and what is to be refused always is.  A snapshot that has
half of a message gives another answer.

Each flip has a policy of its own, asked for by the method or by the addresses; in
the tier they stand one behind the other.
"""

import collections
import itertools
import threading
import time

import scenario
from policy_sync_server import CHECK, SECONDS, Answer, answer_of, endpoint

X, Y = "10.1.0.1", "10.1.0.2"


def _name(name):
    return {"kind": "GlobalNetworkPolicy", "name": name}


def _policy(name, *rules):
    return {"policy": {**_name(name), "rules": rules}}


def _http(action, method, path=None):
    match = {"methods": [method], **({"paths": [{"prefix": path}]} if path else {})}
    return {"action": action, "http_match": match}


# Two members change places.  Both in the set: refused by the first rule; none: by the tier.
def _members(member):
    return {"ip_set": {"id": "swap", "type": "IP", "members": [member]}}


def _swap(comes, goes):
    return {"ip_set_delta": {"id": "swap", "add": [comes], "remove": [goes]}}


SWAP = [_members(X), _policy(
    "swap", {**_http("deny", "SWAP"), "src_ip_set_ids": ["swap"], "dst_ip_set_ids": ["swap"]},
    {**_http("allow", "SWAP"), "src_ip_set_ids": ["swap"]},
    {**_http("allow", "SWAP"), "dst_ip_set_ids": ["swap"]})]

# Two rules change places.  With one of them twice, the other's request is refused, or let in.
_OPEN = [_http("allow", "GET", "/open/1"), _http("allow", "POST", "/open/2")]
_SHUT = [_http("deny", "GET", "/shut/1"), _http("deny", "POST", "/shut/2")]
_ALL_ELSE = {"action": "allow", "http_match": {"paths": [{"prefix": "/shut"}]}}


def _open(rules):
    return _policy("open", *rules)


def _shut(rules):
    return _policy("shut", *rules, _ALL_ELSE)


# Two parts of one rule change together.  With one alone it refuses what the second rule lets in.
def _parts(method, path):
    return _policy("parts", _http("deny", method, path),
                   {"action": "allow", "http_match": {"paths": [{"prefix": "/parts"}]}})


# One set hands over to another, with the same member, as agents do it.
def _hand_over(new, old):
    return [{"ip_set": {"id": new, "type": "NET", "members": [X + "/32"]}},
            _policy("handover", {**_http("allow", "HAND"), "src_ip_set_ids": [new]}),
            {"ip_set_remove": old}]


# (steps to B, steps back to A) of each kind.
_KINDS = [
    ([_swap(Y, X)], [_swap(X, Y)]),
    ([_open(_OPEN[::-1])], [_open(_OPEN)]),
    ([_shut(_SHUT[::-1])], [_shut(_SHUT)]),
    ([_parts("POST", "/parts/2")], [_parts("GET", "/parts/1")]),
    (_hand_over("b", "a"), _hand_over("a", "b")),
]


def world():
    """The steps to state A."""
    names = ["swap", "open", "shut", "parts", "handover"]
    tier = {"name": "t", "policies": [_name(name) for name in names], "default": "Deny"}
    return [*SWAP, _open(_OPEN), _shut(_SHUT), _parts("GET", "/parts/1"), *_hand_over("a", "b")[:2],
            endpoint(tier)]


def _answers(name, reason, *rules):
    return [Answer(reason, f"GlobalNetworkPolicy {name}", rule) for rule in rules]


# Request, and its answers in A and in B.
PROBES = [
    ({"method": "SWAP", "from": X, "to": Y}, _answers("swap", "allowed_by_rule", 1, 2)),
    ({"method": "SWAP", "from": Y, "to": X}, _answers("swap", "allowed_by_rule", 2, 1)),
    ({"method": "GET", "path": "/open/1"}, _answers("open", "allowed_by_rule", 0, 1)),
    ({"method": "POST", "path": "/open/2"}, _answers("open", "allowed_by_rule", 1, 0)),
    ({"method": "GET", "path": "/shut/1"}, _answers("shut", "denied_by_rule", 0, 1)),
    ({"method": "POST", "path": "/shut/2"}, _answers("shut", "denied_by_rule", 1, 0)),
    ({"method": "GET", "path": "/parts/2"}, _answers("parts", "allowed_by_rule", 1, 1)),
    ({"method": "POST", "path": "/parts/1"}, _answers("parts", "allowed_by_rule", 1, 1)),
    ({"method": "HAND", "from": X}, _answers("handover", "allowed_by_rule", 0, 0)),
]


def flips(count):
    """So many flips, each a list of messages; all kinds to B, all back to A, and again."""
    there, back = zip(*_KINDS)
    around = [[scenario.message(step) for step in steps] for steps in there + back]
    return itertools.islice(itertools.cycle(around), count)


class Load:
    """Clients that ask the probes over and over, while it is open."""

    CLIENTS = 4
    IN_FLIGHT = 16  # of one client
    PAUSE = 0       # seconds between its rounds

    def __init__(self, sidecar, probes=None):
        self.sidecar = sidecar
        self.probes = probes or PROBES
        self._over = threading.Event()
        self._counts = [collections.Counter() for _ in range(self.CLIENTS)]
        self._clients = [threading.Thread(target=self._ask, args=[count]) for count in self._counts]

    def __enter__(self):
        for client in self._clients:
            client.start()
        return self

    def __exit__(self, *_):
        self._over.set()
        for client in self._clients:
            client.join()

    def _ask(self, count):
        raws = [scenario.request(request).SerializeToString() for request, _ in self.probes]
        probes = itertools.cycle(enumerate(raws))
        with self.sidecar.channel() as channel:
            check = channel.unary_unary(CHECK)
            while not self._over.is_set():
                calls = [(number, check.future(raw, timeout=SECONDS))
                         for number, raw in itertools.islice(probes, self.IN_FLIGHT)]
                count.update((number, self._outcome(call)) for number, call in calls)
                time.sleep(self.PAUSE)

    @staticmethod
    def _outcome(call):
        try:
            return answer_of(call.result())
        except Exception as problem:  # a wrong answer too; it must not end the thread unseen
            return repr(problem)

    def answers(self):
        """(number of a probe, its answer) -> how often."""
        return sum(self._counts, collections.Counter())


def possible(probes=None):
    """(number of a probe, its answer) for all answers that some whole state gives."""
    return {(number, answer) for number, (_, answers) in enumerate(probes or PROBES) for answer in answers}
