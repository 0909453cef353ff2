"""A policy of the largest size that people have: 294 policies of 68 rules, 3,708 IP sets.

24 of a hundred rules have a set.  Sets share no member, so it is known by which rule
each member is let in: the first that has its set.
"""

import scenario
from policy_sync_server import Answer, endpoint

POLICIES, RULES = 294, 68
# How many sets, and of how many members: 255,841 in all.
SIZES = [(4, 0), (3035, 5), (446, 30), (64, 230), (158, 1000), (1, 54566)]
BIGGEST = max(size for _, size in SIZES)
SET_SHARE = 0.242  # of the rules


def _address(number):
    return f"10.{number >> 16}.{number >> 8 & 255}.{number & 255}"


def members(count, first=0):
    return [_address(number) for number in range(first, first + count)]


def _sets():
    """The members of each set, the biggest last."""
    first = 0
    for count, size in SIZES:
        for _ in range(count):
            yield members(size, first)
            first += size


def _name(number):
    return {"kind": "NetworkPolicy", "ns": f"ns-{number % 40}", "name": f"policy-{number}"}


def _plain_rule(number):
    """One of the rules without a set; none of the callers here is from its net."""
    return {"action": "allow", "protocol": {"name": "tcp"}, "rule_id": f"rule-{number}",
            "src_net": [f"172.{16 + number % 16}.{number >> 4 & 255}.0/24"],
            "dst_ports": [{"first": 1024 + number, "last": 1030 + number}]}


def _set_rule(number, set_number):
    return {"action": "allow", "protocol": {"name": "tcp"}, "rule_id": f"rule-{number}",
            "src_ip_set_ids": [_set_id(set_number)]}


def _set_id(number):
    return f"s:set-{number:04d}-of-many"  # as long as felix's ids


class Large:
    """`messages` is the snapshot but for InSync; `first_rule` of a set's number an Answer."""

    def __init__(self):
        self.sets = list(_sets())
        self.first_rule = {}
        steps = [self._ip_set(number) for number in range(len(self.sets))]
        steps += [self._policy(number) for number in range(POLICIES)]
        steps.append(endpoint({"name": "t", "policies": [_name(n) for n in range(POLICIES)]}))
        self.messages = [scenario.message(step) for step in steps]
        assert len(self.first_rule) == len(self.sets), "every set has a rule"

    def _ip_set(self, number):
        # Hosts come as nets, or as addresses from some senders.
        kind, tail = ("NET", "/32") if number % 4 else ("IP", "")
        return {"ip_set": {"id": _set_id(number), "type": kind,
                           "members": [member + tail for member in self.sets[number]]}}

    def _policy(self, number):
        return {"policy": {**_name(number), "namespace": _name(number)["ns"], "rules": [
            self._rule(number * RULES + index, number, index) for index in range(RULES)]}}

    def _rule(self, number, policy, index):
        before, now = int(number * SET_SHARE), int((number + 1) * SET_SHARE)
        if now == before:
            return _plain_rule(number)
        set_number = before % len(self.sets)
        name = _name(policy)
        self.first_rule.setdefault(set_number, Answer(
            "allowed_by_rule", f"NetworkPolicy {name['ns']}/{name['name']}", index))
        return _set_rule(number, set_number)

    def some_answers(self):
        """(request, Answer): for members at both ends of sets of all sizes, and a stranger."""
        for number in [*range(0, len(self.sets), 97), len(self.sets) - 1]:
            for member in {*self.sets[number][:1], *self.sets[number][-1:]}:
                yield {"from": member}, self.first_rule[number]
        yield {"from": "11.0.0.1"}, Answer("denied_by_tier_default", "", -1)
