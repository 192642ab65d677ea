import random
from collections import Counter

from ringfence_sidecar.configuration import Endpoint
from ringfence_sidecar.routing.selection import in_order


def at(name: str, *, priority: int = 0, weight: int = 1) -> Endpoint:
    return Endpoint(name=name, host="h", port=1, priority=priority, weight=weight)


def test_a_lower_priority_comes_first_whatever_the_weights() -> None:
    endpoints = [at("far", priority=2, weight=1000), at("near", priority=1)]

    firsts = {in_order(endpoints, random.Random(1).random)[0].name for _ in range(100)}

    assert firsts == {"near"}


def test_endpoints_of_one_priority_come_first_as_often_as_their_weight_says() -> None:
    draw = random.Random(1).random
    endpoints = [at("a", weight=3), at("b", weight=1)]

    firsts = Counter(in_order(endpoints, draw)[0].name for _ in range(4000))

    assert 0.72 < firsts["a"] / 4000 < 0.78


def test_an_endpoint_without_weight_comes_after_the_others_of_its_priority() -> None:
    draw = random.Random(1).random
    endpoints = [at("idle", weight=0), at("a"), at("b"), at("far", priority=1)]

    orders = [[each.name for each in in_order(endpoints, draw)] for _ in range(100)]

    assert all(order[2:] == ["idle", "far"] for order in orders)
