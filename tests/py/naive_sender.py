"""A calculation that answers as the probe does (node_open, node_change, node_close), made of the plain model.

After each flush it works everything out anew and sends what differs from before.  The property test's harness is tested
with it: with one that is right, and with some that are not (see test_calculation_harness.py).
"""

from google.protobuf import json_format

from calculation.resources import name_of
from calculation.stream import SET_FIELDS
from plain import resources
from plain.state import plan
from probe import b64
from protos import felix


def _set_id(key):
    return repr(key)


def _rules(rules):
    return [json_format.ParseDict({field: [_set_id(key) for key in value] if field in SET_FIELDS else value
                                   for field, value in rule.items()}, felix.Rule()) for rule in rules]


def policy_id(name):
    kind, _, full_name = name.partition(" ")
    namespace, _, short_name = full_name.rpartition("/")
    return felix.PolicyID(kind=kind, namespace=namespace, name=short_name)


def _policy(name, policy):
    wire = policy.wire
    return felix.ActivePolicyUpdate(id=policy_id(name), policy=felix.Policy(
        namespace=wire["namespace"], tier=wire["tier"], untracked=wire["untracked"], pre_dnat=wire["pre_dnat"],
        original_selector=wire["original_selector"],
        inbound_rules=_rules(wire["inbound"]), outbound_rules=_rules(wire["outbound"])))


def _profile(name, wire):
    return felix.ActiveProfileUpdate(id=felix.ProfileID(name=name), profile=felix.Profile(
        inbound_rules=_rules(wire["inbound"]), outbound_rules=_rules(wire["outbound"])))


def _endpoint_id(name):
    orchestrator, namespace, workload, endpoint = name.split("/")
    return felix.WorkloadEndpointID(orchestrator_id=orchestrator, workload_id=f"{namespace}/{workload}",
                                    endpoint_id=endpoint)


def _endpoint(name, plain):
    tiers = [felix.TierInfo(name=tier["name"], default_action=tier["default"],
                            ingress_policies=[policy_id(each) for each in tier["ingress"]],
                            egress_policies=[policy_id(each) for each in tier["egress"]])
             for tier in plain["tiers"]]
    return felix.WorkloadEndpointUpdate(id=_endpoint_id(name), endpoint=felix.WorkloadEndpoint(
        state=plain["state"], name=plain["interface"], mac=plain["mac"], profile_ids=plain["profiles"],
        ipv4_nets=plain["ipv4"], ipv6_nets=plain["ipv6"], tiers=tiers))


def _account_id(name):
    namespace, _, short_name = name.partition("/")
    return felix.ServiceAccountID(namespace=namespace, name=short_name)


# What a plan has -> (update's field, update from name and content, removal's field, removal from name), in the order in
# which updates go out; removals go the other way.
_PARTS = {
    "policies": ("active_policy_update", _policy, "active_policy_remove",
                 lambda name: felix.ActivePolicyRemove(id=policy_id(name))),
    "profiles": ("active_profile_update", _profile, "active_profile_remove",
                 lambda name: felix.ActiveProfileRemove(id=felix.ProfileID(name=name))),
    "endpoints": ("workload_endpoint_update", _endpoint, "workload_endpoint_remove",
                  lambda name: felix.WorkloadEndpointRemove(id=_endpoint_id(name))),
    "service_accounts": ("service_account_update", lambda name, labels: felix.ServiceAccountUpdate(
        id=_account_id(name), labels=labels), "service_account_remove",
        lambda name: felix.ServiceAccountRemove(id=_account_id(name))),
    "namespaces": ("namespace_update", lambda name, labels: felix.NamespaceUpdate(
        id=felix.NamespaceID(name=name), labels=labels), "namespace_remove",
        lambda name: felix.NamespaceRemove(id=felix.NamespaceID(name=name))),
}


def _wrapped(field, content):
    message = felix.ToDataplane()
    getattr(message, field).CopyFrom(content)
    getattr(message, field).SetInParent()
    return message


class NaiveSender:
    def __init__(self):
        self.world = {}
        self.target = {}
        self.in_sync = False
        self.sets = {}
        self.sent = {}

    def ask(self, op, **arguments):
        return getattr(self, f"_{op}")(**arguments)

    def _node_open(self, **target):
        self.__init__()
        self.target, self.sent = target, {part: {} for part in _PARTS}
        return {"ok": True}

    def _node_close(self):
        return {"ok": True}

    def _node_change(self, update, remove, in_sync):
        for resource in update:
            self.world[name_of(resource)] = resource
        for resource in remove:
            self.world.pop(name_of(resource), None)
        problems = [f"{name_of(resource)}: broken" for resource in update if resources.is_broken(resource)]
        messages = self.messages() if in_sync else []
        return {"ok": True, "problems": problems,
                "messages": [b64(message.SerializeToString()) for message in messages]}

    def messages(self):
        wanted = plan(self.world, **self.target)
        first, self.in_sync = not self.in_sync, True
        made = self._set_updates(wanted.ip_sets) + self._updates(wanted)
        if first:
            made.append(_wrapped("in_sync", felix.InSync()))
        return made + self._removals(wanted) + self._set_removals(wanted.ip_sets)

    def _set_updates(self, wanted):
        made = []
        for key, (kind, members) in wanted.items():
            known = self.sets.get(key)
            self.sets[key] = kind, members
            if known is None or known[0] != kind:
                made.append(_wrapped("ipset_update", felix.IPSetUpdate(
                    id=_set_id(key), type=kind, members=sorted(members))))
            elif known[1] != members:
                made.append(_wrapped("ipset_delta_update", felix.IPSetDeltaUpdate(
                    id=_set_id(key), added_members=sorted(members - known[1]),
                    removed_members=sorted(known[1] - members))))
        return made

    def _updates(self, wanted):
        made = []
        for part, (field, update, _, _) in _PARTS.items():
            for name, content in getattr(wanted, part).items():
                message = _wrapped(field, update(name, content))
                if self.sent[part].get(name) != message:
                    self.sent[part][name] = message
                    made.append(message)
        return made

    def _removals(self, wanted):
        made = []
        for part, (_, _, field, remove) in reversed(_PARTS.items()):
            for name in set(self.sent[part]) - set(getattr(wanted, part)):
                del self.sent[part][name]
                made.append(_wrapped(field, remove(name)))
        return made

    def _set_removals(self, wanted):
        gone = set(self.sets) - set(wanted)
        for key in gone:
            del self.sets[key]
        return [_wrapped("ipset_remove", felix.IPSetRemove(id=_set_id(key))) for key in gone]
