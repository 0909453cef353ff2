"""What the clients of a node (or the client of one workload) must know: messages to come, and a form to compare.

A *plan* names IP sets by their keys, see rules.py.  The *state* has their content instead:

  {"ip_sets": {content, ...}, "policies": {name: ...}, "profiles": {name: ...}, "endpoints": {id: ...},
   "service_accounts": {"NAMESPACE/NAME": labels}, "namespaces": {name: labels}}

where a content is (type, members); nets are joined as far as they go, since a sender may leave out one that lies in
another.
"""

import functools
import ipaddress
from dataclasses import dataclass

from calculation.stream import SET_FIELDS, canonical_rule
from plain import endpoints, ip_sets, labels, policies, resources, rules


@dataclass
class Plan:
    ip_sets: dict    # key -> (type, members)
    policies: dict   # name -> Policy
    profiles: dict   # name -> {"inbound": rules, "outbound": rules}
    endpoints: dict  # id -> as plain_endpoint of calculation/stream.py
    service_accounts: dict
    namespaces: dict


def _endpoint(endpoint, tiers):
    return {"id": endpoint.id, "state": "active", "interface": endpoint.interface, "mac": "",
            "profiles": endpoint.profiles,
            "ipv4": [net for net in endpoint.nets if ":" not in net],
            "ipv6": [net for net in endpoint.nets if ":" in net], "tiers": tiers}


def _profile(name, known):
    """One that is not there denies."""
    profile = known.get(name)
    if profile is None:
        return {"inbound": rules.DENY, "outbound": rules.DENY}
    return {"inbound": rules.of(profile.broken, profile.ingress),
            "outbound": rules.of(profile.broken, profile.egress)}


def plan(world, node=None, workload=None):
    known_profiles = labels.profiles(world)
    all_endpoints = endpoints.endpoints(world)
    in_order, known_tiers = policies.in_order(world)

    local = {}
    for each in endpoints.local(all_endpoints, node, workload):
        all_labels = labels.inherited(each.labels, each.profiles, known_profiles)
        local[each.id] = _endpoint(each, policies.of_endpoint(all_labels, in_order, known_tiers))
    listed = {name for each in local.values() for tier in each["tiers"]
              for name in tier["ingress"] + tier["egress"]}
    needed_policies = {policy.name: policy for policy in in_order if policy.name in listed}
    needed_profiles = {name: _profile(name, known_profiles)
                       for each in local.values() for name in each["profiles"]}

    sources = ip_sets.sources(world, all_endpoints, known_profiles)
    keys = set()
    for wire in [policy.wire for policy in needed_policies.values()] + list(needed_profiles.values()):
        keys |= rules.sets_of(wire["inbound"]) | rules.sets_of(wire["outbound"])
    return Plan({key: ip_sets.content(key, world, sources) for key in keys},
                needed_policies, needed_profiles, local, *_accounts_and_namespaces(world))


def _accounts_and_namespaces(world):
    accounts = {f"{resources.namespace(resource)}/{resource['metadata']['name']}": labels.with_name(resource)
                for _, resource in resources.of_kind(world, "ServiceAccount")}
    namespaces = {resource["metadata"]["name"]: labels.with_name(resource)
                  for _, resource in resources.of_kind(world, "Namespace")}
    return accounts, namespaces


@functools.lru_cache(maxsize=4096)
def canonical_content(kind, members):
    """(type, members in order), the nets joined."""
    if kind != ip_sets.NET:
        return kind, tuple(sorted(members))
    nets = [ipaddress.ip_network(member) for member in members]
    joined = [str(net) for version in (4, 6)
              for net in ipaddress.collapse_addresses(net for net in nets if net.version == version)]
    return kind, tuple(joined)


def without_selector_if_closed(policy):
    """The computed selector of a policy that refuses is for information only; nothing says what it is."""
    closed = policy["inbound"] == rules.MALFORMED
    return {**policy, "original_selector": ""} if closed else policy


def resolved(wire, content_of):
    """A policy or profile with contents in place of whatever names the sets."""
    def rule(fields):
        named = {field: sorted({content_of(each) for each in fields[field]})
                 for field in SET_FIELDS if field in fields}
        return canonical_rule({**fields, **named}, content=lambda each: each)

    return {**wire, "inbound": [rule(fields) for fields in wire["inbound"]],
            "outbound": [rule(fields) for fields in wire["outbound"]]}


def state(made):
    """The form to compare of a plan."""
    contents = {key: canonical_content(*content) for key, content in made.ip_sets.items()}
    return {
        "ip_sets": set(contents.values()),
        "policies": {name: resolved(policy.wire, contents.get) for name, policy in made.policies.items()},
        "profiles": {name: resolved(wire, contents.get) for name, wire in made.profiles.items()},
        "endpoints": made.endpoints,
        "service_accounts": made.service_accounts,
        "namespaces": made.namespaces,
    }


def _sets_of(rules_of_a_side):
    for rule in rules_of_a_side:
        for field in SET_FIELDS:
            yield from rule.get(field, [])


def told_to(whole, workload):
    """Of a node's state what the sidecar of one workload is told."""
    name = f"k8s/{workload}/eth0"
    mine = {each: content for each, content in whole["endpoints"].items() if each == name}
    needed_policies, needed_profiles = set(), set()
    for content in mine.values():
        needed_profiles |= set(content["profiles"])
        for tier in content["tiers"]:
            needed_policies |= {*tier["ingress"], *tier["egress"]}
    contents = {"policies": {each: whole["policies"][each] for each in needed_policies},
                "profiles": {each: whole["profiles"][each] for each in needed_profiles}}
    sets = {each for part in contents.values() for content in part.values()
            for each in [*_sets_of(content["inbound"]), *_sets_of(content["outbound"])]}
    return {**contents, "ip_sets": sets, "endpoints": mine,
            "service_accounts": whole["service_accounts"], "namespaces": whole["namespaces"]}
