import json
from typing import Any

import pytest

from bench.quota.cases import CASES
from bench.quota.refusals import Found, is_refused, rows_of
from bench.sidecar.client import Answer
from ringfence_operator.api.quota_matrix import Enforcer, resources_of

REFUSAL = {"errors": [{"code": "QuotaExceeded", "quota": "team"}]}


def answer(status: int, **body: Any) -> Answer:
    return Answer(status, json.dumps(body).encode())


def test_every_resource_that_sidecars_count_is_measured_once() -> None:
    assert sorted(case.resource for case in CASES) == sorted(each.value for each in resources_of(Enforcer.SIDECAR))


def test_a_refusal_is_known_over_rest_and_over_mcp() -> None:
    by_mcp = {"result": {"isError": True, "structuredContent": REFUSAL}}

    found = [
        is_refused(each, "team") for each in (answer(200, errors=[]), answer(429, **REFUSAL), answer(200, **by_mcp))
    ]

    assert found == [False, True, True]


def test_a_refusal_by_anything_else_is_no_measurement() -> None:
    with pytest.raises(RuntimeError, match="not by other"):
        is_refused(answer(429, **REFUSAL), "other")


def test_a_call_that_was_served_beyond_a_limit_and_a_late_refusal_are_missed() -> None:
    found = {"rows": Found([1.0, 101.0], served=1), "querySeconds": Found([1.0], late=[3.0])}

    rows = rows_of(found)

    assert [row.holds for row in rows] == [False, True, True, False]
