import pytest

from ringfence_sidecar.cache.local import LocalCache

ROOM = 3 * (200 + 1 + 100)
"""For three values of 100 bytes under keys of one character, with what their keeping takes."""


def _full(eviction: str) -> LocalCache[str]:
    cache: LocalCache[str] = LocalCache(eviction=eviction, max_bytes=ROOM)
    for key, seconds in (("a", 50.0), ("b", 10.0), ("c", 90.0)):
        cache.put(key, key.upper(), size=100, seconds=seconds)
    return cache


@pytest.mark.parametrize(
    ("eviction", "gone"), [("LRU", "b"), ("LFU", "c"), ("TTL", "b")], ids=["recency", "frequency", "expiry"]
)
def test_what_goes_first_is_as_the_configuration_says(eviction: str, gone: str) -> None:
    cache = _full(eviction)
    for key in ("b", "b", "a", "a", "c") if eviction != "TTL" else ("b", "b"):
        cache.get(key)

    cache.put("d", "D", size=100, seconds=70)

    assert {key for key in "abcd" if cache.get(key) is None} == {gone}
    assert cache.evictions == 1


def test_frequency_tells_what_was_never_asked_for_from_what_was() -> None:
    cache = _full("LFU")
    for key in ("a", "c"):
        cache.get(key)

    for key in "de":
        cache.put(key, key, size=100, seconds=70)

    assert cache.get("a") == "A"
    assert cache.get("c") == "C"


def test_bytes_never_pass_the_bound() -> None:
    cache: LocalCache[int] = LocalCache(eviction="LFU", max_bytes=10_000)

    for number in range(1_000):
        cache.put(str(number % 70), number, size=number % 900, seconds=10)
        assert cache.bytes <= 10_000

    cache.clear()
    assert cache.bytes == 0


def test_a_value_that_never_fits_is_not_kept_and_takes_the_old_ones_place() -> None:
    cache = _full("LRU")

    cache.put("a", "too much", size=ROOM, seconds=10)

    assert cache.get("a") is None
    assert len(cache) == 2


def test_a_value_at_its_end_is_not_served() -> None:
    now = [100.0]
    cache: LocalCache[str] = LocalCache(eviction="LRU", max_bytes=ROOM, clock=lambda: now[0])
    cache.put("a", "A", size=1, seconds=5)

    now[0] = 105.0

    assert cache.get("a") is None
    assert cache.bytes == 0
