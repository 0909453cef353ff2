"""The running world, shared by all tests of this folder. What it needs and does not find is a failure, not a skip."""

import sys
from pathlib import Path
from typing import Iterator

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "demo"))

from mesh.mesh import Mesh, PolicySource  # noqa: E402 (found by the line above)
from mesh.processes import StartFailed, tail  # noqa: E402
from mesh.requirements import Missing, Programs, find_programs  # noqa: E402
from world import CLUSTER, World  # noqa: E402


@pytest.fixture(scope="session")
def programs() -> Programs:
    """The programs under test."""
    try:
        return find_programs()
    except Missing as missing:
        pytest.fail(f"the end-to-end tests cannot run: {missing}", pytrace=False)


@pytest.fixture(scope="session")
def world(programs: Programs) -> Iterator[World]:
    """One mesh for all tests; each module, or test, applies the policies it is about."""
    try:
        with Mesh("dikast-e2e", programs, [CLUSTER]) as mesh:
            running = World(mesh)
            yield running
            running.close()
    except (Missing, StartFailed) as failed:
        pytest.fail(f"the end-to-end tests cannot run: {failed}", pytrace=False)


@pytest.fixture(scope="class", params=PolicySource, ids=lambda source: source.value)
def source(world: World, request: pytest.FixtureRequest) -> Iterator[PolicySource]:
    """Where the server's dikastes has its policy from; whatever the source, the verdicts are to be the same."""
    world.server.feed_from(request.param)
    yield request.param
    world.server.feed_from(PolicySource.FELIX)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Iterator[None]:
    """Put the end of the logs beside a failure: why a request was refused stands there."""
    report = yield
    running = getattr(item, "funcargs", {}).get("world")
    if report.failed and isinstance(running, World):
        for log in running.logs:
            report.sections.append((str(log), tail(log)))
    return report
