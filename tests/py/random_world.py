"""Random policies, sets, endpoints and requests in the form of scenario.py.

The alphabets are tiny on purpose: a handful of addresses, names, ports and paths,
so that rules match often, sets overlap and every doubt of the page comes up.
"""

ADDRESSES = ["10.0.0.1", "10.0.0.2", "10.0.1.1", "::ffff:10.0.0.1", "2001:db8::1", "2001:db8::2"]
ODD_ADDRESSES = [None, "pipe", "", "10.0.0.01", "fe80::1%eth0", "host", "10.0.0.1\0"]
NETS = ["10.0.0.0/24", "10.0.0.1/32", "10.0.0.0/31", "0.0.0.0/0", "::/0", "2001:db8::/64",
        "2001:db8::1/128", "::ffff:10.0.0.0/120", "::ffff:0:0/95", "192.168.0.0/16"]
BAD_NETS = ["10.0.0.1", "10.0.0.0/33", "net", ""]
PORTS = [80, 81, 40000]
ODD_PORTS = [0, 65536 + 80, "80", "http"]
PRINCIPALS = [f"spiffe://{domain}/ns/{namespace}/sa/{account}"
              for domain in ("td", "foreign") for namespace in "xy" for account in "ab"]
ODD_PRINCIPALS = ["odd", "spiffe://td/ns/x/sa/", "spiffe://td/ns/x/sa/a/b", "SPIFFE://td/ns/x/sa/a"]
SELECTORS = ["k == 'v'", "k != 'v'", "has(k)", "!has(k)", "k in {'v', 'w'}", "k not in {'w'}",
             "all()", "global()", "k starts with 'v' || l ends with 'w'",
             "k contains 'v' && !(l == 'w')", " ", ""]
BAD_SELECTORS = ["k = 'v'", "(", "has(k", "!" * 101 + "has(k)"]
METHODS = ["GET", "POST", "OPTIONS"]
PATHS = ["/", "/a", "/a/b", "/ab", "/a/../b", "/%61", "//a/", "/a;x/b", "/a?x", "/a#x", "\\a", "/x\\..\\a",
         "http://h/a", "http://h", "/%252e", "/a%252Fb", "/%", "/%0", "/\0", "/%00", "/b/%2e%2e/a", "/%25"]
BAD_PATHS = ["", "a", "*", "%2fa", "?a", "host:1"]
RULE_PATHS = ["/", "/", "/a", "/a", "/a/b", "/b", "/a/", "/x/../a", "/%61"]
BAD_RULE_PATHS = ["", "a", "/%", "/%252f", "http://h/a"]
NET_SETS = ["n1", "n2", "i1"]
PORT_SETS = ["p1", "p2"]
KINDS = ["GlobalNetworkPolicy", "NetworkPolicy", "StagedNetworkPolicy"]
TIERS = ["t1", "t2", "t3"]
PROFILES = ["pr1", "pr2"]

RARELY = 0.03


def _some(rng, items, most=2):
    return [rng.choice(items) for _ in range(rng.randint(1, most))]


def _mostly(rng, items, odd, chance=RARELY):
    return rng.choice(odd if rng.random() < chance else items)


def _labels(rng):
    return {key: rng.choice("vw") for key in "kl" if rng.random() < 0.5}


# ---- IP sets ------------------------------------------------------------------


def _members(rng, kind):
    address = rng.choice(ADDRESSES)
    if kind == "IP_AND_PORT":
        good = f"{address},{rng.choice(['tcp', 'TCP', 'udp'])}:{rng.choice(PORTS)}"
        return _mostly(rng, [good], [address, "10.0.0.1,tcp:x", "10.0.0.1,x:80"])
    if kind == "NET":
        return _mostly(rng, NETS + [address], ["10.0.0.0/40", "x"])
    return _mostly(rng, [address], ["10.0.0", "x"])


def ip_set_step(rng, first=False):
    set_id = rng.choice(NET_SETS + PORT_SETS)
    kind = {"n": "NET", "i": "IP", "p": "IP_AND_PORT"}[set_id[0]]
    if rng.random() < RARELY:
        kind = rng.choice(["NET", "IP", "IP_AND_PORT", 9])
    members = [_members(rng, kind) for _ in range(rng.randint(0, 4))]
    choice = rng.random()
    if first or choice < 0.5:
        return {"ip_set": {"id": set_id, "type": kind, "members": members}}
    if choice < 0.95:
        return {"ip_set_delta": {"id": set_id, "add": members[:2], "remove": members[1:]}}
    return {"ip_set_remove": set_id}


# ---- rules ----------------------------------------------------------------------


def _protocol(rng):
    return _mostly(rng, [{"name": "tcp"}, {"name": "TCP"}, {"number": 6}, {"name": "UDP"}],
                   [{}, {"number": 300}, {"name": "x"}, {"number": 0}])


def _ranges(rng):
    return [{"first": rng.choice(PORTS), "last": rng.choice(PORTS)}
            for _ in range(rng.randint(1, 2))]


def _sets(rng, good, others):
    return [_mostly(rng, good, others + ["gone"], 0.05) for _ in range(rng.randint(1, 2))]


def _account(rng):
    match = {}
    if rng.random() < 0.6:
        match["names"] = _some(rng, ["a", "b", "a*", "A"])
    if rng.random() < 0.5:
        match["selector"] = _mostly(rng, SELECTORS, BAD_SELECTORS)
    return match


def _http(rng):
    match = {}
    if rng.random() < 0.5:
        match["methods"] = _some(rng, METHODS + ["*"])
    if rng.random() < 0.7:
        match["paths"] = [
            _mostly(rng, [{rng.choice(["exact", "prefix"]): _mostly(rng, RULE_PATHS, BAD_RULE_PATHS)}],
                    [{}], RARELY / 3)
            for _ in range(rng.randint(1, 2))]
    return match


def _part(rng):
    """One field of a rule."""
    side = rng.choice(["src", "dst"])
    return rng.choice([
        lambda: {"ip_version": _mostly(rng, [4, 4, 6], [5])},
        lambda: {rng.choice(["protocol", "not_protocol"]): _protocol(rng)},
        lambda: {rng.choice(["not_icmp_type", "not_icmp_type", "icmp_type"]): rng.choice([0, 8])},
        lambda: {f"{side}_net": [_mostly(rng, NETS, BAD_NETS)]},
        lambda: {f"{side}_net": _some(rng, NETS, 3)},
        lambda: {f"not_{side}_net": [_mostly(rng, NETS, BAD_NETS)]},
        lambda: {f"{side}_ip_set_ids": _sets(rng, NET_SETS, PORT_SETS)},
        lambda: {f"not_{side}_ip_set_ids": _sets(rng, NET_SETS, PORT_SETS)},
        lambda: {"dst_ip_port_set_ids": _sets(rng, PORT_SETS, NET_SETS)},
        lambda: {f"{side}_ports": _ranges(rng)},
        lambda: {f"not_{side}_ports": _ranges(rng)},
        lambda: {f"{side}_named_port_ip_set_ids": _sets(rng, PORT_SETS, NET_SETS)},
        lambda: {f"not_{side}_named_port_ip_set_ids": _sets(rng, PORT_SETS, NET_SETS)},
        lambda: {f"{side}_service_account_match": _account(rng)},
        lambda: {f"{side}_service_account_match": _account(rng),
                 f"{side}_ip_set_ids": _sets(rng, NET_SETS, PORT_SETS)},
        lambda: {f"original_{side}_namespace_selector": _mostly(rng, SELECTORS, BAD_SELECTORS)},
        lambda: {f"original_{side}_selector": rng.choice(["has(k)", "((", " ", ""])},
        lambda: {f"original_not_{side}_selector": rng.choice(["has(k)", "", "x"]),
                 f"{side}_ip_set_ids": _sets(rng, NET_SETS, PORT_SETS)},
        lambda: {"http_match": _http(rng)},
        lambda: {"http_match": _http(rng)},
        lambda: {"http_match": _http(rng)},
        lambda: {"http_match": _http(rng)},
    ])()


def _rule(rng):
    rule = {}
    for _ in range(rng.choice([0, 1, 1, 1, 1, 2, 2, 3])):
        rule.update(_part(rng))
    actions = ["allow", "Allow", "deny", "next-tier", "pass", "log", "LOG"]
    return {"action": _mostly(rng, actions, ["", "reject"], RARELY / 6), **rule}


def _rules(rng):
    return [_rule(rng) for _ in range(rng.randint(1, 5))]


# ---- policies, profiles, endpoints ---------------------------------------------------


def _policy_name(rng):
    kind = rng.choice(KINDS)
    name = {"kind": kind, "name": rng.choice("abc")}
    if kind != "GlobalNetworkPolicy":
        name["ns"] = rng.choice("xy")
    return name


def _old_name(rng):
    return rng.choice(["a", "b", "x/a", "staged:a", "x/staged:a"])


def policy_step(rng):
    if rng.random() < 0.3:
        content = {"tier": rng.choice(TIERS), "name": _old_name(rng)}
        namespace = rng.choice(["", "x"])
    else:
        content = _policy_name(rng)
        namespace = content.get("ns", "")
    content.update(namespace=namespace, rules=_rules(rng))
    if rng.random() < 0.1:
        content["outbound"] = [{"action": "bad", "src_net": ["bad"]}]
    if rng.random() < RARELY / 3:
        content["broken"] = True
    return {"policy": content}


def profile_step(rng):
    content = {"name": rng.choice(PROFILES), "rules": _rules(rng)}
    if rng.random() < RARELY / 3:
        content["broken"] = True
    return {"profile": content}


def endpoint_step(rng, known):
    """An endpoint that mostly refers to policies which are there."""
    def entry(tier):
        if known and rng.random() < 0.97:
            name = dict(rng.choice(known))
            if "kind" in name:
                return name
            return name["name"] if name["tier"] == tier and rng.random() < 0.7 else name
        return rng.choice([_policy_name(rng), _old_name(rng)])

    tiers = [{"name": tier, "default": rng.choice(["Pass", "Pass", "Deny", "", "pass"]),
              "policies": [entry(tier) for _ in range(rng.randint(0, 3))]}
             for tier in TIERS if rng.random() < 0.7]
    return {"endpoint": {"tiers": tiers,
                         "profiles": [rng.choice(PROFILES) for _ in range(rng.randint(0, 2))]}}


def account_step(rng):
    content = {"namespace": rng.choice("xy"), "name": rng.choice("ab")}
    if rng.random() < 0.2:
        return {"service_account_remove": content}
    return {"service_account": {**content, "labels": _labels(rng)}}


def namespace_step(rng):
    if rng.random() < 0.2:
        return {"namespace_remove": rng.choice("xy")}
    return {"namespace": {"name": rng.choice("xy"), "labels": _labels(rng)}}


# ---- whole worlds ---------------------------------------------------------------------


def _names_of(steps):
    names = [step["policy"] for step in steps if "policy" in step]
    return [{key: value for key, value in name.items() if key in ("name", "kind", "ns", "tier")}
            for name in names]


def first_steps(rng):
    steps = [ip_set_step(rng, first=True) for _ in range(10)]
    steps += [policy_step(rng) for _ in range(rng.randint(1, 6))]
    if rng.random() < 0.95:
        steps += [{"profile": {"name": name, "rules": _rules(rng)}} for name in PROFILES]
    steps += [account_step(rng) for _ in range(4)] + [namespace_step(rng) for _ in range(2)]
    if rng.random() < 0.98:
        steps.append(endpoint_step(rng, _names_of(steps)))
    if rng.random() < 0.98:
        steps.append({"in_sync": {}})
    return steps


def later_steps(rng, before):
    """A batch of changes after a world's first steps."""
    known = _names_of(before)

    def removal():
        if known and rng.random() < 0.5:
            return {"policy_remove": rng.choice(known)}
        return {"profile_remove": rng.choice(PROFILES)}

    return [rng.choice([
        lambda: ip_set_step(rng), lambda: ip_set_step(rng), lambda: policy_step(rng),
        lambda: profile_step(rng), lambda: account_step(rng), lambda: namespace_step(rng),
        lambda: endpoint_step(rng, known), lambda: endpoint_step(rng, known),
        removal if rng.random() < 0.3 else lambda: {"ignored": "vtep_update"},
    ])() for _ in range(rng.randint(1, 4))]


def trust_domains(rng):
    return rng.choice([None, None, ["td"], ["other", "td"]])


def request(rng):
    given = {
        "from": _mostly(rng, ADDRESSES, ODD_ADDRESSES, 0.1),
        "to": _mostly(rng, ADDRESSES, ODD_ADDRESSES, 0.07),
        "from_port": _mostly(rng, PORTS, ODD_PORTS), "to_port": _mostly(rng, PORTS, ODD_PORTS),
        "protocol": rng.choice(["TCP", "TCP", "UDP"]),
        "principal": rng.choice(["", _mostly(rng, PRINCIPALS, ODD_PRINCIPALS, 0.2)]),
        "to_principal": rng.choice(["", _mostly(rng, PRINCIPALS, ODD_PRINCIPALS, 0.2)]),
        "from_labels": _labels(rng), "to_labels": _labels(rng),
        "http": rng.random() < 0.85,
        "method": _mostly(rng, METHODS, ["get", "", "*"], 0.1),
        "path": _mostly(rng, PATHS, BAD_PATHS, 0.15),
    }
    if rng.random() < RARELY:
        given.update(method="OPTIONS", path="*")
    return given
