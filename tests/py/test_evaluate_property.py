"""Random worlds and requests: the C evaluator must judge just as the model does.

DIKAST_SEED repeats a run; DIKAST_WORLDS asks for more of them.  A difference is
printed as a small case in the form of tests/vectors/evaluate.yaml.
"""

import collections
import copy
import os

import yaml

import judges
import random_world
from shrink import shrink

WORLDS = int(os.environ.get("DIKAST_WORLDS", "150"))
BATCHES = 3
REQUESTS_PER_BATCH = 12


def _worlds(rng, count):
    """(trust domains, the steps so far, the newest batch of them, requests)."""
    for _ in range(count):
        pinned = random_world.trust_domains(rng)
        steps = []
        for index in range(BATCHES):
            batch = (random_world.later_steps(rng, steps) if index
                     else random_world.first_steps(rng))
            steps = steps + batch
            yield pinned, steps, batch, [random_world.request(rng)
                                         for _ in range(REQUESTS_PER_BATCH)]


def _small_case(probe, pinned, steps, request):
    """The differing case made small, and both verdicts on it."""
    def verdicts(case):
        answers = []
        for judge in (judges.ModelJudge(), judges.ProbeJudge(probe)):
            judge.reset(pinned)
            judge.sync(case["steps"])
            answers.append(judge.check(case["request"]))
        return answers

    def differs(case):
        model, probe_ = verdicts(case)
        return model != probe_

    case = shrink(copy.deepcopy({"steps": steps, "request": request}), differs)
    model, probe_ = verdicts(case)
    return yaml.dump({"trust_domains": pinned, **case, "model": model, "probe": probe_},
                     sort_keys=False, width=110, Dumper=_NoAliases)


class _NoAliases(yaml.SafeDumper):
    def ignore_aliases(self, data):
        return True


def test_probe_agrees_with_model(probe, rng):
    model, tested = judges.ModelJudge(), judges.ProbeJudge(probe)
    for pinned, steps, batch, requests in _worlds(rng, WORLDS):
        if steps == batch:
            model.reset(pinned)
            tested.reset(pinned)
        model.sync(batch)
        tested.sync(batch)
        for request in requests:
            if model.check(request) != tested.check(request):
                raise AssertionError("model and probe differ:\n"
                                     + _small_case(probe, pinned, steps, request))


def test_random_worlds_reach_every_verdict(rng):
    """The generator is worth something only if it meets every reason often enough."""
    met = collections.Counter()
    model = judges.ModelJudge()
    for pinned, steps, batch, requests in _worlds(rng, 300):
        if steps == batch:
            model.reset(pinned)
        model.sync(batch)
        met.update(model.check(request)["reason"] for request in requests)
    print(dict(met.most_common()))
    assert set(judges.CODES) == set(met), set(judges.CODES) - set(met)
    assert met["allowed_by_rule"] + met["denied_by_rule"] > 0.15 * met.total()
