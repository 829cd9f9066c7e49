from __future__ import annotations

import asyncio
import contextvars
import logging
import threading

import pytest

from otel_aicost import tags
from otel_aicost.tags import current


def test_tags_hold_inside_the_block_and_not_after():
    """A tag is in force inside its block only."""
    with tags(feature="pitch", user="u1"):
        assert dict(current()) == {"feature": "pitch", "user": "u1"}
    assert dict(current()) == {}


def test_inner_tags_win_and_outer_ones_come_back():
    """Tags nest, the inner value of a key wins, and leaving restores the outer one."""
    with tags(feature="a", user="u1"):
        with tags(feature="b"):
            assert dict(current()) == {"feature": "b", "user": "u1"}
        assert current()["feature"] == "a"


def test_one_object_serves_as_decorator_of_functions_coroutines_and_generators():
    """The same tags object decorates plain, async, generator and async generator functions."""
    mark = tags(feature="f")

    @mark
    def plain():
        return dict(current())

    @mark
    async def coroutine():
        await asyncio.sleep(0)
        return dict(current())

    @mark
    def generator():
        yield dict(current())
        yield dict(current())

    @mark
    async def async_generator():
        yield dict(current())
        await asyncio.sleep(0)
        yield dict(current())

    async def collect():
        return [item async for item in async_generator()]

    expected = {"feature": "f"}
    assert plain() == expected
    assert asyncio.run(coroutine()) == expected
    assert list(generator()) == [expected, expected]
    assert asyncio.run(collect()) == [expected, expected]
    assert dict(current()) == {}


def test_between_two_steps_of_a_generator_its_tags_are_not_in_force():
    """What the consumer of a decorated generator does in between is not tagged."""

    @tags(feature="inside")
    def generator():
        yield dict(current())
        yield dict(current())

    steps = generator()
    first = next(steps)
    between = dict(current())
    steps.close()

    assert (first, between) == ({"feature": "inside"}, {})


def test_a_decorated_generator_keeps_send_throw_and_return():
    """send, throw, close and the return value pass through a decorated generator."""

    @tags(feature="f")
    def echo():
        got = yield 1
        try:
            yield got
        except ValueError:
            yield "caught"
        return "done"

    steps = echo()
    assert next(steps) == 1
    assert steps.send("x") == "x"
    assert steps.throw(ValueError()) == "caught"
    with pytest.raises(StopIteration) as stop:
        next(steps)
    assert stop.value.value == "done"


async def test_a_decorated_async_generator_keeps_asend_athrow_and_aclose():
    """asend, athrow and aclose pass through, and the generator's own finally runs."""
    closed = []

    @tags(feature="f")
    async def echo():
        try:
            got = yield 1
            try:
                yield got
            except ValueError:
                yield dict(current())
        finally:
            closed.append(dict(current()))

    steps = echo()
    assert await anext(steps) == 1
    assert await steps.asend("x") == "x"
    assert await steps.athrow(ValueError()) == {"feature": "f"}
    await steps.aclose()
    assert closed == [{"feature": "f"}]


async def test_tags_reach_tasks_and_to_thread_but_not_a_sibling():
    """Tasks and asyncio.to_thread inherit tags; a task with its own tags does not leak them."""

    async def tagged(value):
        with tags(user=value):
            await asyncio.sleep(0)
            return dict(current())

    with tags(feature="f"):
        one, two, thread = await asyncio.gather(tagged("u1"), tagged("u2"), asyncio.to_thread(lambda: dict(current())))

    assert one == {"feature": "f", "user": "u1"}
    assert two == {"feature": "f", "user": "u2"}
    assert thread == {"feature": "f"}


def test_a_thread_has_the_tags_of_a_copied_context():
    """A thread run in a copied context has the tags, a bare one has none."""
    seen = {}
    with tags(feature="f"):
        context = contextvars.copy_context()
        copied = threading.Thread(target=lambda: context.run(lambda: seen.update(copied=dict(current()))))
        bare = threading.Thread(target=lambda: seen.update(bare=dict(current())))
        for thread in (copied, bare):
            thread.start()
            thread.join()

    assert seen == {"copied": {"feature": "f"}, "bare": {}}


async def test_a_generator_closed_in_another_task_raises_nothing(caplog):
    """Tags opened in one context and closed in another neither raise nor disturb that other context."""

    async def generate():
        with tags(feature="inner"):
            yield 1

    steps = generate()
    await asyncio.create_task(anext(steps))
    with tags(feature="mine"):
        await asyncio.create_task(steps.aclose())
        assert dict(current()) == {"feature": "mine"}
    assert caplog.records == []


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ({"n": 3}, {"n": "3"}),
        ({"flag": True}, {"flag": "True"}),
        ({"gone": None}, {}),
        ({"cost-center": "42"}, {"cost-center": "42"}),
        ({"bad key": "x"}, {}),
        ({"": "x"}, {}),
        ({5: "x"}, {}),
        ({"k" * 64: "x"}, {"k" * 64: "x"}),
        ({"k" * 65: "x"}, {}),
        ({"long": "v" * 256}, {"long": "v" * 256}),
        ({"long": "v" * 257}, {"long": "v" * 256}),
    ],
)
def test_odd_tags_become_text_or_are_left_out(given, kept):
    """Values become text of at most 256 characters; keys that cannot be used are left out, nothing raises."""
    with tags(given):
        assert dict(current()) == kept


def test_a_value_that_cannot_be_text_is_left_out_and_said(caplog):
    """A value whose own __str__ raises is left out, and a warning names the key."""

    class Broken:
        def __str__(self):
            raise RuntimeError

    with caplog.at_level(logging.WARNING, "otel_aicost"), tags(user=Broken(), feature="f"):
        assert dict(current()) == {"feature": "f"}
    assert "user" in caplog.text
