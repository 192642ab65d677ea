"""A page of the site, as a browser reads it."""

from dataclasses import dataclass, field
from html.parser import HTMLParser
from pathlib import Path

FETCHING = {("img", "src"), ("link", "href"), ("script", "src"), ("source", "src"), ("iframe", "src")}
"""What a browser fetches without being asked."""


@dataclass(slots=True)
class Page:
    """Where a page leads, what it fetches, and which anchors it has."""

    links: list[str] = field(default_factory=list)
    fetched: list[str] = field(default_factory=list)
    anchors: set[str] = field(default_factory=set)

    @classmethod
    def read(cls, path: Path) -> "Page":
        """Return the page of a file."""
        page = cls()
        parser = _Parser(page)
        parser.feed(path.read_text())
        return page


class _Parser(HTMLParser):
    def __init__(self, page: Page) -> None:
        super().__init__()
        self._page = page

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        if "id" in given:
            self._page.anchors.add(given["id"])
        if tag == "a" and "href" in given:
            self._page.links.append(given["href"])
        self._page.fetched += [
            value for name, value in given.items() if (tag, name) in FETCHING and given.get("rel") != "canonical"
        ]
