#!/usr/bin/env python3
"""Measures felix behind a directory and sockets: time, CPU and memory until many sidecars are in sync, and what a change costs.

See README.md. The calculation alone is measured by the program bench/calc.
"""

import argparse
import json
import os
import pathlib
import statistics
import subprocess
import sys
import tempfile
import time

import in_force
import shape

ROOT = pathlib.Path(__file__).resolve().parent.parent
TICKS = os.sysconf("SC_CLK_TCK")
LIMIT = 300  # seconds; whoever takes longer is broken


def parse_arguments():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--build", type=pathlib.Path, default=ROOT / os.environ.get("DIKAST_BUILD", "build"))
    parser.add_argument("--policies", type=int, default=1000)
    parser.add_argument("--pods", type=int, default=10000)
    parser.add_argument("--local", type=int, default=250, help="pods of this node, each with a sidecar")
    parser.add_argument("--changes", type=int, default=40, help="of each kind")
    parser.add_argument("--json", action="store_true")
    return parser.parse_args()


def cpu_seconds(pid):
    fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


class Agent:
    def __init__(self, program, folder, prefix):
        self.began = time.monotonic_ns()
        self.process = subprocess.Popen(
            [program, "--directory", folder, "--node", shape.NODE, "--policy-sync-prefix", prefix,
             "--log-level", "error"], stdin=subprocess.DEVNULL)

    def cpu_seconds(self):
        return cpu_seconds(self.process.pid)

    def resident_mib(self):
        return self._memory("VmRSS")

    def most_mib(self):
        return self._memory("VmHWM")

    def _memory(self, field):
        for line in pathlib.Path(f"/proc/{self.process.pid}/status").read_text().splitlines():
            if line.startswith(field):
                return int(line.split()[1]) / 1024
        raise RuntimeError("felix is gone")

    def stop(self):
        self.process.terminate()
        self.process.wait()


class Sidecars:
    def __init__(self, program, prefix, names):
        self.process = subprocess.Popen([program, prefix, *names], stdout=subprocess.PIPE, text=True)

    def line(self, word):
        """The numbers of the next line of this kind."""
        for line in self.process.stdout:
            first, *numbers = line.split()
            if first == word:
                return list(map(int, numbers))
        raise RuntimeError("the sidecars are gone")

    def stop(self):
        self.process.kill()
        self.process.wait()


def write_credentials(prefix, world):
    (prefix / "creds").mkdir(parents=True)
    for index in world.local_pods():
        (prefix / "mount" / f"uid-{index}").mkdir(parents=True)
        (prefix / "creds" / f"uid-{index}.json").write_text(json.dumps({
            "UID": f"uid-{index}", "Workload": f"pod-{index}", "ServiceAccount": "web",
            "Namespace": f"namespace-{index // shape.PODS_A_NAMESPACE}"}))
    return [f"uid-{index}" for index in world.local_pods()]


def _relabel(world, namespace, number):
    """To another team than it has, and than it had at the start."""
    world.write_namespace(namespace, (namespace + 1 + number % (shape.TEAMS - 1)) % shape.TEAMS)


def changes(world, count):
    """kind -> list of functions that make one change which some sidecar is told of."""
    local_apps = {index // shape.REPLICAS for index in world.local_pods()}
    felt = [index for index in range(world.policies) if index % 10 < 9
            and world.pod_of_policy(index) // shape.REPLICAS in local_apps]
    return {
        "policy changed": [lambda i=i, n=n: world.write_policy(i, n + 1)
                           for n, i in enumerate((felt * count)[:count])],
        "namespace relabelled": [lambda n=n: _relabel(world, n * world.stride // shape.PODS_A_NAMESPACE, n)
                                 for n in range(count)],
    }


def measure_changes(agent, sidecars, world, count):
    results = {}
    for kind, list_ in changes(world, count).items():
        latencies, before = [], agent.cpu_seconds()
        for change in list_:
            began = time.monotonic_ns()
            change()
            last, _ = sidecars.line("updates")
            latencies.append((last - began) / 1e6)
        results[kind] = {"median_ms": statistics.median(latencies), "worst_ms": max(latencies),
                         "cpu_ms": (agent.cpu_seconds() - before) * 1000 / len(list_)}
    return results


def measure(arguments, folder):
    directory, prefix = folder / "directory", folder / "nodeagent"
    directory.mkdir()
    world = shape.Directory(directory, arguments.policies, arguments.pods, arguments.local)
    print(f"writing {arguments.policies} policies and {arguments.pods} pods", file=sys.stderr, flush=True)
    world.write()
    names = write_credentials(prefix, world)
    agent = Agent(arguments.build / "bin" / "felix", directory, prefix)
    sidecars = Sidecars(arguments.build / "bench" / "sidecars", prefix, names)
    try:
        at, size, messages = sidecars.line("in_sync")
        result = {"in_sync_s": (at - agent.began) / 1e9, "cpu_s": agent.cpu_seconds(),
                  "resident_mib": agent.resident_mib(), "bytes": size, "messages": messages}
        # All of them again, at once, at an agent that is up.
        sidecars.stop()
        began = time.monotonic_ns()
        sidecars = Sidecars(arguments.build / "bench" / "sidecars", prefix, names)
        result["join_s"] = (sidecars.line("in_sync")[0] - began) / 1e9
        result["changes"] = measure_changes(agent, sidecars, world, arguments.changes)
        # One of them a real one, beside all others.
        sidecars.stop()
        sidecars = Sidecars(arguments.build / "bench" / "sidecars", prefix, names[1:])
        sidecars.line("in_sync")
        result["in_force"] = in_force.measure(arguments.build / "bin" / "dikastes", prefix / "mount" / names[0] / "socket",
                                              world.write_switch, arguments.changes)
        result["resident_later_mib"] = agent.resident_mib()
        result["most_mib"] = agent.most_mib()
        return result
    finally:
        sidecars.stop()
        agent.stop()


def main():
    arguments = parse_arguments()
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        result = measure(arguments, pathlib.Path(folder))
    if arguments.json:
        print(json.dumps(result, indent=1))
        return 0
    print(f"{arguments.policies:,} policies, {arguments.pods:,} pods, {arguments.local} sidecars")
    print(f"start to the last InSync {result['in_sync_s']:.2f} s, CPU {result['cpu_s']:.2f} s, "
          f"resident {result['resident_mib']:.0f} MiB; {result['messages']:,} messages, {result['bytes'] / 1e6:.1f} MB")
    print(f"all join at once: {result['join_s']:.2f} s; resident at the end {result['resident_later_mib']:.0f} MiB, "
          f"at most {result['most_mib']:.0f}")
    for kind, figures in result["changes"].items():
        print(f"{kind}: {figures['median_ms']:.1f} ms to the last sidecar (worst {figures['worst_ms']:.1f}), "
              f"CPU {figures['cpu_ms']:.1f} ms")
    print(f"policy changed, to the first verdict of a dikastes by it: {result['in_force']['median_ms']:.1f} ms "
          f"(worst {result['in_force']['worst_ms']:.1f})")
    return 0


if __name__ == "__main__":
    sys.exit(main())
