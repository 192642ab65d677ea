from bench.row import at_most, for_comparison, table


def test_a_figure_at_its_limit_holds_and_one_above_it_does_not() -> None:
    assert (at_most("a", 3, 3, "writes").holds, at_most("a", 3.1, 3, "writes").holds) == (True, False)


def test_nothing_is_asked_of_a_figure_for_comparison() -> None:
    assert for_comparison("a", 3, "s").holds is None


def test_the_table_says_what_was_missed_and_under_which_conditions() -> None:
    text = table(
        [at_most("latency", 80.5, 70, "ms", "the machine was busy"), for_comparison("  without us", "1 / 2", "ms")]
    )

    assert [line.split() for line in text.splitlines()[2:]] == [
        ["latency", "<=", "70", "80.5", "ms", "MISSED"],
        ["the", "machine", "was", "busy"],
        ["without", "us", "1", "/", "2", "ms"],
    ]
