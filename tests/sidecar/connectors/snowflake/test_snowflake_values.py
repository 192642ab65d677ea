"""Values as JSON."""

import datetime as dt
import decimal
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest

from ringfence_sidecar.connectors.snowflake.values import cleaners, encode_row, type_name
from tests.sidecar.connectors.snowflake.bench import Bench, data

FIXED, REAL, TEXT, DATE, VARIANT, LTZ, NTZ, BINARY, TIME = 0, 1, 2, 3, 5, 6, 8, 11, 12
UTC = dt.UTC


def encoded(value: Any, code: int, scale: int = 0) -> Any:
    column = SimpleNamespace(type_code=code, scale=scale, precision=38)
    return msgspec.json.decode(encode_row((value,), cleaners([column])))[0]


@pytest.mark.parametrize(
    ("value", "code", "scale", "json"),
    [
        (41, FIXED, 0, 41),
        (2**53 - 1, FIXED, 0, 2**53 - 1),
        (2**53, FIXED, 0, "9007199254740992"),
        (-(10**37), FIXED, 0, "-1" + "0" * 37),
        (decimal.Decimal("1.50"), FIXED, 2, "1.50"),
        (decimal.Decimal("1E+3"), FIXED, 0, "1000"),
        (1.5, REAL, 0, 1.5),
        (float("nan"), REAL, 0, "NaN"),
        (float("inf"), REAL, 0, "inf"),
        (float("-inf"), REAL, 0, "-inf"),
        ("x\u2028y", TEXT, 0, "x\u2028y"),
        (dt.date(2026, 11, 28), DATE, 0, "2026-11-28"),
        (dt.time(12, 34, 56, 789_000), TIME, 0, "12:34:56.789000"),
        (dt.datetime(2026, 11, 28, 12, 34, 56, 789_000), NTZ, 0, "2026-11-28T12:34:56.789000"),  # noqa: DTZ001
        (dt.datetime(2026, 11, 28, 12, 34, 56, tzinfo=UTC), LTZ, 0, "2026-11-28T12:34:56Z"),
        (b"\x00\xff", BINARY, 0, "AP8="),
        ('{"a": [1, null]}', VARIANT, 0, {"a": [1, None]}),
        ("12345678901234567890", VARIANT, 0, 12345678901234567890),
        ("[undefined]", VARIANT, 0, "[undefined]"),
        ('{"a": 1', VARIANT, 0, '{"a": 1'),
        (None, FIXED, 0, None),
        (None, VARIANT, 0, None),
    ],
)
def test_each_type_has_its_form_in_json(value: Any, code: int, scale: int, json: Any) -> None:
    assert encoded(value, code, scale) == json


def test_a_type_that_is_new_has_a_name_all_the_same() -> None:
    assert type_name(FIXED) == "NUMBER"
    assert type_name(99) == "UNKNOWN"


@pytest.mark.backend
async def test_values_come_out_of_a_result_as_they_are(bench: Bench) -> None:
    await bench.make(
        "CREATE TABLE t (i INTEGER, n NUMBER(10,2), f FLOAT, b BOOLEAN, d DATE, s TIMESTAMP_NTZ, x VARCHAR, v VARIANT)",
        "INSERT INTO t SELECT 1, 2.50, 0.5, TRUE, '2026-01-02', '2026-01-02 03:04:05.678', 'ü', "
        'PARSE_JSON(\'{"a":[1,"b"]}\')',
        "INSERT INTO t (i) VALUES (NULL)",
    )

    answer = data(await bench.ask("query", sql="SELECT * FROM t ORDER BY i NULLS LAST"))

    assert answer["rows"] == [
        [1, "2.50", 0.5, True, "2026-01-02", "2026-01-02T03:04:05.678000", "ü", {"a": [1, "b"]}],
        [None] * 8,
    ]
    types = [column["type"] for column in answer["columns"]]
    assert types == ["NUMBER", "NUMBER", "FLOAT", "BOOLEAN", "DATE", "TIMESTAMP_NTZ", "TEXT", "VARIANT"]


@pytest.mark.backend
@pytest.mark.parametrize("value", [1, -1, 2**40, 1.25, "it's ? :x", "", True, None])
async def test_a_bind_comes_back_as_it_went(bench: Bench, value: Any) -> None:
    await bench.make("CREATE TABLE t (i INTEGER, f FLOAT, x VARCHAR, b BOOLEAN)")
    column = {int: "i", float: "f", str: "x", bool: "b", type(None): "x"}[type(value)]
    await bench.ask("execute", sql=f"INSERT INTO t ({column}) VALUES (?)", binds=[value])

    answer = data(await bench.ask("query", sql=f"SELECT {column} FROM t"))

    assert answer["rows"] == [[value]]
