"""Does a rule match?  One function a part, in the order of the page's table."""

from dataclasses import dataclass

from model import address, identity, path, selector, store as stores
from model.truth import BAD_PATH, FALSE, MISSING, TRUE, every, negate, of, some, unknown

UNKNOWN_ADDRESS = unknown("unknown_address")
UNKNOWN_IDENTITY = unknown("unknown_identity")
NOT_NORMALISABLE = unknown("path_not_normalisable")
NO_HTTP = unknown("no_http")


@dataclass
class Side:
    """The fields of a rule that speak of one end, with that end of the request."""

    peer: object
    nets: list
    not_nets: list
    ip_sets: list
    not_ip_sets: list
    ip_port_sets: list
    ports: list
    named_ports: list
    not_ports: list
    not_named_ports: list
    has_pod_selector: bool
    namespace_selector: object  # parsed; None for no condition
    account_names: list
    account_selector: object    # parsed; None for no condition

    def has_account_match(self):
        return bool(self.account_names) or self.account_selector is not None

    def has_positive_ip_set(self):
        return bool(self.ip_sets or self.ip_port_sets or self.named_ports)


def _side(rule, peer, side):
    def get(name):
        return getattr(rule, name.replace("SIDE", side))

    account = get("SIDE_service_account_match")
    return Side(
        peer=peer,
        nets=[address.parse_net(net) for net in get("SIDE_net")],
        not_nets=[address.parse_net(net) for net in get("not_SIDE_net")],
        ip_sets=get("SIDE_ip_set_ids"),
        not_ip_sets=get("not_SIDE_ip_set_ids"),
        ip_port_sets=rule.dst_ip_port_set_ids if side == "dst" else [],
        ports=get("SIDE_ports"),
        named_ports=get("SIDE_named_port_ip_set_ids"),
        not_ports=get("not_SIDE_ports"),
        not_named_ports=get("not_SIDE_named_port_ip_set_ids"),
        has_pod_selector=any(
            selector_text.strip(b" \t")
            for selector_text in (get("original_SIDE_selector"), get("original_not_SIDE_selector"))
        ),
        namespace_selector=selector.parse(get("original_SIDE_namespace_selector")),
        account_names=account.names,
        account_selector=selector.parse(account.selector),
    )


def judge(store, rule, policy_namespace, request):
    """The truth of the whole rule."""
    source = _side(rule, request.source, "src")
    destination = _side(rule, request.destination, "dst")
    sides = (source, destination)
    parts = [
        ip_version(rule, source),
        protocol(rule, request),
        icmp(rule),
        *(nets(side) for side in sides),
        *(ip_sets(store, side) for side in sides),
        ip_port_sets(store, destination, request),
        *(ports(store, side, request) for side in sides),
        *(service_account(store, side) for side in sides),
        *(namespace(store, side, policy_namespace) for side in sides),
        http_methods(rule, request),
        http_paths(rule, request),
    ]
    return every(parts)


def ip_version(rule, source):
    if rule.ip_version == 0:
        return TRUE
    if source.peer.address is None:
        return UNKNOWN_ADDRESS
    return of(source.peer.address[0] == rule.ip_version)


def protocol(rule, request):
    def holds(wanted):
        if wanted.WhichOneof("number_or_name") == "number":
            return wanted.number == request.protocol
        return address.PROTOCOLS[wanted.name.lower()] == request.protocol

    return of((not rule.HasField("protocol") or holds(rule.protocol))
              and not (rule.HasField("not_protocol") and holds(rule.not_protocol)))


def icmp(rule):
    """No request is ever ICMP."""
    return of(rule.WhichOneof("icmp") is None)


def nets(side):
    if not side.nets and not side.not_nets:
        return TRUE
    if side.peer.address is None:
        return UNKNOWN_ADDRESS

    def contains(candidates):
        return any(address.net_contains(net, side.peer.address) for net in candidates)

    return of((not side.nets or contains(side.nets)) and not contains(side.not_nets))


def _set_of_type(store, set_id, types):
    """The set, or None: not there, of a type that does not fit, or unreadable."""
    ip_set = store.ip_sets.get(set_id)
    if ip_set is None or not ip_set.readable or ip_set.type not in types:
        return None
    return ip_set


def _in_ip_set(store, set_id, peer):
    ip_set = _set_of_type(store, set_id, (stores.IP, stores.NET))
    if ip_set is None:
        return MISSING
    if peer.address is None:
        return UNKNOWN_ADDRESS
    if ip_set.type == stores.IP:
        return of(peer.address in ip_set.members)
    return of(any(address.net_contains(net, peer.address) for net in ip_set.members))


def _has_no_port(peer):
    """Without an address there is no port either."""
    return peer.address is None or peer.port is None


def _in_ip_port_set(store, set_id, peer, request):
    ip_set = _set_of_type(store, set_id, (stores.IP_AND_PORT,))
    if ip_set is None:
        return MISSING
    if _has_no_port(peer):
        return UNKNOWN_ADDRESS
    return of((peer.address, request.protocol, peer.port) in ip_set.members)


def ip_sets(store, side):
    return every([_in_ip_set(store, set_id, side.peer) for set_id in side.ip_sets]
                 + [negate(_in_ip_set(store, set_id, side.peer)) for set_id in side.not_ip_sets])


def ip_port_sets(store, side, request):
    return every([_in_ip_port_set(store, set_id, side.peer, request)
                  for set_id in side.ip_port_sets])


def ports(store, side, request):
    def holds(ranges, named):
        return some(
            [UNKNOWN_ADDRESS if _has_no_port(side.peer)
             else of(each.first <= side.peer.port <= each.last) for each in ranges]
            + [_in_ip_port_set(store, set_id, side.peer, request) for set_id in named])

    parts = []
    if side.ports or side.named_ports:
        parts.append(holds(side.ports, side.named_ports))
    if side.not_ports or side.not_named_ports:
        parts.append(negate(holds(side.not_ports, side.not_named_ports)))
    return every(parts)


def _without_identity(side):
    """Parts about who the peer is, when no certificate says so: None if one does."""
    if side.peer.identity == identity.UNKNOWN:
        return UNKNOWN_IDENTITY
    if side.peer.identity == identity.NONE:
        return TRUE if side.has_positive_ip_set() else UNKNOWN_IDENTITY
    return None


def service_account(store, side):
    if not side.has_account_match():
        return TRUE
    fallback = _without_identity(side)
    if fallback:
        return fallback
    who = side.peer.identity
    if side.account_names and who.account not in side.account_names:
        return FALSE
    if side.account_selector is None:
        return TRUE
    synced = store.service_accounts.get((who.namespace, who.account), {})
    return of(selector.evaluate(side.account_selector, {**side.peer.labels, **synced}))


def namespace(store, side, policy_namespace):
    own_namespace_only = policy_namespace and (side.has_pod_selector or side.has_account_match())
    if side.namespace_selector is None and not own_namespace_only:
        return TRUE
    fallback = _without_identity(side)
    if fallback:
        return fallback
    who = side.peer.identity
    if side.namespace_selector is None:
        return of(who.namespace == policy_namespace)
    return of(selector.evaluate(side.namespace_selector, store.namespaces.get(who.namespace, {})))


def http_methods(rule, request):
    methods = rule.http_match.methods
    if not methods:
        return TRUE
    if not request.has_http:
        return NO_HTTP
    return of(b"*" in methods or request.method in methods)


def http_paths(rule, request):
    paths = rule.http_match.paths
    if not paths:
        return TRUE
    if not request.has_http:
        return NO_HTTP
    if (request.method, request.path) == (b"OPTIONS", b"*"):
        return FALSE
    normal = path.normalise_request(request.path)
    if normal == path.MALFORMED:
        return BAD_PATH
    if normal == path.NOT_NORMALISABLE:
        return NOT_NORMALISABLE

    def holds(match):
        if match.WhichOneof("path_match") == "exact":
            return normal == path.normalise_rule(match.exact)
        return path.has_prefix(normal, path.normalise_rule(match.prefix))

    return of(any(holds(match) for match in paths))
