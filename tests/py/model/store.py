"""What the Policy Sync stream has told so far, folded into plain dictionaries."""

from dataclasses import dataclass, field

from google.protobuf.message import DecodeError

import protos
from model import address

IP, IP_AND_PORT, NET = 0, 1, 2

_MEMBER_PARSERS = {
    IP: address.parse_address,
    IP_AND_PORT: address.parse_ip_and_port_member,
    NET: address.parse_net_member,
}


@dataclass
class IPSet:
    type: int
    members: set = field(default_factory=set)  # values, not texts
    readable: bool = True                      # false once a member made no sense

    def _values(self, texts):
        parse = _MEMBER_PARSERS.get(self.type, lambda text: None)
        values = {parse(text) for text in texts}
        if None in values:
            self.readable = False
        return values - {None}

    def add(self, texts):
        self.members |= self._values(texts)

    def remove(self, texts):
        self.members -= self._values(texts)


@dataclass
class PolicyName:
    """How a policy is named: by kind, namespace and name, or the older way by tier."""

    name: bytes
    kind: bytes = b""
    namespace: bytes = b""
    tier: bytes = b""

    @classmethod
    def of(cls, policy_id):
        return cls(policy_id.name, policy_id.kind, policy_id.namespace, policy_id.tier)

    @classmethod
    def of_entry(cls, entry, tier):
        """An entry of a tier: a PolicyID today, a bare name from older senders."""
        try:
            policy_id = protos.felix_raw.PolicyID.FromString(entry)
        except DecodeError:
            return cls(entry, tier=tier)
        return cls.of(policy_id) if policy_id.name else cls(entry, tier=tier)

    def key(self):
        if self.kind:
            return self.kind, self.namespace, self.name
        return self.tier, self.name

    def is_staged(self):
        if self.kind:
            return self.kind in (b"StagedNetworkPolicy", b"StagedGlobalNetworkPolicy",
                                 b"StagedKubernetesNetworkPolicy")
        namespace, slash, rest = self.name.partition(b"/")
        return (rest if slash else self.name).startswith(b"staged:")


@dataclass
class Tier:
    name: bytes
    policies: list  # of PolicyName
    default_action: bytes


@dataclass
class Endpoint:
    tiers: list
    profiles: list  # of names


def _decoded(message_type, content):
    """The message, or None when the bytes cannot be understood."""
    try:
        return message_type.FromString(content)
    except DecodeError:
        return None


def _labels(pairs):
    return {pair.key: pair.value for pair in pairs}


class Store:
    def __init__(self):
        self.in_sync = False
        self.endpoint = None
        self.ip_sets = {}
        self.policies = {}          # key -> Policy message, None when undecodable
        self.profiles = {}          # name -> Profile message, None when undecodable
        self.service_accounts = {}  # (namespace, name) -> labels
        self.namespaces = {}        # name -> labels

    def apply(self, serialised):
        message = protos.felix_raw.ToDataplane.FromString(serialised)
        kind = message.WhichOneof("payload")
        handler = getattr(self, f"_on_{kind}", None)
        if handler:
            handler(getattr(message, kind))

    def _on_in_sync(self, _):
        self.in_sync = True

    def _on_ipset_update(self, update):
        ip_set = IPSet(update.type)
        ip_set.add(update.members)
        self.ip_sets[update.id] = ip_set

    def _on_ipset_delta_update(self, delta):
        ip_set = self.ip_sets.get(delta.id)
        if ip_set:
            ip_set.add(delta.added_members)
            ip_set.remove(delta.removed_members)

    def _on_ipset_remove(self, remove):
        self.ip_sets.pop(remove.id, None)

    def _on_active_policy_update(self, update):
        policy = _decoded(protos.felix_raw.Policy, update.policy)
        self.policies[PolicyName.of(update.id).key()] = policy

    def _on_active_policy_remove(self, remove):
        self.policies.pop(PolicyName.of(remove.id).key(), None)

    def _on_active_profile_update(self, update):
        self.profiles[update.id.name] = _decoded(protos.felix_raw.Profile, update.profile)

    def _on_active_profile_remove(self, remove):
        self.profiles.pop(remove.id.name, None)

    def _on_workload_endpoint_update(self, update):
        tiers = [
            Tier(tier.name, [PolicyName.of_entry(entry, tier.name)
                             for entry in tier.ingress_policies], tier.default_action)
            for tier in update.endpoint.tiers
        ]
        self.endpoint = Endpoint(tiers, list(update.endpoint.profile_ids))

    def _on_workload_endpoint_remove(self, _):
        self.endpoint = None

    def _on_service_account_update(self, update):
        self.service_accounts[update.id.namespace, update.id.name] = _labels(update.labels)

    def _on_service_account_remove(self, remove):
        self.service_accounts.pop((remove.id.namespace, remove.id.name), None)

    def _on_namespace_update(self, update):
        self.namespaces[update.id.name] = _labels(update.labels)

    def _on_namespace_remove(self, remove):
        self.namespaces.pop(remove.id.name, None)
