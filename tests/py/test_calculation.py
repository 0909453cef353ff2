"""From a cluster to the messages for one pod, as tables.

calculation.yaml tells of whole streams, calculation_rules.yaml of single rules; both
begin with the cluster of calculation_cluster.yaml.  Every stream is also checked for
its order and for being complete and minimal, see calculation/stream.py.
"""

import pytest

import judges
import probe as probes
import vectors
from calculation import resources
from calculation.stream import Stream, canonical_rule, SET_FIELDS

CLUSTER = vectors.load("calculation_cluster.yaml")
TABLE = vectors.load("calculation.yaml")
RULES = vectors.load("calculation_rules.yaml")

WORKLOAD = "bank/web"


@pytest.fixture
def calculate(probe, tmp_path):
    """calculate(changes to the cluster) -> Stream."""
    def run(changes, workload=WORKLOAD):
        resources.write(tmp_path, resources.merged(CLUSTER["world"], changes))
        answer = probe.ask("calc", directory=str(tmp_path), workload=workload)
        assert answer["ok"], answer
        return Stream(probes.unb64(message) for message in answer["messages"])

    return run


class StreamJudges:
    """The probe's evaluator and the Python model, both fed with a stream; they must agree."""

    def __init__(self, probe, stream):
        self.probe = judges.ProbeJudge(probe)
        self.model = judges.ModelJudge()
        self.probe.reset()
        self.model.reset()
        probe.sync(stream.raw)
        for message in stream.raw:
            self.model.store.apply(message)

    def check(self, request):
        verdict = self.probe.check(request)
        assert verdict == self.model.check(request)
        return verdict


# ---- expectations ---------------------------------------------------------------


def _members(names):
    return [member for name in names for member in CLUSTER["members"].get(name, [name])]


def _rules(rules):
    """Expected rules as stream.py gives them, with the members that the names stand for."""
    return [canonical_rule({key: [_members(names) for names in value] if key in SET_FIELDS else value
                            for key, value in rule.items()}) for rule in rules]


def _with_rules(content):
    return {key: _rules(value) if key in ("inbound", "outbound") else value
            for key, value in content.items()}


def _tiers(tiers):
    return [{"default": "Deny", "ingress": [], "egress": [], **tier} for tier in tiers]


def _some_of(whole, wanted):
    """What `whole` says about the keys that are asked for."""
    return {key: whole.get(key) for key in wanted}


CASE_KEYS = {"name", "world", "workload", "endpoint", "policies", "sent", "profiles", "ip_sets",
             "service_accounts", "namespaces", "checks"}


@pytest.mark.parametrize("case", **vectors.by_name(TABLE["cases"]))
def test_stream(calculate, probe, case):
    assert set(case) <= CASE_KEYS, f"keys of no meaning: {set(case) - CASE_KEYS}"
    stream = calculate(case.get("world"), case.get("workload", WORKLOAD))

    if "endpoint" in case:
        wanted, endpoint = case["endpoint"], stream.plain_endpoint()
        if wanted is None:
            assert endpoint is None
        else:
            assert endpoint is not None
            if "tiers" in wanted:
                wanted = {**wanted, "tiers": _tiers(wanted["tiers"])}
            assert _some_of(endpoint, wanted) == wanted
    if "sent" in case:
        assert sorted(stream.policies) == sorted(case["sent"])
    for name, wanted in case.get("policies", {}).items():
        assert _some_of(stream.plain_policy(name), wanted) == _with_rules(wanted), name
    if "profiles" in case:
        assert {name: stream.plain_profile(name) for name in stream.profiles} == {
            name: _with_rules(content) for name, content in case["profiles"].items()}
    if "ip_sets" in case:
        assert sorted(sorted(members) for members in stream.ip_sets.values()) == sorted(
            sorted(_members(names)) for names in case["ip_sets"])
    if "service_accounts" in case:
        assert stream.service_accounts == case["service_accounts"]
    if "namespaces" in case:
        assert stream.namespaces == case["namespaces"]

    if "checks" in case:
        judge = StreamJudges(probe, stream)
        for check in case["checks"]:
            verdict = judge.check(check.get("request", {}))
            assert _some_of(verdict, check["verdict"]) == check["verdict"], check.get("request")


# ---- single rules -----------------------------------------------------------------


def _rule_cases():
    for case in RULES["cases"]:
        kind = case.get("in", "NetworkPolicy")
        for each in ["NetworkPolicy", "GlobalNetworkPolicy"] if kind == "both" else [kind]:
            yield {**case, "name": f"{case['name']} ({each})", "in": each}


@pytest.mark.parametrize("case", **vectors.by_name(list(_rule_cases())))
def test_rule(calculate, case):
    kind, rule, wire = case["in"], case["rule"], case["wire"]
    direction, rules = ("egress", "outbound") if case.get("egress") else ("ingress", "inbound")
    if kind == "KubernetesNetworkPolicy":
        spec = {"podSelector": {"matchLabels": {"app": "web"}}, direction: [rule],
                "policyTypes": [direction.capitalize()]}
    else:
        spec = {"selector": "app == 'web'", direction: [{"action": "Allow", **rule}]}
        wire = [wire]
    name = f"{kind} p" if kind.startswith("Global") else f"{kind} bank/p"
    policy = calculate({name: spec}).plain_policy(name)
    assert policy[rules] == _rules({"action": "allow", **each} for each in wire)
    assert policy["outbound" if rules == "inbound" else "inbound"] == []


# ---- policies that cannot be understood ----------------------------------------------


def _closed(case, app):
    kind = case.get("kind", "NetworkPolicy")
    selector = ({"podSelector": {"matchLabels": {"app": app}}} if kind.startswith("Kubernetes")
                else {"selector": f"app == '{app}'"})
    return {f"{kind} bank/p": {**selector, **case["policy"]}}


@pytest.mark.parametrize("case", **vectors.by_name(TABLE["closed"]))
def test_closed(calculate, probe, case):
    """It refuses where it stands.  (That it is reported: test_directory.py.)"""
    stream = calculate(_closed(case, "web"))
    kind = case.get("kind", "NetworkPolicy")
    assert StreamJudges(probe, stream).check({}) == judges.verdict(
        "malformed_policy", tier="default", policy="p", kind=kind, namespace="bank")


@pytest.mark.parametrize("case", **vectors.by_name(TABLE["closed"]))
def test_closed_selects_what_it_selected(calculate, probe, case):
    stream = calculate(_closed(case, "teller"))
    assert StreamJudges(probe, stream).check({})["reason"] == "allowed_by_profile"


# ---- what tables cannot say ------------------------------------------------------------


def _set_ids(rules):
    return [set_id for rule in rules for field in SET_FIELDS for set_id in getattr(rule, field)]


def test_one_set_for_one_selector(calculate):
    """Rules whose selectors have one normal form name one set, in any policy and on any side."""
    stream = calculate({
        "NetworkPolicy bank/p": {
            "selector": "app == 'web'",
            "ingress": [{"action": "Allow", "source": {"selector": "app == 'customer'"}}],
            "egress": [{"action": "Allow", "destination": {"selector": "(app=='customer')"}}]},
        "NetworkPolicy bank/q": {
            "selector": "app == 'web'",
            "ingress": [{"action": "Deny", "source": {"selector": 'app  ==  "customer"'}}]},
    })
    used = [set_id for policy in stream.policies.values()
            for set_id in _set_ids([*policy.inbound_rules, *policy.outbound_rules])]
    assert len(used) == 3 and len(set(used)) == 1


def test_set_id_comes_from_the_selector(calculate):
    """It does not depend on what else there is."""
    rule = [{"action": "Allow", "source": {"selector": "app == 'customer'"}}]
    other = [{"action": "Allow", "source": {"selector": "app == 'other'"}}]
    policy = {"selector": "app == 'web'", "ingress": rule}
    alone = calculate({"NetworkPolicy bank/p": policy})
    among = calculate({"NetworkPolicy bank/p": policy, "Pod bank/customer": None,
                       "NetworkPolicy bank/a": {"selector": "app == 'web'", "ingress": other}})
    assert set(alone.ip_sets) < set(among.ip_sets)


def test_whole_address_space(calculate, probe):
    """/0 may be sent as two halves: what counts is who gets in."""
    world = {"GlobalNetworkSet world": {"labels": {"k": "v"}, "nets": ["0.0.0.0/0", "::/0"]},
             "GlobalNetworkPolicy p": {"selector": "app == 'web'", "ingress": [
                 {"action": "Allow", "source": {"selector": "k == 'v'"}}]}}
    judge = StreamJudges(probe, calculate(world))
    for address in ["0.0.0.0", "127.255.255.255", "128.0.0.0", "255.255.255.255",
                    "::", "7fff::", "8000::", "2001:db8::1"]:
        assert judge.check({"from": address})["reason"] == "allowed_by_rule", address


def test_nets_inside_each_other(calculate, probe):
    """The inner one may be left out; the address is a member either way."""
    world = {"GlobalNetworkSet s": {"labels": {"k": "v"}, "nets": ["192.0.2.0/24", "192.0.2.5/32"]},
             "GlobalNetworkPolicy p": {"selector": "app == 'web'", "ingress": [
                 {"action": "Allow", "source": {"selector": "k == 'v'"}}]}}
    judge = StreamJudges(probe, calculate(world))
    for address, reason in [("192.0.2.5", "allowed_by_rule"), ("192.0.2.6", "allowed_by_rule"),
                            ("192.0.3.5", "denied_by_tier_default")]:
        assert judge.check({"from": address})["reason"] == reason


def test_same_answer_twice(calculate):
    """Nothing depends on the order of files in the directory or on chance."""
    world = {f"GlobalNetworkPolicy p{index}": {"selector": "app == 'web'", "ingress": [
        {"action": "Allow", "source": {"selector": f"app == '{index}'"}}]} for index in range(20)}
    first = calculate(world)
    second = calculate(dict(reversed(world.items())))
    assert first.plain_endpoint() == second.plain_endpoint()
    assert first.ip_sets == second.ip_sets
    assert first.policies == second.policies


def test_large_set(calculate):
    """Nothing is lost of a set that may need more than one message."""
    nets = [f"10.{index >> 16}.{index >> 8 & 255}.{index & 255}" for index in range(90_000)]
    stream = calculate({
        "GlobalNetworkSet large": {"labels": {"k": "v"}, "nets": nets},
        "GlobalNetworkPolicy p": {"selector": "app == 'web'", "ingress": [
            {"action": "Allow", "source": {"selector": "k == 'v'"}}]}})
    members, = stream.ip_sets.values()
    assert sorted(members) == sorted(net + "/32" for net in nets)
