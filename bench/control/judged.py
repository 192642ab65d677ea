"""How soon an agent's call is judged by what a Connector permits now: from the write to the API server to the call."""

import time

from bench.quota.cluster import Cluster
from bench.row import Row
from bench.toggled import Toggled, rows, samples
from tests.e2e.connectors.calls import snowflake
from tests.e2e.kube import Body, address
from tests.e2e.world import World

COUNT, QUICK = 100, 6
LIMIT_MS = 1000.0
REFUSED = 403
ASKED = {"sql": "SELECT 1"}
OPEN, CLOSED = ["Select"], ["Show"]
"""Kinds of statements that are permitted: with either there is a `query`, and only one lets it select."""


def measure_judged(bed: Cluster) -> list[Row]:
    """A kind of statement is taken from what is permitted and given back, by turns; the agent asks all the time."""
    count = bed.count(COUNT, QUICK)
    before, began = bed.busy(), time.monotonic()
    with World(bed.kube, "default") as world:
        name = snowflake(world, permissions={"statements": OPEN, "tables": ["*.PUBLIC.*"]})
        agent = world.agent(connectors=[{"name": name}])
        agent.until_ready()
        place = address("Connector", world.namespace, name)

        def write(is_open: bool) -> Body:
            permitted = {"statements": OPEN if is_open else CLOSED}
            return world.kube.merge(place, {"spec": {"snowflake": {"permissions": permitted}}})

        call = ("POST", f"/v1/connectors/{name}/query", ASKED)
        toggled = Toggled(agent=agent, call=call, write=write, refused=REFUSED)
        toggled.until_served()
        with bed.progress.step(f"{count} changes of a Connector", announce=True):
            found = toggled.often(count, note=bed.progress.note)
    note = bed.busy().since(before, seconds=time.monotonic() - began)
    bed.keep("judged", samples(found))
    taken = "permission taken: API write sent -> agent's call judged by it"
    return rows(found, taken, "permission given: likewise", limit=LIMIT_MS, note=note)
