from __future__ import annotations

from uuid import RFC_4122, UUID

from hypothesis import given
from hypothesis import strategies as st

from otel_aicost.ids import new_id, stable_id


def test_new_ids_are_uuids_of_version_7():
    """A new id is a UUIDv7."""
    made = UUID(new_id())

    assert (made.version, made.variant) == (7, RFC_4122)


@given(st.lists(st.text(), min_size=1, max_size=4))
def test_stable_ids_are_uuids_of_version_8(parts):
    """An id made of parts is a UUIDv8, whatever the parts say."""
    made = UUID(stable_id(*parts))

    assert (made.version, made.variant) == (8, RFC_4122)


def test_stable_ids_are_the_same_for_the_same_parts():
    """The same parts make the same id on every machine, other ones another."""
    assert stable_id("openai", "batch_1", "request-1") == "fd1c9baf-9c60-860d-89cf-3aceaee36eb6"
    assert len({stable_id("a", "b"), stable_id("ab"), stable_id("b", "a"), stable_id("a", "b", "")}) == 4
