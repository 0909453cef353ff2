"""The folding client finds everything that a sender may do wrong."""

import pytest

import fold
from protos import felix
from scenario import STEPS


def message(step):
    """A step of scenario.py as a message; `{endpoint: ...}` names its endpoint itself."""
    (name, given), = step.items()
    field, content = STEPS[name]
    wrapped = felix.ToDataplane()
    getattr(wrapped, field).MergeFromString(content(given).SerializeToString())
    getattr(wrapped, field).SetInParent()
    return wrapped.SerializeToString()


def _rule(*sets):
    return [{"action": "allow", "src_ip_set_ids": list(sets)}]


P, Q = {"kind": "GlobalNetworkPolicy", "name": "p"}, {"kind": "GlobalNetworkPolicy", "name": "q"}
S = {"ip_set": {"id": "s", "members": ["10.0.0.1/32", "10.0.0.2/32"]}}
T = {"ip_set": {"id": "t", "members": []}}
POLICY = {"policy": {**P, "rules": _rule("s")}}
PROFILE = {"profile": {"name": "k"}}
ENDPOINT = {"endpoint": {"tiers": [{"name": "default", "policies": [P]}], "profiles": ["k"]}}
ACCOUNT = {"service_account": {"namespace": "bank", "name": "a", "labels": {"k": "v"}}}
NAMESPACE = {"namespace": {"name": "bank"}}
IN_SYNC = {"in_sync": {}}
JOIN = [S, POLICY, PROFILE, ENDPOINT, ACCOUNT, NAMESPACE, IN_SYNC]


def joined():
    client = fold.Client()
    client.flush(message(step) for step in JOIN)
    return client


def _delta(add=(), remove=(), set_id="s"):
    return {"ip_set_delta": {"id": set_id, "add": list(add), "remove": list(remove)}}


GOOD = {
    "nothing": [],
    "exact deltas": [_delta(["10.0.0.3/32"]), _delta(remove=["10.0.0.3/32", "10.0.0.1/32"])],
    "a set of another type": [{"ip_set": {"id": "s", "type": 255}}],
    "a set that replaces another": [T, {"policy": {**P, "rules": _rule("t")}}, {"ip_set_remove": "s"}],
    "a policy that comes": [{"policy": {**Q, "rules": []}},
                            {"endpoint": {"tiers": [{"name": "default", "policies": [P, Q]}], "profiles": ["k"]}}],
    "all goes": [{"endpoint_remove": {}}, {"profile_remove": "k"}, {"policy_remove": P}, {"ip_set_remove": "s"},
                 {"namespace_remove": "bank"}, {"service_account_remove": {"namespace": "bank", "name": "a"}}],
}

BAD = {
    "a policy without its set": ([{"policy": {**P, "rules": _rule("s", "t")}}], "were not sent"),
    "a profile without its set": ([{"profile": {"name": "k", "rules": _rule("t")}}], "were not sent"),
    "an endpoint without its policy": ([{"endpoint": {"tiers": [{"name": "d", "policies": [P, Q]}],
                                                      "profiles": ["k"]}}], "were not sent"),
    "an endpoint without its egress policy": ([{"endpoint": {"tiers": [{"name": "d", "policies": [P], "egress": [Q]}],
                                                             "profiles": ["k"]}}], "were not sent"),
    "an endpoint without its profile": ([{"endpoint": {"tiers": [{"name": "d", "policies": [P]}],
                                                       "profiles": ["k", "l"]}}], "were not sent"),
    "a used set removed": ([{"ip_set_remove": "s"}], "used by ['GlobalNetworkPolicy p']"),
    "a used policy removed": ([{"policy_remove": P}], "used by ['k8s/bank/web-0/eth0']"),
    "a used profile removed": ([{"profile_remove": "k"}], "used by ['k8s/bank/web-0/eth0']"),
    "an unknown set removed": ([{"ip_set_remove": "t"}], "which is not there"),
    "an unknown policy removed": ([{"policy_remove": Q}], "which is not there"),
    "an unknown profile removed": ([{"profile_remove": "l"}], "which is not there"),
    "an unknown account removed": ([{"service_account_remove": {"namespace": "bank", "name": "b"}}],
                                   "which is not there"),
    "an unknown namespace removed": ([{"namespace_remove": "shop"}], "which is not there"),
    "an endpoint removed twice": ([{"endpoint_remove": {}}, {"endpoint_remove": {}}], "which is not there"),
    "a delta for an unknown set": ([_delta(["10.0.0.3/32"], set_id="t")], "unknown IP set"),
    "a member added that is there": ([_delta(["10.0.0.1/32"])], "which are there"),
    "a member removed that is not there": ([_delta(remove=["10.0.0.3/32"])], "which are not there"),
    "a member twice": ([_delta(["10.0.0.3/32", "10.0.0.3/32"])], "a member twice"),
    "an empty delta": ([_delta()], "says nothing"),
    "a set again": ([S], "unchanged"),
    "a policy again": ([POLICY], "unchanged"),
    "a profile again": ([PROFILE], "unchanged"),
    "an endpoint again": ([ENDPOINT], "unchanged"),
    "an account again": ([ACCOUNT], "unchanged"),
    "a namespace again": ([NAMESPACE], "unchanged"),
    "InSync again": ([IN_SYNC], "InSync twice"),
    "a message of no meaning": ([{"ignored": "route_update"}], "no meaning"),
    "a set that nothing uses": ([T], "IP sets that nothing uses"),
    "a policy that nothing uses": ([{"policy": {**Q, "rules": []}}], "policies that nothing uses"),
    "a profile that nothing uses": ([{"profile": {"name": "l"}}], "profiles that nothing uses"),
    "too many members": ([{"ip_set": {"id": "t", "members": [f"10.{i >> 16}.{i >> 8 & 255}.{i & 255}/32"
                                                             for i in range(82_201)]}}], "too many members"),
}


def _raw(step):
    if "ignored" in step:
        return felix.ToDataplane(**{step["ignored"]: felix.Ignored()}).SerializeToString()
    return message(step)


@pytest.mark.parametrize("name", GOOD)
def test_good(name):
    joined().flush([_raw(step) for step in GOOD[name]])


@pytest.mark.parametrize("name", BAD)
def test_bad(name):
    steps, problem = BAD[name]
    client = joined()
    with pytest.raises(fold.Finding) as raised:
        client.flush([_raw(step) for step in steps])
    assert problem in str(raised.value)


@pytest.mark.parametrize("steps, problem", [
    ([POLICY, S, PROFILE, ENDPOINT, IN_SYNC], "were not sent"),
    ([S, PROFILE, POLICY, ENDPOINT, IN_SYNC], "the order of joining"),
    ([S, POLICY, PROFILE, ENDPOINT, ACCOUNT], "no InSync"),
    ([S, POLICY, PROFILE, ENDPOINT, IN_SYNC, ACCOUNT], "the order of joining"),
    ([PROFILE, {"profile_remove": "k"}, IN_SYNC], "the order of joining"),
])
def test_bad_joining(steps, problem):
    with pytest.raises(fold.Finding) as raised:
        fold.Client().flush([message(step) for step in steps])
    assert problem in str(raised.value)


def test_unchanged_may_be_tolerated():
    client = fold.Client(tolerate_unchanged=True)
    client.flush([message(step) for step in JOIN])
    client.flush([message(step) for step in [POLICY, PROFILE, ENDPOINT, ACCOUNT, NAMESPACE]])


def test_state():
    """Sets by content, with nets joined; unreadable ones by their type alone."""
    client = joined()
    rule = {"action": "allow", "src_ip_set_ids": [(2, ("10.0.0.1/32", "10.0.0.2/32"))]}
    state = client.state()
    assert state["ip_sets"] == {(2, ("10.0.0.1/32", "10.0.0.2/32"))}
    assert state["policies"]["GlobalNetworkPolicy p"]["inbound"] == [rule]
    assert state["service_accounts"] == {"bank/a": {"k": "v"}} and state["namespaces"] == {"bank": {}}
    assert state["endpoints"]["k8s/bank/web-0/eth0"]["tiers"][0]["ingress"] == ["GlobalNetworkPolicy p"]
    client.flush([message(_delta(["10.0.0.0/32", "10.0.0.3/32"]))])
    assert client.state()["ip_sets"] == {(2, ("10.0.0.0/30",))}
    client.flush([message({"ip_set": {"id": "s", "type": 255}})])
    assert client.state()["ip_sets"] == {(255, ())}
