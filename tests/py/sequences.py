"""Drives a calculation through a sequence of changes, compares it with the plain model, and makes what fails small.

A calculation is anything that answers ask(op, …) as the probe does:

  node_open    node=NAME or workload=NAMESPACE/NAME: a fresh calculation
  node_change  update=[resources], remove=[keys of resources], in_sync: applies all, flushes once
               -> messages (base64 of ToDataplane), problems; no messages before the first in_sync
  node_close
"""

import re
import time

import fold
import worlds
import yaml
from calculation.resources import resource
from model.selector import SelectorError
from plain.state import plan, state
from probe import unb64
from shrink import shrink


class Difference(AssertionError):
    """What the client knows is not what it must know."""


class Refused(AssertionError):
    """The calculation does not take what it is given."""


def _lines(place, got, wanted):
    if got == wanted:
        return []
    if isinstance(got, dict) and isinstance(wanted, dict):
        return [line for key in sorted({*got, *wanted})
                for line in _lines(f"{place}.{key}", got.get(key), wanted.get(key))]
    if isinstance(got, set) and isinstance(wanted, set):
        got, wanted = got - wanted, wanted - got
    return [f"{place}:", f"    got    {got}", f"    wanted {wanted}"]


def differences(got, wanted):
    """Lines that say where two states differ."""
    return _lines("state", got, wanted)


def compare(client, world, target):
    """The client's state with the model's."""
    made = plan(world, **target)
    lines = differences(client.state(), state(made))
    if len(client.ip_sets) > len(made.ip_sets):
        lines.append(f"{len(client.ip_sets)} IP sets for {len(made.ip_sets)} selectors, ports and services")
    if lines:
        raise Difference("\n".join(lines))


def _key(name):
    whole = resource(name, {})
    return {part: whole[part] for part in ("apiVersion", "kind", "metadata")}


class Run:
    """One calculation, its client, and the world so far."""

    def __init__(self, calculation, target):
        self.calculation, self.target = calculation, target
        self.client = fold.Client()
        self.world = {}
        self.problems = set()
        assert calculation.ask("node_open", **target)["ok"]

    def flush(self, changes, in_sync=True):
        self.world = worlds.apply(self.world, changes)
        answer = self.calculation.ask(
            "node_change", update=[change["to"] for change in changes if "set" in change],
            remove=[_key(change["remove"]) for change in changes if "remove" in change], in_sync=in_sync)
        if not answer.get("ok"):
            raise Refused(answer)
        # Without the places in lists, which change while a case is made smaller.
        self.problems |= {re.sub(r"\[\d+\]", "[]", problem) for problem in answer["problems"]}
        messages = [unb64(message) for message in answer["messages"]]
        if in_sync:
            self.client.flush(messages)
            compare(self.client, self.world, self.target)
        elif messages:
            raise fold.Finding("messages before the datastore is in sync")

    def close(self):
        assert self.calculation.ask("node_close")["ok"]


def run(calculation, sequence, target, in_sync_from=0):
    """Raises what is wrong; returns the problems that the calculation told of."""
    made = Run(calculation, target)
    for index, changes in enumerate(sequence):
        made.flush(changes, in_sync=index >= in_sync_from)
    made.close()
    return made.problems


def from_nothing(world, rng=None):
    """A sequence that leads to a world: at once, or in any order and several flushes."""
    changes = [{"set": name, "to": whole} for name, whole in world.items()]
    if rng is None:
        return [changes]
    rng.shuffle(changes)
    cuts = sorted(rng.randint(0, len(changes)) for _ in range(rng.randint(1, 6)))
    return [changes[start:end] for start, end in zip([0, *cuts], [*cuts, len(changes)])]


# ---- making smaller -----------------------------------------------------------------------


def _fails(calculation, target, known_problems):
    """fails(sequence): does it go wrong, and not only because the case is nonsense by now?"""
    def fails(sequence):
        made = Run(calculation, target)
        try:
            for changes in sequence:
                made.flush(changes)
        except (Refused, SelectorError):
            return False
        except AssertionError:
            return made.problems <= known_problems
        return False

    return fails


def _without_flushes(sequence, fails, until):
    """Leaves out runs of changes, the long ones first."""
    changes = [(index, change) for index, flush in enumerate(sequence) for change in flush]

    def flushes(some):
        return [[change for at, change in some if at == index] for index in sorted({at for at, _ in some})]

    size = len(changes) // 2
    while size and time.monotonic() < until:
        start = 0
        while start < len(changes) and time.monotonic() < until:
            fewer = changes[:start] + changes[start + size:]
            if fewer and fails(flushes(fewer)):
                changes = fewer
            else:
                start += size
        size //= 2
    return flushes(changes)


def smaller(calculation, sequence, target, problems, seconds=60):
    """A small sequence that fails still."""
    fails, until = _fails(calculation, target, problems), time.monotonic() + seconds
    if not fails(sequence):
        return sequence
    sequence = _without_flushes(sequence, fails, until)
    return shrink(sequence, lambda case: time.monotonic() < until and fails(case), tries=1500)


class _Dumper(yaml.SafeDumper):
    def ignore_aliases(self, data):
        return True


def report(calculation, sequence, target, in_sync_from=0):
    """None if all is well; else what is wrong, and a small sequence that shows it."""
    made = Run(calculation, target)
    done = []
    try:
        for index, changes in enumerate(sequence):
            done.append(changes)
            made.flush(changes, in_sync=index >= in_sync_from)
        made.close()
        return None
    except AssertionError as problem:
        small = smaller(calculation, done, target, made.problems)
        return f"{problem}\n{target}: a small sequence that fails:\n" + yaml.dump(
            small, sort_keys=False, width=110, Dumper=_Dumper) + f"with: {problem_of(calculation, small, target)}"


def problem_of(calculation, sequence, target):
    try:
        run(calculation, sequence, target)
    except AssertionError as problem:
        return problem
    return "nothing; it fails only as a whole"
