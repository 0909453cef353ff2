"""Calico's policies: who may reach a pod, and whom it may reach, by table.

Every question is put in plain text and with the peer's own certificate, which is the same answer.  The messages are
those of the code under test, and those of the plain model of the calculation, which judges it elsewhere.
"""

import pytest

import vectors
from calculation import resources
from calculation.reachability import Judge, check_case, from_directory, principal, request
from naive_sender import NaiveSender

TABLE = vectors.load("calico_semantics.yaml")

CASE_KEYS = {"name", "world", "allowed", "reaches", "http"}


def _by_model(world, workload):
    sender = NaiveSender()
    sender.ask("node_open", workload=workload)
    sender.ask("node_change", update=[resources.resource(*entry) for entry in world.items()], remove=[],
               in_sync=False)
    return [message.SerializeToString() for message in sender.messages()]


def _answers(judge, lines):
    """"METHOD PATH" -> whether it is allowed, in plain text and with the peer's own certificate."""
    return {line: {judge.is_allowed(**request(TABLE, "customer", "http"), principal=principal(account), http=True,
                                    method=line.partition(" ")[0], path=line.partition(" ")[2])
                   for account in (None, TABLE["sources"]["customer"]["account"])}
            for line in lines}


def _check(probe, calculate, case):
    assert set(case) <= CASE_KEYS and {"allowed", "reaches", "http"} & set(case)
    messages = calculate(resources.merged(TABLE["cluster"], case["world"]), "bank/web")
    check_case(probe, TABLE, messages, case)
    lines = case.get("http", {})
    assert _answers(Judge(probe, messages), lines) == {line: {lines[line] == "allowed"} for line in lines}


@pytest.mark.parametrize("case", **vectors.by_name(TABLE["cases"]))
def test_table(probe, tmp_path, case):
    _check(probe, from_directory(probe, tmp_path), case)


@pytest.mark.parametrize("case", **vectors.by_name(TABLE["cases"]))
def test_model_agrees_with_table(probe, case):
    _check(probe, _by_model, case)
