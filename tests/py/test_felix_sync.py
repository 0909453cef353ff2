"""felix as a foreign sidecar meets it: the Policy Sync API of page 4, over grpcio.

See node_agent.py (felix, its directory and its volumes) and sync_client.py, which minds at every message that nothing
is amiss; what a client must know is worked out by the plain model.
"""

import collections
import os
import signal
import socket
import stat

import grpc
import pytest

import fold
from calculation.resources import merged
from node_agent import SECONDS, agent, credentials_of
from protos import felix
from server import wait_for
from sync_client import LARGEST, REPORT, Client, open_channel, state_of, told

def _allow_from(selector):
    return {"selector": "app == 'web'", "ingress": [{"action": "Allow", "source": {"selector": selector}}]}


ALLOW_CUSTOMER = _allow_from("app == 'customer'")
WORLD = {
    "Namespace bank": {"labels": {"env": "prod"}},
    "Namespace shop": {},
    "ServiceAccount bank/web": {"labels": {"role": "front"}},
    "ServiceAccount bank/customer": {},
    "Pod bank/web-0": {"labels": {"app": "web"}, "ip": "10.0.0.2", "account": "web"},
    "Pod bank/customer-0": {"labels": {"app": "customer"}, "ip": "10.0.0.1", "account": "customer"},
    "Pod shop/far-0": {"labels": {"app": "customer"}, "ip": "10.0.1.1", "spec": {"nodeName": "node-2"}},
    "NetworkPolicy bank/web": ALLOW_CUSTOMER,
    "NetworkPolicy bank/elsewhere": {"selector": "app == 'nobody'", "ingress": [{"action": "Allow"}]},
    "GlobalNetworkPolicy all": {"order": 10, "ingress": [{"action": "Log"}],
                                "egress": [{"action": "Allow", "destination": {"nets": ["10.0.0.0/8"]}}]},
}
WEB, CUSTOMER = "bank/web-0", "bank/customer-0"
LABELS = ["namespace_update", "service_account_update"]


@pytest.fixture
def node():
    with agent(world=WORLD) as made:
        yield made


@pytest.fixture
def web(node):
    with Client(node.mount("web", WEB)) as client:
        yield client.expect_in_sync()


def changed(node, client, changes, workload=WEB):
    """The world changes; the kinds of messages that the client gets of it, each once, in their order."""
    before = client.known()
    world = merged(WORLD, changes)
    node.put_world(world)
    client.expect_state(told(world, workload))
    return list(dict.fromkeys(client.since(before)))


# ---- the order on a stream --------------------------------------------------------------------


def test_joining(web):
    """What the endpoint needs, all of it and nothing else; the client minds the order."""
    web.expect_state(told(WORLD, WEB))
    assert collections.Counter(web.kinds) == {
        "ipset_update": 1, "active_policy_update": 2, "active_profile_update": 2, "workload_endpoint_update": 1,
        "namespace_update": 2, "service_account_update": 2, "in_sync": 1}
    assert web.kinds[-1] == "in_sync"


def test_unknown_endpoint(node):
    """Accounts, namespaces and InSync; then the endpoint with what it needs, when it appears."""
    with Client(node.mount("new", "bank/new-0")) as client:
        client.expect_in_sync()
        assert set(client.kinds[:-1]) == set(LABELS) and client.kinds[-1] == "in_sync"
        pod = {"Pod bank/new-0": {"labels": {"app": "web"}, "ip": "10.0.0.3", "account": "web"}}
        assert changed(node, client, pod, "bank/new-0") == [
            "ipset_update", "active_policy_update", "active_profile_update", "workload_endpoint_update"]


def test_endpoint_of_another_node(node):
    with Client(node.mount("far", "shop/far-0")) as client:
        client.expect_in_sync().expect_state(told(WORLD, "shop/far-0"))
        assert not client.endpoints


# Each change, and what comes of it, in this order.
CHANGES = {
    "a policy comes": ({"NetworkPolicy bank/new": ALLOW_CUSTOMER},
                       ["active_policy_update", "workload_endpoint_update"]),
    "a policy with a set comes": (
        {"NetworkPolicy bank/new": {"ingress": [{"action": "Deny", "source": {"selector": "x == 'y'"}}]}},
        ["ipset_update", "active_policy_update", "workload_endpoint_update"]),
    "a policy goes": ({"NetworkPolicy bank/web": None},
                      ["workload_endpoint_update", "active_policy_remove", "ipset_remove"]),
    "a policy needs another set": (
        {"NetworkPolicy bank/web": _allow_from("x == 'y'")},
        ["ipset_update", "active_policy_update", "ipset_remove"]),
    "a policy changes": (
        {"GlobalNetworkPolicy all": {**WORLD["GlobalNetworkPolicy all"], "egress": [{"action": "Deny"}]}},
        ["active_policy_update"]),
    "a policy selects it no more": ({"GlobalNetworkPolicy all": {"selector": "app == 'x'"}},
                                    ["workload_endpoint_update", "active_policy_remove"]),
    "a policy moves in its tier": ({"NetworkPolicy bank/web": {**ALLOW_CUSTOMER, "order": 5}},
                                   ["workload_endpoint_update"]),
    "a policy moves to a tier": (
        {"Tier t": {"order": 5}, "GlobalNetworkPolicy all": {**WORLD["GlobalNetworkPolicy all"], "tier": "t"}},
        ["active_policy_update", "workload_endpoint_update"]),
    "a member comes": ({"Pod bank/customer-1": {"labels": {"app": "customer"}, "ip": "10.0.0.9"}},
                       ["ipset_delta_update"]),
    "a member goes": ({"Pod bank/customer-0": None}, ["ipset_delta_update"]),
    "the pod has another account": (
        {"Pod bank/web-0": {"labels": {"app": "web"}, "ip": "10.0.0.2", "account": "customer"}},
        ["active_profile_update", "workload_endpoint_update", "active_profile_remove"]),
    "the pod has another label": (
        {"Pod bank/web-0": {"labels": {"app": "customer"}, "ip": "10.0.0.2", "account": "web"}},
        ["workload_endpoint_update", "active_policy_remove", "ipset_remove"]),
    "an account comes": ({"ServiceAccount shop/a": {}}, ["service_account_update"]),
    "an account changes": ({"ServiceAccount bank/web": {}}, ["service_account_update"]),
    "an account of its own goes": ({"ServiceAccount bank/web": None},
                                   ["active_profile_update", "service_account_remove"]),
    "another account goes": ({"ServiceAccount bank/customer": None}, ["service_account_remove"]),
    "a namespace comes": ({"Namespace new": {"labels": {"a": "b"}}}, ["namespace_update"]),
    "a namespace changes": ({"Namespace bank": {}}, ["namespace_update"]),
    "a namespace goes": ({"Namespace shop": None}, ["namespace_remove"]),
    "what it does not need": ({"NetworkPolicy bank/elsewhere": None, "NetworkPolicy shop/p": {}}, []),
}


@pytest.fixture(scope="module")
def joined():
    """felix and a client in sync, for tests that leave them as they were."""
    with agent(world=WORLD) as made, Client(made.mount("web", WEB)) as client:
        yield made, client.expect_in_sync()


@pytest.mark.parametrize("changes, kinds", CHANGES.values(), ids=CHANGES)
def test_change(joined, changes, kinds):
    """And back again."""
    assert changed(*joined, changes) == kinds
    changed(*joined, {})


def test_endpoint_removed(node, web):
    """It is told of, and the stream ends in good order; who calls again waits for the endpoint."""
    node.put_world(merged(WORLD, {"Pod bank/web-0": None}))
    web.expect_end(grpc.StatusCode.OK)
    assert web.kinds[-1] == "workload_endpoint_remove" and not web.endpoints
    with Client(node.socket("web")) as again:
        again.expect_in_sync()
        assert not again.endpoints
        node.put_world(WORLD)
        again.expect_state(told(WORLD, WEB))


@pytest.mark.parametrize("volume", ["web", "second"])
def test_newest_stream_of_a_workload_wins(node, web, volume):
    """On the same socket, and on that of another volume of the pod."""
    with Client(node.mount(volume, WEB)) as newer:
        newer.expect_in_sync()
        web.expect(lambda client: client.code is not None, "the end of the older stream")
        if volume != "web":
            node.expect_log("Two volumes are of the same workload", count=1)
        known = web.known()
        changed(node, newer, {"NetworkPolicy bank/new": {}})
        assert web.known() == known
    with Client(node.socket("web")) as newest:
        newest.expect_in_sync()


def test_leaving_and_coming_back(node):
    socket_ = node.mount("web", WEB)
    for round_ in range(6):
        with Client(socket_) as client:
            client.expect_in_sync().expect_state(told(WORLD if round_ == 0 else world, WEB))
        world = merged(WORLD, {f"GlobalNetworkPolicy p{round_}": {"selector": "app == 'web'"}})
        node.put_world(world)
    node.expect_log("Sidecar left", count=6)


# ---- large messages ---------------------------------------------------------------------------


def _numbered(count):
    return [f"10.{index >> 15}.{index >> 7 & 255}.{index << 1 & 255}" for index in range(count)]


def _net_set(count):
    return {"GlobalNetworkSet s": {"labels": {"set": "s"}, "nets": _numbered(count)},
            "GlobalNetworkPolicy all": {"ingress": [{"action": "Allow", "source": {"selector": "set == 's'"}}]},
            "NetworkPolicy bank/web": None}


def _slice(addresses, ports):
    """Members of the longest form that there is."""
    return {"EndpointSlice bank/e": {
        "labels": {"kubernetes.io/service-name": "far"}, "addressType": "IPv6",
        "endpoints": [{"addresses": [f"fd00:1111:2222:3333:4444:5555:6666:{7000 + number}"
                                     for number in range(addresses)]}],
        "ports": [{"port": 60000 + number, "protocol": "SCTP"} for number in range(ports)]},
        "NetworkPolicy bank/web": {"egress": [{"action": "Allow", "destination": {"services": {"name": "far"}}}]}}


LARGE_SETS = {"nets": (_net_set(fold.MOST_MEMBERS + 10), fold.MOST_MEMBERS + 10),
              "addresses with ports": (_slice(450, 200), 90_000)}


@pytest.mark.parametrize("changes, count", LARGE_SETS.values(), ids=LARGE_SETS)
def test_large_set(changes, count):
    """First an update, then deltas; none has more members, nor bytes, than it may."""
    with agent(world=merged(WORLD, changes)) as node, Client(node.mount("web", WEB)) as client:
        client.expect_in_sync()
        assert sum(len(members) for _, members in client.ip_sets.values()) == count
        needed = -(-count // fold.MOST_MEMBERS)
        assert client.kinds[:needed] == ["ipset_update"] + ["ipset_delta_update"] * (needed - 1)
        assert max(map(len, client.messages)) < LARGEST


def test_set_that_grows_by_too_many_members_for_a_message(node, web):
    """The same for what comes later."""
    changes, count = LARGE_SETS["addresses with ports"]
    empty = _slice(0, 0)
    changed(node, web, empty)
    known = web.known()
    node.put_world(merged(WORLD, changes))
    web.expect(lambda _: sum(len(members) for _, members in web.ip_sets.values()) == count)
    assert web.since(known) == ["ipset_delta_update"] * 2
    assert max(map(len, web.messages)) < LARGEST


# ---- Report -----------------------------------------------------------------------------------


def test_report(node, web):
    """It is answered, on a connection of its own and while a stream is up; nothing is made of it."""
    stats = felix.DataplaneStats(src_ip="10.0.0.1", dst_ip="10.0.0.2", src_port=1, dst_port=2)
    with open_channel(node.socket("web")) as channel:
        report = channel.unary_unary(REPORT)
        for request in [stats.SerializeToString(), b"", b"\xff" * 100]:
            felix.ReportResult.FromString(report(request, timeout=SECONDS))
    changed(node, web, {"Namespace new": {}})


@pytest.mark.parametrize("method", ["/felix.PolicySync/Other", "/felix.PolicySync/sync", "/"])
def test_other_methods(node, web, method):
    with open_channel(node.socket("web")) as channel:
        with pytest.raises(grpc.RpcError) as caught:
            channel.unary_unary(method)(b"", timeout=SECONDS)
        assert caught.value.code() == grpc.StatusCode.UNIMPLEMENTED


# ---- sockets and credentials ------------------------------------------------------------------


def _is_refused(path):
    with socket.socket(socket.AF_UNIX) as client:
        return client.connect_ex(str(path)) != 0


def test_a_volume_s_life(node):
    path = node.mount("web", WEB)
    assert stat.S_IMODE(path.stat().st_mode) == 0o777
    with Client(path) as client:
        client.expect_in_sync()
        node.unmount("web")
        node.expect_no_socket("web")
        client.expect(lambda each: each.code is not None, "the end of the stream")
        assert _is_refused(path)
    node.mount("web", WEB)
    with Client(path) as client:
        client.expect_in_sync().expect_state(told(WORLD, WEB))


def test_credentials_that_change(node, web):
    """Whoever had the socket before is not told of the other workload."""
    before = web.known()
    node.write_credentials("web", credentials_of(CUSTOMER))
    web.expect(lambda client: client.code is not None, "the end of the stream")
    assert set(web.since(before)) <= set()
    node.expect_log("Serving a workload", workload=CUSTOMER)
    with Client(node.socket("web")) as client:
        client.expect_in_sync().expect_state(told(WORLD, CUSTOMER))


def test_credentials_written_again_as_they_were(node, web):
    node.write_credentials("web", credentials_of(WEB))
    node.mount("other", CUSTOMER)  # so that the first has been looked at, too
    changed(node, web, {"Namespace new": {}})


def test_name_is_the_file_s_and_identity_the_content_s(node):
    """The UID in it is for people."""
    path = node.mount("customer-0.bank", WEB, uid="another")
    with Client(path) as client:
        client.expect_in_sync().expect_state(told(WORLD, WEB))
    assert not node.path("mount", "another").exists()


def test_files_that_are_there_at_the_start():
    with agent(world=WORLD, started=False) as node:
        node.mount("web", WEB)
        node.mount("customer", CUSTOMER)
        node.write_credentials("bad", "{")
        node.start()
        for name, workload in ("web", WEB), ("customer", CUSTOMER):
            node.expect_socket(name)
            with Client(node.socket(name)) as client:
                client.expect_in_sync().expect_state(told(WORLD, workload))
        node.expect_log("Bad credentials file", name="bad")


@pytest.mark.parametrize("file", [".hidden.json", ".json", "web", "web.json.tmp", "web.JSON", "json", "web.jsonx",
                                  "web.yaml"])
def test_files_that_are_no_credentials(node, file):
    """They are passed over; what is renamed from such a name counts."""
    (node.path("creds") / file).write_text('{"UID":"u","Workload":"web-0","Namespace":"bank","ServiceAccount":""}')
    node.mount("other", CUSTOMER)
    assert os.listdir(node.path("mount")) == ["other"]
    os.rename(node.path("creds") / file, node.path("creds") / "later.json")
    node.expect_socket("later")
    os.rename(node.path("creds") / "later.json", node.path("creds") / file)
    node.expect_no_socket("later")


def test_credentials_linked_into_place(node):
    """Another way to write a file in one step."""
    (node.path("creds") / ".new").write_text('{"UID":"u","Workload":"web-0","Namespace":"bank","ServiceAccount":""}')
    os.link(node.path("creds") / ".new", node.path("creds") / "web.json")
    node.expect_socket("web")


def test_credentials_written_in_place(node):
    with open(node.path("creds") / "web.json", "w", encoding="utf-8") as file:
        for piece in ['{"UID":"u",', '"Workload":"web-0",', '"Namespace":"bank","ServiceAccount":""}']:
            file.write(piece)
            file.flush()
            node.mount(f"other-{len(piece)}", CUSTOMER)
            assert not node.socket("web").exists()
    node.expect_socket("web")
    assert not node.lines("Bad credentials file")


def test_socket_that_a_killed_felix_left(node):
    path = node.mount("web", WEB)
    node.process.send_signal(signal.SIGKILL)
    node.process.wait()
    assert path.is_socket() and _is_refused(path)
    node.start()
    assert wait_for(lambda: not _is_refused(path), SECONDS)
    with Client(path) as client:
        client.expect_in_sync()
    node.stop()
    assert not path.exists()


def test_a_whole_node_joins_at_once():
    """250 pods; all in sync, each with its own."""
    pods = {f"Pod bank/p{number}": {"labels": {"app": f"a{number % 10}", "pod": f"p{number}"}, "account": "web",
                                    "ip": f"10.0.{number >> 8}.{number & 255}"} for number in range(250)}
    policies = {f"NetworkPolicy bank/a{number}": {"selector": f"app == 'a{number}'", "ingress": [
        {"action": "Allow", "source": {"selector": f"app == 'a{(number + 1) % 10}'"}}]} for number in range(10)}
    world = {"Namespace bank": {}, "ServiceAccount bank/web": {}, **pods, **policies}
    with agent(world=world, started=False) as node:
        for number in range(250):
            node.mount(f"v{number}", f"bank/p{number}")
        node.start()
        node.expect_log("Serving a workload", count=250)
        clients = [Client(node.socket(f"v{number}")) for number in range(250)]
        whole = state_of(world)
        for number, client in enumerate(clients):
            client.expect_in_sync().expect_state(told(world, f"bank/p{number}", whole))
        for client in clients:
            client.close()
