"""Two ways to get a verdict on a scenario: the Python model and the C probe.

Both answer with the same plain dictionary, see `verdict`.
"""

import scenario
from model import evaluate, store
from protos import ext_authz_raw

CODES = {
    "allowed_by_rule": 0, "allowed_by_profile": 0,
    "malformed_path": 3,
    "denied_by_rule": 7, "denied_by_tier_default": 7, "denied_by_default": 7,
    "denied_by_profile": 7, "unknown_identity": 7, "unknown_address": 7,
    "path_not_normalisable": 7, "no_http": 7,
    "not_in_sync": 13, "no_endpoint": 13, "missing_policy": 13, "missing_profile": 13,
    "malformed_policy": 13, "malformed_profile": 13, "missing_ip_set": 13,
}


def verdict(reason, tier="", policy="", kind="", namespace="", rule=-1, logged=0):
    """A whole verdict; the code follows from the reason."""
    return {"code": CODES[reason], "reason": reason, "tier": tier, "policy": policy,
            "kind": kind, "namespace": namespace, "rule": rule, "logged": logged}


class ModelJudge:
    def reset(self, trust_domains=None):
        self.store = store.Store()
        self.trust_domains = trust_domains and [name.encode() for name in trust_domains]

    def sync(self, steps):
        for step in steps:
            self.store.apply(scenario.message(step))

    def check(self, request):
        # Through the bytes, so that it sees just what the probe sees.
        message = ext_authz_raw.CheckRequest.FromString(
            scenario.request(request).SerializeToString())
        given = vars(evaluate.check(self.store, message, self.trust_domains))
        return {key: value.decode("utf-8", "surrogateescape") if isinstance(value, bytes) else value
                for key, value in given.items()}


class ProbeJudge:
    def __init__(self, probe):
        self.probe = probe

    def reset(self, trust_domains=None):
        self.probe.reset(trust_domains)

    def sync(self, steps):
        self.probe.sync([scenario.message(step) for step in steps])

    def check(self, request):
        answer = self.probe.check(scenario.request(request).SerializeToString())
        return {key: answer.get(key) for key in verdict("not_in_sync")}
