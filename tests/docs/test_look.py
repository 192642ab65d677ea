"""That the look at pages in a browser finds what it is there for."""

from pathlib import Path

import pytest

from tools.pictures.browser import found
from tools.pictures.site import WINDOWS, Seen, look_at, main, pages_of, picture_name, table

HEAD = "<!doctype html><meta name=viewport content='width=device-width'><link rel=icon href='data:,'><title>T</title>"
GOOD = f"{HEAD}<body><article><h1>Title</h1><p>Text.</p></article>"
BAD = {
    "wide": (f"{GOOD}<div style='width:2000px'>wide</div>", "px wider than the window"),
    "picture": (f"{GOOD}<img src=none.png>", "the picture none.png does not load"),
    "script": (f"{GOOD}<script>nothing.at.all</script>", "the browser says: ReferenceError: nothing is not defined"),
    "small": (f"{GOOD}<p style='font-size:9px'>tiny</p>", "“tiny” (p) is 9 px small"),
    "cut": (
        f"{HEAD}<article><h1 style='overflow:hidden;width:60px;white-space:nowrap'>A title that goes on</h1></article>",
        "“A title that goes on” (h1) is cut off at the edge",
    ),
    "squashed": (
        f"{HEAD}<article><h1>T</h1><table><td style='width:1px'>one two three four five six</table></article>",
        "a cell is squashed: “one two three four five six”, 27 characters in 6 lines",
    ),
    "untitled": (f"{HEAD}<article><p>Text.</p></article>", "it has 0 titles (h1), not one"),
}
"""Page → what is in it, and what is said of it."""


@pytest.fixture(scope="module")
def seen(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Seen]:
    """What is seen on a phone of a site with a good page and one for each fault."""
    if found() is None:
        pytest.skip("no browser here; `make docs-pages` installs one")
    site = tmp_path_factory.mktemp("site")
    scrolling = f"{GOOD}<div style='overflow-x:auto'><pre style='width:2000px'>a line that scrolls</pre></div>"
    for page, text in {"good": GOOD, "scrolling": scrolling, **{page: text for page, (text, _) in BAD.items()}}.items():
        (site / f"{page}.html").write_text(text)
    looks = look_at(site, pages_of(site))
    return {look.page.removesuffix(".html"): look for look in looks if look.window.name == "phone"}


@pytest.mark.parametrize("page", BAD)
def test_each_fault_of_a_page_is_told_in_a_sentence(seen: dict[str, Seen], page: str) -> None:
    assert [fault for fault in seen[page].faults if BAD[page][1] in fault]


@pytest.mark.parametrize("page", ["good", "scrolling"])
def test_a_page_that_can_be_read_has_no_fault(seen: dict[str, Seen], page: str) -> None:
    assert seen[page].faults == ()


def test_the_table_has_a_line_for_each_page_with_its_faults() -> None:
    desktop, phone = WINDOWS
    looks = [Seen("", desktop, ()), Seen("", phone, ("a", "b")), Seen("tour/", desktop, ()), Seen("tour/", phone, ())]

    assert [line.split() for line in table(looks).splitlines()] == [
        ["page", "desktop", "phone"],
        ["/", "ok", "2"],
        ["tour/", "ok", "ok"],
    ]


def test_a_picture_is_called_as_its_page_is() -> None:
    assert [picture_name(page) for page in ("", "concepts/pools/", "404.html")] == ["index", "concepts-pools", "404"]


def test_a_site_without_pages_is_a_fault(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--site", str(tmp_path)]) == 1
    assert "no such page in" in capsys.readouterr().err
