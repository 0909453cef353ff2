"""Fixtures shared by the tests; see probe.py, scenario.py, vectors.py and protos.py."""

import os
import pathlib
import random
import sys

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).parent))

import probe as probes  # noqa: E402  (needs the path above)


@pytest.fixture(scope="session")
def probe():
    """The C code under test.  Without its binary every use fails: nothing is skipped."""
    client = probes.Probe()
    yield client
    client.close()


@pytest.fixture
def rng(request):
    """Random numbers of a property test; DIKAST_SEED repeats a run."""
    seed = os.environ.get("DIKAST_SEED") or str(random.SystemRandom().randrange(10**9))
    print(f"DIKAST_SEED={seed}")
    return random.Random(f"{seed} {request.node.name}")

