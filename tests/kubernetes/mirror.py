"""The same changes in a cluster and in a directory.

What the API server takes is read back from it, with its defaults, and written to the directory; what it refuses changes
neither. A change that it takes only of a new object (most of a Pod's spec) removes the old one first.
"""

from typing import Any

import listed
import world_policies as policies
from calculation import resources
from client import ApiError, Object
from cluster import STORED, Cluster
from listed import CALICO
from node_agent import Agent

Change = dict[str, Any]  # {"set": name, "to": resource} or {"remove": name}, as tests/py/worlds.py makes them


class Mirror:
    """A cluster and the directory of an agent."""

    def __init__(self, cluster: Cluster, agent: Agent) -> None:
        self._cluster = cluster
        self._agent = agent
        self._stored: dict[str, Object] = {}  # name in a world → the object of the cluster
        self._leaving: set[str] = set()  # pods that are being deleted
        self.taken = self.refused = 0

    def adopt(self) -> None:
        """Write to the directory what the cluster has already."""
        for name, whole in listed.world_of(self._cluster.admin).items():
            self._write(name, whole)

    def change(self, change: Change) -> None:
        """Make one change in both, or in neither."""
        name = change.get("set") or change["remove"]
        kind = name.partition(" ")[0]
        if kind not in CALICO and kind not in resources.KUBERNETES:
            return  # of directories alone
        try:
            if "remove" in change:
                self._remove(name)
            else:
                self._set(name, change["to"])
                self._copy(name)
            self.taken += 1
        except ApiError as error:
            assert error.status in (400, 404, 409, 422), error
            self._copy(name)  # half of it may have been taken
            self.refused += 1

    def clear(self) -> None:
        """Remove all that was made."""
        for name in sorted(self._stored, key=lambda each: each.startswith("Namespace ")):
            self._remove(name)

    def _set(self, name: str, whole: Object) -> None:
        admin = self._cluster.admin
        wanted, leaves = _as_stored(name, whole)
        before = self._stored.get(name)
        if before is not None and name in self._leaving and not leaves:
            admin.delete(before)  # what is being deleted is not taken back
            before = None
        if before is not None and before["metadata"]["name"] != wanted["metadata"]["name"]:
            admin.create(wanted)  # first, so that the policy is there all the time
            self._stored[name] = wanted
            admin.delete(before)
        else:
            self._stored[name] = wanted
            self._replace(before, wanted) if before else admin.create(wanted)
        self._leaving.discard(name)
        if leaves:
            self._leaving.add(name)
            # A node would take its time.
            admin.request("DELETE", admin.path_of(wanted), {"gracePeriodSeconds": 3600})

    def _replace(self, before: Object, wanted: Object) -> None:
        admin = self._cluster.admin
        metadata = {**wanted["metadata"], "resourceVersion": self._there(before)["metadata"]["resourceVersion"]}
        try:
            made = admin.replace({**wanted, "metadata": metadata})
        except ApiError as error:
            if error.status != 422 or wanted["kind"] not in ("Pod", "EndpointSlice"):
                raise
            admin.delete(before)
            admin.create(wanted)
            return
        if wanted["kind"] == "Pod":
            admin.request("PUT", admin.path_of(wanted) + "/status", {**made, "status": wanted["status"]})

    def _there(self, thing: Object) -> Object:
        metadata = thing["metadata"]
        return self._cluster.admin.get(
            thing["apiVersion"], thing["kind"], metadata["name"], metadata.get("namespace")
        )

    def _copy(self, name: str) -> None:
        """Write to the directory what the cluster has now under this name, if anything."""
        try:
            whole = self._there(self._stored[name])
        except ApiError as error:
            if error.status != 404:
                raise
            self._forget(name)
        else:
            self._write(name, whole)

    def _remove(self, name: str) -> None:
        if name not in self._stored:
            return
        if name.startswith("Namespace "):
            namespace = name.partition(" ")[2]
            self._cluster.delete_namespace(namespace)
            for each in [each for each in self._stored if each.partition(" ")[2].startswith(f"{namespace}/")]:
                self._forget(each)
        else:
            self._cluster.admin.delete(self._stored[name])
        self._forget(name)

    def _forget(self, name: str) -> None:
        self._leaving.discard(name)
        if self._stored.pop(name, None) is not None and (self._agent.resources / _file_of(name)).exists():
            self._agent.remove(_file_of(name))

    def _write(self, name: str, whole: Object) -> None:
        version, kind = resources.KUBERNETES.get(name.partition(" ")[0], (resources.CALICO, name.partition(" ")[0]))
        metadata = {key: value for key, value in whole["metadata"].items() if key != "managedFields"}
        self._agent.put(_file_of(name), {**whole, "apiVersion": version, "kind": kind, "metadata": metadata})


def _as_stored(name: str, whole: Object) -> tuple[Object, bool]:
    """A resource of a world as an object of the cluster; and whether it is a pod that is being deleted."""
    metadata = dict(whole["metadata"])
    leaves = metadata.pop("deletionTimestamp", None) is not None
    kind = name.partition(" ")[0]
    version, stored_kind = resources.KUBERNETES.get(kind, (f"{STORED}/v1", kind))
    # As upstream stored them; those of other tiers are named as their users see them.
    if kind in policies.CALICO_KINDS and (whole.get("spec") or {}).get("tier", "default") == "default":
        metadata["name"] = f"default.{metadata['name']}"
    return {**whole, "apiVersion": version, "kind": stored_kind, "metadata": metadata}, leaves


def _file_of(name: str) -> str:
    return f"{name.replace(' ', '.').replace('/', '.')}.json"
