"""Which policies and profiles cannot be understood.  Only inbound rules count."""

from model import address, path, selector

ACTIONS = (b"allow", b"deny", b"pass", b"next-tier", b"log")


def is_malformed(rules):
    return any(_rule_is_malformed(rule) for rule in rules)


def _rule_is_malformed(rule):
    nets = [*rule.src_net, *rule.dst_net, *rule.not_src_net, *rule.not_dst_net]
    selectors = [
        rule.original_src_namespace_selector,
        rule.original_dst_namespace_selector,
        rule.src_service_account_match.selector,
        rule.dst_service_account_match.selector,
    ]
    return (
        rule.action.lower() not in ACTIONS
        or rule.ip_version not in (0, 4, 6)
        or any(_protocol_is_malformed(rule, field) for field in ("protocol", "not_protocol"))
        or any(address.parse_net(net) is None for net in nets)
        or any(_selector_is_malformed(text) for text in selectors)
        or any(_path_is_malformed(match) for match in rule.http_match.paths)
    )


def _protocol_is_malformed(rule, field):
    if not rule.HasField(field):
        return False
    protocol = getattr(rule, field)
    which = protocol.WhichOneof("number_or_name")
    if which == "number":
        return not 0 <= protocol.number <= 255
    return which is None or protocol.name.lower() not in address.PROTOCOLS


def _selector_is_malformed(text):
    try:
        selector.parse(text)
    except selector.SelectorError:
        return True
    return False


def _path_is_malformed(match):
    which = match.WhichOneof("path_match")
    return which is None or path.normalise_rule(getattr(match, which)) is None
