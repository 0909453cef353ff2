"""What a caller can put into a request that Envoy passes on: names, paths, methods, headers.

Two servers with opposite policies, so that "the rule did not match" shows wherever it would
let something in: one allows a few requests, the other denies a few.
"""

import json

import pytest

import victim
from calculation.watched import log_fields
from protos import ext_authz, ext_authz_raw
from server import CLUSTER, CUSTOMER, CUSTOMERS_NAME, wait_for
from victim import ALLOWED, BAD, GOOD, MALFORMED, REFUSED, Victim, request

MALLORY, STRANGER = "10.0.0.9", "10.0.0.66"
MALLORYS_NAME = "spiffe://cluster.local/ns/bank/sa/mallory"
DOTTED = "front.end-1"  # an account whose name would be a pattern elsewhere


def _account(name, address):
    """A service account and its pod."""
    labels = {"app": name}
    return [
        {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": name, "namespace": "bank"}},
        {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "namespace": "bank", "labels": labels},
         "spec": {"nodeName": "node-1", "serviceAccountName": name,
                  "containers": [{"name": "main", "image": "example/main"}]},
         "status": {"phase": "Running", "podIP": address, "podIPs": [{"ip": address}]}},
    ]


def _policy(*rules):
    return {"apiVersion": "projectcalico.org/v3", "kind": "NetworkPolicy",
            "metadata": {"name": "web", "namespace": "bank"},
            "spec": {"selector": "app == 'web'", "types": ["Ingress"], "ingress": list(rules)}}


def _by(action, *names, **http):
    source = {"source": {"serviceAccounts": {"names": list(names)}}} if names else {}
    return {"action": action, **source, **({"http": http} if http else {})}


ALLOW_FEW = _policy(
    _by("Allow", "customer", DOTTED, methods=["GET"], paths=[{"prefix": "/pub"}, {"exact": "/exact"}]))
DENY_FEW = _policy(
    _by("Deny", "mallory"), _by("Deny", paths=[{"prefix": "/admin"}]), _by("Deny", methods=["DELETE"]), _by("Allow"))


@pytest.fixture(scope="module", params=["", "cluster.local"], ids=["any domain", "one domain"])
def domains(request):
    """Arguments that say which trust domains are believed."""
    return ("--trust-domain", request.param) if request.param else ()


def _prepared(policy, *arguments):
    server = Victim(*arguments)
    server.write("cluster.yaml", [*CLUSTER, *_account("mallory", MALLORY), *_account(DOTTED, "10.0.0.3")])
    server.write("policy.yaml", [policy])
    return server


@pytest.fixture(scope="module")
def allowing(domains):
    """Lets in what it was told to."""
    server = _prepared(ALLOW_FEW, *domains)
    try:
        yield server.start().wait_until_ready()
    finally:
        server.close()


@pytest.fixture(scope="module")
def denying(domains):
    """Lets in all but what it was told not to."""
    server = _prepared(DENY_FEW, *domains)
    try:
        yield server.start().wait_until_ready()
    finally:
        server.close()


def raw(**given):
    """Bytes as they are, also where no text could be."""
    message = ext_authz_raw.CheckRequest.FromString(request())
    attributes = message.attributes
    attributes.source.principal = given.get("principal", CUSTOMERS_NAME.encode())
    attributes.source.address.socket_address.address = given.get("address", CUSTOMER).encode()
    attributes.request.http.method = given.get("method", b"GET")
    attributes.request.http.path = given.get("path", b"/pub/x")
    return message.SerializeToString()


def test_the_policies_do_what_they_say(allowing, denying):
    assert allowing.ask(GOOD, BAD, request(path="/admin"), request(**{"from": STRANGER})) == [
        ALLOWED, REFUSED, REFUSED, REFUSED]
    assert denying.ask(GOOD, BAD, request(path="/admin"), request(method="DELETE"), request(
        principal=MALLORYS_NAME, **{"from": MALLORY})) == [ALLOWED, ALLOWED, REFUSED, REFUSED, REFUSED]


# ---- who --------------------------------------------------------------------------------------------

_NAME = b"spiffe://cluster.local/ns/bank/sa/"

# Nobody that could be known.  %s is the account whose rights, or whose denial, is meant.
NOBODY = {
    "two URIs": _NAME + b"%s," + _NAME + b"%s",
    "two URIs with a blank": _NAME + b"other, " + _NAME + b"%s",
    "URI and DNS name": b"web.example,URI:" + _NAME + b"%s",
    "scheme in upper case": b"SPIFFE://cluster.local/ns/bank/sa/%s",
    "other scheme": b"https://cluster.local/ns/bank/sa/%s",
    "no scheme": b"cluster.local/ns/bank/sa/%s",
    "empty trust domain": b"spiffe:///ns/bank/sa/%s",
    "empty namespace": b"spiffe://cluster.local/ns//sa/%s",
    "empty account": b"spiffe://cluster.local/ns/bank/sa/",
    "empty pieces": b"spiffe://cluster.local//ns/bank/sa/%s",
    "slash behind": _NAME + b"%s/",
    "further piece": _NAME + b"%s/x",
    "parent": _NAME + b"x/../%s",
    "keywords in upper case": b"spiffe://cluster.local/NS/bank/SA/%s",
    "keywords encoded": b"spiffe://cluster.local/n%%73/bank/sa/%s",
    "slashes encoded": b"spiffe://cluster.local%%2fns%%2fbank%%2fsa%%2f%s",
    "blank before": b" " + _NAME + b"%s",
    "NUL before": b"\0" + _NAME + b"%s",
    "line end before": b"\r\n" + _NAME + b"%s",
    "byte order mark before": b"\xef\xbb\xbf" + _NAME + b"%s",
    "subject": b"CN=%s,O=bank",
    "subject with a URI": b"CN=" + _NAME + b"%s",
    "DNS name": b"%s.bank.svc.cluster.local",
    "account alone": b"%s",
    "wildcard": b"*",
    "pieces alone": b"//////",
    "bytes that are no text": b"\xff\xfe%s",
}


@pytest.mark.parametrize("principal", NOBODY.values(), ids=NOBODY)
def test_nobody(allowing, denying, principal):
    """Gets no rights, and does not slip past a denial."""
    def named(account):
        return principal % ((account,) * principal.count(b"%s"))

    assert allowing.ask(raw(principal=named(b"customer"))) == [REFUSED]
    assert denying.ask(raw(principal=named(b"mallory"), address=MALLORY)) == [REFUSED]


# Somebody, but not the customer: names are bytes, and all of them count.
SOMEBODY_ELSE = {
    "another account": _NAME + b"customers",
    "shorter": _NAME + b"custome",
    "upper case": _NAME + b"Customer",
    "encoded": _NAME + b"%63ustomer",
    "wildcard account": _NAME + b"*",
    "wildcard in the account": _NAME + b"cust*",
    "pattern": _NAME + b".*",
    "dots for letters": _NAME + b"c.stomer",
    "dot behind": _NAME + b"customer.",
    "dash behind": _NAME + b"customer-",
    "NUL behind": _NAME + b"customer\0",
    "NUL and more behind": _NAME + b"customer\0,x",
    "line end behind": _NAME + b"customer\n",
    "blank behind": _NAME + b"customer ",
    "query behind": _NAME + b"customer?x=1",
    "fragment behind": _NAME + b"customer#x",
    "parameters behind": _NAME + b"customer;x",
    "bytes that are no text": _NAME + b"customer\xff",
    "comma behind": _NAME + b"customer,",
    "another namespace": b"spiffe://cluster.local/ns/shop/sa/customer",
    "wildcard namespace": b"spiffe://cluster.local/ns/*/sa/customer",
    "dotted namespace": b"spiffe://cluster.local/ns/b.nk/sa/customer",
    "namespace in upper case": b"spiffe://cluster.local/ns/BANK/sa/customer",
    "namespace and NUL": b"spiffe://cluster.local/ns/bank\0/sa/customer",
    "namespace and account in each other's place": b"spiffe://cluster.local/ns/customer/sa/bank",
    "letter for the dot of a name": _NAME + b"frontXend-1",
    "dot for the dash of a name": _NAME + b"front.end.1",
    "all of a name's dots": _NAME + b"front.end-1.",
}


@pytest.mark.parametrize("principal", SOMEBODY_ELSE.values(), ids=SOMEBODY_ELSE)
def test_somebody_else(allowing, principal):
    """At the address of either that may."""
    assert allowing.ask(raw(principal=principal), raw(principal=principal, address="10.0.0.3")) == [REFUSED] * 2


def test_name_with_a_dot_and_a_dash(allowing):
    right = _NAME + DOTTED.encode()
    assert allowing.ask(raw(principal=right, address="10.0.0.3"), raw(principal=right, address=STRANGER)) == [
        ALLOWED, REFUSED]


@pytest.mark.parametrize("domain", [b"evil.example", b"cluster.local.", b"CLUSTER.LOCAL", b"cluster.local\0",
                                    b"cluster.local,evil.example", b"clusterXlocal", b"*", b"cluster.local:80",
                                    b"x@cluster.local"], ids=repr)
def test_foreign_trust_domain(allowing, denying, domains, domain):
    """Believed only if any is; a denial holds for its accounts in both cases."""
    def name(account):
        return b"spiffe://" + domain + b"/ns/bank/sa/" + account

    assert allowing.ask(raw(principal=name(b"customer"))) == [REFUSED if domains else ALLOWED]
    assert denying.ask(raw(principal=name(b"mallory"), address=MALLORY)) == [REFUSED]


def test_no_name_at_all(allowing, denying):
    """Plain text: by its address, and only if there is one."""
    assert allowing.ask(raw(principal=b""), raw(principal=b"", address=STRANGER),
                        raw(principal=b"", address="")) == [ALLOWED, REFUSED, REFUSED]
    assert denying.ask(raw(principal=b"", address=MALLORY), raw(principal=b"", address="")) == [REFUSED, REFUSED]


# ---- what: paths and methods ------------------------------------------------------------------------------

ADMIN = [
    b"/admin", b"/admin/x", b"//admin/x", b"///admin", b"/\\admin", b"/./admin", b"/x/../admin", b"/../admin",
    b"/pub/../admin", b"/pub/..;/admin", b"/pub/..;x=1/admin", b"/admin;x", b"/;/admin", b"/..;/admin",
    b"/pub\\..\\admin", b"/pub/..\\admin", b"/pub%5c..%5cadmin", b"/pub/..%2fadmin", b"/%2e%2e/admin", b"/%61dmin",
    b"/pub/%252e%252e/admin", b"/pub%252f..%252fadmin", b"/pub/%25%32%65%25%32%65/admin",
    b"/admin?", b"/admin?/../pub", b"/admin??x", b"/admin#x", b"/admin#/../../pub/x", b"/admin%3f", b"/admin%23x",
    b"/admin\0", b"/admin\0/../pub/x", b"/admin%00", b"/pub\0/../admin", b"/pub/x\0/../../admin",
    b"/admin%", b"/admin%zz", b"/pub/\xff/../../admin", b"/pub/%ff/../../admin",
    b"http://h/admin", b"http://h//admin", b"HTTP://h/admin?x", b"http:///admin", b"http://pub/../admin",
]
# The names "/admin?" and "/admin#x", which the denial of /admin does not mean.
NOT_ADMIN = [b"/admin%3f", b"/admin%23x"]


@pytest.mark.parametrize("path", ADMIN, ids=repr)
def test_way_to_admin(allowing, denying, path):
    assert allowing.ask(raw(path=path)) == [REFUSED]
    assert denying.ask(raw(path=path)) == [ALLOWED if path in NOT_ADMIN else REFUSED]


WITHOUT_A_SLASH = [
    b"", b"admin", b"pub/x", b"?", b"?x", b"?/pub/x", b"#", b"#/pub/x", b"%3f/pub/x", b"%2fpub/x", b"*",
    b"\\pub\\x", b"\0/pub/x", b";/pub/x", b" /pub/x", b"\r\n/pub/x", b"host:443", b"\xff", b"http:/pub/x",
]


@pytest.mark.parametrize("path", WITHOUT_A_SLASH, ids=repr)
def test_path_without_a_slash(allowing, denying, path):
    """Refused, whatever the rules say."""
    assert allowing.ask(raw(path=path)) == [MALFORMED]
    assert denying.ask(raw(path=path)) == [MALFORMED]


@pytest.mark.parametrize("path, wanted", {
    b"/exact": ALLOWED, b"/exact?": ALLOWED, b"/exact?x=1": ALLOWED, b"/exact#x": ALLOWED, b"/exact/": ALLOWED,
    b"/exact%3fx=1": REFUSED, b"/exact%23x": REFUSED, b"/exact/x": REFUSED, b"/Exact": REFUSED, b"/exact\0": REFUSED,
    b"/exact%20": REFUSED, b"/exac": REFUSED, b"/exact\xff": REFUSED,
}.items(), ids=repr)
def test_exact_path(allowing, path, wanted):
    assert allowing.ask(raw(path=path)) == [wanted]


@pytest.mark.parametrize("path, query, fragment, wanted", [
    ("/pub/x", "/../../admin", "", ALLOWED),
    ("/pub/x?/../../admin", "/../../admin", "/admin", ALLOWED),
    ("/exact", "x=1", "y", ALLOWED),
    ("/admin", "/../pub/x", "/../pub/x", REFUSED),
    ("/admin?/../pub/x", "/../pub/x", "", REFUSED),
    ("", "/pub/x", "/pub/x", MALFORMED),
])
def test_query_and_fragment_beside_the_path(allowing, path, query, fragment, wanted):
    """Envoy never fills these; whoever does changes nothing."""
    check = ext_authz.CheckRequest.FromString(request(path=path))
    check.attributes.request.http.query, check.attributes.request.http.fragment = query, fragment
    assert allowing.ask(check.SerializeToString()) == [wanted]


NOT_GET = [
    b"", b"get", b"Get", b"GETS", b"GE", b"GET ", b" GET", b"GET\0", b"\0GET", b"GET\0POST", b"GET\r\n",
    b"G\xc8T", b"*", b"GET,POST", b"GET /pub/x", b"\xff", b"CONNECT", b"OPTIONS", b"PRI", b"G" * 100000,
]


@pytest.mark.parametrize("method", NOT_GET, ids=lambda method: repr(method[:20]))
def test_method_that_is_not_quite_get(allowing, method):
    assert allowing.ask(raw(method=method)) == [REFUSED]


def test_options_star_and_connect(allowing, denying):
    assert allowing.ask(raw(method=b"OPTIONS", path=b"*"), raw(method=b"CONNECT", path=b"host:443")) == [REFUSED] * 2
    # No path of a rule is meant by "*", and the authority of CONNECT is none.
    assert denying.ask(raw(method=b"OPTIONS", path=b"*"), raw(method=b"CONNECT", path=b"host:443")) == [
        ALLOWED, MALFORMED]


# ---- headers ----------------------------------------------------------------------------------------------

FORGED = {
    "x-forwarded-client-cert": [f"By=spiffe://cluster.local/ns/bank/sa/web;URI={CUSTOMERS_NAME}",
                                f"URI={MALLORYS_NAME}", "\0", "x" * 60000],
    "x-forwarded-for": [CUSTOMER, MALLORY, f"{MALLORY}, {CUSTOMER}", "::1"],
    "forwarded": [f"for={CUSTOMER};host=web", f"for={MALLORY}"],
    "x-real-ip": [CUSTOMER, MALLORY],
    "x-envoy-external-address": [CUSTOMER, MALLORY],
    "x-envoy-peer-metadata-id": ["sidecar~10.0.0.1~customer-0.bank~bank.svc.cluster.local"],
    "x-http-method-override": ["GET", "DELETE"],
    "x-http-method": ["GET", "DELETE"],
    "x-method-override": ["GET", "DELETE"],
    "x-original-method": ["GET", "DELETE"],
    "x-original-url": ["/pub/x", "/admin"],
    "x-rewrite-url": ["/pub/x", "/admin"],
    "x-envoy-original-path": ["/pub/x", "/admin"],
    "x-forwarded-proto": ["https"],
    ":path": ["/pub/x", "/admin", ""],
    ":method": ["GET", "DELETE", ""],
    ":authority": ["web"],
    "host": ["admin"],
    "authorization": ["Bearer x"],
}


@pytest.mark.parametrize("name", FORGED)
@pytest.mark.parametrize("change", [str, str.upper], ids=["as usual", "in upper case"])
def test_forged_header(allowing, denying, name, change):
    """Neither opens nor closes a door."""
    judged = [(allowing, request(), ALLOWED),
              (allowing, request(method="POST"), REFUSED),
              (allowing, request(path="/admin"), REFUSED),
              (allowing, request(principal="", **{"from": STRANGER}), REFUSED),
              (allowing, request(principal="CN=x"), REFUSED),
              (denying, request(), ALLOWED),
              (denying, request(path="/admin"), REFUSED),
              (denying, request(method="DELETE"), REFUSED),
              (denying, request(principal=MALLORYS_NAME, **{"from": MALLORY}), REFUSED)]
    for value in FORGED[name]:
        for server, content, wanted in judged:
            check = ext_authz.CheckRequest.FromString(content)
            check.attributes.request.http.headers[change(name)] = value
            assert server.ask(check.SerializeToString()) == [wanted], value


# ---- the log -----------------------------------------------------------------------------------------------

LOG_READERS = {"logfmt": log_fields, "json": json.loads}
LINES_A_SECOND = 50

EVIL = {
    "line ends": b"a\r\nlevel=error msg=forged\n\n",
    "JSON": b'","level":"error","msg":"forged"}\n{"a":"',
    "logfmt": b'" level=error msg="forged',
    "backslashes": b"\\\\\" \\n \\u000a \\",
    "escapes": b"\x1b[2J\x1b]0;title\x07\x9b31m",
    "NUL": b"a\0b",
    "controls": bytes(range(32)) + b"\x7f",
    "upper half": bytes(range(128, 256)),
    "line ends of Unicode": "\u2028\u2029\u0085".encode(),
    "right to left": "\u202egpj.exe".encode(),
    "cut in a letter": b"\xe2\x80",
    "blanks": b"  a  =  b  ",
    "format": b"%s%n%p%1000000d",
}


@pytest.fixture(params=LOG_READERS, ids=str)
def logging(request):
    """(server, reader of a line)"""
    with victim.running("--log-format", request.param) as server:
        yield server, LOG_READERS[request.param]


def _log(server):
    """Its lines, but what may still be under way."""
    return server.log.read_bytes().split(b"\n")[:-1]


@pytest.mark.parametrize("evil", EVIL.values(), ids=EVIL)
def test_log_injection(logging, evil):
    """CVE-2024-45808: one line an event, each to be read back as it was meant."""
    server, read = logging
    before = len(_log(server))
    fields = {"peer": {"principal": evil}, "method": {"method": evil},
              "path": {"path": b"/" + evil}, "path ": {"path": b"/" + b"".join(b"%%%02x" % byte for byte in evil)}}
    assert server.ask(*(raw(**given) for given in fields.values())) == [REFUSED] * len(fields)
    assert wait_for(lambda: len(_log(server)) >= before + len(fields))
    lines = _log(server)[before:]
    assert len(lines) == len(fields)
    for line, (key, given) in zip(lines, fields.items()):
        assert all(0x20 <= byte < 0x7f for byte in line), line
        told = read(line.decode("ascii"))
        assert (told["level"], told["msg"]) == ("info", "Denied request")
        if not key.startswith("path"):
            assert told[key].encode("latin-1") == evil


def test_log_of_long_texts(logging):
    server, read = logging
    before = len(_log(server))
    long = b"\n" * 100000
    assert server.ask(raw(principal=long, method=long, path=b"/" + long)) == [REFUSED]
    assert wait_for(lambda: len(_log(server)) > before)
    line, = _log(server)[before:]
    assert read(line.decode("ascii"))["msg"] == "Denied request"
    assert len(line) < 32768


def test_log_is_not_flooded(logging):
    """So many lines a second, and the number of those left out."""
    server, read = logging
    before, sent = len(_log(server)), 3000
    assert set(server.ask(*[BAD] * sent)) == {REFUSED}

    def told():
        lines = [read(line.decode("ascii")) for line in _log(server)[before:]]
        return (sum(line["msg"] == "Denied request" for line in lines),
                sum(int(line.get("count", 0)) for line in lines))

    assert wait_for(lambda: sum(told()) >= sent)
    written, left_out = told()
    assert written + left_out == sent
    # The time that it took may touch on three seconds.
    assert LINES_A_SECOND / 2 <= written <= 3 * LINES_A_SECOND


@pytest.mark.parametrize("secret", ["headers", "query", "body", "raw_body", "fragment"])
def test_log_has_no_secrets(logging, secret):
    server, _ = logging
    check = ext_authz.CheckRequest.FromString(BAD)
    http = check.attributes.request.http
    http.path = "/pub/x?token=hunter2#hunter2"
    if secret == "headers":
        http.headers["authorization"] = http.headers["cookie"] = "hunter2"
    else:
        setattr(http, secret, b"hunter2" if secret == "raw_body" else "hunter2")
    before = len(_log(server))
    assert server.ask(check.SerializeToString()) == [REFUSED]
    assert wait_for(lambda: len(_log(server)) > before)
    assert b"hunter2" not in server.log.read_bytes()
