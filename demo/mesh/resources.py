"""The Kubernetes objects and policies of a mesh: one directory of YAML files, which is watched."""

import os
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Iterable

import yaml


@dataclass(frozen=True)
class PodSpec:
    """What the mesh has to know of a Pod to run it."""

    namespace: str
    name: str
    uid: str
    account: str
    app: str
    address: str

    @property
    def workload(self) -> str:
        """The pod's name for dikastes."""
        return f"{self.namespace}/{self.name}"


def read_pods(directory: Path) -> dict[str, PodSpec]:
    """Every Pod in a directory of YAML files, by its name (`NAMESPACE/POD` outside of the namespace default)."""
    pods = {}
    for file in sorted(directory.glob("*.yaml")):
        for resource in yaml.safe_load_all(file.read_text()):
            if resource and resource["kind"] == "Pod":
                pod = _pod_spec(resource)
                pods[pod.name if pod.namespace == "default" else pod.workload] = pod
    return pods


def _pod_spec(resource: dict) -> PodSpec:
    metadata = resource["metadata"]
    return PodSpec(
        namespace=metadata["namespace"],
        name=metadata["name"],
        uid=metadata["uid"],
        account=resource["spec"]["serviceAccountName"],
        app=metadata["labels"]["app"],
        address=resource["status"]["podIP"],
    )


class ResourceDirectory:
    """The watched directory. A file in it is replaced as a whole or not at all."""

    def __init__(self, path: Path, sources: Iterable[Path]) -> None:
        path.mkdir()
        path.chmod(0o755)
        self.path = path
        for source in sources:
            for file in source.glob("*.yaml"):
                shutil.copyfile(file, path / file.name)

    def write(self, name: str, content: str) -> None:
        """Replace one file: written beside the directory, so that its watchers see only the finished file."""
        fd, temporary = tempfile.mkstemp(dir=self.path.parent)
        with os.fdopen(fd, "w") as file:
            file.write(content)
            os.fchmod(file.fileno(), 0o644)
        os.rename(temporary, self.path / name)

    def remove(self, name: str) -> None:
        """Remove one file."""
        (self.path / name).unlink()

    def read(self, name: str) -> str:
        """The content of one file."""
        return (self.path / name).read_text()
