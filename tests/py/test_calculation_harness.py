"""The property test's harness itself: a right sender passes, wrong ones are found, and what fails is made small."""

import pytest

import fold
import sequences
import worlds
from naive_sender import NaiveSender
from protos import felix

NODE = {"node": "node-1"}


@pytest.mark.parametrize("target", [NODE, {"workload": "bank/p0"}])
def test_right_sender_passes(rng, target):
    for options in (worlds.Options(), worlds.Options(broken=False)):
        sequence = worlds.sequence(rng, 25, options)
        assert sequences.report(NaiveSender(), sequence, target, in_sync_from=2) is None
        world = {}
        for changes in sequence:
            world = worlds.apply(world, changes)
        assert sequences.report(NaiveSender(), sequences.from_nothing(world), target) is None
        assert sequences.report(NaiveSender(), sequences.from_nothing(world, rng), target) is None


class _Wrong(NaiveSender):
    """Wrong in the way that changed() says, once it is in sync."""

    def messages(self):
        first = not self.in_sync
        made = super().messages()
        return made if first else self.changed(made)


class _SetsGoFirst(_Wrong):
    def changed(self, made):
        gone = [message for message in made if message.HasField("ipset_remove")]
        return gone + [message for message in made if message not in gone]


class _EndpointsGoFirst(_Wrong):
    def changed(self, made):
        first = [message for message in made if message.HasField("workload_endpoint_update")]
        return first + [message for message in made if message not in first]


class _ForgetsDeltas(_Wrong):
    def changed(self, made):
        return [message for message in made if not message.HasField("ipset_delta_update")]


class _ForgetsRemovedMembers(_Wrong):
    def changed(self, made):
        return [message for message in made if not message.ipset_delta_update.removed_members]


class _ForgetsNamespaces(NaiveSender):
    """A namespace's new labels count from its pods' next change on."""

    def _node_change(self, update, remove, in_sync):
        known = self.world if self.in_sync else {}
        late = [each for each in update if each["kind"] == "Namespace"
                and f"Namespace {each['metadata']['name']}" in known]
        return super()._node_change([each for each in update if each not in late], remove, in_sync)


class _SendsAgain(NaiveSender):
    def messages(self):
        self.sent = {part: {} for part in self.sent}
        return super().messages()


class _TooEarly(NaiveSender):
    def _node_change(self, update, remove, in_sync):
        answer = super()._node_change(update, remove, True)
        self.in_sync = in_sync
        return answer


class _NeverInSync(NaiveSender):
    def messages(self):
        return [message for message in super().messages() if not message.HasField("in_sync")]


class _WrongOrder(NaiveSender):
    """Policies of one tier the other way round."""

    def messages(self):
        made = super().messages()
        for message in made:
            for tier in message.workload_endpoint_update.endpoint.tiers:
                turned = [felix.PolicyID.FromString(each.SerializeToString())
                          for each in reversed(tier.ingress_policies)]
                del tier.ingress_policies[:]
                tier.ingress_policies.extend(turned)
        return made


WRONG = [_SetsGoFirst, _EndpointsGoFirst, _ForgetsDeltas, _ForgetsRemovedMembers, _ForgetsNamespaces, _SendsAgain,
         _TooEarly, _NeverInSync, _WrongOrder]


@pytest.mark.parametrize("wrong", WRONG)
def test_wrong_senders_are_found(rng, wrong):
    for _ in range(20):
        try:
            sequences.run(wrong(), worlds.sequence(rng, 30, worlds.Options()), NODE, in_sync_from=1)
        except (fold.Finding, sequences.Difference):
            return
    raise AssertionError(f"{wrong.__name__} passes")


def test_failing_sequences_are_made_small(rng):
    """Of dozens of changes few are left, and what is left of the resources fails still."""
    for _ in range(20):
        sequence = worlds.sequence(rng, 20, worlds.Options(broken=False))
        try:
            sequences.run(_ForgetsRemovedMembers(), sequence, NODE)
        except AssertionError:
            break
    small = sequences.smaller(_ForgetsRemovedMembers(), sequence, NODE, set(), seconds=20)
    with pytest.raises(AssertionError):
        sequences.run(_ForgetsRemovedMembers(), small, NODE)
    assert sum(len(changes) for changes in small) <= 5
