"""What the site's tables say of how narrow they may become."""

import pytest

from tools.site_tables import with_readable_tables


@pytest.mark.parametrize(
    ("cell", "expected"),
    [
        ("<td>short</td>", "<td>short</td>"),
        ("<td>a phrase of some words</td>", '<td class="phrase">a phrase of some words</td>'),
        (f"<td>{'word ' * 20}</td>", f'<td class="sentences">{"word " * 20}</td>'),
        ('<td style="text-align: right;">1</td>', '<td style="text-align: right;">1</td>'),
        ("<td><code>&lt;a&gt;&lt;b&gt;&lt;c&gt;</code></td>", "<td><code>&lt;a&gt;&lt;b&gt;&lt;c&gt;</code></td>"),
    ],
)
def test_a_cell_says_how_narrow_it_may_become_by_what_a_reader_sees(cell: str, expected: str) -> None:
    assert with_readable_tables(cell) == expected


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("short_name", "short_name"),
        ("RINGFENCE_OPERATOR_PROBE", "RINGFENCE_<wbr>OPERATOR_<wbr>PROBE"),
        ("topologySpreadConstraints", "topology<wbr>Spread<wbr>Constraints"),
        ("a &amp;&amp; b", "a &amp;&amp; b"),
    ],
)
def test_a_long_name_in_a_cell_may_be_cut_at_its_seams_and_nowhere_else(name: str, expected: str) -> None:
    assert f"<code>{expected}</code>" in with_readable_tables(f"<td><code>{name}</code></td>")


def test_what_is_no_table_stays_as_it_is() -> None:
    text = "<p><code>a_name_that_is_very_long_indeed</code></p>"

    assert with_readable_tables(text) == text
