"""The site: whole in itself, and the same pages as in the repository."""

import re
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import unquote, urlsplit

from tests.docs.page import Page

BASE = "/docs/"
"""The path of site_url in mkdocs.yml, with which links of the page for what is not there begin."""
STYLES = re.compile(r"url\(\s*['\"]?(https?:)?//")


def target_of(link: str, page: Path, site: Path) -> tuple[Path, str]:
    """Return the file that a link of a page leads to, and the anchor in it."""
    parts = urlsplit(link)
    path = unquote(parts.path)
    there = site / path.removeprefix(BASE) if path.startswith(BASE) else page.parent / path if path else page
    return (there / "index.html" if there.is_dir() else there).resolve(), unquote(parts.fragment)


def links_inside(pages: dict[Path, Page]) -> Iterator[tuple[Path, str]]:
    for path, page in pages.items():
        yield from ((path, link) for link in page.links if not urlsplit(link).scheme)


def test_every_page_that_the_documentation_names_is_built(pages: dict[Path, Page]) -> None:
    assert len(pages) > 80


def test_every_link_leads_to_a_page_of_the_site_and_to_an_anchor_there(site: Path, pages: dict[Path, Page]) -> None:
    whole = {path.resolve(): page for path, page in pages.items()}
    wrong = []

    for path, link in links_inside(pages):
        there, anchor = target_of(link, path, site)
        if not there.is_file() or (anchor and there in whole and anchor not in whole[there].anchors):
            wrong.append(f"{path.relative_to(site)}: {link}")

    assert wrong == []


def test_links_out_of_the_site_are_complete_addresses_over_https(pages: dict[Path, Page]) -> None:
    outside = {link for page in pages.values() for link in page.links if urlsplit(link).scheme}

    assert [link for link in outside if urlsplit(link).scheme != "https" or "." not in urlsplit(link).netloc] == []


def test_a_browser_fetches_nothing_from_elsewhere(site: Path, pages: dict[Path, Page]) -> None:
    elsewhere = {link for page in pages.values() for link in page.fetched if urlsplit(link).netloc}
    styles = [path.name for path in site.rglob("*.css") if STYLES.search(path.read_text())]

    assert elsewhere == set()
    assert styles == []


def test_every_page_can_be_found_by_a_search_but_those_that_show_a_file(site: Path) -> None:
    index = (site / "search/search_index.json").read_text()

    assert '"location":"concepts/threat-model/"' in index
    assert '"location":"source/' not in index
