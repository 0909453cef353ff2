"""Worlds and requests as plain data, the form of the tables and of random cases.

A *step* is a dictionary with one key, one message of the Policy Sync stream:

  ip_set: {id, type: IP | IP_AND_PORT | NET | number, members}
  ip_set_delta: {id, add, remove}          ip_set_remove: ID
  policy: {name, kind, ns, tier, namespace, rules, outbound, broken}
  policy_remove: {name, kind, ns, tier}
  profile: {name, rules, outbound, broken} profile_remove: NAME
  endpoint: {tiers: [{name, policies, default}], profiles}   endpoint_remove: {}
  service_account: {namespace, name, labels}                 service_account_remove: {...}
  namespace: {name, labels}                namespace_remove: NAME
  in_sync: {}                              ignored: FIELD NAME

In policies `ns` is the namespace of the PolicyID, `namespace` that of the Policy;
`broken: true` makes the content bytes that do not decode.  An entry of a tier is
a dictionary (a PolicyID) or a text (a bare name, as older senders have it).
Rules are felix.Rule with the names of felix.proto.

A *request* has the keys of REQUEST_DEFAULTS; `text(...)` says how bytes are given.
"""

import base64

from google.protobuf import json_format

from protos import ext_authz_raw, felix_raw, felix

BROKEN = b"\x0a\xff"  # a length that runs past the end

REQUEST_DEFAULTS = {
    "from": "10.0.0.1", "from_port": 40000, "from_labels": {}, "principal": "",
    "to": "10.0.0.2", "to_port": 8080, "to_labels": {}, "to_principal": "",
    "protocol": "TCP", "http": True, "method": "GET", "path": "/",
}


def text(value):
    """Bytes of a text; {b64: ...} gives any bytes."""
    if isinstance(value, dict):
        return base64.b64decode(value["b64"])
    return value.encode("utf-8", "surrogateescape")


def rule(fields):
    return json_format.ParseDict(fields, felix.Rule())


def _policy_id(given):
    return felix.PolicyID(name=given.get("name", ""), kind=given.get("kind", ""),
                          namespace=given.get("ns", ""), tier=given.get("tier", ""))


def _rules(message, given):
    for fields in given.get("rules", []):
        message.inbound_rules.append(rule(fields))
    for fields in given.get("outbound", []):
        message.outbound_rules.append(rule(fields))
    return message


def _ip_set(given):
    kind = given.get("type", "NET")
    if isinstance(kind, str):
        kind = felix.IPSetUpdate.IPSetType.Value(kind)
    return felix.IPSetUpdate(id=given["id"], type=kind, members=given.get("members", []))


def _policy(given):
    # The raw copy takes the content as bytes, so that it may be broken.
    content = _rules(felix.Policy(namespace=given.get("namespace", "")), given)
    return felix_raw.ActivePolicyUpdate(
        id=felix_raw.PolicyID.FromString(_policy_id(given).SerializeToString()),
        policy=BROKEN if given.get("broken") else content.SerializeToString())


def _profile(given):
    content = _rules(felix.Profile(), given)
    return felix_raw.ActiveProfileUpdate(
        id=felix_raw.ProfileID(name=text(given["name"])),
        profile=BROKEN if given.get("broken") else content.SerializeToString())


def _tier_entry(entry):
    return text(entry) if isinstance(entry, str) else _policy_id(entry).SerializeToString()


def _endpoint(given):
    update = felix_raw.WorkloadEndpointUpdate()
    update.id.CopyFrom(ENDPOINT_ID)
    update.endpoint.profile_ids.extend(text(name) for name in given.get("profiles", []))
    for tier in given.get("tiers", []):
        update.endpoint.tiers.add(
            name=text(tier["name"]), default_action=text(tier.get("default", "Deny")),
            ingress_policies=[_tier_entry(entry) for entry in tier.get("policies", [])],
            egress_policies=[_tier_entry(entry) for entry in tier.get("egress", [])])
    return update


ENDPOINT_ID = felix_raw.WorkloadEndpointID(orchestrator_id=b"k8s", workload_id=b"bank/web-0",
                                           endpoint_id=b"eth0")

# Step name -> (field of ToDataplane, content from what is given).
STEPS = {
    "in_sync": ("in_sync", lambda given: felix.InSync()),
    "ip_set": ("ipset_update", _ip_set),
    "ip_set_delta": ("ipset_delta_update", lambda given: felix.IPSetDeltaUpdate(
        id=given["id"], added_members=given.get("add", []),
        removed_members=given.get("remove", []))),
    "ip_set_remove": ("ipset_remove", lambda given: felix.IPSetRemove(id=given)),
    "policy": ("active_policy_update", _policy),
    "policy_remove": ("active_policy_remove",
                      lambda given: felix.ActivePolicyRemove(id=_policy_id(given))),
    "profile": ("active_profile_update", _profile),
    "profile_remove": ("active_profile_remove", lambda given: felix.ActiveProfileRemove(
        id=felix.ProfileID(name=given))),
    "endpoint": ("workload_endpoint_update", _endpoint),
    "endpoint_remove": ("workload_endpoint_remove",
                        lambda given: felix_raw.WorkloadEndpointRemove(id=ENDPOINT_ID)),
    "service_account": ("service_account_update", lambda given: felix.ServiceAccountUpdate(
        id=felix.ServiceAccountID(namespace=given["namespace"], name=given["name"]),
        labels=given.get("labels", {}))),
    "service_account_remove": ("service_account_remove", lambda given: felix.ServiceAccountRemove(
        id=felix.ServiceAccountID(**given))),
    "namespace": ("namespace_update", lambda given: felix.NamespaceUpdate(
        id=felix.NamespaceID(name=given["name"]), labels=given.get("labels", {}))),
    "namespace_remove": ("namespace_remove", lambda given: felix.NamespaceRemove(
        id=felix.NamespaceID(name=given))),
}


def message(step):
    """A step as the bytes of a felix.ToDataplane."""
    (name, given), = step.items()
    if name == "ignored":
        return felix.ToDataplane(**{given: felix.Ignored()}).SerializeToString()
    field, content = STEPS[name]
    wrapped = felix_raw.ToDataplane()
    getattr(wrapped, field).MergeFromString(content(given).SerializeToString())
    getattr(wrapped, field).SetInParent()
    return wrapped.SerializeToString()


def _fill_peer(peer, address, port, protocol, principal, labels):
    peer.principal = text(principal)
    for key, value in labels.items():
        peer.labels.add(key=text(key), value=text(value))
    if address is None:
        return
    if address == "pipe":
        peer.address.pipe.path = b"/run/app.sock"
        return
    socket = peer.address.socket_address
    socket.address = text(address)
    if isinstance(port, str):
        socket.named_port = text(port)
    else:
        socket.port_value = port
    socket.protocol = protocol


def request(given):
    """The message (of the raw copy) for a request given as plain data."""
    unknown = set(given) - set(REQUEST_DEFAULTS)
    assert not unknown, f"unknown request keys {unknown}"
    full = {**REQUEST_DEFAULTS, **given}
    protocol = full["protocol"]
    if isinstance(protocol, str):
        protocol = ext_authz_raw.SocketAddress.Protocol.Value(protocol)
    check = ext_authz_raw.CheckRequest()
    attributes = check.attributes
    _fill_peer(attributes.source, full["from"], full["from_port"], 0,
               full["principal"], full["from_labels"])
    _fill_peer(attributes.destination, full["to"], full["to_port"], protocol,
               full["to_principal"], full["to_labels"])
    if full["http"]:
        attributes.request.http.method = text(full["method"])
        attributes.request.http.path = text(full["path"])
        attributes.request.http.SetInParent()
    return check
