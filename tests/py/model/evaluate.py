"""The walk over tiers, policies, profiles and their rules, and its verdict."""

from dataclasses import dataclass

from model import request as requests, rule as rules
from model.malformed import is_malformed

ALLOWED, INVALID_ARGUMENT, PERMISSION_DENIED, INTERNAL = 0, 3, 7, 13


@dataclass
class Verdict:
    code: int
    reason: str
    tier: bytes = b""
    policy: bytes = b""     # the policy's or profile's name
    kind: bytes = b""       # the policy's kind, or "Profile"
    namespace: bytes = b""
    rule: int = -1
    logged: int = 0         # how many log rules matched on the way


PASSED = "passed"  # the reason while a pass rule has decided: never a final one

_PROFILE_REASONS = {
    "allowed_by_rule": "allowed_by_profile",
    "denied_by_rule": "denied_by_profile",
    PASSED: "denied_by_profile",
}


class _Walk:
    """One request's way through the store; logged counts the log rules met."""

    def __init__(self, store, request):
        self.store = store
        self.request = request
        self.logged = 0

    def rules(self, rule_list, policy_namespace, where):
        """What the first deciding rule says (PASSED for a pass rule), None without one."""
        for index, rule in enumerate(rule_list):
            action = rule.action.lower()
            truth = rules.judge(self.store, rule, policy_namespace, self.request)

            def verdict(code, reason):
                return Verdict(code, reason, **where, rule=index)

            if truth.name == "false":
                continue
            if truth.name == "bad path":
                return verdict(INVALID_ARGUMENT, truth.reason)
            if truth.name == "missing":
                if action != b"log":
                    return verdict(INTERNAL, truth.reason)
                if rules.http_paths(rule, self.request) == rules.BAD_PATH:
                    return verdict(INVALID_ARGUMENT, rules.BAD_PATH.reason)
                continue
            if truth.name == "unknown":
                if action in (b"deny", b"pass", b"next-tier"):
                    return verdict(PERMISSION_DENIED, truth.reason)
                continue

            if action == b"log":
                self.logged += 1
            elif action == b"allow":
                return verdict(ALLOWED, "allowed_by_rule")
            elif action == b"deny":
                return verdict(PERMISSION_DENIED, "denied_by_rule")
            else:
                return verdict(PERMISSION_DENIED, PASSED)
        return None

    def policy(self, tier, name):
        where = {"tier": tier.name, "policy": name.name, "kind": name.kind,
                 "namespace": name.namespace}
        if name.key() not in self.store.policies:
            return Verdict(INTERNAL, "missing_policy", **where)
        policy = self.store.policies[name.key()]
        if policy is None or is_malformed(policy.inbound_rules):
            return Verdict(INTERNAL, "malformed_policy", **where)
        return self.rules(policy.inbound_rules, policy.namespace, where)

    def tier(self, tier):
        """A Verdict, or None to go on with the next tier."""
        enforced = [name for name in tier.policies if not name.is_staged()]
        if not enforced:
            return None
        for name in enforced:
            verdict = self.policy(tier, name)
            if verdict:
                return None if verdict.reason == PASSED else verdict
        if tier.default_action == b"Pass":
            return None
        return Verdict(PERMISSION_DENIED, "denied_by_tier_default", tier=tier.name)

    def profile(self, name):
        where = {"policy": name, "kind": b"Profile"}
        if name not in self.store.profiles:
            return Verdict(INTERNAL, "missing_profile", **where)
        profile = self.store.profiles[name]
        if profile is None or is_malformed(profile.inbound_rules):
            return Verdict(INTERNAL, "malformed_profile", **where)
        verdict = self.rules(profile.inbound_rules, b"", where)
        if verdict:
            verdict.reason = _PROFILE_REASONS.get(verdict.reason, verdict.reason)
        return verdict

    def all(self):
        if not self.store.in_sync:
            return Verdict(INTERNAL, "not_in_sync")
        if self.store.endpoint is None:
            return Verdict(INTERNAL, "no_endpoint")
        for tier in self.store.endpoint.tiers:
            verdict = self.tier(tier)
            if verdict:
                return verdict
        for name in self.store.endpoint.profiles:
            verdict = self.profile(name)
            if verdict:
                return verdict
        return Verdict(PERMISSION_DENIED, "denied_by_default")


def check(store, message, trust_domains=None):
    """The Verdict on a CheckRequest message (of protos.ext_authz_raw)."""
    walk = _Walk(store, requests.from_message(message, trust_domains))
    verdict = walk.all()
    verdict.logged = walk.logged
    return verdict
