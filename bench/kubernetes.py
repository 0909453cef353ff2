#!/usr/bin/env python3
"""Measures felix behind a real API server: what a node costs it and itself at the start, at rest, and for each change.

See README.md. The API server and etcd are those of tests/kubernetes, built by `make kubernetes-parts`.
"""

import argparse
import json
import os
import pathlib
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request

ROOT = pathlib.Path(__file__).resolve().parent.parent
sys.path += [str(ROOT / "tests" / "kubernetes"), str(ROOT / "demo")]

import agent  # noqa: E402
import shape  # noqa: E402
from cluster import STORED, Cluster  # noqa: E402 (found by the line above)
from servers import free_port  # noqa: E402

LIMIT = 300  # seconds; whoever takes longer is broken


def parse_arguments():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--build", type=pathlib.Path, default=ROOT / os.environ.get("DIKAST_BUILD", "build"))
    parser.add_argument("--policies", type=int, default=1000)
    parser.add_argument("--pods", type=int, default=10000)
    parser.add_argument("--local", type=int, default=100, help="pods of this node, each with a sidecar")
    parser.add_argument("--starts", type=int, default=3)
    parser.add_argument("--idle", type=int, default=120, help="seconds at rest")
    parser.add_argument("--changes", type=int, default=100, help="of each kind")
    parser.add_argument("--json", action="store_true")
    return parser.parse_args()


# ---- what is in the cluster --------------------------------------------------------------------------


class Objects(shape.Shape):
    """The shape as objects: a dictionary, by name."""

    def __init__(self, *numbers):
        super().__init__(*numbers)
        self.made = {}

    def put(self, name, api, kind, metadata, **rest):
        if api == "projectcalico.org/v3":
            api, metadata = f"{STORED}/v1", {**metadata, "name": f"default.{metadata['name']}"}
        thing = {"apiVersion": api, "kind": kind, "metadata": metadata, **rest}
        self.made[name] = _as_in_life(thing) if kind == "Pod" else thing


def _as_in_life(pod):
    """With all that pods of a Deployment have and felix does not look at, some five kilobytes."""
    name = pod["metadata"]["name"]
    pod["metadata"]["ownerReferences"] = [{"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": name, "controller": True,
                                           "uid": "0a1b2c3d-0000-1111-2222-333344445555"}]
    container, = pod["spec"]["containers"]
    probe = {"httpGet": {"path": "/healthz", "port": 8080}, "periodSeconds": 10, "timeoutSeconds": 3}
    container.update(
        env=[{"name": f"SETTING_{index}", "value": f"value-{index}-of-{name}"} for index in range(12)],
        resources={"requests": {"cpu": "100m", "memory": "128Mi"}, "limits": {"memory": "256Mi"}},
        livenessProbe=probe, readinessProbe=probe,
        volumeMounts=[{"name": f"volume-{index}", "mountPath": f"/etc/volume-{index}"} for index in range(4)])
    pod["spec"]["volumes"] = [{"name": f"volume-{index}", "configMap": {"name": f"config-{index}"}} for index in range(4)]
    pod["spec"]["tolerations"] = [{"key": f"node.kubernetes.io/{key}", "operator": "Exists", "effect": "NoExecute",
                                   "tolerationSeconds": 300} for key in ("not-ready", "unreachable")]
    now = "2026-01-01T00:00:00Z"
    pod["status"]["conditions"] = [{"type": kind, "status": "True", "lastTransitionTime": now} for kind in (
        "PodReadyToStartContainers", "Initialized", "Ready", "ContainersReady", "PodScheduled")]
    pod["status"]["containerStatuses"] = [{
        "name": container["name"], "ready": True, "started": True, "restartCount": 0, "image": container["image"],
        "imageID": f"registry.example/{name}@sha256:{'0' * 64}", "containerID": f"containerd://{'1' * 64}",
        "state": {"running": {"startedAt": now}}}]
    return pod


def fill(cluster, objects):
    """In an order in which the API server takes them."""
    kinds = ["Namespace", "ServiceAccount", "Pod"]
    order = sorted(objects.made.values(), key=lambda thing: kinds.index(thing["kind"]) if thing["kind"] in kinds else 9)
    namespaces = [thing for thing in order if thing["kind"] == "Namespace"]
    cluster.create_all(namespaces)
    cluster.create_all(order[len(namespaces):])


# ---- felix ---------------------------------------------------------------------------------------------


class Agent(agent.Agent):
    def __init__(self, program, kubeconfig, prefix):
        self.port = free_port()
        environment = {**os.environ, "KUBECONFIG": str(kubeconfig), "FELIX_PROMETHEUSMETRICSENABLED": "true",
                       "FELIX_PROMETHEUSMETRICSHOST": "127.0.0.1", "FELIX_PROMETHEUSMETRICSPORT": str(self.port)}
        self.began = time.monotonic_ns()
        self.process = subprocess.Popen(
            [program, "--datastore", "kubernetes", "--node", shape.NODE, "--policy-sync-prefix", prefix,
             "--log-level", "error"], stdin=subprocess.DEVNULL, env=environment)

    def traffic(self):
        """(requests, bytes of answers as they came over the wire) so far."""
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/metrics", timeout=LIMIT) as response:
            lines = [line.rsplit(" ", 1) for line in response.read().decode().splitlines() if line[:1] != "#"]
        values = {name: float(value) for name, value in lines}
        return (values["felix_kubernetes_requests_total"], values["felix_kubernetes_received_bytes_total"])


def start(arguments, folder, kubeconfig, objects, cluster):
    """A felix and its sidecars, and what it took until the last of them was in sync."""
    prefix = folder / "nodeagent"
    shutil.rmtree(prefix, ignore_errors=True)
    names = agent.write_credentials(prefix, objects)
    server_cpu = agent.cpu_seconds(cluster.api_server.pid)
    felix = Agent(arguments.build / "bin" / "felix", kubeconfig, prefix)
    sidecars = agent.Sidecars(arguments.build / "bench" / "sidecars", prefix, names)
    at, _, _ = sidecars.line("in_sync")
    requests, size = felix.traffic()
    server_cpu = agent.cpu_seconds(cluster.api_server.pid) - server_cpu
    return felix, sidecars, {"in_sync_s": (at - felix.began) / 1e9, "cpu_s": felix.cpu_seconds(), "requests": requests,
                             "server_cpu_s": server_cpu,
                             "received_mb": size / 1e6, "most_mib": felix.most_mib(), "resident_mib": felix.resident_mib()}


def measure_starts(arguments, folder, kubeconfig, objects, cluster):
    """The median of several; the last one goes on."""
    results = []
    for number in range(arguments.starts):
        felix, sidecars, result = start(arguments, folder, kubeconfig, objects, cluster)
        results.append(result)
        if number + 1 < arguments.starts:
            sidecars.stop()
            felix.stop()
    return felix, sidecars, {key: statistics.median(result[key] for result in results) for key in results[0]}


def measure_idle(felix, seconds):
    before, cpu = felix.traffic(), felix.cpu_seconds()
    time.sleep(seconds)
    after = felix.traffic()
    return {"requests_a_minute": (after[0] - before[0]) * 60 / seconds, "bytes_a_minute": (after[1] - before[1]) * 60 / seconds,
            "cpu_ms_a_minute": (felix.cpu_seconds() - cpu) * 1000 * 60 / seconds, "resident_mib": felix.resident_mib()}


# ---- changes -------------------------------------------------------------------------------------------------


def changes(cluster, objects, count):
    """kind -> (functions that make one change each, whether some sidecar is told of it)."""
    local = {index // shape.REPLICAS for index in objects.local_pods()}
    remote = [index for index in range(objects.pods) if index // shape.REPLICAS not in local and index % objects.stride]
    felt = [index for index in range(objects.policies) if index % 10 < 9
            and objects.pod_of_policy(index) // shape.REPLICAS in local]

    def pod(index, **metadata):
        return lambda: cluster.admin.patch(objects.made[f"pod-{index}"], {"metadata": metadata})

    def policy(index, version):
        objects.write_policy(index, version)
        thing = objects.made[f"policy-{index}"]
        return lambda: cluster.admin.patch(thing, {"spec": thing["spec"]})

    numbers = range(count)
    return {
        "pod elsewhere: annotation": ([pod(remote[n % len(remote)], annotations={"note": str(n)}) for n in numbers], False),
        "pod elsewhere: label": ([pod(remote[n % len(remote)], labels={"version": f"v{n + 2}"}) for n in numbers], False),
        "policy": ([policy(felt[n % len(felt)], n + 1) for n in numbers], True),
    }


def measure_changes(cluster, felix, sidecars, objects, count):
    results = {}
    for kind, (list_, is_felt) in changes(cluster, objects, count).items():
        traffic, cpu, latencies = felix.traffic(), felix.cpu_seconds(), []
        for change in list_:
            began = time.monotonic_ns()
            change()
            if is_felt:
                latencies.append((sidecars.line("updates")[0] - began) / 1e6)
        time.sleep(1)  # until the last has come
        results[kind] = {"bytes": (felix.traffic()[1] - traffic[1]) / count, "cpu_ms": (felix.cpu_seconds() - cpu) * 1000 / count}
        if latencies:
            results[kind].update(median_ms=statistics.median(latencies), worst_ms=max(latencies))
    return results


# ---- all of it --------------------------------------------------------------------------------------------------


def measure(arguments, folder):
    with Cluster() as cluster:
        cluster.install_crds()
        objects = Objects(arguments.policies, arguments.pods, arguments.local)
        objects.write()
        print(f"creating {len(objects.made):,} objects", file=sys.stderr, flush=True)
        fill(cluster, objects)
        listed = json.dumps(cluster.admin.list_all("v1", "Pod", limit=100)["items"])
        kubeconfig = cluster.kubeconfig(folder / "kubeconfig", cluster.user_with_certificate())
        print("measuring", file=sys.stderr, flush=True)
        felix, sidecars, result = measure_starts(arguments, folder, kubeconfig, objects, cluster)
        try:
            return {"pod_bytes": len(listed) / 100, "start": result, "idle": measure_idle(felix, arguments.idle),
                    "changes": measure_changes(cluster, felix, sidecars, objects, arguments.changes),
                    "resident_later_mib": felix.resident_mib(), "most_later_mib": felix.most_mib()}
        finally:
            sidecars.stop()
            felix.stop()


def print_result(arguments, result):
    begun, idle = result["start"], result["idle"]
    print(f"{arguments.policies:,} policies, {arguments.pods:,} pods of {result['pod_bytes'] / 1000:.1f} kB, "
          f"{arguments.local} of them of this node with sidecars\n")
    print("| what | |\n|---|---|")
    print(f"| start to the last sidecar's InSync | {begun['in_sync_s']:.2f} s |")
    print(f"| CPU for it; of the API server | {begun['cpu_s']:.2f} s; {begun['server_cpu_s']:.2f} s |")
    print(f"| requests for it | {begun['requests']:.0f} |")
    print(f"| received for it | {begun['received_mb']:.1f} MB |")
    print(f"| resident: most, then | {begun['most_mib']:.0f}, {begun['resident_mib']:.0f} MiB |")
    print(f"| at rest, a minute: requests, bytes, CPU | {idle['requests_a_minute']:.1f}, {idle['bytes_a_minute']:,.0f}, "
          f"{idle['cpu_ms_a_minute']:.0f} ms |")
    for kind, figures in result["changes"].items():
        latency = f", {figures['median_ms']:.1f} ms to the last sidecar (worst {figures['worst_ms']:.0f})" if "median_ms" in figures else ""
        print(f"| {kind} | {figures['bytes']:,.0f} bytes, {figures['cpu_ms']:.2f} ms CPU{latency} |")
    print(f"| resident afterwards: most, then | {result['most_later_mib']:.0f}, {result['resident_later_mib']:.0f} MiB |")


def main():
    arguments = parse_arguments()
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        result = measure(arguments, pathlib.Path(folder))
    if arguments.json:
        print(json.dumps(result, indent=1))
    else:
        print_result(arguments, result)
    return 0


if __name__ == "__main__":
    sys.exit(main())
