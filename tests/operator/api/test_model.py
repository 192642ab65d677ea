from datetime import UTC, datetime, timedelta, timezone

import pytest

from ringfence_operator.api.metadata import Metadata
from ringfence_operator.api.model import format_timestamp


@pytest.mark.parametrize(
    ("moment", "text"),
    [
        (datetime(2026, 1, 2, 3, 4, 5, 999999, tzinfo=UTC), "2026-01-02T03:04:05Z"),
        (datetime(2026, 1, 2, 3, 4, 5, tzinfo=timezone(timedelta(hours=2))), "2026-01-02T01:04:05Z"),
    ],
)
def test_timestamp_is_written_in_whole_seconds_of_utc(moment: datetime, text: str) -> None:
    assert format_timestamp(moment) == text


def test_timestamp_keeps_no_more_than_the_api_server_does() -> None:
    made = Metadata(name="a", creation_timestamp=datetime(2026, 1, 1, 0, 0, 0, 7, tzinfo=UTC))

    assert made == Metadata.model_validate(made.to_body())


@pytest.mark.parametrize("body", [{"name": "a", "resourceVersion": "7"}, {"name": "a", "resource_version": "7"}])
def test_field_is_read_by_either_name(body: dict[str, str]) -> None:
    assert Metadata.model_validate(body).resource_version == "7"
