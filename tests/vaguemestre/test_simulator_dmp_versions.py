"""Whatever is submitted, replaced and deleted in whatever order, the simulated DMP holds what it accepted, once."""

from collections import Counter

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from tests.vaguemestre.dmp_damage import Bench
from tests.vaguemestre.dmp_lots import Document, Lot
from vaguemestre.simulators.dmp import names as n
from vaguemestre.simulators.pki import Authority


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("pki"))


class Versions(RuleBasedStateMachine):
    """What the registry holds is what a dictionary of current versions says, whatever is asked in whatever order."""

    authority: Authority

    @initialize()
    def open(self) -> None:
        self.bench = Bench(self.authority)
        self.current: dict[str, str] = {}  # chain: unique id in force
        self.gone: list[str] = []
        self.entries: dict[str, str] = {}  # entryUUID when it was current
        self.sent: Counter[str] = Counter()

    def note(self, chain: str, lot: Lot) -> None:
        self.current[chain] = lot.documents[0].unique_id
        self.sent[self.current[chain]] += 1
        self.entries[self.current[chain]] = self.bench.entry(lot)

    @rule()
    def submit(self) -> None:
        lot = Lot()
        assert self.bench.submit(lot).accepted
        self.note(lot.documents[0].unique_id, lot)

    @precondition(lambda self: self.current)
    @rule(data=st.data())
    def replace(self, data: st.DataObject) -> None:
        chain = data.draw(st.sampled_from(sorted(self.current)))
        old = self.current[chain]
        lot = Lot([Document(replaces=[self.entries[old]], parents=[old])])
        assert self.bench.submit(lot).accepted
        self.gone.append(old)
        self.note(chain, lot)

    @precondition(lambda self: self.current)
    @rule(data=st.data())
    def delete(self, data: st.DataObject) -> None:
        chain = data.draw(st.sampled_from(sorted(self.current)))
        old = self.current.pop(chain)
        assert self.bench.judge(self.bench.sender.deletion([self.entries[old]])).accepted
        self.gone.append(old)

    @precondition(lambda self: self.gone)
    @rule(data=st.data())
    def touch_what_is_gone(self, data: st.DataObject) -> None:
        old = data.draw(st.sampled_from(self.gone))
        lot = Lot([Document(replaces=[self.entries[old]], parents=[old])])
        assert self.bench.submit(lot).broken == ["replace.current"]
        assert self.bench.judge(self.bench.sender.deletion([self.entries[old]])).broken == ["delete.current"]

    @precondition(lambda self: self.sent)
    @rule(data=st.data())
    def resend(self, data: st.DataObject) -> None:
        name = data.draw(st.sampled_from(sorted(self.sent)))
        assert self.bench.submit(Lot([Document(name)])).broken[-1:] in (["registry.duplicate"], ["registry.altered"])

    @invariant()
    def holds_what_was_accepted(self) -> None:
        if hasattr(self, "bench"):
            held = {one.unique_id for one in self.bench.registry.documents(status=n.APPROVED, is_signature=0)}
            assert held == set(self.current.values())
            assert self.bench.registry.published() == self.sent


def test_versions_hold_in_any_order(authority: Authority) -> None:
    class Here(Versions):
        pass

    Here.authority = authority
    run_state_machine_as_test(
        Here, settings=settings(max_examples=10, stateful_step_count=15, suppress_health_check=list(HealthCheck))
    )
