"""Principals: golden table, model, and random ones against the model."""

import pytest

import scenario
import vectors
from model import identity as model

CASES = vectors.load("identity.yaml")["cases"]

PIECES = [b"spiffe:", b"spiffe://", b"td", b"/", b"/", b"ns", b"/ns/", b"sa", b"/sa/", b"a", b"\0", b"\xff",
          b"spiffe://td/ns/", b"b/sa/"]


def _from_model(principal, pinned):
    """As Probe.identity answers."""
    identity = model.parse(principal, pinned and [name.encode() for name in pinned])
    return identity if isinstance(identity, str) else tuple(identity)


def _name(case):
    return f"{scenario.text(case['principal'])!r} {case.get('pinned', '')}"


@pytest.mark.parametrize("case", CASES, ids=_name)
def test_identity(probe, case):
    principal, pinned = scenario.text(case["principal"]), case.get("pinned")
    expected = case["is"]
    if isinstance(expected, list):
        expected = tuple(scenario.text(piece) for piece in expected)
    assert _from_model(principal, pinned) == expected
    assert probe.identity(principal, pinned) == expected


def test_random_principals_agree_with_model(probe, rng):
    for _ in range(3000):
        principal = b"".join(rng.choice(PIECES) for _ in range(rng.randint(0, 8)))
        pinned = rng.choice([None, ["td"], ["td", "a"]])
        assert probe.identity(principal, pinned) == _from_model(principal, pinned), principal


def test_changed_good_principals_agree_with_model(probe, rng):
    """One byte of a good principal left out, doubled or replaced."""
    good = b"spiffe://td/ns/bank/sa/web"
    for at in range(len(good)):
        for changed in (good[:at] + good[at + 1:], good[:at] + good[at:at + 1] + good[at:],
                        good[:at] + b"/" + good[at + 1:], good[:at] + b"\0" + good[at + 1:]):
            assert probe.identity(changed) == _from_model(changed, None), changed
