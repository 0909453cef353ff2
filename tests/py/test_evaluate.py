"""The hand-written tables against the model, and against the C evaluator.

rule_parts.yaml tells of every part of a rule by itself whether it is true, false,
unknown or missing; EXPECTED below turns that into verdicts under each action.
evaluate.yaml tells of the walk over tiers, policies and profiles.
"""

import pytest

import judges
import vectors

PARTS = vectors.load("rule_parts.yaml")
WALKS = vectors.load("evaluate.yaml")

POLICY = {"kind": "GlobalNetworkPolicy", "name": "p"}

# What follows the rule under test, so that "does not match" shows.
FOLLOWED_BY = {"allow": "deny", "deny": "allow", "log": "allow", "next-tier": "deny",
               "pass": "deny"}

OTHER_RULE = {"allow": ("denied_by_rule", 1), "deny": ("allowed_by_rule", 1),
              "log": ("allowed_by_rule", 1), "pass": ("denied_by_rule", 1)}
MATCHES = {"allow": ("allowed_by_rule", 0), "deny": ("denied_by_rule", 0),
           "log": ("allowed_by_rule", 1), "pass": "profile"}


def expected(action, is_):
    """The verdict on a rule that `is_` so, under an action."""
    action = "pass" if action == "next-tier" else action
    refuses = {"deny", "pass"}
    if is_ == "match":
        outcome = MATCHES[action]
    elif is_ == "no match":
        outcome = OTHER_RULE[action]
    elif is_ == "missing":
        outcome = OTHER_RULE[action] if action == "log" else ("missing_ip_set", 0)
    elif is_ == "bad path":
        outcome = ("malformed_path", 0)
    elif is_ == "bad path and missing":
        outcome = ("malformed_path" if action == "log" else "missing_ip_set", 0)
    elif is_ == "malformed":
        outcome = ("malformed_policy", -1)
    else:
        outcome = (is_, 0) if action in refuses else OTHER_RULE[action]
    if outcome == "profile":
        return judges.verdict("allowed_by_profile", policy="open", kind="Profile", rule=0)
    reason, rule = outcome
    logged = 1 if (action, is_) == ("log", "match") else 0
    return judges.verdict(reason, tier="t", policy="p", kind="GlobalNetworkPolicy", rule=rule,
                          logged=logged)


@pytest.fixture(params=["model", "probe"])
def judge(request):
    """Every table is put to both; asking for the probe fails when it is not built."""
    if request.param == "model":
        return judges.ModelJudge()
    return judges.ProbeJudge(request.getfixturevalue("probe"))


@pytest.mark.parametrize("case", **vectors.by_name(PARTS["cases"]))
@pytest.mark.parametrize("action", list(FOLLOWED_BY))
def test_rule_part(judge, case, action):
    unknown = set(case) - {"name", "rule", "request", "namespace", "trust_domains", "is"}
    assert not unknown, f"keys of no meaning: {unknown}"
    judge.reset(case.get("trust_domains"))
    judge.sync(PARTS["world"] + [
        {"policy": {**POLICY, "namespace": case.get("namespace", ""), "rules": [
            {**case["rule"], "action": action}, {"action": FOLLOWED_BY[action]}]}},
        {"profile": {"name": "open", "rules": [{"action": "allow"}]}},
        {"endpoint": {"tiers": [{"name": "t", "policies": [POLICY]}], "profiles": ["open"]}},
        {"in_sync": {}},
    ])
    assert judge.check(case.get("request", {})) == expected(action, case["is"])


@pytest.mark.parametrize("case", **vectors.by_name(WALKS["cases"]))
def test_walk(judge, case):
    judge.reset()
    for index, move in enumerate(case["moves"]):
        steps = list(move.get("steps", []))
        if index == 0 and case.get("in_sync", True):
            steps.append({"in_sync": {}})
        if steps:
            judge.sync(steps)
        assert judge.check(move.get("request", {})) == judges.verdict(**move["verdict"]), \
            f"move {index}"
