"""The sidecar as a client of the Policy Sync API, through real calls of Check."""

import contextlib
import itertools
import socket
import time

import grpc
import pytest

import flips
import large
import random_world
import scenario
import wire
from bad_agents import Listener, Relay, SayInTurn, say_nothing
from judges import ModelJudge
from policy_sync_server import (BARRIER_TIER, IN_SYNC, SECONDS, barrier, endpoint, pair)
from server import DIKASTES, wait_for

MOST = 4 * 1024 * 1024  # bytes of a message

ALLOW, DENY = "allowed_by_rule", "denied_by_tier_default"
BY_RULE = "denied_by_rule"

# Two callers; what they are is up to the test.
A, B = {"from": "10.1.0.1"}, {"from": "10.1.0.2"}

P = {"kind": "GlobalNetworkPolicy", "name": "p"}
FROM_SET = {"action": "allow", "src_ip_set_ids": ["s"]}
ALLOW_ALL, DENY_ALL = {"action": "allow"}, {"action": "deny"}


@pytest.fixture
def both():
    with pair() as made:
        yield made


def ip_set(*members, kind="NET", id="s"):
    return {"ip_set": {"id": id, "type": kind, "members": members}}


def delta(add=(), remove=()):
    return {"ip_set_delta": {"id": "s", "add": add, "remove": remove}}


def policy(*rules, name=None, **content):
    return {"policy": {**(P if name is None else name), **content, "rules": rules}}


def profile(name, *rules):
    return {"profile": {"name": name, "rules": rules}}


def tier(*policies, name="t", default="Deny"):
    return {"name": name, "policies": policies, "default": default}


def world(*rules):
    """The endpoint with the policy p of these rules."""
    return [policy(*rules), endpoint(tier(P))]


OLD_WORLD = [ip_set("10.1.0.1"), *world(FROM_SET)]
OLD_ANSWERS = [ALLOW, DENY]
NEW_WORLD = [ip_set("10.1.0.2"), *world({"action": "deny", "src_ip_set_ids": ["s"]}, ALLOW_ALL)]
NEW_ANSWERS = [ALLOW, BY_RULE]


# ---- every message reaches the verdicts -------------------------------------------
#
# A story: (steps, [(request, reason after them)…])…

TO = {"to": "10.2.0.1", "to_port": 8080}
CUSTOMER = {"principal": "spiffe://td/ns/bank/sa/customer"}


def ids(kind, name, ns=""):
    return {"kind": kind, "name": name, **({"ns": ns} if ns else {})}


IP_SETS = {
    "IP": [
        ([ip_set("10.1.0.1", "2001:db8::1", kind="IP"), *world(FROM_SET)],
         [(A, ALLOW), (B, DENY), ({"from": "2001:db8:0::1"}, ALLOW)]),
        ([ip_set("10.1.0.2", kind="IP")], [(A, DENY), (B, ALLOW)]),
    ],
    "NET": [
        ([ip_set("10.1.0.0/31", "2001:db8::/32", "10.9.9.9"), *world(FROM_SET)],
         [(A, ALLOW), (B, DENY), ({"from": "2001:db8::7"}, ALLOW), ({"from": "10.9.9.9"}, ALLOW)]),
        ([ip_set("10.1.0.2/31")], [(A, DENY), (B, ALLOW)]),
    ],
    "IP and port": [
        ([ip_set("10.2.0.1,tcp:8080", "10.2.0.1,udp:53", kind="IP_AND_PORT"),
          *world({"action": "allow", "dst_ip_port_set_ids": ["s"]})],
         [(TO, ALLOW), ({**TO, "to_port": 8081}, DENY), ({**TO, "protocol": "UDP"}, DENY),
          ({**TO, "protocol": "UDP", "to_port": 53}, ALLOW)]),
        ([ip_set("10.2.0.1,TCP:8081", kind="IP_AND_PORT")],
         [(TO, DENY), ({**TO, "to_port": 8081}, ALLOW)]),
    ],
    "named port": [
        ([ip_set("10.2.0.1,tcp:8080", kind="IP_AND_PORT"),
          *world({"action": "allow", "dst_named_port_ip_set_ids": ["s"]})],
         [(TO, ALLOW), ({**TO, "to_port": 8081}, DENY)]),
    ],
    "of a type yet to come": [
        ([ip_set("10.1.0.1", kind=9), *world(FROM_SET)], [(A, "missing_ip_set")]),
        ([ip_set("10.1.0.1")], [(A, ALLOW)]),
    ],
    "of the wrong type": [
        ([ip_set("10.1.0.1,tcp:80", kind="IP_AND_PORT"), *world(FROM_SET)],
         [(A, "missing_ip_set")]),
    ],
    "changed": [
        ([ip_set("10.1.0.1"), *world(FROM_SET)], [(A, ALLOW), (B, DENY)]),
        ([delta(add=["10.1.0.2"])], [(A, ALLOW), (B, ALLOW)]),
        ([delta(remove=["10.1.0.1"])], [(A, DENY), (B, ALLOW)]),
        ([delta(add=["10.1.0.1"], remove=["10.1.0.2"])], [(A, ALLOW), (B, DENY)]),
        ([delta(add=["10.1.0.2"], remove=["10.1.0.2"])], [(B, DENY)]),
        ([delta(remove=["10.1.0.9"])], [(A, ALLOW), (B, DENY)]),
        ([delta()], [(A, ALLOW), (B, DENY)]),
    ],
    "changed in another spelling": [
        ([ip_set("10.1.0.1/32", "10.1.0.2"), *world(FROM_SET)], [(A, ALLOW), (B, ALLOW)]),
        ([delta(remove=["10.1.0.1"])], [(A, DENY), (B, ALLOW)]),
        ([delta(remove=["::ffff:10.1.0.2/128"])], [(B, DENY)]),
    ],
    "removed and back": [
        ([ip_set("10.1.0.1"), *world(FROM_SET)], [(A, ALLOW)]),
        ([{"ip_set_remove": "s"}], [(A, "missing_ip_set"), (B, "missing_ip_set")]),
        ([delta(add=["10.1.0.1"])], [(A, "missing_ip_set")]),
        ([ip_set("10.1.0.2")], [(A, DENY), (B, ALLOW)]),
    ],
    "with a member that cannot be read": [
        ([ip_set("10.1.0.1", "10.1.0.1/64"), *world(FROM_SET)], [(A, "missing_ip_set")]),
        ([ip_set("10.1.0.1")], [(A, ALLOW)]),
        ([delta(add=["nonsense"])], [(A, "missing_ip_set")]),
        ([delta(remove=["nonsense"])], [(A, "missing_ip_set")]),
        ([ip_set("10.1.0.1")], [(A, ALLOW)]),
    ],
    "empty": [
        ([ip_set(), *world(FROM_SET)], [(A, DENY)]),
        ([delta(add=["10.1.0.1"])], [(A, ALLOW)]),
    ],
    "after its policy": [
        (world(FROM_SET), [(A, "missing_ip_set"), (B, "missing_ip_set")]),
        ([ip_set("10.1.0.1", id="another")], [(A, "missing_ip_set")]),
        ([ip_set("10.1.0.1")], [(A, ALLOW), (B, DENY)]),
    ],
    "removed that were never there": [
        ([{"ip_set_remove": "none"}, *world(ALLOW_ALL)], [(A, ALLOW)]),
    ],
}

BANK = {"namespace": "bank", "name": "customer"}
LABELLED = {"action": "allow", "src_service_account_match": {"selector": "role == 'teller'"}}
IN_PROD = {"action": "allow", "original_src_namespace_selector": "stage == 'prod'"}

IDENTITIES = {
    "service accounts": [
        ([*world(LABELLED),
          {"service_account": {**BANK, "labels": {"role": "teller", "other": "x"}}}],
         [(CUSTOMER, ALLOW), ({"principal": "spiffe://td/ns/shop/sa/customer"}, DENY)]),
        ([{"service_account": {**BANK, "labels": {"other": "x"}}}], [(CUSTOMER, DENY)]),
        ([{"service_account": {**BANK, "labels": {"role": "teller"}}}],
         [(CUSTOMER, ALLOW), ({**CUSTOMER, "from_labels": {"role": "thief"}}, ALLOW)]),
        ([{"service_account_remove": BANK}],
         [(CUSTOMER, DENY), ({**CUSTOMER, "from_labels": {"role": "teller"}}, ALLOW)]),
        ([{"service_account_remove": {"namespace": "no", "name": "body"}}], [(CUSTOMER, DENY)]),
    ],
    "namespaces": [
        ([*world(IN_PROD), {"namespace": {"name": "bank", "labels": {"stage": "prod"}}}],
         [(CUSTOMER, ALLOW), ({"principal": "spiffe://td/ns/shop/sa/customer"}, DENY)]),
        ([{"namespace": {"name": "bank", "labels": {"stage": "test"}}}], [(CUSTOMER, DENY)]),
        ([{"namespace": {"name": "bank", "labels": {"a": "b", "stage": "prod"}}}],
         [(CUSTOMER, ALLOW)]),
        ([{"namespace_remove": "bank"}], [(CUSTOMER, DENY)]),
        ([{"namespace_remove": "nowhere"}], [(CUSTOMER, DENY)]),
    ],
}

KINDS = ["NetworkPolicy", "GlobalNetworkPolicy", "KubernetesNetworkPolicy",
         "KubernetesClusterNetworkPolicy"]
STAGED = ["StagedNetworkPolicy", "StagedGlobalNetworkPolicy", "StagedKubernetesNetworkPolicy"]
OLD = {"tier": "t", "name": "bank/p"}

POLICIES = {
    **{f"of kind {kind}": [
        ([policy(ALLOW_ALL, name=ids(kind, "x", "bank")), endpoint(tier(ids(kind, "x", "bank")))],
         [(A, ALLOW)]),
        ([policy(DENY_ALL, name=ids(kind, "x", "bank"))], [(A, BY_RULE)]),
        ([{"policy_remove": ids(kind, "x", "bank")}], [(A, "missing_policy")]),
    ] for kind in KINDS},
    **{f"of kind {kind}": [
        ([policy(DENY_ALL, name=ids(kind, "x", "bank")), policy(ALLOW_ALL),
          endpoint(tier(ids(kind, "x", "bank"), name="staged"),
                   tier(ids(kind, "x", "bank"), P))], [(A, ALLOW)]),
        ([{"policy_remove": ids(kind, "x", "bank")}], [(A, ALLOW)]),
    ] for kind in STAGED},
    "told apart by kind, namespace and name": [
        ([policy(ALLOW_ALL, name=ids("NetworkPolicy", "x", "bank")),
          endpoint(tier(ids("NetworkPolicy", "x", "bank")))], [(A, ALLOW)]),
        ([policy(DENY_ALL, name=ids("NetworkPolicy", "x", "shop")),
          policy(DENY_ALL, name=ids("KubernetesNetworkPolicy", "x", "bank")),
          policy(DENY_ALL, name=ids("NetworkPolicy", "y", "bank")),
          policy(DENY_ALL, name={"tier": "t", "name": "x"})], [(A, ALLOW)]),
        ([{"policy_remove": ids("NetworkPolicy", "x", "shop")},
          {"policy_remove": {"tier": "t", "name": "x"}}], [(A, ALLOW)]),
        ([endpoint(tier(ids("KubernetesNetworkPolicy", "x", "bank")))], [(A, BY_RULE)]),
    ],
    "a tier in the id of a current sender": [
        ([policy(ALLOW_ALL, name={**P, "tier": "t"}), endpoint(tier(P))], [(A, ALLOW)]),
        ([{"policy_remove": {**P, "tier": "other"}}], [(A, "missing_policy")]),
    ],
    "by tier and name": [
        ([policy(ALLOW_ALL, name=OLD), endpoint(tier(OLD))], [(A, ALLOW)]),
        ([policy(DENY_ALL, name={**OLD, "tier": "u"})], [(A, ALLOW)]),
        ([policy(DENY_ALL, name=OLD)], [(A, BY_RULE)]),
        ([{"policy_remove": OLD}], [(A, "missing_policy")]),
    ],
    "plain names": [
        ([policy(ALLOW_ALL, name=OLD), policy(DENY_ALL, name={**OLD, "tier": "u"}),
          endpoint(tier("bank/p"))], [(A, ALLOW)]),
        ([endpoint(tier("bank/p", name="u"))], [(A, BY_RULE)]),
        ([endpoint(tier("bank/p"), tier("bank/p", name="u"))], [(A, ALLOW)]),
        ([{"policy_remove": OLD}], [(A, "missing_policy")]),
    ],
    # The bytes are a PolicyID too, but one without a name.
    "plain name that decodes": [
        ([policy(ALLOW_ALL, name={"tier": "t", "name": "\n\x01t"}), endpoint(tier("\n\x01t"))],
         [(A, ALLOW)]),
    ],
    "staged, by plain names": [
        ([policy(DENY_ALL, name={"tier": "t", "name": "staged:p"}),
          policy(DENY_ALL, name={"tier": "t", "name": "bank/staged:p"}),
          policy(ALLOW_ALL, name=OLD),
          endpoint(tier("staged:p", name="only staged"),
                   tier("staged:p", "bank/staged:p", "bank/p"))], [(A, ALLOW)]),
        ([endpoint(tier("staged:p"), tier("bank/p"))], [(A, ALLOW)]),
    ],
    "not staged, by its name alone": [
        ([policy(DENY_ALL, name={"tier": "t", "name": "bank/x-staged:p"}),
          endpoint(tier("bank/x-staged:p"))], [(A, BY_RULE)]),
        ([policy(ALLOW_ALL, name=ids("NetworkPolicy", "staged:p", "bank")),
          endpoint(tier(ids("NetworkPolicy", "staged:p", "bank")))], [(A, ALLOW)]),
    ],
    "after the endpoint": [
        ([endpoint(tier(P))], [(A, "missing_policy")]),
        ([policy(ALLOW_ALL)], [(A, ALLOW)]),
    ],
    "that cannot be understood": [
        ([policy({"action": "allow", "src_net": ["10.0.0.0/33"]}), endpoint(tier(P))],
         [(A, "malformed_policy")]),
        ([policy(ALLOW_ALL)], [(A, ALLOW)]),
        ([policy(broken=True)], [(A, "malformed_policy")]),
        ([endpoint(tier(ids("NetworkPolicy", "x", "bank"), P)),
          policy(ALLOW_ALL, name=ids("NetworkPolicy", "x", "bank"))], [(A, ALLOW)]),
    ],
    "a policy's namespace": [
        ([policy({"action": "allow", "src_service_account_match": {"names": ["customer"]}},
                 namespace="bank"), endpoint(tier(P))],
         [(CUSTOMER, ALLOW), ({"principal": "spiffe://td/ns/shop/sa/customer"}, DENY)]),
    ],
    "outbound rules": [
        ([policy(ALLOW_ALL, outbound=[DENY_ALL, {"action": "nonsense"}]), endpoint(tier(P))],
         [(A, ALLOW)]),
    ],
}

ENDPOINTS = {
    "profiles": [
        ([profile("a", {"action": "deny", "src_net": ["10.1.0.2/32"]}), profile("b", ALLOW_ALL),
          endpoint(profiles=["a", "b"])], [(A, "allowed_by_profile"), (B, "denied_by_profile")]),
        ([profile("a")], [(B, "allowed_by_profile")]),
        ([profile("b", {"action": "pass"})], [(A, "denied_by_profile")]),
        ([profile("b")], [(A, "denied_by_default")]),
        ([{"profile_remove": "b"}], [(A, "missing_profile")]),
        ([{"profile_remove": "none"}, endpoint(profiles=["a"])], [(A, "denied_by_default")]),
        ([{"profile": {"name": "a", "broken": True}}], [(A, "malformed_profile")]),
        ([profile("a", ALLOW_ALL)], [(A, "allowed_by_profile")]),
    ],
    "tiers": [
        ([policy({"action": "next-tier", "src_net": ["10.1.0.1/32"]}, DENY_ALL),
          policy(ALLOW_ALL, name=ids("NetworkPolicy", "x", "bank")),
          endpoint(tier(P), tier(ids("NetworkPolicy", "x", "bank"), name="u"))],
         [(A, ALLOW), (B, BY_RULE)]),
        ([endpoint(tier(ids("NetworkPolicy", "x", "bank"), name="u"), tier(P))],
         [(A, ALLOW), (B, ALLOW)]),
        ([endpoint(tier(P))], [(A, "denied_by_default"), (B, BY_RULE)]),
        ([endpoint(tier(P), profiles=["a"]), profile("a", ALLOW_ALL)],
         [(A, "allowed_by_profile"), (B, BY_RULE)]),
    ],
    "default actions": [
        ([policy(), profile("a", ALLOW_ALL), endpoint(tier(P, default="Pass"), profiles=["a"])],
         [(A, "allowed_by_profile")]),
        ([endpoint(tier(P, default="pass"), profiles=["a"])], [(A, DENY)]),
        ([endpoint(tier(P, default=""), profiles=["a"])], [(A, DENY)]),
        ([endpoint(tier(default="Deny"), profiles=["a"])], [(A, "allowed_by_profile")]),
    ],
    "egress policies": [
        ([policy(ALLOW_ALL), policy(DENY_ALL, name=ids("NetworkPolicy", "x", "bank")),
          endpoint({**tier(P), "egress": [ids("NetworkPolicy", "x", "bank"), "plain"]})],
         [(A, ALLOW)]),
    ],
    "removed and back in one go": [
        ([policy(ALLOW_ALL), endpoint(tier(P))], [(A, ALLOW)]),
        ([{"endpoint_remove": {}}, policy(DENY_ALL), endpoint(tier(P))], [(A, BY_RULE)]),
    ],
}

# What no sidecar needs to know, and what none can know yet.
UNKNOWN = {
    "route_update": {"ignored": "route_update"}, "route_remove": {"ignored": "route_remove"},
    "vtep_update": {"ignored": "vtep_update"}, "vtep_remove": {"ignored": "vtep_remove"},
    "route_update with content": wire.nested(b"\x0a\x0510/8!\x10\x07", 23),
    "vtep_remove with odd content": wire.nested(b"\xff\xff", 26),
    "a message to come": wire.nested(b"\x0a\x01x\x12\x01y", 99),
    "a number to come": wire.field(98, 0, wire.varint(2**40)),
    "nothing": b"",
    "a sequence number alone": wire.field(15, 0, wire.varint(7)),
}
IGNORED = {name: [([*OLD_WORLD, step], [(A, ALLOW), (B, DENY)]),
                  ([step, step], [(A, ALLOW), (B, DENY)])] for name, step in UNKNOWN.items()}

STORIES = {f"{title}: {name}": story for title, stories in [
    ("IP sets", IP_SETS), ("identities", IDENTITIES), ("policies", POLICIES),
    ("endpoints", ENDPOINTS), ("ignored", IGNORED)] for name, story in stories.items()}


def _assert_answers(sidecar, expected):
    got = [(request, sidecar.reason(request)) for request, _ in expected]
    assert got == expected


@pytest.mark.parametrize("story", STORIES.values(), ids=STORIES)
def test_story_step_by_step(both, story):
    (first, answers), *later = story
    both.sync(*first)
    _assert_answers(both.sidecar, answers)
    for steps, answers in later:
        both.send(*steps)
        _assert_answers(both.sidecar, answers)


@pytest.mark.parametrize("story", STORIES.values(), ids=STORIES)
def test_story_in_one_snapshot(both, story):
    """All of it before InSync comes to the same in the end."""
    both.sync(*(step for steps, _ in story for step in steps))
    _assert_answers(both.sidecar, story[-1][1])


# One rule with every field of the wire that a sidecar looks at, and a request that it just lets in.
FULL_RULE = {
    "action": "Allow", "ip_version": 4, "protocol": {"name": "TCP"}, "rule_id": "r",
    "src_net": ["10.1.0.0/24"], "src_ports": [{"first": 40000, "last": 40010}],
    "dst_net": ["10.2.0.0/24"], "dst_ports": [{"first": 80, "last": 80}, {"first": 8080, "last": 8081}],
    "src_ip_set_ids": ["in"], "dst_ip_set_ids": ["to"],
    "dst_ip_port_set_ids": ["ports"], "dst_named_port_ip_set_ids": ["ports"],
    "not_protocol": {"number": 17}, "not_src_net": ["10.1.0.2/32"],
    "not_src_ports": [{"first": 1, "last": 1023}], "not_dst_net": ["10.2.0.9/32"],
    "not_dst_ports": [{"first": 9, "last": 9}], "not_icmp_type": 8,
    "not_src_ip_set_ids": ["out"], "not_dst_ip_set_ids": ["out"],
    "original_src_selector": "app == 'customer'", "original_dst_selector": "app == 'web'",
    "original_src_namespace_selector": "stage == 'prod'",
    "src_service_account_match": {"selector": "role == 'teller'", "names": ["x", "customer"]},
    "http_match": {"methods": ["GET", "HEAD"], "paths": [{"exact": "/here"}, {"prefix": "/pub"}]},
    "metadata": {"annotations": {"any": "thing"}},
    "original_dst_service": "web", "original_dst_service_namespace": "bank",
}
FULL_REQUEST = {**A, **TO, **CUSTOMER, "from_port": 40005, "path": "/pub/x"}
ALMOST = {
    "source": {"from": "10.1.0.3"}, "source excluded": B, "source port": {"from_port": 39999},
    "destination": {"to": "10.2.0.2"}, "port": {"to_port": 80}, "protocol": {"protocol": "UDP"},
    "family": {"from": "2001:db8::1"}, "method": {"method": "POST"}, "path": {"path": "/public"},
    "account": {"principal": "spiffe://td/ns/bank/sa/x"},
    "namespace": {"principal": "spiffe://td/ns/shop/sa/customer"},
}


def test_every_field_of_a_rule(both):
    both.sync(
        *world(FULL_RULE), ip_set("10.1.0.1", "10.1.0.2", id="in"), ip_set("10.2.0.1", id="to"),
        ip_set("10.2.0.1,tcp:8080", kind="IP_AND_PORT", id="ports"), ip_set("10.1.0.3", id="out"),
        {"service_account": {**BANK, "labels": {"role": "teller"}}},
        {"namespace": {"name": "bank", "labels": {"stage": "prod"}}})
    assert both.sidecar.reason(FULL_REQUEST) == ALLOW
    refused = {name: both.sidecar.reason({**FULL_REQUEST, **other}) for name, other in ALMOST.items()}
    assert refused == dict.fromkeys(ALMOST, DENY)


def _random_batches(rng, count=4):
    """Random steps that keep the barrier: its tier is in every endpoint, and there is one."""
    batches = [random_world.first_steps(rng)]
    while not any("endpoint" in step for step in batches[0]):
        batches = [random_world.first_steps(rng)]
    while len(batches) < count:
        batches.append(random_world.later_steps(rng, sum(batches, [])))
    for step in sum(batches, []):
        if "endpoint" in step:
            step["endpoint"]["tiers"].insert(0, BARRIER_TIER)
    return batches


def test_random_worlds_as_the_model_has_them(rng):
    for _ in range(8):
        with pair() as both:
            model = ModelJudge()
            model.reset()
            model.sync([barrier()])
            for number, batch in enumerate(_random_batches(rng)):
                (both.send if number else both.sync)(*batch)
                model.sync([*batch, IN_SYNC])
                for _ in range(25):
                    request = random_world.request(rng)
                    assert both.sidecar.reason(request) == model.check(request)["reason"], request


# ---- order --------------------------------------------------------------------------


def _stays(condition, seconds=0.25):
    """Whether it is true all the time; what is right cannot fail, however slow it is."""
    return not wait_for(lambda: not condition(), seconds)


def _assert_keeps(both, answers):
    """The verdicts on A and B are these, and stay so."""
    assert both.reasons(A, B) == answers
    assert _stays(lambda: both.reasons(A, B) == answers), both.reasons(A, B)


def _assert_soon(both, answers):
    assert wait_for(lambda: both.reasons(A, B) == answers, SECONDS), both.reasons(A, B)


def _assert_never_synced(both):
    assert _stays(lambda: both.sidecar.reason() == "not_in_sync" and both.sidecar.is_alive()
                  and not both.sidecar.is_ready())


def test_nothing_is_decided_before_in_sync(both):
    stream = both.next_stream()
    _assert_never_synced(both)
    stream.send(barrier(), *OLD_WORLD)
    _assert_never_synced(both)
    stream.send(IN_SYNC)
    _assert_soon(both, OLD_ANSWERS)
    assert both.sidecar.is_ready() and both.sidecar.is_alive()


def test_in_sync_without_anything(both):
    both.next_stream().send(IN_SYNC)
    both.sidecar.wait_for_reason("no_endpoint")
    both.stream.send(barrier(), *OLD_WORLD)
    both.settle()
    assert both.reasons(A, B) == OLD_ANSWERS


def test_second_in_sync_changes_nothing(both):
    both.sync(*OLD_WORLD)
    both.send(IN_SYNC, IN_SYNC)
    assert both.reasons(A, B) == OLD_ANSWERS


def test_endpoint_removed_and_back(both):
    both.sync(*OLD_WORLD)
    both.stream.send({"endpoint_remove": {}})
    both.sidecar.wait_for_reason("no_endpoint", A)
    assert both.sidecar.reason({"path": "no path"}) == "no_endpoint", "whatever the request is"
    both.send(endpoint(tier(P)))
    assert both.reasons(A, B) == OLD_ANSWERS


def test_endpoint_removed_for_good(both):
    """As felix does it: the endpoint's removal ends the stream, the next one has no endpoint."""
    both.sync(*OLD_WORLD)
    both.stream.send({"endpoint_remove": {}})
    both.stream.end()
    both.sidecar.wait_for_reason("no_endpoint", A)
    both.next_stream().send({"namespace": {"name": "bank", "labels": {}}}, IN_SYNC)
    assert wait_for(both.sidecar.is_ready, SECONDS)
    _assert_keeps(both, ["no_endpoint"] * 2)
    both.stream.send(barrier(), *NEW_WORLD)
    both.settle()
    assert both.reasons(A, B) == NEW_ANSWERS


def test_new_stream_takes_over_whole_at_in_sync(both):
    both.sync(*OLD_WORLD, {"service_account": {**BANK, "labels": {"role": "teller"}}},
              {"namespace": {"name": "bank", "labels": {"stage": "prod"}}})
    both.stream.end()
    stream = both.next_stream()
    for step in [barrier(), *NEW_WORLD]:
        stream.send(step)
        assert both.reasons(A, B) == OLD_ANSWERS
    _assert_keeps(both, OLD_ANSWERS)
    stream.send(IN_SYNC)
    both.settle()
    assert both.reasons(A, B) == NEW_ANSWERS


GONE = {
    "IP set": ([ip_set("10.1.0.1")], FROM_SET, A, "missing_ip_set"),
    "service account": ([{"service_account": {**BANK, "labels": {"role": "teller"}}}], LABELLED,
                        CUSTOMER, DENY),
    "namespace": ([{"namespace": {"name": "bank", "labels": {"stage": "prod"}}}], IN_PROD,
                  CUSTOMER, DENY),
}


def test_what_a_new_stream_does_not_tell_is_gone(both):
    """Three worlds' leftovers at once; each is looked at through a policy of its own."""
    rest = [step for _, rule, _, _ in GONE.values() for step in world(rule)]
    both.sync(*(step for steps, *_ in GONE.values() for step in steps), *rest,
              profile("left", ALLOW_ALL))
    for _, rule, request, _ in GONE.values():
        both.send(policy(rule))
        assert both.sidecar.reason(request) == ALLOW
    both.stream.end()
    both.sync(endpoint(tier(P)))
    assert both.sidecar.reason(A) == "missing_policy"
    for _, rule, request, reason in GONE.values():
        both.send(policy(rule))
        assert both.sidecar.reason(request) == reason
    both.send(endpoint(profiles=["left"]))
    assert both.sidecar.reason(A) == "missing_profile"


# ---- failures -----------------------------------------------------------------------


def _restart(both):
    both.agent.stop()
    both.agent.start()


def test_agent_restarts_with_other_content(both):
    both.sync(*OLD_WORLD)
    assert both.sidecar.is_ready()
    both.agent.stop()
    assert wait_for(lambda: not both.sidecar.is_ready(), SECONDS)
    assert both.sidecar.is_alive()
    _assert_keeps(both, OLD_ANSWERS)
    both.agent.start()
    both.next_stream().send(barrier(), *NEW_WORLD)
    _assert_keeps(both, OLD_ANSWERS)
    both.stream.send(IN_SYNC)
    both.settle()
    assert both.reasons(A, B) == NEW_ANSWERS
    assert both.sidecar.is_ready()


def test_agent_dies_before_the_first_in_sync(both):
    both.next_stream().send(barrier(), *OLD_WORLD)
    _restart(both)
    stream = both.next_stream()
    _assert_never_synced(both)
    stream.send(IN_SYNC)  # of a stream that told nothing else
    both.sidecar.wait_for_reason("no_endpoint")


def test_never_in_sync_again(both):
    both.sync(*OLD_WORLD)
    both.stream.end()
    both.next_stream().send(barrier(), *NEW_WORLD)
    _assert_keeps(both, OLD_ANSWERS)
    both.stream.end()
    both.next_stream().send(IN_SYNC)  # what the stream before it told does not count
    both.sidecar.wait_for_reason("no_endpoint", A)


STATUSES = [None, grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.UNIMPLEMENTED]


def test_stream_ended_with_a_status(both):
    both.sync(*OLD_WORLD)
    for code in STATUSES:
        both.stream.end(code, "a text \nof two lines, and \u00e9")
        both.next_stream()  # after the first, each ends before any message
        assert both.reasons(A, B) == OLD_ANSWERS
    both.stream.send(barrier(), *NEW_WORLD, IN_SYNC)
    both.settle()
    assert both.reasons(A, B) == NEW_ANSWERS


UNREADABLE = {
    "no protobuf": b"\xff",
    "cut short": scenario.message(ip_set("10.1.0.2"))[:-1],
    "an IP set of garbage": wire.nested(b"\x0a\x7f", 2),
    "a length past all ends": wire.field(2, 2, wire.varint(2**63)),
    "over 4 MiB": scenario.message(ip_set("x" * MOST)),
}


@pytest.mark.parametrize("garbage", UNREADABLE.values(), ids=UNREADABLE)
def test_stream_with_a_message_that_cannot_be_read(both, garbage):
    both.sync(*OLD_WORLD)
    before = len(both.sidecar.journal().splitlines())
    both.stream.send(garbage, *NEW_WORLD)
    assert both.stream.over.wait(SECONDS), "the stream is ended"
    _assert_keeps(both, OLD_ANSWERS)
    logged = both.sidecar.journal().splitlines()[before:]
    assert any("level=warn" in line or "level=error" in line for line in logged), logged
    both.sync(*NEW_WORLD)
    assert both.reasons(A, B) == NEW_ANSWERS


def test_the_field_that_cannot_be_read_is_named(both):
    """And not as if it were a number in the stream's order."""
    both.sync(*OLD_WORLD)
    both.stream.send(b"\x3a\x01\xff")
    assert both.stream.over.wait(SECONDS)
    assert wait_for(lambda: "does not decode (its field 7)" in both.sidecar.journal(), SECONDS)


def test_a_group_in_place_of_a_rule_s_net_makes_the_policy_malformed(both):
    """Passed over, it would leave a rule that allows everybody."""
    rule = b"\x0a\x05allow" + b"\x23\x24"  # action, and src_net (4) as a group with nothing in it
    identity = b"\x12\x01p\x22\x13GlobalNetworkPolicy"
    update = b"\x0a" + bytes([len(identity)]) + identity + b"\x12" + bytes([len(rule) + 2, 0x0a, len(rule)]) + rule
    both.sync(endpoint(tier(P)), b"\x3a" + bytes([len(update)]) + update)
    assert both.reasons(A) == ["malformed_policy"]


def test_garbage_before_the_first_in_sync(both):
    both.next_stream().send(barrier(), *OLD_WORLD, b"\xff", IN_SYNC)
    assert both.stream.over.wait(SECONDS)
    _assert_never_synced(both)
    both.sync(*OLD_WORLD)
    assert both.reasons(A, B) == OLD_ANSWERS


def test_largest_message(both):
    members = [f"2001:db8:{number:x}:1111:1111:1111:1111:1111/128" for number in range(65536)]
    whole = ip_set("10.1.0.1", *members, *members[:29000])
    assert MOST - 100_000 < len(scenario.message(whole)) < MOST
    both.sync(whole, *world(FROM_SET))
    assert both.reasons(A, B) == OLD_ANSWERS
    assert both.sidecar.reason({"from": "2001:db8:ffff:1111:1111:1111:1111:1111"}) == ALLOW


def test_agent_comes_late():
    with pair(started=False) as both:
        _assert_never_synced(both)
        both.agent.start()
        both.sync(*OLD_WORLD)
        assert both.reasons(A, B) == OLD_ANSWERS
        assert both.sidecar.is_ready()


@contextlib.contextmanager
def _sidecar_of(serve):
    """A sidecar that dials a peer of bad_agents.py."""
    with pair("unix:{folder}/front", started=False) as both:
        front = Listener(both.sidecar.folder / "front", serve)
        try:
            yield both, front
        finally:
            front.close()


def _agent_takes_over(both, front):
    """A real agent on the address of the bad one."""
    front.close()
    both.agent.address = f"unix:{front.path}"
    both.agent.start()
    both.sync(*OLD_WORLD)
    assert both.reasons(A, B) == OLD_ANSWERS


def test_peer_that_says_nothing():
    with _sidecar_of(say_nothing) as (both, front):
        assert front.accepted.acquire(timeout=SECONDS)
        _assert_never_synced(both)
        _agent_takes_over(both, front)


NO_AGENTS = {
    "HTTP/1": b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n",
    "hangs up": b"",
    "noise": bytes(range(256)) * 40,
    "a frame of 16 MiB": b"\xff\xff\xff\x00\x00\x00\x00\x00\x01",
    "settings and goodbye": b"\0\0\0\x04\0\0\0\0\0" + b"\0\0\x08\x07\0\0\0\0\0" + bytes(8),
}
LEAST_PAUSE = 0.3  # seconds between tries; about one is due


def test_peers_that_are_no_agents():
    with _sidecar_of(SayInTurn(NO_AGENTS.values())) as (both, front):
        assert front.accepted.acquire(timeout=SECONDS)
        for _ in NO_AGENTS:
            before = time.monotonic()
            assert front.accepted.acquire(timeout=SECONDS)
            assert time.monotonic() - before > LEAST_PAUSE, "no storm of tries"
            _assert_never_synced(both)
        _agent_takes_over(both, front)


def test_messages_in_small_pieces():
    relay = Relay(None, piece=3)
    with _sidecar_of(relay) as (both, _):
        relay.path = both.sidecar.folder / "agent"
        both.agent.start()
        both.sync(*OLD_WORLD)
        assert both.reasons(A, B) == OLD_ANSWERS


def test_agent_dies_anywhere_in_a_snapshot():
    relay = Relay(None)
    with _sidecar_of(relay) as (both, front):
        relay.path = both.sidecar.folder / "agent"
        both.agent.start()
        assert front.accepted.acquire(timeout=SECONDS)
        both.sync(*OLD_WORLD)
        many = [policy(DENY_ALL, name=ids("NetworkPolicy", f"p{n}", "bank")) for n in range(1000)]
        both.agent.opening = [barrier(), *NEW_WORLD, *many, IN_SYNC]
        relay.limits = [1, 60, 20_000]
        both.stream.end()
        for _ in list(relay.limits):
            assert front.accepted.acquire(timeout=SECONDS)
            _assert_keeps(both, OLD_ANSWERS)
        _assert_soon(both, NEW_ANSWERS)


# ---- targets and log ------------------------------------------------------------------


TARGETS = {
    "path": ("{folder}/agent", "unix:{folder}/agent"),
    "unix:": ("unix:{folder}/agent", "unix:{folder}/agent"),
    "address": ("127.0.0.1:{port}", "127.0.0.1:0"),
    "host": ("localhost:{port}", "127.0.0.1:0"),
}


@pytest.mark.parametrize("target, listen", TARGETS.values(), ids=TARGETS)
def test_targets(target, listen):
    with pair(target, listen) as both:
        both.sync(*OLD_WORLD)
        assert both.reasons(A, B) == OLD_ANSWERS
        both.stream.end()
        both.sync(*NEW_WORLD)
        assert both.reasons(A, B) == NEW_ANSWERS


def test_port_where_nobody_listens_yet():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = "127.0.0.1:%d" % taken.getsockname()[1]
    with pair(address, address, started=False) as both:
        _assert_never_synced(both)
        both.agent.start()
        both.sync(*OLD_WORLD)
        assert both.reasons(A, B) == OLD_ANSWERS


LINES = ["Successfully connected to Policy Sync server",
         "Starting synchronization with Policy Sync server"]


def test_lines_that_people_look_for(both):
    both.sync(*OLD_WORLD)
    for count in (1, 2):
        log = both.sidecar.journal()
        assert [log.count(line) for line in LINES] == [count, count]
        assert log.index(LINES[0]) < log.index(LINES[1])
        both.stream.end()
        both.sync(*OLD_WORLD)


# ---- scale ------------------------------------------------------------------------------


MIB = 1024 * 1024
MOST_RESIDENT = 64 * MIB  # with the large policy in force
MOST_GROWTH = 8 * MIB     # over rounds of the large policy and a small one; a leak is more
SPLITS = {"whole": large.BIGGEST, "in two": 30_000, "in many": 1_000}


@pytest.fixture(scope="module")
def large_policy():
    return large.Large()


def _in_pieces(members, size):
    first, *rest = (members[at:at + size] for at in range(0, len(members), size))
    return [ip_set(*first, kind="IP"), *(delta(add=piece) for piece in rest)]


@pytest.mark.parametrize("size", SPLITS.values(), ids=SPLITS)
def test_biggest_set(both, size):
    members = large.members(large.BIGGEST)
    both.sync(*_in_pieces(members, size), *world(FROM_SET))
    both.send(delta(add=["11.0.0.1"], remove=members[1000:1002]))
    for member, reason in [(members[0], ALLOW), (members[-1], ALLOW), (members[30_000], ALLOW),
                           (members[1000], DENY), ("11.0.0.1", ALLOW), ("11.0.0.2", DENY)]:
        assert both.sidecar.reason({"from": member}) == reason, member


def _assert_large(both, large_policy):
    expected = list(large_policy.some_answers())
    assert [(request, both.sidecar.ask(request)) for request, _ in expected] == expected


def _assert_resident(number, most, what):
    """Prints it, and holds it against the bound, which a sanitizer's own memory would break."""
    print(f"{what}: {number / MIB:.1f} MiB resident")
    assert number < most or b"__asan_init" in DIKASTES.read_bytes(), what


def test_large_policy(both, large_policy):
    _assert_resident(both.sidecar.resident(), MOST_RESIDENT, "nothing yet")
    both.sync(*large_policy.messages)
    _assert_large(both, large_policy)
    _assert_resident(both.sidecar.resident(), MOST_RESIDENT, "20,000 rules, 256,000 members")


def test_memory_does_not_grow_when_policies_come_and_go(both, large_policy):
    after = []
    for number in range(3):
        both.sync(*large_policy.messages)
        _assert_large(both, large_policy)
        both.stream.end()
        both.sync(*OLD_WORLD)
        assert both.reasons(A, B) == OLD_ANSWERS
        after.append(both.sidecar.resident())
        _assert_resident(after[-1], MOST_RESIDENT, f"round {number}, small again")
        both.stream.end()
    _assert_resident(after[-1], after[1] + MOST_GROWTH, "in the end")


def test_no_wrong_verdict_while_the_policy_flips(both, rng):
    both.sync(*flips.world())
    changes = flips.flips(10_000)
    with flips.Load(both.sidecar) as load:
        while gust := list(itertools.islice(changes, rng.randint(1, 40))):
            both.stream.send(*itertools.chain(*gust))
            time.sleep(0.002)  # so that answers fall between them
        both.settle()
    answers = load.answers()
    print(f"{answers.total()} answers")
    wrong = {answer: count for answer, count in answers.items() if answer not in flips.possible()}
    assert not wrong
    assert not flips.possible() - set(answers), "each state was seen"
    for request, (in_a, _) in flips.PROBES:
        assert both.sidecar.ask(request) == in_a
