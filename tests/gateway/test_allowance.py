from ringfence_gateway.allowance import BURST_OF_SOURCE, MOST_SOURCES, Allowance, Bucket


def test_a_bucket_lets_a_burst_through_and_then_its_rate() -> None:
    bucket = Bucket(rate=10.0, most=3.0, level=3.0, filled=0.0)

    at_once = [bucket.take(1.0) for _ in range(4)]
    later = [bucket.take(1.25) for _ in range(3)]

    assert at_once == [True, True, True, False]
    assert later == [True, True, False]


def test_one_source_leaves_the_others_their_part() -> None:
    allowance = Allowance()

    flooder = [allowance.take("10.0.0.1", 0.0) for _ in range(int(BURST_OF_SOURCE) * 10)]

    assert flooder.count(True) == BURST_OF_SOURCE
    assert allowance.take("10.0.0.2", 0.0)


def test_sources_without_end_take_no_memory_without_end() -> None:
    allowance = Allowance()

    for number in range(MOST_SOURCES * 3):
        allowance.take(str(number), 0.0)

    assert len(allowance.sources) == MOST_SOURCES
