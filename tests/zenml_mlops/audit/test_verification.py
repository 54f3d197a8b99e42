"""Whatever is done to a log afterwards, the first entry that it touches is named."""

import io
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from zenml_mlops.audit import Head, Outcome, verify
from zenml_mlops.audit.entries import Event, canonical, next_entry, parse_entry


def chain(count, text='é \\ " 0'):
    entries = []
    for number in range(count):
        event = Event(
            actor="user:anna",
            action="promote",
            subject=f"{text}{number}",
            outcome=Outcome.REFUSED,
            verdicts=({"policy": "p", "passed": False, "value": 0.1},),
            links={"zenml_run": "r"},
        )
        entries.append(next_entry(event, entries[-1] if entries else None))
    return entries


ENTRIES = chain(6)
LINES = [entry.line() + b"\n" for entry in ENTRIES]
HEADS = {"ZenML run r": ENTRIES[3].head, "model version m/1": ENTRIES[5].head}


def lines_of(content):
    return list(io.BytesIO(content))


def test_a_whole_log_is_whole():
    found = verify(LINES, HEADS)
    assert (found.whole, found.entries, found.first, found.head) == (True, 6, 1, ENTRIES[-1].head)
    assert verify([]).whole


def test_every_flipped_byte_is_found_at_its_entry():
    content = b"".join(LINES)
    ends = [sum(map(len, LINES[: n + 1])) for n in range(6)]
    chosen = random.Random(0)
    for place in range(len(content)):
        flipped = bytearray(content)
        flipped[place] ^= chosen.randrange(1, 256)
        found = verify(lines_of(bytes(flipped)))
        entry = next(n for n, end in enumerate(ends) if place < end) + 1
        assert found.broken == entry, place
        assert found.entries == entry - 1


@given(data=st.binary(min_size=1, max_size=8), place=st.integers(0, sum(map(len, LINES)) - 1))
@settings(max_examples=300, deadline=None)
def test_any_bytes_written_over_it_are_found(data, place):
    content = b"".join(LINES)
    changed = (content[:place] + data + content[place + len(data) :])[: max(len(content), place + len(data))]
    assert verify(lines_of(changed)).whole is (changed == content)


@pytest.mark.parametrize("number", range(1, 6))
def test_a_removed_entry_is_found_at_its_place(number):
    found = verify(LINES[: number - 1] + LINES[number:])
    assert found.broken == number
    assert f"entry {number + 1} is in its place" in found.problem


@pytest.mark.parametrize("number", range(1, 6))
def test_two_swapped_entries_are_found_at_the_first(number):
    swapped = [*LINES]
    swapped[number - 1], swapped[number] = swapped[number], swapped[number - 1]
    assert verify(swapped).broken == number


@pytest.mark.parametrize("kept", range(6))
def test_a_cut_end_shows_by_what_zenml_remembers_and_only_by_that(kept):
    assert verify(LINES[:kept]).whole
    found = verify(LINES[:kept], HEADS)
    assert found.broken == kept + 1
    assert "it is missing: " in found.problem
    assert ("ZenML run r" if kept < 4 else "model version m/1") in found.problem


def test_a_log_that_was_written_anew_with_good_hashes_shows_by_what_zenml_remembers():
    forged = [entry.line() + b"\n" for entry in chain(6, text="another ")]
    assert verify(forged).whole
    found = verify(forged, HEADS)
    assert found.broken == 4
    assert "ZenML run r remembers another entry" in found.problem


def test_an_edited_entry_with_a_new_hash_breaks_the_next_one():
    event = Event(**ENTRIES[2].model_dump(include=set(Event.model_fields)) | {"outcome": "allowed"})
    forged = next_entry(event, ENTRIES[1], at=ENTRIES[2].at).line() + b"\n"
    found = verify([*LINES[:2], forged, *LINES[3:]])
    assert found.broken == 4
    assert "that one was replaced" in found.problem


def test_a_part_is_whole_by_itself_only_if_asked_for_as_one():
    assert verify(LINES[2:], part=True).first == 3
    assert verify(LINES[2:]).broken == 1
    assert verify([LINES[2], LINES[4]], part=True).broken == 4


def test_an_entry_reads_back_as_it_was_written():
    assert [parse_entry(line[:-1]) for line in LINES] == ENTRIES
    assert canonical({"b": 1, "a": "é"}) == b'{"a":"\\u00e9","b":1}'


def test_a_head_needs_a_hash():
    with pytest.raises(ValueError, match="String should match pattern"):
        Head(number=1, hash="x")
