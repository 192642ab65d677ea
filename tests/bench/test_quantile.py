import pytest

from bench.quantile import Histogram, quantile

TEXT = """\
# HELP pass_seconds How long a pass took
# TYPE pass_seconds histogram
pass_seconds_bucket{controller="a",le="0.001"} 10.0
pass_seconds_bucket{controller="a",le="0.002"} 30.0
pass_seconds_bucket{controller="a",le="+Inf"} 40.0
pass_seconds_count{controller="a"} 40.0
pass_seconds_sum{controller="a"} 0.08
pass_seconds_created{controller="a"} 1.7e+09
other_pass_seconds_bucket{le="+Inf"} 7.0
other_pass_seconds_count 7.0
other_pass_seconds_sum 7.0
"""


def test_quantile_is_the_smallest_sample_that_the_share_does_not_exceed() -> None:
    samples = [float(number) for number in range(100, 0, -1)]

    assert (quantile(samples, 0.5), quantile(samples, 0.99), quantile(samples, 1)) == (50.0, 99.0, 100.0)


def test_quantile_of_one_sample_is_that_sample() -> None:
    assert (quantile([3.0], 0.01), quantile([3.0], 0.99)) == (3.0, 3.0)


def test_no_samples_have_no_quantile() -> None:
    with pytest.raises(ValueError, match="no samples"):
        quantile([], 0.5)


def test_histogram_is_read_by_its_whole_name() -> None:
    histogram = Histogram.from_text(TEXT, "pass_seconds")

    assert (histogram.count, histogram.total) == (40.0, 0.08)
    assert histogram.mean == pytest.approx(0.002)


def test_histogram_adds_up_what_its_other_labels_tell_apart() -> None:
    twice = TEXT + TEXT.replace('controller="a"', 'controller="b"')

    assert Histogram.from_text(twice, "pass_seconds").upto == {0.001: 20.0, 0.002: 60.0, float("inf"): 80.0}


def test_quantile_of_a_histogram_is_linear_within_its_bucket() -> None:
    histogram = Histogram.from_text(TEXT, "pass_seconds")

    assert histogram.quantile(0.5) == pytest.approx(0.0015)


def test_quantile_beyond_the_last_bound_is_that_bound() -> None:
    assert Histogram.from_text(TEXT, "pass_seconds").quantile(0.99) == 0.002


def test_difference_counts_only_what_came_later() -> None:
    before = Histogram.from_text(TEXT, "pass_seconds")
    later = Histogram({0.001: 10.0, 0.002: 34.0, float("inf"): 44.0}, 0.086, 44.0)

    since = later.since(before)

    assert since.count == 4.0
    assert since.mean == pytest.approx(0.0015)
    assert since.quantile(0.5) == pytest.approx(0.0015)
