import asyncio
from typing import Any

from ringfence_operator.errors import ExpiredError, UnavailableError
from ringfence_operator.kube.informer import Change, Informer, Key
from tests.operator.kube.sources import FakeSource, Raw, body, bookmark, event
from tests.operator.runtime.clock import FakeClock


class Follower:
    """An informer of strings and what it told."""

    def __init__(self, source: FakeSource, **options: Any) -> None:
        self.source = source
        self.changes: list[Change[str]] = []
        self.naps: list[float] = []
        self.clock = FakeClock()
        self.informer: Informer[str] = Informer(
            source,
            slim=lambda raw: raw.get("text", raw["metadata"]["name"]),
            on_change=self.changes.append,
            clock=self.clock,
            sleep=self.nap,
            jitter=lambda: 0.0,
            **options,
        )

    async def nap(self, seconds: float) -> None:
        self.naps.append(seconds)
        await asyncio.sleep(0)

    async def run_until_idle(self) -> None:
        task = asyncio.create_task(self.informer.run())
        idle = asyncio.create_task(self.source.idle.wait())
        done, _ = await asyncio.wait([task, idle], timeout=5, return_when=asyncio.FIRST_COMPLETED)
        for each in (task, idle):
            each.cancel()
        await asyncio.gather(task, idle, return_exceptions=True)
        assert done == {idle}, task

    @property
    def names(self) -> list[str]:
        return [change.key.name for change in self.changes]

    @property
    def contents(self) -> dict[str, str]:
        return {key.name: obj for key, obj in self.informer.cache.items()}


async def test_all_pages_of_a_listing_are_in_the_cache() -> None:
    follower = Follower(FakeSource([(9, [body(name, 1) for name in "abcde"])]))

    await follower.run_until_idle()

    assert follower.names == ["a", "b", "c", "d", "e"]
    assert follower.informer.synced.is_set()
    assert len(follower.informer) == 5
    assert follower.informer.get("ns", "c") == "c"


async def test_not_synced_before_the_last_page() -> None:
    source = FakeSource([(9, [body("a", 1), UnavailableError("gone")]), (9, [])])
    follower = Follower(source)
    synced_at_first_failure = None

    async def nap(seconds: float) -> None:
        nonlocal synced_at_first_failure
        synced_at_first_failure = follower.informer.synced.is_set()

    follower.informer._sleep = nap
    await follower.run_until_idle()

    assert synced_at_first_failure is False
    assert follower.informer.synced.is_set()


async def test_events_change_the_cache_and_are_reported_with_old_and_new() -> None:
    watch: list[Raw | Exception] = [
        event("ADDED", body("b", 11)),
        event("MODIFIED", body("a", 12, text="A")),
        event("DELETED", body("a", 13, text="A")),
    ]
    follower = Follower(FakeSource([(10, [body("a", 1)])], [watch]))

    await follower.run_until_idle()

    a, b = Key("ns", "a"), Key("ns", "b")
    assert follower.changes == [
        Change(a, None, "a"),
        Change(b, None, "b"),
        Change(a, "a", "A"),
        Change(a, "A", None),
    ]
    assert follower.contents == {"b": "b"}


async def test_object_deleted_while_watch_was_down_is_reported() -> None:
    source = FakeSource([(10, [body("a", 1), body("b", 2)]), (20, [body("b", 2)])], [[ExpiredError("too old")]])
    follower = Follower(source)

    await follower.run_until_idle()

    assert follower.names == ["a", "b", "a"]
    assert follower.changes[-1].new is None
    assert follower.contents == {"b": "b"}


async def test_object_replaced_while_watch_was_down_is_reported_even_if_it_looks_the_same() -> None:
    source = FakeSource([(10, [body("a", 1)]), (20, [body("a", 15, uid="second")])], [[ExpiredError("too old")]])
    follower = Follower(source)

    await follower.run_until_idle()

    assert follower.changes[1:] == [Change(Key("ns", "a"), "a", "a")]


async def test_an_object_that_looks_the_same_is_not_reported() -> None:
    watch: list[Raw | Exception] = [event("MODIFIED", body("a", 11)), event("MODIFIED", body("a", 12))]
    follower = Follower(FakeSource([(10, [body("a", 1)])], [watch]))

    await follower.run_until_idle()

    assert follower.names == ["a"]


async def test_a_broken_watch_goes_on_from_the_last_event_and_bookmarks_count() -> None:
    watches: list[list[Raw | Exception]] = [
        [event("ADDED", body("b", 11)), UnavailableError("connection reset")],
        [bookmark(30), UnavailableError("connection reset")],
    ]
    follower = Follower(FakeSource([(10, [body("a", 1)])], watches))

    await follower.run_until_idle()

    assert follower.source.watched_from == ["10", "11", "30"]
    assert follower.naps == []


async def test_a_server_that_is_away_is_asked_ever_more_rarely() -> None:
    down: tuple[int, list[Raw | Exception]] = (0, [UnavailableError("connection refused")])
    follower = Follower(FakeSource([down] * 12 + [(10, [])]))

    await follower.run_until_idle()

    assert follower.naps[:4] == [0.1, 0.2, 0.4, 0.8]
    assert max(follower.naps) == 10.0


async def test_watches_that_expire_at_once_do_not_cause_a_storm_of_listings() -> None:
    source = FakeSource([(10, [])] * 4, [[ExpiredError("too old")]] * 3)
    follower = Follower(source)

    await follower.run_until_idle()

    assert follower.naps == [0.1, 0.2, 0.4]


async def test_the_answer_to_a_write_is_in_the_cache_at_once_and_its_event_is_no_news() -> None:
    follower = Follower(FakeSource([(10, [body("a", 1)])], [[event("MODIFIED", body("a", 11, text="A"))]]))
    follower.informer.store(body("a", 11, text="A"))

    assert follower.contents == {"a": "A"}
    await follower.run_until_idle()

    assert follower.changes == [Change(Key("ns", "a"), None, "A")]


async def test_an_older_version_never_replaces_a_newer_one() -> None:
    watch: list[Raw | Exception] = [event("MODIFIED", body("a", 11, text="old"))]
    follower = Follower(FakeSource([(10, [body("a", 1)])], [watch]))
    follower.informer.store(body("a", 12, text="new"))

    await follower.run_until_idle()

    assert follower.contents == {"a": "new"}


async def test_versions_are_compared_as_numbers() -> None:
    follower = Follower(FakeSource([(9, [body("a", 9)])], [[event("MODIFIED", body("a", 10, text="ten"))]]))

    await follower.run_until_idle()

    assert follower.contents == {"a": "ten"}


async def test_a_late_answer_does_not_bring_a_deleted_object_back() -> None:
    watch: list[Raw | Exception] = [event("ADDED", body("a", 11)), event("DELETED", body("a", 12))]
    follower = Follower(FakeSource([(10, [])], [watch]))
    await follower.run_until_idle()

    follower.informer.store(body("a", 11))

    assert follower.contents == {}


async def test_a_deletion_does_not_hit_the_successor_of_the_same_name() -> None:
    follower = Follower(FakeSource([(10, [body("a", 1)])], [[event("DELETED", body("a", 11))]]))
    follower.informer.store(body("a", 12, uid="second"))

    await follower.run_until_idle()

    assert follower.contents == {"a": "a"}


async def test_an_object_stored_while_listing_is_not_taken_for_deleted() -> None:
    follower = Follower(FakeSource([(10, [body("a", 1)])]))
    follower.informer.store(body("created meanwhile", 11))

    await follower.run_until_idle()

    assert set(follower.contents) == {"a", "created meanwhile"}


async def test_an_object_that_cannot_be_read_keeps_its_last_state_and_harms_no_other() -> None:
    def slim(raw: Raw) -> str:
        return str(raw["text"])

    listing: list[Raw | Exception] = [body("a", 1, text="a"), body("bad", 2)]
    watch: list[Raw | Exception] = [event("MODIFIED", body("a", 11)), event("ADDED", body("c", 12, text="c"))]
    follower = Follower(FakeSource([(10, listing)], [watch]))
    follower.informer._slim = slim

    await follower.run_until_idle()

    assert follower.contents == {"a": "a", "c": "c"}


async def test_an_index_follows_the_objects() -> None:
    watch: list[Raw | Exception] = [
        event("MODIFIED", body("a", 11, text="x y")),
        event("DELETED", body("b", 12)),
    ]
    source = FakeSource([(10, [body("a", 1, text="x"), body("b", 2, text="x")])], [watch])
    follower = Follower(source, index={"word": str.split})

    await follower.run_until_idle()

    a = Key("ns", "a")
    assert set(follower.informer.keys_by("word", "x")) == {a}
    assert set(follower.informer.keys_by("word", "y")) == {a}
    assert set(follower.informer.keys_by("word", "z")) == set()


async def test_silence_is_counted_from_the_last_word_of_the_server() -> None:
    follower = Follower(FakeSource([(10, [body("a", 1)])]))
    follower.clock.advance(100.0)
    await follower.run_until_idle()

    follower.clock.advance(7.0)

    assert follower.informer.stalled_seconds == 7.0


async def test_an_informer_that_fails_is_not_stalled() -> None:
    follower = Follower(FakeSource([(0, [UnavailableError("down")]), (10, [])], []))

    async def nap(seconds: float) -> None:
        assert follower.informer.stalled_seconds == 0.0

    follower.informer._sleep = nap
    follower.clock.advance(50.0)

    await follower.run_until_idle()


def by_owner(raw: Raw) -> tuple[str, str]:
    return "ns", raw.get("owner", raw["metadata"]["name"])


async def test_an_object_is_kept_under_the_key_that_it_is_given_and_goes_from_there() -> None:
    listing: list[Raw | Exception] = [body("x1", 1, owner="a"), body("x2", 2, owner="b")]
    follower = Follower(FakeSource([(10, listing)], [[event("DELETED", body("x2", 11))]]), key=by_owner)

    await follower.run_until_idle()

    assert follower.contents == {"a": "x1"}
    assert follower.names == ["a", "b", "b"]


async def test_an_object_with_another_key_than_before_leaves_the_former_one() -> None:
    watch: list[Raw | Exception] = [
        event("MODIFIED", body("x1", 11, owner="b")),
        event("MODIFIED", body("x1", 12)),
    ]
    follower = Follower(FakeSource([(10, [body("x1", 1, owner="a")])], [watch]), key=by_owner)

    await follower.run_until_idle()

    assert follower.contents == {"x1": "x1"}
    assert follower.names == ["a", "a", "b", "b", "x1"]


async def test_an_object_that_moved_is_not_brought_back_by_what_is_older() -> None:
    source = FakeSource([(10, [])], [[event("ADDED", body("x1", 11, owner="a"))]])
    follower = Follower(source, key=by_owner)
    follower.informer.store(body("x1", 15, owner="b"))

    await follower.run_until_idle()

    assert follower.contents == {"b": "x1"}


async def test_the_end_of_another_object_with_the_same_key_is_not_this_ones() -> None:
    listing: list[Raw | Exception] = [body("x1", 1, owner="a"), body("x2", 2, owner="a")]
    follower = Follower(FakeSource([(10, listing)], [[event("DELETED", body("x1", 11, owner="a"))]]), key=by_owner)

    await follower.run_until_idle()

    assert follower.contents == {"a": "x2"}


async def test_of_two_objects_under_one_key_the_second_stands_beside_the_first_and_follows_it() -> None:
    listing: list[Raw | Exception] = [body("x1", 1, owner="a"), body("x2", 2, owner="a")]
    source = FakeSource([(10, listing)], [[], [event("DELETED", body("x1", 12, owner="a"))]])
    follower = Follower(source, key=by_owner)
    follower.informer.store(body("x1", 1, owner="a"))
    follower.informer.store(body("x2", 2, owner="a"))
    before = (follower.contents, follower.informer.beside("ns", "a"))

    await follower.run_until_idle()

    assert before == ({"a": "x1"}, ["x2"])
    assert (follower.contents, follower.informer.beside("ns", "a")) == ({"a": "x2"}, [])


async def test_an_object_that_leaves_gives_way_to_one_beside_it_and_another_is_shown_if_asked_for() -> None:
    follower = Follower(FakeSource([(10, [])]), key=by_owner, is_leaving=lambda text: text == "leaves")
    first, second = body("x1", 1, owner="a"), body("x2", 2, owner="a")
    follower.informer.store(first)
    follower.informer.store(second)

    follower.informer.show("ns", "a", second["metadata"]["uid"])
    asked = follower.contents
    follower.informer.store({**body("x2", 3, owner="a"), "text": "leaves"})

    assert asked == {"a": "x2"}
    assert follower.contents == {"a": "x1"}
    assert follower.informer.beside("ns", "a") == ["leaves"]


async def test_what_stood_beside_another_and_went_unseen_is_gone_after_a_listing() -> None:
    follower = Follower(FakeSource([(10, [body("x2", 2, owner="a")])]), key=by_owner)
    for number, name in enumerate(("x1", "x2", "x3"), 1):
        follower.informer.store(body(name, number, owner="a"))

    await follower.run_until_idle()

    assert follower.contents == {"a": "x2"}
    assert follower.informer.beside("ns", "a") == []
