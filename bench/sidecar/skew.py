"""A skewed load over many sidecars: how often the backend need not be asked, and that nothing is asked twice."""

import asyncio
import itertools
import random
from collections import Counter
from collections.abc import Iterator, Sequence

from bench.row import Row, for_comparison
from bench.sidecar.bed import Bed, configuration
from bench.sidecar.client import Answer
from bench.sidecar.driver import READ, make_items
from bench.sidecar.hits import KEPT
from bench.sidecar.process import Sidecar
from tests.backends.snowflake_server import SnowflakeServer

PODS, QUICK_PODS = 20, 4
QUERIES, QUICK_QUERIES = 10_000, 1_000
KEYS, QUICK_KEYS = 1_000, 50
EXPONENT = 1.1
AT_ONCE = 8
WAVES, WAVE_KEYS = 5, 5
WRITE = "UPDATE items SET name = name WHERE id = 0"


async def measure_skew(bed: Bed) -> list[Row]:
    """Keys by Zipf's law, sidecars at random; then, after each of some writes, all sidecars ask the same at once."""
    server, _ = bed.snowflake()
    connector = bed.warehouse(server, cache=KEPT)
    await make_items(connector)
    redis = bed.redis().configuration()
    pods = bed.count(PODS, QUICK_PODS)
    with bed.progress.step(f"{pods} sidecars", announce=True):
        sidecars = await _started(bed, [bed.sidecar(configuration(connector, redis=redis)) for _ in range(pods)])
    server.forget()
    interval = bed.busy()
    queries = bed.count(QUERIES, QUICK_QUERIES)
    keys = bed.count(KEYS, QUICK_KEYS)
    layers = await _run(sidecars, zipf(queries, keys, random.Random(7)))
    asked = _asked(server)
    note = interval.note()
    bed.keep("skew", {"layers": layers, "asked": sorted(asked.values())})
    waves = await _waves(server, sidecars)
    bed.keep("waves", waves)
    hits = layers["local"] + layers["redis"]
    rate = round(100 * (1 - asked.total() / queries), 2)
    said = (
        f"{hits:,} hits ({layers['local']:,} in-process), {asked.total()} backend calls for {len(asked)} keys, "
        f"{layers['warned']} times Redis was too slow; {note}"
    )
    most = max(asked.values(), default=0)
    return [
        Row(f"hit rate, {queries:,} queries over {pods} sidecars", ">= 90", rate, "%", rate >= 90, said),
        Row("  backend calls for a key and generation, at most", "1", most, "", most == 1),
        for_comparison("  sidecars that asked the same at once, after a write", pods * WAVES * WAVE_KEYS, "calls"),
        Row("  backend calls for a key and generation, at most", "1", max(waves), "", set(waves) == {1}),
    ]


async def _started(bed: Bed, sidecars: list[Sidecar]) -> list[Sidecar]:
    for each in sidecars:
        await each.ready()
        await each.bound("warehouse")
        bed.progress.note(f"sidecar {each.port}")
    return sidecars


def zipf(count: int, keys: int, source: random.Random) -> list[int]:
    """Return so many of the keys, the k-th most frequent as often as 1/k^1.1 says."""
    weights = list(itertools.accumulate(rank**-EXPONENT for rank in range(1, keys + 1)))
    return source.choices(range(keys), cum_weights=weights, k=count)


async def _run(sidecars: Sequence[Sidecar], keys: Sequence[int]) -> Counter[str]:
    layers: Counter[str] = Counter()
    remaining: Iterator[int] = iter(keys)

    async def work() -> None:
        for key in remaining:
            answer = await _ask(random.choice(sidecars), key)
            layers[str(answer.envelope["metadata"]["cache"]["layer"])] += 1
            layers["warned"] += bool(answer.envelope["warnings"])

    await asyncio.gather(*(work() for _ in range(AT_ONCE)))
    return layers


async def _waves(server: SnowflakeServer, sidecars: Sequence[Sidecar]) -> list[int]:
    """Return how often the backend was asked for each key of each wave."""
    found: list[int] = []
    for _ in range(WAVES):
        answer = await sidecars[0].client.call("warehouse", "execute", sql=WRITE)
        assert answer.is_served, answer.body
        await asyncio.sleep(0.15)  # what another sidecar may still serve of before, it has stopped to
        server.forget()
        await asyncio.gather(*(_ask(each, key) for key in range(WAVE_KEYS) for each in sidecars))
        asked = _asked(server)
        found += [asked[key] for key in range(WAVE_KEYS)]
    return found


def _asked(server: SnowflakeServer) -> Counter[int]:
    """Return how often the stand-in was asked for each key."""
    reads = (each for each in server.statements if each["sql"].lstrip().upper().startswith("SELECT"))
    return Counter(int(each["bindings"]["1"]["value"]) for each in reads if each["bindings"])


async def _ask(sidecar: Sidecar, key: int) -> Answer:
    answer = await sidecar.client.call("warehouse", "query", sql=READ, binds=[key])
    assert answer.is_served, answer.body
    return answer
