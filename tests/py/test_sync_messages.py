"""Policy Sync messages as bytes: fields of newer senders, and bytes that are broken."""

from google.protobuf.message import DecodeError, Message

import judges
import random_world
import scenario
import wire
from model import evaluate, store
from protos import ext_authz_raw, felix


def _inner_messages(message):
    """The message and all messages inside it."""
    yield message
    for field, value in message.ListFields():
        if field.message_type and field.message_type.GetOptions().map_entry:
            continue
        for item in (value if field.is_repeated else [value]):
            if isinstance(item, Message):
                yield from _inner_messages(item)


def _with_unknown_fields(rng, raw):
    """The same message with fields in it that nobody knows."""
    try:
        message = felix.ToDataplane.FromString(raw)
    except DecodeError:
        return raw  # broken on purpose, or with the names of older senders
    for inner in list(_inner_messages(message)):
        if rng.random() < 0.4:
            inner.MergeFromString(wire.unknown_field(rng))
    return message.SerializeToString()


def test_unknown_fields_change_nothing(probe, rng):
    for _ in range(60):
        raws = [_with_unknown_fields(rng, scenario.message(step))
                for step in random_world.first_steps(rng)]
        model = store.Store()
        for raw in raws:
            model.apply(raw)
        probe.reset()
        probe.sync(raws)
        for _ in range(10):
            request = scenario.request(random_world.request(rng)).SerializeToString()
            expected = evaluate.check(model, ext_authz_raw.CheckRequest.FromString(request))
            answer = probe.check(request)
            assert (answer["code"], answer["reason"]) == (expected.code, expected.reason)


def test_broken_messages_never_hurt(probe, rng):
    """Whatever comes, there is a verdict, of the known vocabulary."""
    for _ in range(150):
        raws = [scenario.message(step) for step in random_world.first_steps(rng)]
        for _ in range(rng.randint(1, 5)):
            at = rng.randrange(len(raws))
            raws[at] = wire.mutated(rng, raws[at])
        probe.reset()
        probe.try_sync(raws)  # false when one of them is no message at all
        for _ in range(5):
            answer = probe.check(scenario.request(random_world.request(rng)).SerializeToString())
            assert answer["code"] == judges.CODES[answer["reason"]]


def test_broken_policy_never_lets_in_more(probe, rng):
    """A policy's content cut off anywhere: it refuses, or says what protobuf reads in it."""
    policy = {"kind": "GlobalNetworkPolicy", "name": "p"}
    rules = [{"action": "deny", "http_match": {"paths": [{"prefix": "/admin"}]}},
             {"action": "allow", "src_net": ["10.0.0.0/8"], "http_match": {"methods": ["GET"]}}]
    content = felix.Policy(inbound_rules=[scenario.rule(rule) for rule in rules]).SerializeToString()
    request = scenario.request({"path": "/admin/x"}).SerializeToString()
    for length in range(len(content)):
        update = wire.nested(wire.nested(felix.PolicyID(**policy).SerializeToString(), 1)
                             + wire.nested(content[:length], 2), 7)
        others = [scenario.message({"endpoint": {"tiers": [{"name": "t", "policies": [policy]}]}}),
                  scenario.message({"in_sync": {}})]
        model = store.Store()
        for raw in [update, *others]:
            model.apply(raw)
        expected = evaluate.check(model, ext_authz_raw.CheckRequest.FromString(request))
        probe.reset()
        probe.sync([update, *others])
        answer = probe.check(request)
        assert (answer["code"], answer["reason"]) == (expected.code, expected.reason), length
        assert answer["code"] != 0


def test_many_members(probe):
    """A set as large as felix sends them, the rest of it as a delta."""
    members = [f"10.{number >> 16}.{number >> 8 & 255}.{number & 255}" for number in range(82200)]
    policy = {"kind": "GlobalNetworkPolicy", "name": "p"}
    judge = judges.ProbeJudge(probe)
    judge.reset()
    judge.sync([
        {"ip_set": {"id": "s", "type": "IP", "members": members}},
        {"ip_set_delta": {"id": "s", "add": ["11.0.0.1"], "remove": ["10.0.0.7"]}},
        {"policy": {**policy, "rules": [{"action": "allow", "src_ip_set_ids": ["s"]}]}},
        {"endpoint": {"tiers": [{"name": "t", "policies": [policy]}]}},
        {"in_sync": {}},
    ])
    for address, code in (("10.0.0.0", 0), ("10.1.65.23", 0), ("10.1.65.24", 7), ("11.0.0.1", 0),
                          ("10.0.0.7", 7), ("11.0.0.2", 7)):
        assert judge.check({"from": address})["code"] == code, address
