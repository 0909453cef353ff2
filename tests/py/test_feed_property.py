"""Sidecars that read at their own pace know in the end what their endpoint needs, and nothing on the way was amiss.

The probe's feed is told what the calculation sends; readers join, read a few messages now and then, leave and come back,
while the world changes.  DIKAST_SEED and DIKAST_PROPERTY_SCALE as in test_calculation_property.py.
"""

import os

import fold
import sequences
import worlds
from calculation import resources
from plain.state import plan, state, told_to
from probe import unb64

SCALE = float(os.environ.get("DIKAST_PROPERTY_SCALE", "1"))
NODE = "node-1"
WORKLOADS = ["bank/p0", "bank/p1", "shop/p0", "shop/p1", "audit/p0", "nowhere/nobody"]


class Reader(fold.Client):
    """One sidecar.  What went and came back while it did not look may be told again as it was."""

    def __init__(self, probe, name, workload):
        super().__init__(tolerate_unchanged=True)
        self.probe, self.name, self.workload = probe, name, workload
        self.last = None  # why the last reading stopped
        assert probe.ask("node_join", reader=name, workload=workload)["ok"]

    def _check(self, holds, problem):
        super()._check(holds or problem.endswith("again, unchanged"), f"{self.name} ({self.workload}): {problem}")

    def read(self, most):
        """Reads at most so many messages; true when there are no more."""
        answer = self.probe.ask("node_read", reader=self.name, most=most)
        for message in answer["messages"]:
            self.apply(unb64(message))
        self.last = answer["end"]
        assert self.last != "behind"
        if self.last == "nothing":
            self._check_nothing_idle()
        return self.last in ("nothing", "ended")


def check(reader, world):
    """A reader that has read all there is."""
    if reader.last == "ended":
        assert not reader.endpoints
        return
    lines = sequences.differences(reader.state(), told_to(state(plan(world, node=NODE)), reader.workload))
    assert not lines, f"{reader.name} ({reader.workload}):\n" + "\n".join(lines)
    assert reader.in_sync


def _change(probe, world, changes):
    answer = probe.ask("node_change", update=[each["to"] for each in changes if "set" in each],
                       remove=[sequences._key(each["remove"]) for each in changes if "remove" in each], in_sync=True)
    assert answer.get("ok"), answer
    return worlds.apply(world, changes)


def _join(probe, rng, readers):
    name = f"reader-{rng.randint(0, 5)}"
    readers[name] = Reader(probe, name, rng.choice(WORKLOADS))


def _one_sequence(probe, rng):
    assert probe.ask("node_open", node=NODE)["ok"]
    readers, world = {}, {}
    for changes in worlds.sequence(rng, rng.randint(20, 40), worlds.Options()):
        world = _change(probe, world, changes)
        if rng.random() < 0.4:
            _join(probe, rng, readers)
        for reader in list(readers.values()):
            if rng.random() < 0.6 and reader.read(rng.choice([1, 2, 3, 10, 1000])):
                check(reader, world)
            if reader.last == "ended" or rng.random() < 0.05:
                assert probe.ask("node_leave", reader=reader.name)["ok"]
                del readers[reader.name]
    for reader in readers.values():
        while not reader.read(100):
            pass
        check(reader, world)
    assert probe.ask("node_close")["ok"]


def test_readers(probe, rng):
    for _ in range(max(1, round(60 * SCALE))):
        _one_sequence(probe, rng)


# ---- large sets ----------------------------------------------------------------------------


def _sized(size):
    """A set of so many members; the more, the more of them are as before."""
    nets = [f"10.{index >> 16}.{index >> 8 & 255}.{index & 255}" for index in range(0, 2 * size, 2)]
    name = "GlobalNetworkSet large"
    return [{"set": name, "to": resources.resource(name, {"labels": {"k": "v"}, "nets": nets})}]


def _open_with_set(probe, size):
    rule = {"action": "Allow", "source": {"selector": "k == 'v'"}}
    small = {"Namespace bank": {}, "Pod bank/p0": {"ip": "10.255.0.1"}, "GlobalNetworkPolicy p": {"ingress": [rule]}}
    changes = [{"set": each, "to": resources.resource(each, content)} for each, content in small.items()]
    assert probe.ask("node_open", node=NODE)["ok"]
    return _change(probe, {}, changes + _sized(size))


def test_large_set(probe):
    """It comes, grows and shrinks in messages that are small enough."""
    most = fold.MOST_MEMBERS
    world = _open_with_set(probe, most + most // 10)
    reader = Reader(probe, "reader", "bank/p0")
    assert reader.read(1000)
    for size in (10, most + 1, 0, most):
        world = _change(probe, world, _sized(size))
        assert reader.read(1000)
        check(reader, world)
    probe.ask("node_close")


def _sizes(answer):
    return [len(unb64(message)) for message in answer["messages"]]


def test_slow_reader_of_a_small_set_is_told_it_anew(probe):
    """What waits for it is bounded, and it misses nothing."""
    world = _open_with_set(probe, 10)
    reader = Reader(probe, "reader", "bank/p0")
    assert reader.read(1000)
    for round_ in range(40):
        world = _change(probe, world, _sized(5000 if round_ % 2 == 0 else 10))
    answer = probe.ask("node_read", reader="reader", most=1000)
    assert answer["end"] == "nothing"
    assert sum(_sizes(answer)) < 1.2 * 1024 * 1024  # 40 changes of 5,000 members would be 4 MB
    for message in answer["messages"]:
        reader.apply(unb64(message))
    check(reader, world)
    probe.ask("node_close")


def test_slow_reader_of_a_large_set_must_start_anew(probe):
    """A set of several messages is never replaced under a sidecar that judges by it."""
    most = fold.MOST_MEMBERS
    world = _open_with_set(probe, most + 10)
    reader = Reader(probe, "reader", "bank/p0")
    assert reader.read(1000)
    for _ in range(2):
        world = _change(probe, world, _sized(10))
        world = _change(probe, world, _sized(most + 10))
    assert probe.ask("node_read", reader="reader", most=1000)["end"] == "behind"
    again = Reader(probe, "reader", "bank/p0")
    assert again.read(1000)
    check(again, world)
    probe.ask("node_close")


def test_large_set_that_changes_while_it_is_told(probe):
    most = fold.MOST_MEMBERS
    world = _open_with_set(probe, most + 10)
    reader = Reader(probe, "reader", "bank/p0")
    assert not reader.read(1)
    for size in (most + 5, most + 20):
        world = _change(probe, world, _sized(size))
    assert reader.read(1000)
    check(reader, world)
    probe.ask("node_close")
