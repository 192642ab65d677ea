import io

from rich.console import Console

from ringfence_cli.output.progress import Progress


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def test_a_short_wait_is_not_worth_a_word() -> None:
    text, clock = io.StringIO(), Clock()

    with Progress("waiting", console=Console(file=text), clock=clock) as progress:
        clock.now = 1.9
        progress.say()

    assert text.getvalue() == ""


def test_a_long_wait_says_each_thing_that_it_is_for_once() -> None:
    text, clock = io.StringIO(), Clock()

    with Progress("waiting", console=Console(file=text), clock=clock) as progress:
        clock.now = 2.0
        for said in ("", "", "for the pod", "for the pod"):
            progress.say(said)

    assert text.getvalue() == "waiting …\nfor the pod …\n"


def test_a_terminal_gets_one_line_that_goes_again() -> None:
    text, clock = io.StringIO(), Clock()

    with Progress("waiting", console=Console(file=text, force_terminal=True), clock=clock) as progress:
        clock.now = 3.0
        progress.say()
        progress.say("for the pod")

    assert "for the pod" in text.getvalue()
    assert text.getvalue().endswith("\x1b[1A\x1b[2K")
