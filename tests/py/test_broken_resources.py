"""What is broken must not let in what it refused: the place, the tier and the members that cannot be read.

Each story starts with a sound directory in which a request is refused, breaks one resource, and asks again; then it
mends the resource, after which all is as before.
"""

import pytest

from calculation.watched import WatchedServer
from server import CLUSTER, CUSTOMER, _object, _pod

CALICO = "projectcalico.org/v3"
DENIED, REFUSED = 7, 13


@pytest.fixture
def prepared():
    server = WatchedServer()
    try:
        yield server
    finally:
        server.close()


def policy(name, action, source=None, **spec):
    rule = {"action": action, **({"source": source} if source else {})}
    return _object("GlobalNetworkPolicy", name, api=CALICO,
                   spec={"selector": "app == 'web'", "types": ["Ingress"], "ingress": [rule], **spec})


def tier(name, **spec):
    return _object("Tier", name, api=CALICO, spec=spec)


def network_set(*nets):
    return _object("GlobalNetworkSet", "bad-guys", api=CALICO, labels={"set": "bad"}, spec={"nets": list(nets)})


def bad_pod(**status):
    pod = _pod("bad-0", "bad", CUSTOMER)
    pod["status"].update(status)
    return pod


def labelled_pod(**labels):
    pod = bad_pod()
    pod["metadata"]["labels"] = labels
    return pod


ALLOW_ALL = policy("z-allow", "Allow", order=100)

# What stands beside the resource that breaks; it sound, it broken; the verdict while it is broken from the start on.
STORIES = {
    "the order of a policy": (
        [ALLOW_ALL], policy("lockdown", "Deny", order=10), policy("lockdown", "Deny", order="10"),
        (REFUSED, "malformed_policy")),
    "the tier of a policy": (
        [tier("early", order=1), policy("early.all", "Allow", tier="early")],
        policy("early.a-lockdown", "Deny", tier="early", order=1),
        policy("early.a-lockdown", "Deny", tier=7, order=1),
        (REFUSED, "malformed_policy")),
    "the order of a tier": (
        [ALLOW_ALL, policy("security.lockdown", "Deny", tier="security")],
        tier("security", order=10), tier("security", order="10"),
        (REFUSED, "malformed_policy")),
    "a net of a network set": (
        [policy("lockdown", "Deny", order=1, source={"selector": "set == 'bad'"}), ALLOW_ALL],
        network_set(CUSTOMER + "/32"), network_set(CUSTOMER + "/99"),
        (REFUSED, "missing_ip_set")),
    "the address of a pod": (
        [policy("lockdown", "Deny", order=1, source={"selector": "app == 'bad'"}), ALLOW_ALL],
        bad_pod(), bad_pod(podIP="10.0.0.x", podIPs=[{"ip": "10.0.0.x"}]),
        (REFUSED, "missing_ip_set")),
    "a label of a pod": (
        [policy("lockdown", "Deny", order=1, source={"selector": "grade == '5'"}), ALLOW_ALL],
        labelled_pod(app="bad", grade="5"), labelled_pod(app="bad", grade=5),
        (REFUSED, "missing_ip_set")),
    "a port of a pod": (
        [policy("lockdown", "Deny", order=1, source={"selector": "app == 'bad'"}), ALLOW_ALL],
        bad_pod(), {**bad_pod(), "spec": {"nodeName": "node1", "serviceAccountName": "bad", "containers": [
            {"ports": [{"name": "http", "containerPort": 0}]}]}},
        (REFUSED, "missing_ip_set")),
}

# The same of policies of which nothing is known but the name, so that they are everybody's.
UNREADABLE = {
    "all of a policy": (
        [ALLOW_ALL], policy("zz-lockdown", "Deny", order=10), {**policy("zz-lockdown", "Deny"), "spec": ["order", 10]},
        (REFUSED, "malformed_policy")),
    "a policy without a spec": (
        [ALLOW_ALL], policy("zz-lockdown", "Deny", order=10), {**policy("zz-lockdown", "Deny"), "spec": None},
        (REFUSED, "malformed_policy")),
}
ALL = {**STORIES, **UNREADABLE}


@pytest.mark.parametrize("name", ALL)
def test_broken_from_the_start(prepared, name):
    beside, sound, broken, verdict = ALL[name]
    prepared.write("beside.yaml", beside)
    prepared.write("it.yaml", [broken])
    prepared.start_ready().expect_verdict(*verdict)
    prepared.write("it.yaml", [sound])
    prepared.expect_verdict(DENIED, "denied_by_rule")


@pytest.mark.parametrize("name", ALL)
def test_broken_while_it_runs(prepared, name):
    """Then the last good version may stay in force; whatever it is, nobody is let in."""
    beside, sound, broken, _ = ALL[name]
    prepared.write("beside.yaml", beside)
    prepared.write("it.yaml", [sound])
    prepared.start_ready().expect_verdict(DENIED, "denied_by_rule")
    prepared.write("it.yaml", [broken])
    prepared.expect_report("it.yaml")
    assert prepared.verdict()[0] in (DENIED, REFUSED)
    prepared.write("it.yaml", [sound])
    prepared.expect_verdict(DENIED, "denied_by_rule")


def test_two_endpoints_of_one_workload(prepared):
    """Which of them is meant cannot be known; with one alone it can."""
    def endpoint(name):
        return _object("WorkloadEndpoint", name, "bank", api=CALICO, labels={"app": "other"}, spec={
            "orchestrator": "k8s", "node": "node1", "pod": "web-0", "endpoint": name,
            "ipNetworks": ["10.0.0.9/32"], "profiles": ["kns.bank"]})

    prepared.write("cluster.yaml", [each for each in CLUSTER if each["metadata"]["name"] != "web-0"])
    prepared.write("ends.yaml", [endpoint("eth0"), endpoint("eth1")])
    prepared.start_ready().expect_verdict(REFUSED, "no_endpoint")
    prepared.write("ends.yaml", [endpoint("eth0")])
    prepared.expect_verdict(0, "allowed_by_profile")
