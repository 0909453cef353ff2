"""Calico's policies: who may reach a pod, and whom it may reach, by table.

Every question is put in plain text and with the peer's own certificate, which is the same answer.
"""

import pytest

import vectors
from calculation import resources
from calculation.reachability import Judge, check_case, principal, request

TABLE = vectors.load("calico_semantics.yaml")

CASE_KEYS = {"name", "world", "allowed", "reaches", "http", "needs"}

# What a case may need that the directory does not give yet.
NOT_YET = {"services": "services matches are refused", "hosts": "HostEndpoints are not read"}


def _cases():
    named = vectors.by_name(TABLE["cases"])
    return [pytest.param(case, id=name, marks=[pytest.mark.xfail(strict=True, reason=NOT_YET[case["needs"]])]
                         if case.get("needs") in NOT_YET else [])
            for case, name in zip(named["argvalues"], named["ids"])]


def _answers(judge, lines):
    """"METHOD PATH" -> whether it is allowed, in plain text and with the peer's own certificate."""
    return {line: {judge.is_allowed(**request(TABLE, "customer", "http"), principal=principal(account), http=True,
                                    method=line.partition(" ")[0], path=line.partition(" ")[2])
                   for account in (None, TABLE["sources"]["customer"]["account"])}
            for line in lines}


@pytest.mark.parametrize("case", _cases())
def test_table(probe, tmp_path, case):
    assert set(case) <= CASE_KEYS and {"allowed", "reaches", "http"} & set(case)
    world = resources.merged(TABLE["cluster"], case["world"])
    check_case(probe, tmp_path, TABLE, world, case)
    if "http" in case:
        assert _answers(Judge(probe, tmp_path, world, "bank/web"), case["http"]) == {
            line: {wanted == "allowed"} for line, wanted in case["http"].items()}
