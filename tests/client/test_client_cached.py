"""`cached` in one process, without a sidecar."""

import asyncio
from typing import Any

import pytest

from ringfence import cached
from ringfence.local import LOCAL, Local


class Clock:
    """Stands still until it is told otherwise."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def kept(local: Local, key: str, text: str = "1", *, tags: tuple[str, ...] = ()) -> None:
    local.set(key, text, seconds=10, tags=tags, epoch=local.epoch(tags))


async def test_a_function_is_asked_once_for_the_same_arguments() -> None:
    asked = []

    @cached(ttl=60)
    async def double(number: int, *, plus: int = 0) -> int:
        asked.append((number, plus))
        return 2 * number + plus

    answers = [await double(1), await double(1), await double(2), await double(1, plus=5), await double(1, plus=5)]

    assert answers == [2, 2, 4, 7, 7]
    assert asked == [(1, 0), (2, 0), (1, 5)]


def test_functions_that_are_not_async_are_kept_as_well() -> None:
    asked = []

    @cached(ttl=60)
    def double(number: int) -> int:
        asked.append(number)
        return 2 * number

    assert [double(1), double(1)] == [2, 2]
    assert asked == [1]
    assert double.__name__ == "double"


@pytest.mark.parametrize(("one", "other"), [(1, True), (1, 1.0), (1, "1"), ([1], ["1"]), ("a", ["a"]), (None, "null")])
def test_arguments_that_only_look_alike_are_told_apart(one: Any, other: Any) -> None:
    asked = []

    @cached(ttl=60)
    def ask(what: Any) -> int:
        asked.append(what)
        return len(asked)

    assert (ask(one), ask(other), ask(one)) == (1, 2, 1)


def test_the_order_of_names_makes_no_difference() -> None:
    asked = []

    @cached(ttl=60)
    def ask(**what: Any) -> int:
        asked.append(what)
        return len(asked)

    assert ask(a={"x": 1, "y": 2}, b=1) == ask(b=1, a={"y": 2, "x": 1}) == 1


@pytest.mark.parametrize("argument", [{1}, object(), {1: "a"}, [{2: "b"}]])
def test_an_argument_that_is_not_json_is_refused_with_what_to_do(argument: Any) -> None:
    @cached(ttl=60)
    def ask(what: Any) -> int:
        return len(str(what))

    with pytest.raises(TypeError, match="give `key`"):
        ask(argument)


def test_a_key_of_ones_own_says_what_makes_a_difference() -> None:
    asked = []

    @cached(ttl=60, key=lambda what, **_: what["id"])
    def ask(what: dict[Any, Any], *, request: object) -> int:
        asked.append(request)
        return len(asked)

    assert ask({"id": "a"}, request=object()) == ask({"id": "a"}, request=object()) == 1


@pytest.mark.parametrize("answer", [(1, 2), {1: 2}, [(1,)], {3}, float("nan")])
def test_an_answer_that_would_be_another_one_from_the_cache_is_refused(answer: Any) -> None:
    @cached(ttl=60)
    def ask() -> Any:
        return answer

    with pytest.raises(TypeError):
        ask()


def test_who_changes_an_answer_does_not_change_the_kept_one() -> None:
    @cached(ttl=60)
    def ask() -> dict[str, list[int]]:
        return {"rows": [1]}

    first = ask()
    first["rows"].append(2)
    second = ask()
    second["rows"].append(3)

    assert ask() == {"rows": [1]}


async def test_an_exception_is_kept_by_nobody() -> None:
    asked = []

    @cached(ttl=60)
    async def ask() -> int:
        asked.append(1)
        if len(asked) == 1:
            raise ValueError("no")
        return 2

    with pytest.raises(ValueError, match="no"):
        await ask()

    assert await ask() == 2


async def test_an_answer_that_a_tag_has_overtaken_on_its_way_is_not_kept() -> None:
    asked = []
    begun, go_on = asyncio.Event(), asyncio.Event()

    @cached(ttl=60, tags=["orders"])
    async def ask() -> int:
        asked.append(1)
        begun.set()
        await go_on.wait()
        return len(asked)

    early = asyncio.create_task(ask())
    await begun.wait()
    LOCAL.invalidate("orders")
    go_on.set()

    assert (await early, await ask()) == (1, 2)


def test_a_value_is_there_until_its_time_is_over() -> None:
    clock = Clock()
    local = Local(clock=clock)
    kept(local, "a")

    clock.now = 9.9
    before = local.get("a")
    clock.now = 10.0

    assert (before, local.get("a")) == (1, Local.missing)


def test_a_tag_forgets_what_has_it_and_nothing_else() -> None:
    local = Local()
    kept(local, "a", tags=("x", "y"))
    kept(local, "b", tags=("y",))

    local.invalidate("x")

    assert (local.get("a"), local.get("b")) == (Local.missing, 1)


def test_where_there_is_no_room_what_was_used_longest_ago_goes() -> None:
    local = Local(most=2)
    kept(local, "a")
    kept(local, "b")
    local.get("a")

    kept(local, "c")

    assert [local.get(key) is Local.missing for key in "abc"] == [False, True, False]
