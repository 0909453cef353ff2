"""Path normalisation: golden table, model, and what must hold for every path."""

import pytest

import judges
import scenario
import vectors
from model import path as model

TABLE = vectors.load("paths.yaml")

ALPHABET = [b"/", b"/", b"/", b"a", b"b", b".", b"..", b"%2e", b"%2F", b"%5c", b"%61", b"%25", b"%",
            b"\\", b";", b";x", b"?", b"#", b"//", b"/../", b"/./", b"\0", b"%00", b"\xff", b"http://h",
            b"2e", b"*", b":", b"%3b", b"%3f"]


def _name(row):
    return repr(scenario.text(row["raw"]))


def _from_model(raw):
    """As Probe.path answers."""
    normal = model.normalise_request(raw)
    if normal in (model.MALFORMED, model.NOT_NORMALISABLE):
        return None, normal != model.MALFORMED
    return normal, True


def _expected(row):
    if row.get("invalid"):
        return None, False
    return (None if row.get("fails") else scenario.text(row["normal"])), True


@pytest.mark.parametrize("row", TABLE["requests"], ids=_name)
def test_model_of_request_path(row):
    assert _from_model(scenario.text(row["raw"])) == _expected(row)


@pytest.mark.parametrize("row", TABLE["requests"], ids=_name)
def test_request_path(probe, row):
    assert probe.path(scenario.text(row["raw"])) == _expected(row)


@pytest.mark.parametrize("row", TABLE["rules"], ids=_name)
def test_rule_path(probe, row):
    expected = None if row.get("fails") else scenario.text(row["normal"])
    raw = scenario.text(row["raw"])
    assert model.normalise_rule(raw) == expected
    assert probe.rule_path(raw) == expected


@pytest.mark.parametrize("spellings", TABLE["spellings"], ids=lambda group: group[0])
def test_all_spellings_get_one_verdict(probe, spellings):
    """A deny on the path refuses them all; an allow on it lets all of them in."""
    policy = {"kind": "GlobalNetworkPolicy", "name": "p"}
    for action, reason in (("deny", "denied_by_rule"), ("allow", "allowed_by_rule")):
        judge = judges.ProbeJudge(probe)
        judge.reset()
        judge.sync([
            {"policy": {**policy, "rules": [
                {"action": action, "http_match": {"paths": [{"exact": spellings[0]}]}}]}},
            {"endpoint": {"tiers": [{"name": "t", "policies": [policy]}]}},
            {"in_sync": {}},
        ])
        reasons = {raw: judge.check({"path": raw})["reason"] for raw in spellings}
        assert reasons == dict.fromkeys(spellings, reason)


@pytest.mark.parametrize("row", TABLE["covers"], ids=lambda row: f"{row['path']} {row['prefix']}")
def test_prefix(probe, row):
    policy = {"kind": "GlobalNetworkPolicy", "name": "p"}
    judge = judges.ProbeJudge(probe)
    judge.reset()
    judge.sync([
        {"policy": {**policy, "rules": [
            {"action": "allow", "http_match": {"paths": [{"prefix": row["prefix"]}]}}]}},
        {"endpoint": {"tiers": [{"name": "t", "policies": [policy]}]}},
        {"in_sync": {}},
    ])
    assert (judge.check({"path": row["path"]})["code"] == 0) == row["is"]


def _random_path(rng):
    return b"".join(rng.choice(ALPHABET) for _ in range(rng.randint(0, 12)))


def test_random_paths_agree_with_model(probe, rng):
    for _ in range(4000):
        raw = rng.choice([b"", b"/", b"/", b"/"]) + _random_path(rng)
        assert probe.path(raw) == _from_model(raw), raw
        assert probe.rule_path(raw) == model.normalise_rule(raw), raw


def _encoded(normal):
    """A normal form written so that normalising reads it back."""
    for special in b"%?#;":
        normal = normal.replace(bytes([special]), b"%%%02X" % special)
    return normal


def test_normal_form_is_its_own_normal_form(probe, rng):
    seen = 0
    for _ in range(3000):
        normal, _ = probe.path(b"/" + _random_path(rng))
        if normal is None:
            continue
        seen += 1
        assert normal.startswith(b"/") and b"//" not in normal and b"\\" not in normal
        assert b"\0" not in normal and b";" not in normal
        assert normal == b"/" or not normal.endswith(b"/")
        assert not {b".", b".."} & set(normal.split(b"/"))
        assert probe.path(_encoded(normal)) == (normal, True)
    assert seen > 500


def _respelt(rng, segments):
    """Another way to write /SEGMENT/SEGMENT..., with the same normal form."""
    def letter(char):
        return rng.choice([b"%%%02x" % char, b"%%%02X" % char, bytes([char]), bytes([char])])

    spelt = b""
    for segment in segments:
        spelt += rng.choice([b"/", b"/", b"//", b"/./", b"/x/../", b"/;y/", b"/x;/%2e%2E/", b"/x\\..\\"])
        spelt += b"".join(letter(char) for char in segment)
        spelt += rng.choice([b"", b"", b";x", b";x=1;y", b"%3Bz"])
    spelt = spelt[:1] + spelt[1:].replace(b"/", rng.choice([b"/", b"\\", b"%2f", b"%5C"]))
    spelt += rng.choice([b"", b"/", b"/.", b"?q=/x", b"#f"])
    return rng.choice([b"", b"", b"http://host"]) + spelt


def test_respelling_keeps_the_normal_form(probe, rng):
    for _ in range(2000):
        segments = [rng.choice([b"admin", b"a", b"x.y", b"...", b"A-b_c~"])
                    for _ in range(rng.randint(1, 3))]
        raw = _respelt(rng, segments)
        assert probe.path(raw) == (b"/" + b"/".join(segments), True), raw


def test_long_paths(probe):
    assert probe.path(b"/a" * 50000) == (b"/a" * 50000, True)
    assert probe.path(b"/a/.." * 50000) == (b"/", True)
    assert probe.path(b"/%61" * 50000) == (b"/a" * 50000, True)
