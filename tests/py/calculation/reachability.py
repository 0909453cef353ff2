"""Tables of who may reach a pod, and whom it may reach, on which port: calculation and evaluation together.

A table has a `cluster` (a world in the short form), the pod's addresses as `target`, `sources` (name -> address, and
the account of a pod), `groups` of them, and `ports` (name -> PROTOCOL/NUMBER).
"""

import judges
from calculation import resources
from probe import unb64
from protos import felix


def expected(table, allowed):
    """The pairs of source and port that a case's `allowed` names."""
    pairs = set()
    for names, ports in allowed.items():
        for name in names.split():
            for source in table["groups"].get(name, [name]):
                assert source in table["sources"], source
                pairs |= {(source, port) for port in (table["ports"] if ports == "all" else ports)}
    assert {port for _, port in pairs} <= set(table["ports"])
    return pairs


def request(table, source, port, outwards=False):
    """From a source to the pod, or from the pod to it."""
    address = table["sources"][source]["address"]
    own = table["target"][6 if ":" in address else 4]
    protocol, number = table["ports"][port].split("/")
    ends = {"from": own, "to": address} if outwards else {"from": address, "to": own}
    return {**ends, "to_port": int(number), "protocol": protocol}


def _swap(content, one, other):
    kept = [type(item).FromString(item.SerializeToString()) for item in getattr(content, one)]
    del getattr(content, one)[:]
    getattr(content, one).extend(getattr(content, other))
    del getattr(content, other)[:]
    getattr(content, other).extend(kept)


def mirrored(raw):
    """A message with ingress and egress exchanged, since sidecars judge ingress alone."""
    message = felix.ToDataplane.FromString(raw)
    for update in ("active_policy_update", "active_profile_update"):
        if message.HasField(update):
            content = getattr(message, update)
            _swap(content.policy if update == "active_policy_update" else content.profile,
                  "inbound_rules", "outbound_rules")
    for tier in message.workload_endpoint_update.endpoint.tiers:
        _swap(tier, "ingress_policies", "egress_policies")
    return message.SerializeToString()


def principal(account):
    """The certificate's name of NAMESPACE/ACCOUNT; none for None."""
    if account is None:
        return ""
    namespace, name = account.split("/")
    return f"spiffe://cluster.local/ns/{namespace}/sa/{name}"


def from_directory(probe, folder):
    """calculate(world, workload) -> messages, by the code under test, from a directory."""
    def calculate(world, workload):
        resources.write(folder, world)
        answer = probe.ask("calc", directory=str(folder), workload=workload)
        assert answer["ok"], answer
        return [unb64(message) for message in answer["messages"]]

    return calculate


class Judge:
    """Whether a workload lets a request in, or (outwards) out, by the messages for it."""

    def __init__(self, probe, messages, outwards=False):
        self.outwards = outwards
        self.judge = judges.ProbeJudge(probe)
        self.judge.reset()
        probe.sync([mirrored(message) for message in messages] if outwards else messages)

    def is_allowed(self, **given):
        verdict = self.judge.check({"http": False, **given})
        assert verdict["code"] in (0, 7), verdict
        return verdict["code"] == 0

    def allowed(self, table, account_of=lambda source: None):
        """All pairs of source and port that are let through; account_of(source) says with whose certificate."""
        return {(source, port) for source in table["sources"] for port in table["ports"]
                if self.is_allowed(**request(table, source, port, self.outwards),
                                   principal=principal(account_of(source)))}


def own_account(table):
    return lambda source: table["sources"][source].get("account")


def check_case(probe, table, messages, case):
    """What a case says of `allowed` (who reaches the pod) and of `reaches` (whom it reaches)."""
    if "allowed" in case:
        judge, wanted = Judge(probe, messages), expected(table, case["allowed"])
        assert judge.allowed(table) == wanted
        assert judge.allowed(table, own_account(table)) == wanted
    if "reaches" in case:
        assert Judge(probe, messages, outwards=True).allowed(table) == expected(table, case["reaches"])
