import pytest

from ringfence_sidecar.asgi import HttpError
from ringfence_sidecar.correlation import correlate
from ringfence_sidecar.mcp.server import Asked, Era
from ringfence_sidecar.mcp.surface import correlation_of

PARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00"
OTHER = "00-11111111111111111111111111111111-b7ad6b7169203331-01"


async def _unheard(_: str, __: object) -> None:
    raise AssertionError("nothing is to be told")


def asked(headers: dict[str, str], meta: dict[str, object]) -> Asked:
    return Asked(
        method="tools/call",
        params={"_meta": meta},
        era=Era.STATELESS,
        version="2026-07-28",
        headers=headers,
        capabilities={},
        notify=_unheard,
    )


@pytest.mark.parametrize("sampled", [True, False])
def test_a_new_trace_is_sampled_where_spans_are_exported_and_a_callers_as_it_says(sampled: bool) -> None:
    ours = correlate({}, sampled=sampled)
    theirs = correlate({"traceparent": PARENT}, sampled=sampled)
    over_mcp = correlation_of(asked({}, {}), sampled=sampled)

    assert ours.trace.sampled is sampled
    assert over_mcp.trace.sampled is sampled
    assert theirs.trace.sampled is False
    assert theirs.trace.parent_id == PARENT.split("-")[2]


def test_over_mcp_the_trace_of_meta_wins_over_that_of_headers() -> None:
    both = correlation_of(asked({"traceparent": PARENT}, {"traceparent": OTHER}), sampled=False)
    header = correlation_of(asked({"traceparent": PARENT}, {"traceparent": 7}), sampled=False)

    assert both.trace.trace_id == OTHER.split("-")[1]
    assert header.trace.trace_id == PARENT.split("-")[1]


@pytest.mark.parametrize("given", ["", "a b", "a\nb", "ä", "x" * 129])
def test_a_request_id_that_could_break_a_log_or_a_query_tag_is_replaced(given: str) -> None:
    assert correlate({"x-request-id": given}).request_id != given


@pytest.mark.parametrize(
    "headers",
    [
        {"x-timeout-seconds": "0"},
        {"x-timeout-seconds": "-1"},
        {"x-timeout-seconds": "1e3"},
        {"x-timeout-seconds": "inf"},
        {"idempotency-key": "with space"},
        {"idempotency-key": "x" * 256},
    ],
)
def test_an_option_that_does_not_fit_is_refused(headers: dict[str, str]) -> None:
    with pytest.raises(HttpError) as caught:
        correlate(headers)

    assert (caught.value.status, caught.value.code) == (400, "InvalidHeader")
