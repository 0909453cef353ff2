"""The whole way, from files that change at random to sidecars that read at their own pace, against the plain model.

DIKAST_SEED and DIKAST_PROPERTY_SCALE as in test_calculation_property.py.
"""

import contextlib
import json
import os
import time

import worlds
from calculation.resources import resource
from node_agent import NODE, agent, replace
from plain.state import plan, state, told_to
from sync_client import Client
from world_policies import KEYS, VALUES

SCALE = float(os.environ.get("DIKAST_PROPERTY_SCALE", "1"))
FLUSHES = 80
# Pods that nothing changes; all else does.
STEADY = {"Pod bank/steady": {"labels": {KEYS[0]: VALUES[0]}, "ip": "10.0.0.1", "account": "a"},
          "Pod shop/steady": {"labels": {KEYS[0]: VALUES[1], KEYS[1]: VALUES[0]}, "ip": "10.0.1.2"}}
WORKLOADS = ["bank/steady", "bank/p0", "bank/p1", "shop/steady", "shop/p0", "nowhere/nobody"]


def _write(node, flush):
    """A file for each resource."""
    for change in flush:
        name = change.get("set") or change["remove"]
        path = node.resources / (name.replace(" ", "_").replace("/", "_") + ".json")
        if "set" in change:
            replace(path, json.dumps(change["to"]))
        else:
            path.unlink(missing_ok=True)


def _is_gone(client):
    """Its endpoint went, at some time, and it was told."""
    return client.code is not None and client.kinds[-1] == "workload_endpoint_remove"


class Sidecars:
    """One for each workload, and the sockets; each is slower than the one before."""

    def __init__(self, node, rng):
        self.rng = rng
        self.sockets = {workload: node.mount(workload.replace("/", "."), workload) for workload in WORKLOADS}
        self.clients = {}

    def join(self, workload):
        if workload in self.clients:
            self.clients[workload].close()
        pause = WORKLOADS.index(workload) * 0.002
        self.clients[workload] = Client(self.sockets[workload], pause=pause and (lambda: time.sleep(pause)))

    def some_leave_and_join(self):
        for workload in WORKLOADS:
            if workload not in self.clients or self.clients[workload].code or self.rng.random() < 0.05:
                self.join(workload)

    def expect(self, world):
        whole = state(plan(world, node=NODE))
        for workload, client in self.clients.items():
            self._expect_one(workload, client, told_to(whole, workload))

    def _expect_one(self, workload, client, wanted):
        while True:
            try:
                client.expect(lambda _: client.code or client.in_sync and client.state() == wanted)
            except AssertionError:
                client.expect_state(wanted)  # which says where they differ
            if not client.code:
                return
            assert _is_gone(client), (client.code, client.kinds[-1:])
            self.join(workload)
            client = self.clients[workload]

    def close(self):
        for client in self.clients.values():
            client.close()


def _one_life(rng):
    with agent() as node, contextlib.closing(Sidecars(node, rng)) as sidecars:
        world = {}
        steady = [{"set": name, "to": resource(name, content)} for name, content in STEADY.items()]
        changes = [steady, *worlds.sequence(rng, FLUSHES, worlds.Options(broken=False))]
        for number, flush in enumerate(changes):
            _write(node, flush)
            world = worlds.apply(world, flush)
            if rng.random() < 0.5:
                time.sleep(rng.random() * 0.01)
            if rng.random() < 0.2:
                sidecars.some_leave_and_join()
            if number % 10 == 9:
                sidecars.expect(world)
        sidecars.expect(world)
        assert not [line for line in node.lines() if line["level"] == "error"], node.journal()


def test_lives(rng):
    for _ in range(max(1, round(3 * SCALE))):
        _one_life(rng)
