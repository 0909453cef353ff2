"""A client that folds a stream of ToDataplane messages and minds at every message that nothing is amiss.

Nothing refers to what was not sent, nothing is removed that is used or not there, deltas are exact, what is sent again
says something new, no message about an IP set is too large, and InSync comes once, after all that was known by then.
"""

from calculation.stream import (PHASES, canonical, endpoint_name, plain_endpoint, plain_policy, plain_profile,
                                plain_rule, policy_name, set_ids)
from plain.state import canonical_content, resolved, without_selector_if_closed
from protos import felix

MOST_MEMBERS = 82_200


class Finding(AssertionError):
    """The stream did what it may not."""


def _rules(rules):
    return [plain_rule(rule) for rule in rules]


def _account_name(account_id):
    return f"{account_id.namespace}/{account_id.name}"


class Client:
    def __init__(self, tolerate_unchanged=False):
        self.tolerate_unchanged = tolerate_unchanged  # updates that change nothing
        self.in_sync = False
        self.ip_sets = {}           # id -> (type, set of members)
        self.policies = {}          # name -> felix.Policy
        self.profiles = {}          # name -> felix.Profile
        self.endpoints = {}         # id -> WorkloadEndpointUpdate
        self.service_accounts = {}  # "NAMESPACE/NAME" -> labels
        self.namespaces = {}        # name -> labels
        self._plain = {}            # "policy NAME" or "profile NAME" -> its plain form, with ids

    # ---- messages -------------------------------------------------------------------

    def flush(self, raw_messages):
        """Takes the messages of one flush."""
        first = not self.in_sync
        kinds = [self.apply(raw) for raw in raw_messages]
        if first:
            phases = [PHASES.get(kind) for kind in kinds]
            if None in phases or phases != sorted(phases):
                raise Finding(f"not the order of joining: {kinds}")
            if raw_messages and kinds[-1] != "in_sync":
                raise Finding("no InSync after what was known at the start")
        self._check_nothing_idle()

    def apply(self, raw):
        """Takes one message; returns its kind."""
        message = felix.ToDataplane.FromString(raw)
        kind = message.WhichOneof("payload")
        handler = getattr(self, f"_on_{kind}", None)
        if handler is None:
            raise Finding(f"a message of no meaning: {kind}")
        handler(getattr(message, kind))
        return kind

    def _on_in_sync(self, _):
        self._check(not self.in_sync, "InSync twice")
        self.in_sync = True

    def _on_ipset_update(self, update):
        members = self._members(update.members, update.id)
        known = self.ip_sets.get(update.id)
        self._check(update.id, "an IP set without an id")
        self._check(known != (update.type, members), f"IP set {update.id} again, unchanged")
        self.ip_sets[update.id] = update.type, members

    def _on_ipset_delta_update(self, delta):
        self._check(delta.id in self.ip_sets, f"a delta for the unknown IP set {delta.id}")
        kind, members = self.ip_sets[delta.id]
        added = self._members(delta.added_members, delta.id)
        removed = self._members(delta.removed_members, delta.id)
        self._check(len(added) + len(removed) <= MOST_MEMBERS, f"{delta.id}: too many members in a message")
        self._check(added or removed, f"{delta.id}: a delta that says nothing")
        self._check(not added & members, f"{delta.id}: adds {added & members}, which are there")
        self._check(removed <= members, f"{delta.id}: removes {removed - members}, which are not there")
        self.ip_sets[delta.id] = kind, (members | added) - removed

    def _members(self, given, set_id):
        self._check(len(given) <= MOST_MEMBERS, f"{set_id}: too many members in a message")
        self._check(len(given) == len(set(given)), f"{set_id}: a member twice in a message")
        return set(given)

    def _on_ipset_remove(self, remove):
        users = [name for name, content in self._contents() if remove.id in set_ids(content)]
        self._check(not users, f"IP set {remove.id} removed, but used by {users}")
        self._remove(self.ip_sets, remove.id, "IP set")

    def _on_active_policy_update(self, update):
        name = policy_name(update.id)
        self._put_rules(self.policies, name, update.policy, "policy", plain_policy)

    def _on_active_policy_remove(self, remove):
        name = policy_name(remove.id)
        users = [each for each, update in self.endpoints.items() if name in self._policies_of(update)]
        self._check(not users, f"policy {name} removed, but used by {users}")
        self._remove(self.policies, name, "policy")

    def _on_active_profile_update(self, update):
        self._put_rules(self.profiles, update.id.name, update.profile, "profile", plain_profile)

    def _on_active_profile_remove(self, remove):
        users = [each for each, update in self.endpoints.items()
                 if remove.id.name in update.endpoint.profile_ids]
        self._check(not users, f"profile {remove.id.name} removed, but used by {users}")
        self._remove(self.profiles, remove.id.name, "profile")

    def _on_workload_endpoint_update(self, update):
        name = endpoint_name(update.id)
        missing = self._policies_of(update) - set(self.policies)
        missing |= set(update.endpoint.profile_ids) - set(self.profiles)
        self._check(not missing, f"endpoint {name} names {missing}, which were not sent")
        self._put(self.endpoints, name, update, "endpoint")

    def _on_workload_endpoint_remove(self, remove):
        self._remove(self.endpoints, endpoint_name(remove.id), "endpoint")

    def _on_service_account_update(self, update):
        self._put(self.service_accounts, _account_name(update.id), dict(update.labels), "account")

    def _on_service_account_remove(self, remove):
        self._remove(self.service_accounts, _account_name(remove.id), "account")

    def _on_namespace_update(self, update):
        self._put(self.namespaces, update.id.name, dict(update.labels), "namespace")

    def _on_namespace_remove(self, remove):
        self._remove(self.namespaces, remove.id.name, "namespace")

    # ---- checks -----------------------------------------------------------------------

    def _check(self, holds, problem):
        if not holds:
            raise Finding(problem)

    def _put(self, known, name, content, kind):
        self._check(self.tolerate_unchanged or known.get(name) != content, f"{kind} {name} again, unchanged")
        known[name] = content

    def _put_rules(self, known, name, content, kind, plain):
        missing = set_ids(content) - set(self.ip_sets)
        self._check(not missing, f"{kind} {name} names the IP sets {missing}, which were not sent")
        self._put(known, name, content, kind)
        self._plain[f"{kind} {name}"] = plain(content, _rules)

    def _remove(self, known, name, kind):
        self._check(name in known, f"{kind} {name} removed, which is not there")
        del known[name]

    def _contents(self):
        return [*self.policies.items(), *self.profiles.items()]

    @staticmethod
    def _policies_of(update):
        return {policy_name(policy) for tier in update.endpoint.tiers
                for policy in [*tier.ingress_policies, *tier.egress_policies]}

    def _check_nothing_idle(self):
        """After a flush all that is there is used."""
        used = {set_id for _, content in self._contents() for set_id in set_ids(content)}
        self._check(used == set(self.ip_sets), f"IP sets that nothing uses: {set(self.ip_sets) - used}")
        listed = {name for update in self.endpoints.values() for name in self._policies_of(update)}
        self._check(listed == set(self.policies), f"policies that nothing uses: {set(self.policies) - listed}")
        named = {name for update in self.endpoints.values() for name in update.endpoint.profile_ids}
        self._check(named == set(self.profiles), f"profiles that nothing uses: {set(self.profiles) - named}")

    # ---- the state ----------------------------------------------------------------------

    def state(self):
        """What the client knows, in the form of plain/state.py."""
        contents = {set_id: canonical_content(kind, frozenset(members))
                    for set_id, (kind, members) in self.ip_sets.items()}

        def policy(name):
            plain = self._plain[f"policy {name}"]
            return without_selector_if_closed(resolved(
                {**plain, "original_selector": canonical(plain["original_selector"] or "all()")}, contents.get))

        return {
            "ip_sets": set(contents.values()),
            "policies": {name: policy(name) for name in self.policies},
            "profiles": {name: resolved(self._plain[f"profile {name}"], contents.get) for name in self.profiles},
            "endpoints": {name: plain_endpoint(update) for name, update in self.endpoints.items()},
            "service_accounts": dict(self.service_accounts),
            "namespaces": dict(self.namespaces),
        }
