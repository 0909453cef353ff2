"""The real dikastes server, started on a small directory of ordinary resources."""

import os
import pathlib
import shutil
import signal
import subprocess
import tempfile
import time

import grpc
import yaml

from probe import BUILD
from protos import dikastes, dikastes_grpc

DIKASTES = BUILD / "bin" / "dikastes"

WEB, CUSTOMER = "10.0.0.2", "10.0.0.1"
CUSTOMERS_NAME = "spiffe://cluster.local/ns/bank/sa/customer"


def _object(kind, name, namespace=None, api="v1", labels=None, **rest):
    metadata = {"name": name, **({"namespace": namespace} if namespace else {}),
                **({"labels": labels} if labels else {})}
    return {"apiVersion": api, "kind": kind, "metadata": metadata, **rest}


def _pod(name, app, address):
    return _object("Pod", name, "bank", labels={"app": app},
                   spec={"nodeName": "node-1", "serviceAccountName": app,
                         "containers": [{"name": "main", "image": "example/main"}]},
                   status={"phase": "Running", "podIP": address, "podIPs": [{"ip": address}]})


def policy(methods):
    """Who may ask the web pod for what: the customer, by these methods, under /pub."""
    return _object("NetworkPolicy", "web", "bank", api="projectcalico.org/v3", spec={
        "selector": "app == 'web'",
        "types": ["Ingress"],
        "ingress": [{
            "action": "Allow",
            "source": {"serviceAccounts": {"names": ["customer"]}},
            "http": {"methods": methods, "paths": [{"prefix": "/pub"}]},
        }],
    })


CLUSTER = [
    _object("Namespace", "bank"),
    _object("ServiceAccount", "web", "bank"),
    _object("ServiceAccount", "customer", "bank"),
    _pod("web-0", "web", WEB),
    _pod("customer-0", "customer", CUSTOMER),
]


def wait_for(condition, seconds=10.0):
    """Asks again and again until the answer is true; the last answer."""
    end = time.monotonic() + seconds
    while True:
        answer = condition()
        if answer or time.monotonic() > end:
            return answer
        time.sleep(0.02)


class Server:
    """One server process with its own folder: policies, socket and log."""

    def __init__(self):
        # A short path: the name of a socket has little room.
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="dikast-"))
        self.resources = self.folder / "resources"
        self.resources.mkdir()
        self.socket = self.folder / "s"
        self.log = self.folder / "log"
        self.process = None
        self.write("cluster.yaml", CLUSTER)
        self.write("policy.yaml", [policy(["GET"])])

    def write(self, name, documents):
        """Replaces a file of the directory in one step."""
        new = self.folder / "new"
        new.write_text(yaml.safe_dump_all(documents), encoding="utf-8")
        os.replace(new, self.resources / name)

    def start(self):
        if not os.access(DIKASTES, os.X_OK):
            raise FileNotFoundError(f"{DIKASTES} is not there: build it first")
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen(
                [str(DIKASTES), "server", "-l", str(self.socket), "-d",
                 f"directory:{self.resources}", "--workload", "bank/web-0"],
                stdin=subprocess.DEVNULL, stderr=log)
        return self

    def wait_until_ready(self):
        assert wait_for(self.is_ready), f"not ready; its log:\n{self.log.read_text()}"
        return self

    def is_ready(self):
        status = self.process.poll()
        assert status is None, f"the server ended with {status}; its log:\n{self.log.read_text()}"
        if not self.socket.exists():
            return False
        with self.channel() as channel:
            try:
                return dikastes_grpc.HealthzStub(channel).CheckReadiness(
                    dikastes.HealthCheckRequest(), timeout=2).healthy
            except grpc.RpcError:
                return False

    def channel(self, **options):
        return grpc.insecure_channel(f"unix:{self.socket}", options=[
            # Channels of one process would share a connection otherwise.
            ("grpc.use_local_subchannel_pool", 1)], **options)

    def stop(self, number=signal.SIGTERM, seconds=10):
        """Sends the signal and returns the exit status."""
        self.process.send_signal(number)
        return self.process.wait(timeout=seconds)

    def close(self):
        if self.process and self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        shutil.rmtree(self.folder, ignore_errors=True)
