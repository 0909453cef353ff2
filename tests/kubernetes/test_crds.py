"""Our definitions of Calico's resources, judged by a real API server: it takes what it should and refuses the rest."""

import subprocess
import sys
from pathlib import Path
from typing import Any, Iterator

import pytest
import yaml
from client import ApiError, Object
from cluster import NATIVE, STORED, Cluster, read_crds

REPOSITORY = Path(__file__).resolve().parents[2]
SAMPLES = yaml.safe_load(Path(__file__).with_name("samples.yaml").read_text())
VERSIONS = {STORED: f"{STORED}/v1", NATIVE: f"{NATIVE}/v3"}
NAMESPACE = "crds"  # one for all tests here: no object of one is in another's way


def object_of(group: str, kind: str, name: str, spec: Any) -> Object:
    """A sample as an object; text written as <N> is N letters long. A kind without namespaces drops its own."""
    metadata = {"name": name, "namespace": NAMESPACE}
    return {"apiVersion": VERSIONS[group], "kind": kind, "metadata": metadata, "spec": lengthened(spec)}


def lengthened(value: Any) -> Any:
    """The value with text such as <1025> as long as that says."""
    if isinstance(value, dict):
        return {key: lengthened(item) for key, item in value.items()}
    if isinstance(value, list):
        return [lengthened(item) for item in value]
    if isinstance(value, str) and value.startswith("<") and value.endswith(">"):
        return "a" * int(value[1:-1])
    return value


def good() -> list[Any]:
    """Each sample that is to be taken: kind, name, spec."""
    return [
        pytest.param(sample["kind"], name, spec, id=f"{sample['kind']}-{name}")
        for sample in SAMPLES
        for name, spec in sample["good"].items()
    ]


def bad() -> list[Any]:
    """Each sample that is to be refused: kind, name (`bad-NAME`; else any), spec, what the server says."""
    return [
        pytest.param(sample["kind"], key.partition("-")[2] or "other", spec, message, id=f"{sample['kind']}-{message}")
        for sample in SAMPLES
        for key in sample
        if key.startswith("bad")
        for message, spec in sample[key].items()
    ]


@pytest.fixture(scope="module")
def groups(cluster: Cluster) -> Iterator[Cluster]:
    """The cluster with both groups side by side."""
    cluster.install_crds(NATIVE)
    cluster.create_namespace(NAMESPACE)
    yield cluster
    cluster.delete_namespace(NAMESPACE)
    cluster.remove_crds(NATIVE)


@pytest.mark.parametrize("group", VERSIONS)
def test_every_kind_has_samples(group: str) -> None:
    kinds = {definition["spec"]["names"]["kind"] for definition in read_crds(group)}
    assert kinds == {sample["kind"] for sample in SAMPLES}


@pytest.mark.parametrize("group", VERSIONS)
@pytest.mark.parametrize("kind, name, spec", good())
def test_good_one_is_kept_whole(groups: Cluster, group: str, kind: str, name: str, spec: Any) -> None:
    thing = object_of(group, kind, name, spec)
    made = groups.admin.create(thing)
    groups.admin.delete(thing)
    assert made["spec"] == {**made["spec"], **thing["spec"]}


@pytest.mark.parametrize("group", VERSIONS)
@pytest.mark.parametrize("kind, name, spec, message", bad())
def test_bad_one_is_refused(groups: Cluster, group: str, kind: str, name: str, spec: Any, message: str) -> None:
    with pytest.raises(ApiError) as refusal:
        groups.admin.create(object_of(group, kind, name, spec))
    assert message in refusal.value.message


def test_defaults(groups: Cluster) -> None:
    defaults = {
        "NetworkPolicy": {"tier": "default"},
        "StagedNetworkPolicy": {"tier": "default", "stagedAction": "Set"},
        "Tier": {"defaultAction": "Deny"},
        "FelixConfiguration": {"nftablesMode": "Auto", "nftablesFlowTableOffload": "Disabled"},
    }
    for kind, spec in defaults.items():
        thing = object_of(STORED, kind, "plain", {})
        assert groups.admin.create(thing)["spec"] == spec
        groups.admin.delete(thing)


@pytest.mark.parametrize("kind", sorted({sample["kind"] for sample in SAMPLES}))
def test_spec_is_needed_in_the_newer_group(groups: Cluster, kind: str) -> None:
    thing = object_of(NATIVE, kind, "other", {})
    del thing["spec"]
    with pytest.raises(ApiError) as refusal:
        groups.admin.create(thing)
    assert "spec: Required value" in refusal.value.message


def test_kubectl_by_short_names_and_columns(groups: Cluster) -> None:
    policy = object_of(NATIVE, "NetworkPolicy", "first", {"tier": "security", "order": 5})
    groups.admin.create(policy)
    heading, row = groups.kubectl("get", "cnp", "first", "--namespace", NAMESPACE).splitlines()
    assert heading.split() == ["NAME", "TIER", "ORDER"]
    assert row.split() == ["first", "security", "5"]


def test_policies_are_listed_by_tier(groups: Cluster) -> None:
    for name, tier in (("a", "rare"), ("b", "default")):
        groups.admin.create(object_of(NATIVE, "NetworkPolicy", name, {"tier": tier}))
    listed = groups.admin.list_all(VERSIONS[NATIVE], "NetworkPolicy", NAMESPACE, fieldSelector="spec.tier=rare")
    assert [policy["metadata"]["name"] for policy in listed["items"]] == ["a"]


@pytest.mark.parametrize("group", VERSIONS)
def test_status_of_a_tier(groups: Cluster, group: str) -> None:
    tier = object_of(group, "Tier", "ready", {})
    condition = {
        "type": "Ready",
        "status": "True",
        "reason": "AllIsWell",
        "message": "",
        "lastTransitionTime": "2026-01-01T00:00:00Z",
    }
    groups.admin.create({**tier, "status": {"conditions": [condition]}})
    assert groups.admin.get(VERSIONS[group], "Tier", "ready")["status"]["conditions"] == [condition]
    with pytest.raises(ApiError) as refusal:
        groups.admin.patch_status(tier, {"conditions": [{**condition, "status": "Perhaps"}]})
    assert "Unsupported value" in refusal.value.message
    groups.admin.delete(tier)


def test_files_are_what_the_tables_say() -> None:
    check = [sys.executable, str(REPOSITORY / "scripts" / "generate-crds.py"), "--check"]
    done = subprocess.run(check, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
