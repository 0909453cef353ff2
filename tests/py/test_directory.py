"""The directory of a running server: its files change, break and come back.

See calculation/watched.py: `expect("GET", "PUT")` says that just the policies which
allow these methods are in force.  DIKAST_SEED repeats the random life, DIKAST_STEPS
makes it longer.
"""

import json
import os
import shutil
import socket
import subprocess

import pytest
import yaml

import vectors
from calculation import clusters, kubernetes, resources
from calculation.watched import WatchedServer, allow, isolated, replace_link, text
from server import CLUSTER, CUSTOMER, DIKASTES, wait_for

POD = next(each for each in CLUSTER if each["metadata"]["name"] == "web-0")
STEPS_OF_A_LIFE = int(os.environ.get("DIKAST_STEPS", "25"))


@pytest.fixture
def prepared():
    """A server that is not started yet."""
    server = WatchedServer()
    try:
        yield server
    finally:
        server.close()


@pytest.fixture
def server(prepared):
    return prepared.start_ready()


# ---- files come and go ----------------------------------------------------------------


def test_a_file_s_life(server):
    server.expect()
    server.put("p.yaml", text(allow("GET")))
    server.expect("GET")
    server.put("p.yaml", text(allow("PUT", name="get")))      # in place
    server.expect("PUT")
    server.write("p.yaml", [allow("POST", name="get")])       # by rename
    server.expect("POST")
    server.write("p.yaml", [allow("POST"), allow("GET")])
    server.expect("GET", "POST")
    server.path("p.yaml").unlink()
    server.expect()
    server.put("p.yaml", text(allow("HEAD")))
    server.expect("HEAD")


def test_files_moved_in_out_and_about(server):
    outside = server.folder / "outside.yaml"
    outside.write_text(text(allow("GET")))
    os.rename(outside, server.path("p.yaml"))
    server.expect("GET")
    os.rename(server.path("p.yaml"), server.path("q.yaml"))
    server.put("r.yaml", text(allow("PUT")))  # so that the move has been seen too
    server.expect("GET", "PUT")
    os.rename(server.path("q.yaml"), server.path("r.yaml"))
    server.expect("GET")
    os.rename(server.path("r.yaml"), outside)
    server.expect()


def test_a_file_that_is_being_written_is_not_read(server):
    """An editor's truncated file must not open the pod for a moment."""
    server.write("isolated.yaml", [isolated(), allow("GET")])
    server.expect("GET")
    with open(server.path("isolated.yaml"), "w", encoding="utf-8") as file:
        server.expect_no_change("GET")
        file.write(text(isolated(), allow("PUT")))
        file.flush()
        file.write("---\n" + text(allow("POST")))
    server.expect("PUT", "POST")


def test_many_quick_changes(server):
    for _ in range(100):
        for method in ["GET", "PUT", "POST"]:
            server.put("p.yaml", text(allow(method)))
            server.write("q.yaml", [allow(method, name="q")])
    server.path("q.yaml").unlink()
    server.put("p.yaml", text(allow("HEAD")))
    server.expect("HEAD")


def test_a_resource_in_two_files(server):
    """The later change counts; leaving one file does not delete it while another has it."""
    server.put("b.yaml", text(allow("GET", name="p")))
    server.expect("GET")
    server.put("a.yaml", text(allow("PUT", name="p")))
    server.expect("PUT")
    server.put("b.yaml", text(allow("POST", name="p")))
    server.expect("POST")
    server.path("a.yaml").unlink()
    server.put("c.yaml", text(allow("HEAD")))
    server.expect("POST", "HEAD")
    server.put("a.yaml", text(allow("PUT", name="p")))
    server.expect("PUT", "HEAD")
    server.path("a.yaml").unlink()
    server.expect("POST", "HEAD")
    server.path("b.yaml").unlink()
    server.expect("HEAD")


def test_a_version_that_cannot_be_read(server):
    """What the removed file allowed must not stay; nobody knows what the other says."""
    server.put("a.yaml", text(allow("GET", name="p")))
    server.put("b.yaml", text(allow("PUT", name="p")))
    server.expect("PUT")
    server.put("a.yaml", "{")
    server.expect_no_change("PUT")
    server.path("b.yaml").unlink()
    server.expect_verdict(13, "malformed_policy")
    server.expect_report("a.yaml", "NetworkPolicy bank/p", msg="Resource has left another file, and what this one says "
                         "of it cannot be read; it refuses")
    server.put("a.yaml", text(allow("GET", name="p")))
    server.expect("GET")


def test_a_wrong_pod_beside_the_good_one(server):
    server.put("p.yaml", text(allow("GET")))
    server.expect("GET")
    server.put("zz.yaml", text(changed(POD, "status", {"podIPs": [{"ip": "nonsense"}]})))
    server.expect_report("zz.yaml", level="error")
    server.expect_no_change("GET")


def test_a_resource_moves_to_another_file(server):
    server.put("a.yaml", text(allow("GET"), allow("PUT")))
    server.expect("GET", "PUT")
    server.put("b.yaml", text(allow("PUT")))
    server.put("a.yaml", text(allow("GET")))
    server.put("c.yaml", text(allow("HEAD")))
    server.expect("GET", "PUT", "HEAD")


def test_the_directory_goes_and_comes_back(server):
    server.put("p.yaml", text(allow("GET")))
    server.expect("GET")
    away = server.folder / "away"
    os.rename(server.resources, away)
    server.expect_no_change("GET")
    os.rename(away, server.resources)
    server.put("p.yaml", text(allow("PUT")))
    server.expect("PUT")


def test_the_directory_comes_back_changed(server):
    server.put("p.yaml", text(allow("GET")))
    server.expect("GET")
    away = server.folder / "away"
    os.rename(server.resources, away)
    (away / "p.yaml").write_text(text(allow("PUT")))
    (away / "q.yaml").write_text(text(allow("POST")))
    os.rename(away, server.resources)
    server.expect("PUT", "POST")


def test_another_directory_takes_the_place(server):
    server.put("p.yaml", text(allow("GET")))
    server.expect("GET")
    other = server.folder / "other"
    shutil.copytree(server.resources, other)
    (other / "p.yaml").write_text(text(allow("PUT")))
    os.rename(server.resources, server.folder / "away")
    os.rename(other, server.resources)
    server.expect("PUT")
    server.put("p.yaml", text(allow("POST")))
    server.expect("POST")


@pytest.mark.parametrize("levels", [1, 2])
def test_a_folder_above_goes_and_comes_back(prepared, levels):
    """It is noticed, though nothing happens to the directory itself; what changes meanwhile is not read."""
    above = prepared.folder / "above"
    inner = above.joinpath(*["in"] * (levels - 1))
    inner.mkdir(parents=True)
    prepared.resources = prepared.resources.rename(inner / "resources")
    prepared.put("p.yaml", text(allow("GET")))
    prepared.start_ready().expect("GET")
    away = prepared.folder / "away"
    os.rename(above, away)
    assert wait_for(lambda: prepared.reports(msg="Directory went away; what it said stays in force until it is back"), 2)
    (away / inner.relative_to(above) / "resources" / "p.yaml").write_text(text(allow("PUT")))
    prepared.expect_no_change("GET")
    os.rename(away, above)
    prepared.expect("PUT")


def test_another_folder_above(prepared):
    """With Landlock the server may not read what it could not read at the start, and says so; all stays in force."""
    above = prepared.folder / "above"
    above.mkdir()
    prepared.resources = prepared.resources.rename(above / "resources")
    prepared.put("p.yaml", text(allow("GET")))
    prepared.start_ready().expect("GET")
    os.rename(above, prepared.folder / "away")
    shutil.copytree(prepared.folder / "away", above)
    prepared.put("p.yaml", text(allow("PUT")))
    assert wait_for(lambda: prepared.reports(level="error", msg="Directory cannot be had again")
                    or prepared.reports(msg="Directory is back"))
    if prepared.reports(msg="Directory is back"):  # a kernel without Landlock, or a build with a sanitizer
        prepared.expect("PUT")
    else:
        prepared.expect_no_change("GET")
    shutil.rmtree(above)
    os.rename(prepared.folder / "away", above)
    prepared.put("p.yaml", text(allow("POST")))
    prepared.expect("POST")


def test_a_link_that_leads_to_another_directory(prepared):
    """As releases are switched: beside the old one, which may be read."""
    releases = prepared.folder / "releases"
    releases.mkdir()
    first = prepared.resources.rename(releases / "1")
    shutil.copytree(first, releases / "2")
    (first / "p.yaml").write_text(text(allow("GET")))
    (releases / "2" / "p.yaml").write_text(text(allow("PUT")))
    prepared.resources = prepared.folder / "current"
    prepared.resources.symlink_to(first)
    prepared.start_ready().expect("GET")
    replace_link(prepared.resources, releases / "2")
    prepared.expect("PUT")


# ---- forms of files -----------------------------------------------------------------------


def as_list(*items):
    return {"apiVersion": "v1", "kind": "List", "items": list(items)}


def as_policy_list(*items):
    """As calicoctl and kubectl print them: a list of one kind."""
    return {"apiVersion": "projectcalico.org/v3", "kind": "NetworkPolicyList", "items": list(items)}


FORMS = {
    "two documents": ("p.yaml", text(allow("GET"), allow("PUT"))),
    "documents with headers, comments and empty ones": (
        "p.yaml", "# first\n---\n---\n" + text(allow("GET")) + "\n...\n---\n# nothing\n---\n"
        + text(allow("PUT")) + "---\n"),
    "a list": ("p.yaml", text(as_list(allow("GET"), allow("PUT")))),
    "a list of one kind": ("p.yaml", text(as_policy_list(allow("GET"), allow("PUT")))),
    "a list and a document": ("p.yaml", text(as_list(allow("GET")), allow("PUT"))),
    "a list in a list": ("p.yaml", text(as_list(as_list(allow("GET")), allow("PUT")))),
    "the other ending": ("p.yml", text(allow("GET"), allow("PUT"))),
    "JSON": ("p.json", json.dumps(as_list(allow("GET"), allow("PUT")))),
    "JSON over lines": ("p.json", json.dumps(as_list(allow("GET"), allow("PUT")), indent=4) + "\n"),
    "JSON in YAML": ("p.yaml", json.dumps(allow("GET")) + "\n---\n" + json.dumps(allow("PUT"))),
    "YAML in flow style": ("p.yaml", yaml.safe_dump_all([allow("GET"), allow("PUT")],
                                                        default_flow_style=True)),
    "carriage returns": ("p.yaml", text(allow("GET"), allow("PUT")).replace("\n", "\r\n")),
    "byte order mark": ("p.yaml", "\ufeff" + text(allow("GET"), allow("PUT"))),
}


@pytest.mark.parametrize("name, content", FORMS.values(), ids=FORMS)
def test_form(server, name, content):
    server.put(name, content)
    server.expect("GET", "PUT")
    server.path(name).unlink()
    server.expect()
    assert not server.reports(level="error")


def test_all_forms_at_start(prepared):
    prepared.put("a.yaml", text(allow("GET"), allow("PUT")))
    prepared.put("b.json", json.dumps(as_list(allow("POST"))))
    prepared.put("c.yml", text(as_policy_list(allow("HEAD"))))
    prepared.start_ready().expect("GET", "PUT", "POST", "HEAD")


def test_linked_files(server):
    outside = server.folder / "outside"
    outside.mkdir()
    (outside / "one").write_text(text(allow("GET")))
    (outside / "two").write_text(text(allow("PUT")))
    replace_link(server.path("p.yaml"), outside / "one")
    server.expect("GET")
    replace_link(server.path("p.yaml"), outside / "two")
    server.expect("PUT")
    server.path("p.yaml").unlink()
    server.expect()


def test_files_by_link(server):
    """Nobody closes them under the name that counts, and it may be their only one."""
    new = server.path(".new")
    new.write_text(text(allow("GET")))
    os.link(new, server.path("p.yaml"))
    new.unlink()
    server.expect("GET")
    new.write_text(text(allow("PUT")))
    server.path("p.yaml").unlink()
    os.link(new, server.path("p.yaml"))
    new.unlink()
    server.expect("PUT")


def test_config_map(prepared):
    """As the kubelet mounts one: every file a link through ..data, which is swapped."""
    folder = prepared.resources

    def version(name, files):
        (folder / name).mkdir()
        for file, content in files.items():
            (folder / name / file).write_text(content)
        replace_link(folder / "..data", name)

    version("..first", {"p.yaml": text(allow("GET")), "q.yaml": text(allow("PUT"))})
    for name in ["p.yaml", "q.yaml"]:
        replace_link(folder / name, f"..data/{name}")
    prepared.start_ready().expect("GET", "PUT")

    version("..second", {"p.yaml": text(allow("POST")), "q.yaml": text(allow("PUT"))})
    shutil.rmtree(folder / "..first")
    prepared.expect("POST", "PUT")

    version("..third", {"p.yaml": text(allow("HEAD")), "r.yaml": text(allow("PATCH"))})
    replace_link(folder / "r.yaml", "..data/r.yaml")
    (folder / "q.yaml").unlink()
    shutil.rmtree(folder / "..second")
    prepared.expect("HEAD", "PATCH")


# ---- bad files -----------------------------------------------------------------------------------


BROKEN_YAML = "apiVersion: projectcalico.org/v3\nkind: NetworkPolicy\nmetadata: {name: put, namespace: [\n"


def test_syntax_error(server):
    """The other documents are in force as they are now, the broken one as it was."""
    server.put("p.yaml", text(allow("GET"), allow("PUT"), allow("POST")))
    server.expect("GET", "PUT", "POST")
    before, after = text(allow("HEAD", name="get")), text(allow("PATCH", name="post"))
    server.put("p.yaml", f"{before}---\n{BROKEN_YAML}---\n{after}")
    server.expect("HEAD", "PUT", "PATCH")
    first = before.count("\n") + 2
    report = server.expect_report("p.yaml", level="error")
    assert first - 1 <= int(report["line"]) <= first + 3, report  # may be where the document begins
    server.put("q.yaml", text(allow("DELETE")))
    server.expect("HEAD", "PUT", "PATCH", "DELETE")
    server.put("p.yaml", text(allow("GET")))
    server.expect("GET", "DELETE")


def test_syntax_error_at_start(prepared):
    prepared.put("p.yaml", f"{text(allow('GET'))}---\n{BROKEN_YAML}")
    prepared.put("q.yaml", text(allow("POST")))
    prepared.start_ready().expect("GET", "POST")
    prepared.expect_report("p.yaml", level="error")
    prepared.put("p.yaml", text(allow("PUT")))
    prepared.expect("PUT", "POST")


@pytest.mark.parametrize("content", ['{"apiVersion": "projectcalico.org/v3", "kind": "NetworkPolicy", ',
                                     "not JSON"], ids=["cut off", "text"])
def test_json_error(server, content):
    server.put("p.json", json.dumps(allow("GET")))
    server.put("q.json", json.dumps(allow("PUT")))
    server.expect("GET", "PUT")
    server.put("p.json", content)
    server.put("q.json", json.dumps(allow("POST")))
    server.expect("GET", "POST")
    server.expect_report("p.json", level="error", line="1")
    server.path("p.json").unlink()
    server.expect("POST")


def unreadable_folder(path):
    path.mkdir()


def unreadable_pipe(path):
    os.mkfifo(path)


def unreadable_link(path):
    path.symlink_to("nothing-here")


def unreadable_loop(path):
    path.symlink_to(path.name)


def unreadable_socket(path):
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))


@pytest.mark.parametrize("make", [unreadable_folder, unreadable_pipe, unreadable_link,
                                  unreadable_loop, unreadable_socket])
def test_what_is_no_file(prepared, make):
    """At the start and later: reported, and all else goes on."""
    prepared.put("p.yaml", text(allow("GET")))
    make(prepared.path("early.yaml"))
    prepared.start_ready().expect("GET")
    prepared.expect_report("early.yaml")
    outside = prepared.folder / "outside"
    outside.mkdir()
    make(outside / "late.yaml")
    os.rename(outside / "late.yaml", prepared.path("late.yaml"))
    prepared.put("q.yaml", text(allow("PUT")))
    prepared.expect("GET", "PUT")
    prepared.expect_report("late.yaml")
    prepared.path("p.yaml").unlink()
    prepared.expect("PUT")


def test_no_permission(prepared):
    """A file that another user keeps for himself; the server runs as nobody."""
    prepared.put("p.yaml", text(allow("GET")))
    prepared.put("secret.yaml", text(allow("PUT")))
    prepared.path("secret.yaml").chmod(0)
    prepared.start_as_nobody().expect("GET")
    prepared.expect_report("secret.yaml", "ermission")
    prepared.path("secret.yaml").chmod(0o644)
    prepared.put("q.yaml", text(allow("POST")))
    prepared.expect("GET", "PUT", "POST")


def changed(resource, path, value):
    """A copy of a resource with the field at a path, as `spec.ingress[0].action`, set."""
    copy = json.loads(json.dumps(resource))
    place = copy
    keys = [int(key) if key.isdigit() else key for key in path.replace("]", "").replace("[", ".").split(".")]
    for key in keys[:-1]:
        place = place[key]
    place[keys[-1]] = value
    return copy


def line_of(content, field):
    """The line where the last key of a field path stands; counts from 1."""
    key = field.split(".")[-1].split("[")[0]
    return next(number for number, line in enumerate(content.splitlines(), 1)
                if line.lstrip(" -").startswith(f"{key}:"))


# Documents that are left out whole: what is wrong, in what, and what the report names besides the line.
LEFT_OUT = {
    "unknown kind": ("kind", "NetworkPolice", ["NetworkPolice"]),
    "unknown group": ("apiVersion", "example.com/v1", ["example.com/v1"]),
    "no name": ("metadata.name", "", ["metadata.name"]),
    "name of the wrong type": ("metadata.name", ["x"], ["metadata.name"]),
    "metadata of the wrong type": ("metadata", "x", ["metadata"]),
    "kind of the wrong type": ("kind", 5, ["kind"]),
}


@pytest.mark.parametrize("field, value, parts", LEFT_OUT.values(), ids=LEFT_OUT)
def test_document_left_out(server, field, value, parts):
    content = text(allow("GET")) + "---\n" + text(changed(allow("PUT"), field, value))
    server.put("p.yaml", content)
    server.put("q.yaml", text(allow("POST")))
    server.expect("GET", "POST")
    server.expect_report("p.yaml", *parts)


@pytest.mark.parametrize("field, value, parts", LEFT_OUT.values(), ids=LEFT_OUT)
def test_document_that_hides_what_it_is(server, field, value, parts):
    """It may be the policy that was there, so that one stays, as with a syntax error; the other document is in force as it is now."""
    server.put("p.yaml", text(allow("GET"), allow("PUT")))
    server.expect("GET", "PUT")
    server.put("p.yaml", text(allow("HEAD", name="get")) + "---\n" + text(changed(allow("PUT"), field, value)))
    server.expect("HEAD", "PUT")
    server.expect_report("p.yaml", *parts)
    server.put("p.yaml", text(allow("HEAD", name="get")))
    server.expect("HEAD")


def test_document_of_a_strange_kind(server):
    """It was meant to be nothing of ours, so what left the file is gone."""
    server.put("p.yaml", text(allow("GET"), allow("PUT")))
    server.expect("GET", "PUT")
    strange = {"apiVersion": "example.com/v1", "kind": "Gizmo", "metadata": {"name": "x"}}
    server.put("p.yaml", text(allow("GET"), strange))
    server.expect("GET")
    server.expect_report("p.yaml", "Gizmo")


UNKNOWN_FIELDS = {"spec.colour": "red", "spec.ingress[0].colour": "red", "colour": "red",
                  "metadata.colour": "red", "spec.ingress[0].http.colour": ["red"]}


@pytest.mark.parametrize("field", UNKNOWN_FIELDS)
def test_unknown_field(server, field):
    """A warning; the policy is in force."""
    content = text(changed(allow("GET"), field, UNKNOWN_FIELDS[field]))
    server.put("p.yaml", content)
    server.expect("GET")
    report = server.expect_report("p.yaml", field, line=str(line_of(content, "colour")))
    assert report["level"].startswith("warn"), report


def test_every_closed_policy_is_reported(prepared):
    """One line each, with file, line and field; none spoils what follows."""
    cases = vectors.load("calculation.yaml")["closed"]
    for index, case in enumerate(cases):
        kind = case.get("kind", "NetworkPolicy")
        selector = {"podSelector": {}} if kind.startswith("Kubernetes") else {"selector": "app == 'x'"}
        content = text(resources.resource(f"{kind} shop/p-{index}", {**selector, **case["policy"]}))
        prepared.put(f"{index}.yaml", "\n" * index + content)
    prepared.put("p.yaml", text(allow("GET")))
    prepared.start_ready().expect("GET")
    missed = []
    for index, case in enumerate(cases):
        reports = prepared.reports(file=f"{index}.yaml")
        good = (len(reports) == 1 and reports[0]["level"] == "error"
                and int(reports[0]["line"]) > index
                and any(case["field"] in value for value in reports[0].values()))
        if not good:
            missed.append((case["name"], case["field"], reports))
    assert not missed


CLOSED = {
    "bad selector": ("spec.selector", "app = 'web'"),
    "bad net": ("spec.ingress[0].source", {"nets": ["10.0.0.0/33"]}),
    "wrong type": ("spec.ingress", {"action": "Allow"}),
    "bad action": ("spec.ingress[0].action", "Let"),
    "bad name": ("metadata.name", "a/b"),
}


@pytest.mark.parametrize("field, value", CLOSED.values(), ids=CLOSED)
def test_policy_closed_and_mended(server, field, value):
    """It refuses what it selected until it is understood again."""
    server.put("p.yaml", text(allow("GET", order=1)))
    server.expect("GET")
    server.put("p.yaml", text(changed(allow("GET", order=1), field, value)))
    server.expect_verdict(13, "malformed_policy")
    server.expect_report("p.yaml", field, level="error")
    server.put("p.yaml", text(allow("PUT", order=1)))
    server.expect("PUT")
    server.put("p.yaml", text(changed(allow("GET", order=1), field, value)))
    server.expect_verdict(13, "malformed_policy")
    server.path("p.yaml").unlink()
    server.expect()


def test_report_names_the_line(server):
    content = text(allow("GET")) + "---\n" + text(changed(allow("PUT"), "spec.ingress[0].protocol", "QUICK"))
    server.put("p.yaml", content)
    report = server.expect_report("p.yaml", "spec.ingress[0].protocol", "QUICK", "put")
    assert content.splitlines()[int(report["line"]) - 1].strip(" -") == "protocol: QUICK"


def test_odd_names_stay_in_their_line(server):
    """Nothing in a file's name or content breaks a line of the log or forges a field."""
    name = 'a" level=info\nmsg=forged.yaml'
    server.put(name, text(changed(allow("GET"), "kind", 'X" file=other.yaml\nlevel=info')))
    server.put("p.yaml", text(allow("PUT")))
    server.expect("PUT")
    server.expect_report(name)
    assert not server.reports(msg="forged.yaml") and not server.reports(file="other.yaml")


def _object(api, kind, name="x", **rest):
    return {"apiVersion": api, "kind": kind, "metadata": {"name": name}, **rest}


# Kinds that a node agent reads; each with a field and a value that is wrong for it.
OF_NODE_AGENTS = {
    "HostEndpoint": (
        _object("projectcalico.org/v3", "HostEndpoint",
                spec={"node": "m", "interfaceName": "eth0", "expectedIPs": [CUSTOMER], "profiles": []}),
        "spec.expectedIPs", ["10.0.0.x"]),
    "Service": (_object("v1", "Service", spec={"ports": [{"port": 80}]}), "metadata.labels", {"a": 1}),
    "Node": (_object("v1", "Node", status={}), "metadata.labels", ["a"]),
    "EndpointSlice": (
        _object("discovery.k8s.io/v1", "EndpointSlice", addressType="IPv4",
                endpoints=[{"addresses": [CUSTOMER]}], ports=[{"name": "http", "port": 80, "protocol": "TCP"}]),
        "ports[0].port", "http"),
    "FelixConfiguration": (
        _object("projectcalico.org/v3", "FelixConfiguration", "default",
                spec={"policySyncPathPrefix": "/var/run/nodeagent", "healthPort": 9099}),
        "spec.healthPort", 90990),
    "ClusterInformation": (
        _object("projectcalico.org/v3", "ClusterInformation", "default",
                spec={"clusterGUID": "a", "datastoreReady": True}),
        "spec.datastoreReady", "yes"),
}


@pytest.mark.parametrize("resource, field, wrong", OF_NODE_AGENTS.values(), ids=OF_NODE_AGENTS)
def test_kinds_of_node_agents(server, resource, field, wrong):
    """They may stand beside policies, right or wrong, and change nothing that a sidecar decides."""
    server.put("a.yaml", text(resource, allow("GET")))
    server.expect("GET")
    assert not server.reports(file="a.yaml")
    content = text(changed(resource, field, wrong), allow("PUT"))
    server.put("a.yaml", content)
    server.expect("PUT")
    report = server.expect_report("a.yaml", field, resource["kind"], level="error")
    server.path("a.yaml").unlink()
    server.expect()


# ---- what changes besides policies ------------------------------------------------------------------


def test_unknown_workload_appears_and_goes(prepared):
    prepared.write("cluster.yaml", [each for each in CLUSTER if each is not POD])
    prepared.start_ready()
    prepared.put("p.yaml", text(allow("GET")))
    prepared.expect_verdict(13, "no_endpoint")
    prepared.put("pod.yaml", text(POD))
    prepared.expect("GET")
    prepared.path("pod.yaml").unlink()
    prepared.expect_verdict(13, "no_endpoint")
    prepared.put("pod.yaml", text(POD))
    prepared.expect("GET")
    prepared.put("pod.yaml", text(changed(POD, "status.phase", "Succeeded")))
    prepared.expect_verdict(13, "no_endpoint")


def test_member_comes_and_goes(server):
    """A pod's labels, its namespace's, and a network set's: all count at once."""
    server.write("p.yaml", [resources.resource("GlobalNetworkPolicy p", {
        "selector": "app == 'web'",
        "ingress": [{"action": "Allow", "source": {"selector": "app == 'customer' && pcns.open == 'yes'"}},
                    {"action": "Allow", "source": {"selector": "office == 'yes'"}}]})])
    closed = (7, "denied_by_tier_default")
    server.expect_verdict(*closed)

    def cluster(labels=None, **pod_labels):
        objects = json.loads(json.dumps(CLUSTER))
        for each in objects:
            if each["kind"] == "Namespace":
                each["metadata"]["labels"] = labels or {}
            if each["metadata"]["name"] == "customer-0":
                each["metadata"]["labels"].update(pod_labels)
        server.write("cluster.yaml", objects)

    cluster({"open": "yes"})
    server.expect_verdict(0, "allowed_by_rule")
    cluster({"open": "yes"}, app="other")
    server.expect_verdict(*closed)
    cluster({"open": "yes"})
    server.expect_verdict(0, "allowed_by_rule")
    cluster({"open": "no"})
    server.expect_verdict(*closed)
    office = resources.resource("GlobalNetworkSet office", {"labels": {"office": "yes"}, "nets": [CUSTOMER]})
    server.put("office.yaml", text(office))
    server.expect_verdict(0, "allowed_by_rule")
    server.put("office.yaml", text(changed(office, "spec.nets", ["192.0.2.0/24"])))
    server.expect_verdict(*closed)


def test_tier_comes_and_goes(server):
    server.put("p.yaml", text(resources.resource("GlobalNetworkPolicy a.p", {
        "tier": "a", "selector": "app == 'web'", "ingress": [
            {"action": "Deny", "http": {"methods": ["PUT"]}}]}), allow("PUT"), allow("GET")))
    server.expect("GET", "PUT")  # a tier that is not there stands last
    tier = resources.resource("Tier a", {"order": 1, "defaultAction": "Pass"})
    server.put("tier.yaml", text(tier))
    server.expect("GET")
    server.put("tier.yaml", text(changed(tier, "spec.defaultAction", "Deny")))
    server.expect()
    server.path("tier.yaml").unlink()
    server.expect("GET", "PUT")


def test_account_and_namespace_come_and_go(server):
    server.path("isolated.yaml").unlink()
    server.expect_verdict(0, "allowed_by_profile")
    server.write("cluster.yaml", [each for each in CLUSTER if each["kind"] != "Namespace"])
    server.expect_verdict(7, "denied_by_profile")
    server.write("cluster.yaml", CLUSTER)
    server.expect_verdict(0, "allowed_by_profile")


def test_a_random_life(prepared, rng):
    """One resource a file, clusters that change step by step: always as from scratch."""
    for name in ["cluster.yaml", "isolated.yaml"]:
        prepared.path(name).unlink()
    prepared.start_ready()
    present = {}
    for _ in range(STEPS_OF_A_LIFE):
        cluster = clusters.cluster(rng)
        world = clusters.world(cluster)
        changes = [(name, world.get(name)) for name in {**present, **world}
                   if present.get(name) != world.get(name)]
        rng.shuffle(changes)
        for name, content in changes:
            file = name.replace(" ", "_").replace("/", "_") + ".yaml"
            if content is None:
                prepared.path(file).unlink()
            else:
                prepared.put(file, text(resources.resource(name, content)))
        present = world
        target = cluster["pods"][0]
        requests = clusters.requests(cluster, rng, 20)
        prepared.expect_that(
            lambda: [prepared.verdict(**{"from": source}, to=target.address, to_port=port,
                                      protocol=protocol, http=False)[0] == 0
                     for source, protocol, port in requests],
            [kubernetes.allowed(cluster, target, *request) for request in requests])


# ---- bad input on the command line -----------------------------------------------------------------------


@pytest.fixture
def refused(prepared):
    """refused(arguments, names): the server ends at once with 1 and one line that names the input.

    A second line may only say where help is.
    """
    def run(arguments, *names):
        done = subprocess.run([str(DIKASTES), *arguments], capture_output=True, text=True, timeout=20,
                              stdin=subprocess.DEVNULL, cwd=prepared.folder)
        lines = [line for line in done.stderr.splitlines()
                 if not line.startswith("Try: ") and line.strip()]
        assert done.returncode == 1, (done.returncode, done.stderr)
        assert len(lines) == 1, done.stderr
        for name in names:
            assert str(name) in lines[0], lines[0]
        assert not done.stdout

    return run


def arguments(listen, directory, workload="bank/web-0"):
    return ["server", "-l", str(listen), "-d", f"directory:{directory}", "--workload", workload]


def test_missing_directory(prepared, refused):
    refused(arguments(prepared.socket, prepared.folder / "nowhere"), prepared.folder / "nowhere")


def test_directory_that_is_a_file(prepared, refused):
    file = prepared.path("cluster.yaml")
    refused(arguments(prepared.socket, file), file)


def test_no_directory_named(prepared, refused):
    refused(arguments(prepared.socket, ""), "directory:")


def test_socket_path_too_long(prepared, refused):
    long = prepared.folder / ("s" * 120)
    refused(arguments(long, prepared.resources), long)
    assert not long.exists()


def test_socket_path_is_a_file(prepared, refused):
    """It is not removed."""
    prepared.socket.write_text("mine")
    refused(arguments(prepared.socket, prepared.resources), prepared.socket)
    assert prepared.socket.read_text() == "mine"


def test_socket_path_is_a_folder(prepared, refused):
    prepared.socket.mkdir()
    refused(arguments(prepared.socket, prepared.resources), prepared.socket)


def test_socket_path_is_a_link_to_a_file(prepared, refused):
    target = prepared.folder / "target"
    target.write_text("mine")
    prepared.socket.symlink_to(target)
    refused(arguments(prepared.socket, prepared.resources), prepared.socket)
    assert target.read_text() == "mine"


def test_socket_in_no_folder(prepared, refused):
    path = prepared.folder / "nowhere" / "s"
    refused(arguments(path, prepared.resources), path)


def test_unknown_flag(prepared, refused):
    refused([*arguments(prepared.socket, prepared.resources), "--frobnicate"], "--frobnicate")


def test_flag_without_its_value(prepared, refused):
    refused(["server", "-d", f"directory:{prepared.resources}", "--workload"], "--workload")


def test_superfluous_argument(prepared, refused):
    refused([*arguments(prepared.socket, prepared.resources), "surplus"], "surplus")


def test_missing_workload(prepared, refused):
    refused(["server", "-l", str(prepared.socket), "-d", f"directory:{prepared.resources}"], "--workload")


@pytest.mark.parametrize("workload", ["bank", "bank/", "/web-0", "bank/web-0/eth0", "", "/"])
def test_bad_workload(prepared, refused, workload):
    refused(arguments(prepared.socket, prepared.resources, workload), "--workload", workload)


@pytest.mark.parametrize("dial", ["foo", "Kubernetes:", "host:0"])
def test_bad_dial(prepared, refused, dial):
    """The message names all that could have been meant."""
    refused(["server", "-l", str(prepared.socket), "-d", dial], "--dial", f'"{dial}"', "directory:PATH", "kubernetes:")


@pytest.mark.parametrize("domains", ["", "a,", ",a", "spiffe://a", "a, b"])
def test_bad_trust_domain(prepared, refused, domains):
    refused([*arguments(prepared.socket, prepared.resources), "--trust-domain", domains],
            "--trust-domain", f'"{domains}"')


@pytest.mark.parametrize("question", [["health", "readiness"], ["client", "--plain-text", "--method", "GET"]],
                         ids=["health", "client"])
def test_socket_named_by_its_file_alone(server, question):
    """As `server -l` takes it; there is no such thing as a host without a port."""
    server.put("p.yaml", text(allow("GET")))
    server.expect("GET")
    done = subprocess.run([str(DIKASTES), *question, "-d", server.socket.name], capture_output=True, text=True, timeout=20,
                          cwd=server.socket.parent)
    assert done.returncode == 0, done


def test_bad_log_format(prepared, refused):
    refused([*arguments(prepared.socket, prepared.resources), "--log-format", "xml"], "xml")


def test_old_socket_is_replaced(prepared):
    """Only if it is a socket, page 2; see the others above."""
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(prepared.socket))
    prepared.put("p.yaml", text(allow("GET")))
    prepared.start_ready().expect("GET")
