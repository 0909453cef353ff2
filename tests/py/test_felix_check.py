"""`felix check`: what a directory would do, as text and as JSON; what is wrong in it; how the command is misused."""

import json
import pathlib
import subprocess
import tempfile

import pytest

import worlds
from calculation.resources import dump, resource
from calculation.stream import canonical
from node_agent import FELIX, NODE, SECONDS
from plain import ip_sets
from plain.state import canonical_content, plan

WORLD = {
    "Namespace bank": {}, "ServiceAccount bank/web": {},
    "Pod bank/web-0": {"labels": {"app": "web"}, "ip": "10.0.0.2", "account": "web"},
    "Pod bank/far-0": {"labels": {"app": "far"}, "ip": "10.0.1.2", "spec": {"nodeName": "node-2"}},
    "NetworkPolicy bank/web": {"selector": "app == 'web'", "ingress": [
        {"action": "Allow", "protocol": "TCP", "source": {"selector": "app == 'far'"}, "destination": {"ports": [80]},
         "http": {"methods": ["GET"], "paths": [{"prefix": "/pub"}]}}]},
    "GlobalNetworkPolicy broken": {"selector": "app == 'far'", "ingress": [{"action": "Permit"}]},
}
SOUND = {name: content for name, content in WORLD.items() if "broken" not in name}


@pytest.fixture
def folder():
    with tempfile.TemporaryDirectory(prefix="dikast-") as path:
        yield pathlib.Path(path)


def write(folder, world):
    """Returns the text of the one file."""
    text = dump([resource(*entry) for entry in world.items()])
    (folder / "all.yaml").write_text(text)
    return text


def check(*arguments, status=0):
    done = subprocess.run([str(FELIX), "check", *map(str, arguments)], capture_output=True, timeout=SECONDS,
                          stdin=subprocess.DEVNULL)
    assert done.returncode == status, done
    assert b"runtime error" not in done.stderr and b"Sanitizer" not in done.stderr, done.stderr
    return done.stdout.decode(), done.stderr.decode()


def report(*arguments, status=0):
    return json.loads(check(*arguments, "-o", "json", status=status)[0])


# ---- what is shown --------------------------------------------------------------------------------


def test_sound_directory(folder):
    write(folder, SOUND)
    text, errors = check(folder)
    assert not errors
    for part in ["k8s/bank/web-0/eth0  10.0.0.2/32", "NetworkPolicy bank/web", "methods GET", "10.0.1.2/32",
                 "2 endpoints, 1 policies that select them; 0 errors, 0 warnings"]:
        assert part in text, text
    assert check(folder, "-o", "text") == check(folder, "--output=text") == (text, errors)


@pytest.mark.parametrize("output", ["text", "json"])
def test_report_that_cannot_be_written(folder, output):
    write(folder, SOUND)
    with open("/dev/full", "wb") as full:
        done = subprocess.run([str(FELIX), "check", folder, "-o", output], stdout=full, stderr=subprocess.PIPE,
                              timeout=SECONDS)
    assert (done.returncode, done.stderr) == (1, b"felix check: cannot write the report: No space left on device\n")


NO_ENDPOINTS = {
    "Pod bank/host": ("node-1", {"hostNetwork": True}, {}, "on the host's network"),
    "Pod bank/done": ("node-1", {}, {"phase": "Succeeded"}, "finished"),
    "Pod bank/young": ("node-2", {}, {"podIP": ""}, "no address"),
    "Pod bank/waits": ("", {}, {}, "not scheduled"),
}


def test_pods_that_are_no_endpoints(folder):
    """Whoever looks for one is told why it is not there; of a wrong one, what is wrong says it."""
    docs = [f"{{apiVersion: v1, kind: Pod, metadata: {{name: {name.split('/')[1]}, namespace: bank}}, "
            f"spec: {json.dumps({'nodeName': node, **spec})}, status: {json.dumps({'podIP': '10.0.0.9', **status})}}}"
            for name, (node, spec, status, _) in NO_ENDPOINTS.items()]
    docs.append("{apiVersion: v1, kind: Pod, metadata: {name: wrong, namespace: bank}, spec: {nodeName: node-1}, "
                "status: {podIP: 10.0.0.300}}")
    docs.append("{apiVersion: projectcalico.org/v3, kind: WorkloadEndpoint, metadata: {name: vm, namespace: bank}, "
                "spec: {node: node-2, orchestrator: o, workload: w, endpoint: e}}")
    (folder / "all.yaml").write_text("\n---\n".join(docs))
    reasons = {name: reason for name, (*_, reason) in NO_ENDPOINTS.items()}
    assert report(folder, status=1)["noEndpoints"] == {**reasons, "WorkloadEndpoint bank/vm": "no address"}
    assert set(report(folder, "--node", "node-1", status=1)["noEndpoints"]) == {"Pod bank/host", "Pod bank/done"}
    text, _ = check(folder, status=1)
    for name, reason in reasons.items():
        assert f"{name}  no endpoint: {reason}\n" in text


def test_node(folder):
    """Only its endpoints; members of IP sets are those of the whole cluster."""
    write(folder, SOUND)
    assert set(report(folder)["endpoints"]) == {"k8s/bank/web-0/eth0", "k8s/bank/far-0/eth0"}
    for arguments in [folder, "--node", NODE], ["--node=node-1", folder]:
        made = report(*arguments)
        assert set(made["endpoints"]) == {"k8s/bank/web-0/eth0"}
        assert [each["members"] for each in made["ipSets"].values()] == [["10.0.1.2/32"]]
    assert not report(folder, "--node", "nowhere")["endpoints"]


def test_settings(folder):
    """Those of all nodes; of one node, its own."""
    write(folder, SOUND)
    pods = "k8s/bank/web-0/eth0"
    before = report(folder)["endpoints"][pods]["interface"]
    (folder / "settings.yaml").write_text(dump([
        resource("FelixConfiguration default", {"interfacePrefix": "tap,cali"}),
        resource(f"FelixConfiguration node.{NODE}", {"interfacePrefix": "eno"}),
    ]))
    assert before.startswith("cali")
    assert report(folder)["endpoints"][pods]["interface"] == before.replace("cali", "tap")
    assert report(folder, "--node", NODE)["endpoints"][pods]["interface"] == before.replace("cali", "eno")


def test_profile_without_its_account_is_warned_about(folder):
    write(folder, {name: content for name, content in SOUND.items() if "ServiceAccount" not in name})
    made, errors = check(folder, "-o", "json")
    assert json.loads(made)["profiles"]["ksa.bank.web"]["ingress"] == [{"action": "deny"}]
    assert "ksa.bank.web" in errors


WARNED = dump([resource("GlobalNetworkPolicy warned", {"colour": "red", "selector": "app == 'x'"})])


# ---- what is wrong --------------------------------------------------------------------------------


def test_broken_directory(folder):
    """File, line and field; the rest is shown all the same, and what is broken as it would refuse."""
    content = write(folder, WORLD)
    (folder / "bad.yaml").write_text("a: [}")
    (folder / "warned.yaml").write_text(WARNED)
    text, _ = check(folder, status=1)
    line = next(number for number, each in enumerate(content.splitlines(), 1) if "Permit" in each)
    assert f"all.yaml:{line}: error: " in text and "spec.ingress[0].action" in text
    assert "bad.yaml:1: error: " in text and "warned.yaml:6: warning: " in text and "spec.colour" in text
    assert text.rstrip().endswith("2 endpoints, 2 policies that select them; 2 errors, 1 warnings")
    made = report(folder, status=1)
    problems = {(each["file"], each.get("line"), each["severity"]) for each in made["problems"]}
    assert problems == {("all.yaml", line, "error"), ("bad.yaml", 1, "error"), ("warned.yaml", 6, "warning")}
    assert "Permit" in next(each["message"] for each in made["problems"] if each["file"] == "all.yaml")
    assert made["policies"]["GlobalNetworkPolicy broken"]["ingress"][0]["action"] not in ("allow", "log", "next-tier")
    assert "NetworkPolicy bank/web" in made["policies"]


def test_warnings_alone_are_no_error(folder):
    (folder / "a.yaml").write_text(WARNED)
    text, _ = check(folder)
    assert "a.yaml:" in text and "0 errors, 1 warnings" in text


def test_file_that_cannot_be_read(folder):
    (folder / "folder.yaml").mkdir()
    made = report(folder, status=1)
    assert [(each["file"], each["severity"]) for each in made["problems"]] == [("folder.yaml", "error")]


def test_text_that_would_command_the_terminal(folder):
    """In names of files and in resources, sound or not."""
    write(folder, WORLD)
    strange = "x\x1b[2J\u009b31m\nall.yaml:1: error: forged.yaml"
    (folder / strange).write_text("{")
    (folder / "label.yaml").write_text(json.dumps(resource("NetworkPolicy bank/p", {
        "selector": "app == '\x1b]0;title\x07'"})))
    (folder / "own.yaml").write_text(json.dumps(resource("NetworkPolicy bank/q", {
        "ingress": [{"action": "Allow", "source": {"selector": "a == '\x1b[1m'"}}]})))
    text, errors = check(folder, status=1)
    assert not [each for each in text + errors if each != "\n" and (ord(each) < 32 or 127 <= ord(each) < 160)]
    assert "\nall.yaml:1: error: forged" not in text
    made = report(folder, status=1)
    assert strange in [each["file"] for each in made["problems"]]


# ---- the plain model -----------------------------------------------------------------------------------


def _icmp(fields, prefix):
    code = fields.get(f"{prefix}icmp_type_code")
    if code is not None:
        return f"type {code.get('type', 0)} code {code.get('code', 0)}"
    return f"type {fields[f'{prefix}icmp_type']}" if f"{prefix}icmp_type" in fields else None


def _protocol(given):
    return given and given.get("name", given.get("number"))


def _ports(ranges):
    return [each["first"] if each["first"] == each["last"] else f"{each['first']}:{each['last']}" for each in ranges]


def _without_empty(given):
    return {key: value for key, value in given.items() if value not in (None, "", [], {})}


def _side(fields, side, content):
    def sets(name):
        return sorted(map(content, fields.get(name, [])))

    account = fields.get(f"{side}_service_account_match", {})
    return _without_empty({
        "nets": fields.get(f"{side}_net"), "notNets": fields.get(f"not_{side}_net"),
        "ports": _ports(fields.get(f"{side}_ports", [])), "notPorts": _ports(fields.get(f"not_{side}_ports", [])),
        "ipSets": sets(f"{side}_ip_set_ids"), "notIPSets": sets(f"not_{side}_ip_set_ids"),
        "namedPorts": sets(f"{side}_named_port_ip_set_ids"), "notNamedPorts": sets(f"not_{side}_named_port_ip_set_ids"),
        "ipPortSets": sets(f"{side}_ip_port_set_ids"), "serviceAccounts": account.get("names"),
        "serviceAccountSelector": account.get("selector"), "selector": fields.get(f"original_{side}_selector"),
        "notSelector": fields.get(f"original_not_{side}_selector"),
        "namespaceSelector": fields.get(f"original_{side}_namespace_selector"),
        "service": fields.get(f"original_{side}_service")})


def _rules(rules, content):
    return [_without_empty({
        "action": fields["action"], "ipVersion": fields.get("ip_version"),
        "protocol": _protocol(fields.get("protocol")), "notProtocol": _protocol(fields.get("not_protocol")),
        "icmp": _icmp(fields, ""), "notICMP": _icmp(fields, "not_"),
        "methods": fields.get("http_match", {}).get("methods"), "paths": fields.get("http_match", {}).get("paths"),
        "source": _side(fields, "src", content), "destination": _side(fields, "dst", content)}) for fields in rules]


TYPES = {ip_sets.NET: "net", ip_sets.IP_AND_PORT: "ip,port", ip_sets.UNREADABLE: "unreadable"}


def _wanted(world):
    made = plan(world, node=NODE)
    contents = {key: canonical_content(*content) for key, content in made.ip_sets.items()}

    def content(key):
        kind, members = contents[key]
        return TYPES[kind], members

    def both(wire):
        return {"ingress": _rules(wire["inbound"], content), "egress": _rules(wire["outbound"], content)}

    def policy(wire):
        closed = wire["inbound"] == [{"action": "malformed"}]
        selector = canonical(wire["original_selector"] or "all()")
        return {**both(wire), "tier": wire["tier"], "selector": "" if closed else selector}

    return {
        "endpoints": {name: {"interface": each["interface"], "addresses": each["ipv4"] + each["ipv6"],
                             "profiles": each["profiles"], "tiers": each["tiers"]}
                      for name, each in made.endpoints.items()},
        "policies": {name: policy(each.wire) for name, each in made.policies.items()},
        "profiles": {name: both(wire) for name, wire in made.profiles.items()},
        "ipSets": {content(key) for key in contents}}


def _plain(made):
    """The report with the content of IP sets for their ids, and selectors in one form."""
    types = {name: number for number, name in TYPES.items()}

    def content(set_id):
        each = made["ipSets"][set_id]
        kind, members = canonical_content(types[each["type"]], frozenset(each["members"]))
        return TYPES[kind], members

    def side(given):
        plain = dict(given)
        for key in {"ipSets", "notIPSets", "namedPorts", "notNamedPorts", "ipPortSets"} & set(plain):
            plain[key] = sorted(map(content, plain[key]))
        for key in {"selector", "notSelector", "namespaceSelector", "serviceAccountSelector"} & set(plain):
            plain[key] = canonical(plain[key])
        return plain

    def rules(given):
        return [{key: side(value) if key in ("source", "destination") else value for key, value in rule.items()}
                for rule in given]

    def both(each):
        return {"ingress": rules(each["ingress"]), "egress": rules(each["egress"])}

    def policy(each):
        closed = each["ingress"] and each["ingress"][0]["action"] == "malformed"
        selector = canonical(each.get("selector", "all()"))
        return {**both(each), "tier": each["tier"], "selector": "" if closed else selector}

    return {"endpoints": made["endpoints"], "policies": {name: policy(each) for name, each in made["policies"].items()},
            "profiles": {name: both(each) for name, each in made["profiles"].items()},
            "ipSets": {content(set_id) for set_id in made["ipSets"]}}


# Pods that nothing changes.
STEADY = {"Pod bank/steady": {"labels": {"k": "v"}, "ip": "10.0.0.1", "account": "a"},
          "Pod shop/steady": {"labels": {"k": "w"}, "ip": "10.0.1.2"}}


def test_random_worlds(folder, rng):
    for _ in range(40):
        world = {}
        for flush in worlds.sequence(rng, 10, worlds.Options()):
            world = worlds.apply(world, flush)
        world.update({name: resource(name, content) for name, content in STEADY.items()})
        (folder / "all.yaml").write_text("\n---\n".join(map(json.dumps, world.values())))
        done = subprocess.run([str(FELIX), "check", str(folder), "--node", NODE, "-o", "json"], capture_output=True,
                              timeout=SECONDS)
        made, wanted = json.loads(done.stdout), _wanted(world)
        assert done.returncode == any(each["severity"] == "error" for each in made["problems"])
        for part, value in _plain(made).items():
            assert value == wanted[part], part


# ---- misuse ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("arguments, culprit", [
    ([], "directory"), (["a", "b"], "directory"), (["a", "-o", "xml"], "xml"), (["a", "-o"], "--output"),
    (["a", "--frobnicate"], "--frobnicate"), (["a", "--node"], "--node"), (["a", "--node="], "--node"),
    (["a", "--help=1"], "--help")])
def test_bad_usage(arguments, culprit):
    text, errors = check(*arguments, status=2)
    assert not text and culprit in errors.splitlines()[0] and "felix check --help" in errors


def test_directory_that_is_not_there(folder):
    """Or is a file."""
    (folder / "file").write_text("")
    for path in folder / "nowhere", folder / "file":
        text, errors = check(path, status=1)
        assert not text and str(path) in errors and len(errors.splitlines()) == 1


def test_empty_directory(folder):
    assert report(folder) == {"problems": [], "endpoints": {}, "noEndpoints": {}, "policies": {}, "profiles": {},
                              "ipSets": {}}


def test_help():
    text, errors = check("--help")
    assert "DIRECTORY" in text and not errors
