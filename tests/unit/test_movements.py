"""Movements: the present and the history of copies."""

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from rotation.facts.movements import CopyState, Movement, present, spells

NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)


def moved(copy_id: str, hour: int, state: CopyState, place_id: str, sequence: int = 0) -> Movement:
    event_id = f"{copy_id}-{hour}-{sequence}-{state}"
    return Movement(copy_id, NOON + timedelta(hours=hour), sequence, "koha", event_id, state, place_id)


LOAN_THAT_CAME_BACK_ELSEWHERE = [
    moved("c1", 0, CopyState.ON_SHELF, "centre"),
    moved("c1", 5, CopyState.ON_LOAN, "centre"),
    moved("c1", 200, CopyState.ON_SHELF, "riverside"),
]


def test_a_copy_is_where_its_last_movement_put_it():
    assert present(LOAN_THAT_CAME_BACK_ELSEWHERE)["c1"].place_id == "riverside"


def test_each_spell_ends_where_the_next_begins():
    shelf, loan, now = spells(LOAN_THAT_CAME_BACK_ELSEWHERE)
    assert (shelf.until, loan.until, now.until) == (loan.since, now.since, None)


def test_a_spell_says_what_ended_it():
    assert [spell.ended_by for spell in spells(LOAN_THAT_CAME_BACK_ELSEWHERE)] == [
        CopyState.ON_LOAN,
        CopyState.ON_SHELF,
        None,
    ]


def test_a_late_event_changes_history_and_not_the_present():
    late = moved("c1", 100, CopyState.ON_SHELF, "centre")
    told = [*LOAN_THAT_CAME_BACK_ELSEWHERE, late]
    assert present(told)["c1"].place_id == "riverside"
    assert len(list(spells(told))) == 4


def test_two_facts_of_the_same_instant_keep_their_sequence():
    returned, trapped = (
        moved("c1", 9, CopyState.ON_SHELF, "centre", 1),
        moved("c1", 9, CopyState.ON_HOLD_SHELF, "centre", 2),
    )
    assert present([trapped, returned])["c1"].state is CopyState.ON_HOLD_SHELF


any_movement = st.builds(
    moved, st.sampled_from(["c1", "c2"]), st.integers(0, 50), st.sampled_from(CopyState), st.sampled_from(["a", "b"])
)
any_movements = st.lists(any_movement, unique_by=lambda movement: movement.event_id)


@given(any_movements, st.randoms())
def test_no_order_and_no_duplicate_changes_the_history(facts: list[Movement], random: object):
    disturbed = facts + facts[: len(facts) // 2]
    random.shuffle(disturbed)  # type: ignore[attr-defined]
    assert list(spells(disturbed)) == list(spells(facts))
    assert present(disturbed) == present(facts)


@given(any_movements)
def test_every_copy_heard_of_is_in_exactly_one_state(facts: list[Movement]):
    open_spells = [spell for spell in spells(facts) if spell.until is None]
    assert sorted(spell.copy_id for spell in open_spells) == sorted({movement.copy_id for movement in facts})
