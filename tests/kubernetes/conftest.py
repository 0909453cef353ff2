"""One cluster for all tests of this folder. What it needs and does not find is a failure, not a skip."""

import itertools
import shutil
import sys
from pathlib import Path
from typing import Iterator

import pytest

_ROOT = Path(__file__).resolve().parents[2]
# Models and clients are those of the tests of the programs alone.
sys.path[:0] = [str(_ROOT / "demo"), str(_ROOT / "tests" / "kubernetes"), str(_ROOT / "tests" / "py")]

from cluster import Cluster  # noqa: E402 (found by the lines above)
from mesh.processes import StartFailed, tail  # noqa: E402
from part import NotBuilt  # noqa: E402

_numbers = itertools.count(1)


@pytest.fixture(scope="session")
def cluster() -> Iterator[Cluster]:
    """The cluster, with Calico's resources in the group that upstream stores them in. A test may restart it."""
    for tool in ("kubectl", "setpriv"):
        if shutil.which(tool) is None:
            pytest.fail(f"the program '{tool}' is not installed. Run: scripts/install-deps.sh", pytrace=False)
    try:
        with Cluster() as running:
            running.install_crds()
            yield running
    except (NotBuilt, StartFailed) as failed:
        pytest.fail(f"the tests with a real API server cannot run: {failed}", pytrace=False)


@pytest.fixture
def namespace(cluster: Cluster) -> Iterator[str]:
    """A namespace of the test's own, gone after it with all that is in it."""
    name = f"test-{next(_numbers)}"
    cluster.create_namespace(name)
    yield name
    cluster.delete_namespace(name)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Iterator[None]:
    """Put the end of the servers' logs beside a failure."""
    report = yield
    running = getattr(item, "funcargs", {}).get("cluster")
    if report.failed and isinstance(running, Cluster):
        for server in (running.etcd, running.api_server):
            report.sections.append((str(server.log), tail(server.log)))
    return report
