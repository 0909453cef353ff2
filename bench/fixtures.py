"""What is measured: policies as directories of ordinary resources, and requests with the verdict that is right."""

import dataclasses
import pathlib
import shutil

import yaml

DEMO = pathlib.Path(__file__).resolve().parent.parent / "demo"
ALLOWED, DENIED = 0, 7

# The shape of http-1k and selectors-1k.
RULES = 1000
ACCOUNTS = 50
NAMESPACES, ACCOUNTS_IN_EACH = 50, 20


@dataclasses.dataclass
class Case:
    """One request; what run.py puts under load."""
    name: str
    message: bytes
    verdict: int


@dataclasses.dataclass
class Fixture:
    name: str
    directory: pathlib.Path
    workload: str
    cases: list


# ---- a CheckRequest, as Envoy writes it ----

def _varint(number):
    out = b""
    while number > 0x7F:
        out += bytes([number & 0x7F | 0x80])
        number >>= 7
    return out + bytes([number])


def _field(number, value):
    if isinstance(value, int):
        return _varint(number << 3) + _varint(value)
    if isinstance(value, str):
        value = value.encode()
    return _varint(number << 3 | 2) + _varint(len(value)) + value


def _address(ip, port):
    return _field(1, _field(1, _field(2, ip) + _field(3, port)))


def _principal(namespace, account):
    return f"spiffe://cluster.local/ns/{namespace}/sa/{account}"


def _headers(method, path, principal):
    return {
        ":authority": "web.bank.svc.cluster.local:8080", ":method": method, ":path": path, ":scheme": "http",
        "accept": "*/*", "accept-encoding": "gzip, deflate", "user-agent": "python-requests/2.31.0",
        "content-length": "0", "x-forwarded-proto": "http", "x-request-id": "6ab8aee9-2c1f-4e51-8a4b-1c9a25d6a5f0",
        "x-b3-traceid": "4f2d1c0b9a8e7d6c5b4a39281706f5e4", "x-b3-spanid": "5b4a39281706f5e4", "x-b3-sampled": "0",
        "x-forwarded-client-cert": "By=spiffe://cluster.local/ns/bank/sa/web;Hash=" + 64 * "7" +
                                   ';Subject="";URI=' + principal,
    }


def check_request(method, path, source, destination):
    """source, destination: (namespace, account, ip)."""
    principal = _principal(*source[:2])
    http = _field(1, "12345678901234567890") + _field(2, method)
    for name, value in _headers(method, path, principal).items():
        http += _field(3, _field(1, name) + _field(2, value))
    http += _field(4, path) + _field(5, "web.bank.svc.cluster.local:8080") + _field(6, "http") + _field(10, "HTTP/1.1")
    attributes = (_field(1, _address(source[2], 41234) + _field(4, principal)) +
                  _field(2, _address(destination[2], 8080) + _field(4, _principal(*destination[:2]))) +
                  _field(4, _field(1, _field(1, 1767225600) + _field(2, 123456789)) + _field(2, http)))
    return _field(1, attributes)


# ---- resources ----

def _object(kind, name, namespace=None, labels=None, api="v1", **rest):
    metadata = {"name": name, **({"namespace": namespace} if namespace else {}),
                **({"labels": labels} if labels else {})}
    return {"apiVersion": api, "kind": kind, "metadata": metadata, **rest}


def _pod(name, namespace, account, address):
    return _object("Pod", name, namespace, labels={"app": account},
                   spec={"nodeName": "node", "serviceAccountName": account,
                         "containers": [{"name": "main", "image": "example/main"}]},
                   status={"phase": "Running", "podIP": address, "podIPs": [{"ip": address}]})


def _ip(number):
    return f"10.70.{number // 250}.{number % 250 + 1}"


def _web(ingress):
    """The pod that the policy is for, and the policy."""
    return [
        _object("Namespace", "bank"), _object("ServiceAccount", "web", "bank"), _pod("web", "bank", "web", "10.65.0.2"),
        _object("NetworkPolicy", "web", "bank", api="projectcalico.org/v3",
                spec={"selector": "app == 'web'", "types": ["Ingress"], "ingress": ingress}),
    ]


def _write(directory, resources):
    directory.mkdir()
    dumper = getattr(yaml, "CSafeDumper", yaml.SafeDumper)
    with open(directory / "resources.yaml", "w", encoding="utf-8") as out:
        yaml.dump_all(resources, out, Dumper=dumper)


# ---- fixtures ----

def small(folder):
    """Yao Bank: three policies, of which one is the customer's."""
    directory = folder / "small"
    directory.mkdir()
    for file in [*DEMO.glob("cluster/*.yaml"), *DEMO.glob("policies/*.yaml")]:
        shutil.copy(file, directory)
    peer, pod = ("default", "summary", "10.65.0.12"), ("default", "customer", "10.65.0.11")
    return Fixture("small", directory, "default/customer", [
        Case("small, allowed", check_request("GET", "/accounts/1?full=yes", peer, pod), ALLOWED),
        Case("small, denied", check_request("POST", "/accounts/1?full=yes", peer, pod), DENIED),
    ])


def http_1k(folder):
    """One policy whose rules have methods and an exact or a prefix path, each fifth names of accounts too."""
    methods = [["POST"], ["PUT", "DELETE"], ["GET", "HEAD"], ["GET"]]
    rules = []
    for i in range(RULES):
        path = f"/api/v{i % 10}/resource-{i}"
        http = {"methods": methods[i % 4], "paths": [{"prefix" if i % 2 else "exact": path}]}
        rule = {"action": "Allow", "http": http}
        if i % 5 == 0:
            names = [f"client-{i % ACCOUNTS}", f"client-{(i + 1) % ACCOUNTS}"]
            rule["source"] = {"serviceAccounts": {"names": names}}
        rules.append(rule)
    clients = []
    for i in range(ACCOUNTS):
        name = f"client-{i}"
        clients += [_object("ServiceAccount", name, "bank"), _pod(name, "bank", name, _ip(i))]
    _write(folder / "http-1k", _web(rules) + clients)
    request = check_request("GET", f"/api/v9/resource-{RULES - 1}/items?page=2", ("bank", "client-7", _ip(7)),
                            ("bank", "web", "10.65.0.2"))
    return Fixture("http-1k", folder / "http-1k", "bank/web", [Case("http-1k, last rule", request, ALLOWED)])


def selectors_1k(folder):
    """One policy whose rules select namespaces and service accounts by labels; every rule selects somebody."""
    rules, clients = [], []
    for n in range(NAMESPACES):
        namespace = f"team-{n}"
        clients.append(_object("Namespace", namespace, labels={"team": namespace, "stage": "production"}))
        for a in range(ACCOUNTS_IN_EACH):
            account = f"role-{a}"
            clients += [_object("ServiceAccount", account, namespace, labels={"role": account, "generation": "2"}),
                        _pod(account, namespace, account, _ip(n * ACCOUNTS_IN_EACH + a))]
            rules.append({"action": "Allow", "source": {
                "namespaceSelector": f"team == '{namespace}' && stage in {{'production', 'staging'}}",
                "serviceAccounts": {"selector": f"role == '{account}' && has(generation)"}}})
    assert len(rules) == RULES
    _write(folder / "selectors-1k", _web(rules) + clients)
    # From the last namespace's last account, which only the last rule selects.
    request = check_request("GET", "/accounts/1?full=yes", (namespace, account, _ip(RULES - 1)),
                            ("bank", "web", "10.65.0.2"))
    return Fixture("selectors-1k", folder / "selectors-1k", "bank/web",
                   [Case("selectors-1k, last rule", request, ALLOWED)])


ALL = {"small": small, "http-1k": http_1k, "selectors-1k": selectors_1k}
