"""After any sequence of changes the clients know what the plain model says, and nothing on the way was amiss.

DIKAST_SEED repeats a run; DIKAST_PROPERTY_SCALE asks for more, or (0.1) for fewer sequences.
"""

import os

import pytest

import fold
import sequences
import vectors
import worlds
from calculation import resources
from plain import endpoints
from plain.state import plan, state
from probe import unb64

SCALE = float(os.environ.get("DIKAST_PROPERTY_SCALE", "1"))

TARGETS = [{"node": "node-1"}] * 3 + [{"workload": "bank/p0"}, {"workload": "bank/vm0"}]


def _count(number):
    return max(1, round(number * SCALE))


def _one_sequence(probe, rng, options):
    target = rng.choice(TARGETS)
    sequence = worlds.sequence(rng, rng.randint(30, 60), options)
    problem = sequences.report(probe, sequence, target, in_sync_from=rng.choice([0, 0, 2]))
    assert problem is None, problem
    # Who comes late learns the same, at once or in any order.
    world = {}
    for changes in sequence:
        world = worlds.apply(world, changes)
    for late in (sequences.from_nothing(world), sequences.from_nothing(world, rng)):
        problem = sequences.report(probe, late, target, in_sync_from=rng.choice([0, len(late) - 1]))
        assert problem is None, problem


def test_sound_worlds(probe, rng):
    for _ in range(_count(50)):
        _one_sequence(probe, rng, worlds.Options(broken=False))


def test_worlds_with_broken_resources(probe, rng):
    for _ in range(_count(50)):
        _one_sequence(probe, rng, worlds.Options())


# ---- from a directory, for one workload ---------------------------------------------------


def _calculated(probe, folder, world, workload):
    (folder / "world.yaml").write_text(resources.dump(world.values()), encoding="utf-8")
    answer = probe.ask("calc", directory=str(folder), workload=workload)
    assert answer["ok"], answer
    client = fold.Client()
    client.flush([unb64(message) for message in answer["messages"]])
    return client


CLUSTER = vectors.load("calculation_cluster.yaml")["world"]

# What is wrong there has none of the marks by which the model knows it.
UNMARKED = ["an unknown podSelector"]


@pytest.mark.parametrize("case", **vectors.by_name(
    [case for case in vectors.load("calculation.yaml")["cases"] if case["name"] not in UNMARKED]))
def test_model_agrees_with_table(probe, tmp_path, case):
    """The model, on the worlds of which a table tells what must come out."""
    world = {name: resources.resource(name, content)
             for name, content in resources.merged(CLUSTER, case.get("world")).items()}
    workload = case.get("workload", "bank/web")
    sequences.compare(_calculated(probe, tmp_path, world, workload), world, {"workload": workload})


def test_directories(probe, rng, tmp_path):
    """Random worlds as the files of a directory."""
    met = 0
    for _ in range(_count(60)):
        world = {}
        for changes in worlds.sequence(rng, 5, worlds.Options()):
            world = worlds.apply(world, changes)
        workloads = sorted({each.workload for each in endpoints.endpoints(world) if each.workload})
        for workload in rng.sample(workloads, min(3, len(workloads))):
            client = _calculated(probe, tmp_path, world, workload)
            sequences.compare(client, world, {"workload": workload})
            met += len(client.endpoints)
    assert met > 0.5 * _count(60)


# ---- is the generator worth something? ------------------------------------------------------


def test_random_worlds_are_rich(rng):
    """What comes of them must come often: sets with members, unreadable ones, listed policies, changes that matter."""
    flushes = changed = 0
    seen = {"policies": 0, "members": 0, "unreadable": 0, "malformed": 0, "deny profile": 0, "services": 0}
    for _ in range(10):
        world, before = {}, None
        for changes in worlds.sequence(rng, 20, worlds.Options()):
            world = worlds.apply(world, changes)
            made = plan(world, node="node-1")
            now = state(made)
            flushes, changed, before = flushes + 1, changed + (now != before), now
            seen["policies"] += len(now["policies"])
            seen["members"] += sum(bool(members) for _, members in now["ip_sets"])
            seen["unreadable"] += any(kind == 255 for kind, _ in now["ip_sets"])
            seen["malformed"] += sum(each["inbound"] == [{"action": "malformed"}] for each in now["policies"].values())
            seen["deny profile"] += sum(each["inbound"] == [{"action": "deny"}] for each in now["profiles"].values())
            seen["services"] += sum(key[0] == "service" for key in made.ip_sets)
    print(flushes, changed, seen)
    assert changed > 0.5 * flushes
    assert seen["policies"] > 2 * flushes and seen["members"] > 2 * flushes
    assert min(seen.values()) > 0.1 * flushes, seen
