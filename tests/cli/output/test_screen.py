import io

from rich.console import Console

from ringfence_cli.output.screen import table


def test_no_cell_is_cut_off_however_narrow_the_screen() -> None:
    text = io.StringIO()
    long = "x" * 200

    Console(file=text, width=40, soft_wrap=True).print(table(("NAME", "WHAT"), [("a", long), ("bcdef", "two\nlines")]))

    assert text.getvalue() == f"NAME    WHAT\na       {long}\nbcdef   two lines\n"


def test_a_table_may_do_without_a_head() -> None:
    assert table((), [("a", "b")]).plain == "a   b"
