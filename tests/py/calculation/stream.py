"""The messages for one pod as plain data, compared by content.

Ids of IP sets are the sender's own, so wherever a rule names a set, the plain form
has its sorted members.  A policy is "KIND [NAMESPACE/]NAME".  Selectors are compared
by what they say: the two sides of `&&` and `||` may stand in any order.
"""

import functools

from google.protobuf import json_format

from model import selector
from protos import felix

# The order on the stream; accounts and namespaces may be mixed.
PHASES = {
    "ipset_update": 0, "ipset_delta_update": 0, "active_policy_update": 1,
    "active_profile_update": 2, "workload_endpoint_update": 3,
    "service_account_update": 4, "namespace_update": 4, "in_sync": 5,
}

SET_FIELDS = [f"{prefix}{side}{field}" for prefix in ("", "not_") for side in ("src", "dst")
              for field in ("_ip_set_ids", "_named_port_ip_set_ids")] + ["dst_ip_port_set_ids"]
SELECTOR_FIELDS = [f"original_{prefix}{side}{field}" for prefix in ("", "not_")
                   for side in ("src", "dst") for field in ("_selector", "_namespace_selector")]


def _sorted(parsed):
    if parsed[0] in ("and", "or"):
        return parsed[0], sorted((_sorted(item) for item in parsed[1]), key=selector.normal_form)
    return ("not", _sorted(parsed[1])) if parsed[0] == "not" else parsed


@functools.lru_cache(maxsize=None)
def canonical(text):
    """One text for all selectors that say the same but for the order of operands."""
    parsed = selector.parse(text.encode())
    return "" if parsed is None else selector.normal_form(_sorted(parsed)).decode()


def policy_name(policy_id):
    place = f"{policy_id.namespace}/" if policy_id.namespace else ""
    return f"{policy_id.kind} {place}{policy_id.name}"


def canonical_rule(rule, content=sorted):
    """A plain rule with its sets in one order, each as `content` has it, and its selectors in one form."""
    rule = dict(rule)
    for field in SET_FIELDS:
        if field in rule:
            rule[field] = sorted(content(each) for each in rule[field])
    for field in SELECTOR_FIELDS:
        if field in rule:
            rule[field] = canonical(rule[field])
    for field in ("src_service_account_match", "dst_service_account_match"):
        if "selector" in rule.get(field, {}):
            rule[field] = {**rule[field], "selector": canonical(rule[field]["selector"])}
    return rule


def plain_rule(rule):
    """The fields of a felix.Rule; sets are ids still."""
    fields = json_format.MessageToDict(rule, preserving_proto_field_name=True)
    fields.pop("rule_id", None)
    return fields


def plain_policy(policy, plain_rules):
    return {"namespace": policy.namespace, "tier": policy.tier,
            "original_selector": policy.original_selector,
            "untracked": policy.untracked, "pre_dnat": policy.pre_dnat,
            "inbound": plain_rules(policy.inbound_rules),
            "outbound": plain_rules(policy.outbound_rules)}


def plain_profile(profile, plain_rules):
    return {"inbound": plain_rules(profile.inbound_rules),
            "outbound": plain_rules(profile.outbound_rules)}


def endpoint_name(endpoint_id):
    return "/".join([endpoint_id.orchestrator_id, endpoint_id.workload_id, endpoint_id.endpoint_id])


def plain_endpoint(update):
    endpoint = update.endpoint
    return {
        "id": endpoint_name(update.id),
        "state": endpoint.state, "interface": endpoint.name, "mac": endpoint.mac,
        "profiles": list(endpoint.profile_ids),
        "ipv4": list(endpoint.ipv4_nets), "ipv6": list(endpoint.ipv6_nets),
        "tiers": [{"name": tier.name, "default": tier.default_action,
                   "ingress": [policy_name(policy) for policy in tier.ingress_policies],
                   "egress": [policy_name(policy) for policy in tier.egress_policies]}
                  for tier in endpoint.tiers],
    }


def set_ids(content):
    """The ids of the sets that a Policy or Profile names."""
    return {set_id for rule in [*content.inbound_rules, *content.outbound_rules]
            for field in SET_FIELDS for set_id in getattr(rule, field)}


class Stream:
    """What a client knows after the first InSync; checks the order as it reads."""

    def __init__(self, raw_messages):
        self.raw = list(raw_messages)
        self.messages = [felix.ToDataplane.FromString(raw) for raw in self.raw]
        self.kinds = [message.WhichOneof("payload") for message in self.messages]
        self.ip_sets = {}           # id -> list of members
        self.policies = {}          # "KIND NAMESPACE/NAME" -> Policy
        self.profiles = {}          # name -> Profile
        self.endpoints = []         # WorkloadEndpointUpdate
        self.service_accounts = {}  # "NAMESPACE/NAME" -> labels
        self.namespaces = {}        # name -> labels
        for message, kind in zip(self.messages, self.kinds):
            getattr(self, f"_on_{kind}")(getattr(message, kind))
        self._check_order()
        self._check_needs()

    def _on_in_sync(self, _):
        pass

    def _on_ipset_update(self, update):
        assert update.id and update.id not in self.ip_sets, f"IP set {update.id!r} sent twice"
        self.ip_sets[update.id] = list(update.members)

    def _on_ipset_delta_update(self, update):
        assert not update.removed_members, "nothing is removed before InSync"
        self.ip_sets[update.id].extend(update.added_members)

    def _on_active_policy_update(self, update):
        name = policy_name(update.id)
        assert name not in self.policies, f"{name} sent twice"
        self.policies[name] = update.policy

    def _on_active_profile_update(self, update):
        assert update.id.name not in self.profiles, f"{update.id.name} sent twice"
        self.profiles[update.id.name] = update.profile

    def _on_workload_endpoint_update(self, update):
        self.endpoints.append(update)

    def _on_service_account_update(self, update):
        self.service_accounts[f"{update.id.namespace}/{update.id.name}"] = dict(update.labels)

    def _on_namespace_update(self, update):
        self.namespaces[update.id.name] = dict(update.labels)

    def _check_order(self):
        phases = [PHASES[kind] for kind in self.kinds]
        assert phases == sorted(phases), f"out of order: {self.kinds}"
        assert self.kinds.count("in_sync") == 1
        assert len(self.endpoints) <= 1

    def _check_needs(self):
        """All that is named was sent, and nothing else."""
        tiers = [tier for update in self.endpoints for tier in update.endpoint.tiers]
        listed = {policy_name(policy) for tier in tiers
                  for policy in [*tier.ingress_policies, *tier.egress_policies]}
        assert listed == set(self.policies)
        assert {name for update in self.endpoints
                for name in update.endpoint.profile_ids} == set(self.profiles)
        named = {set_id for content in [*self.policies.values(), *self.profiles.values()]
                 for set_id in set_ids(content)}
        assert named == set(self.ip_sets)
        for members in self.ip_sets.values():
            assert len(members) == len(set(members)), f"a member twice: {members}"

    def _rules(self, rules):
        plain = []
        for rule in rules:
            fields = plain_rule(rule)
            for field in SET_FIELDS:
                if field in fields:
                    fields[field] = [self.ip_sets[set_id] for set_id in fields[field]]
            plain.append(canonical_rule(fields))
        return plain

    def plain_policy(self, name):
        return plain_policy(self.policies[name], self._rules)

    def plain_profile(self, name):
        return plain_profile(self.profiles[name], self._rules)

    def plain_endpoint(self):
        """None when the workload is no endpoint."""
        if not self.endpoints:
            return None
        update, = self.endpoints
        return plain_endpoint(update)
