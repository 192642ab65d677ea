import pytest

from ringfence_operator.resources.share import Share, in_class, read_share


def test_a_containers_share_is_read_in_canonical_form() -> None:
    found = read_share({"requests": {"cpu": "0.1", "memory": "64Mi"}, "limits": {"cpu": "1000m", "memory": "0.5Gi"}})

    assert found == Share("100m", "64Mi", "1", "512Mi")


def test_a_request_that_is_not_given_is_the_limit() -> None:
    assert read_share({"limits": {"cpu": "1", "memory": "1Gi"}}) == Share("1", "1Gi", "1", "1Gi")


@pytest.mark.parametrize("resources", [None, {}, {"limits": {"cpu": "1"}}, {"requests": {"cpu": "1", "memory": "1Gi"}}])
def test_a_container_that_is_not_limited_has_no_share(resources: dict[str, dict[str, str]] | None) -> None:
    assert read_share(resources) is None


@pytest.mark.parametrize(
    ("quality", "share", "expected"),
    [
        ("Burstable", Share("100m", "64Mi", "1", "64Mi"), Share("100m", "64Mi", "1", "64Mi")),
        ("Burstable", Share("1", "64Mi", "1", "64Mi"), Share("999m", "64Mi", "1", "64Mi")),
        ("Burstable", Share("1m", "1Ki", "1m", "1Ki"), Share("1m", "1023", "1m", "1Ki")),
        ("Guaranteed", Share("100m", "64Mi", "100m", "32Mi"), Share("100m", "32Mi", "100m", "32Mi")),
        ("Guaranteed", Share("1", "64Mi", "2", "64Mi"), Share("2", "64Mi", "2", "64Mi")),
    ],
)
def test_a_running_pod_stays_in_its_class_of_service(quality: str, share: Share, expected: Share) -> None:
    assert in_class(share, quality) == expected
