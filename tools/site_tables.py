"""What MkDocs is told of tables: on a phone, columns stay readable, and what is wider scrolls in its own frame.

A browser shares a table's width out among columns without regard to words: a sentence beside a long one is laid out one
word a line, and names in code are cut between any two letters. So cells with sentences say how narrow they may become
(docs/site.css), and long names say where they may be cut.
"""

import html
import re

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import Files
from mkdocs.structure.pages import Page

CLASSES = {50: "sentences", 18: "phrase", -1: ""}
"""The class of cells with more characters than that."""
LONG_NAME = 16
_CELL = re.compile(r"<td( style=\"[^\"]*\")?>(.*?)</td>", re.DOTALL)
_CODE = re.compile(r"(?<=<code>)[^<]+(?=</code>)")
_TAG = re.compile(r"<[^>]+>")
_WORD = re.compile(r"[^\s&;]{%d,}" % (LONG_NAME + 1))  # noqa: UP031 - the braces are the pattern's own
_SEAM = re.compile(r"(?<=[_/.,:=])(?=[^_/.,:=])|(?<=[a-z])(?=[A-Z])")


def on_page_content(html: str, page: Page, config: MkDocsConfig, files: Files) -> str:  # noqa: ARG001 - by name
    """Have the tables of a page say what a narrow window may do to them."""
    return with_readable_tables(html)


def with_readable_tables(content: str) -> str:
    """Return HTML whose cells say how narrow they may become, and whose long names in cells may be cut at a seam."""
    return _CELL.sub(_cell, content)


def _cell(found: re.Match[str]) -> str:
    length = len(html.unescape(_TAG.sub("", found[2])).strip())
    name = next(name for least, name in CLASSES.items() if length > least)
    content = _CODE.sub(lambda code: _WORD.sub(lambda word: _SEAM.sub("<wbr>", word[0]), code[0]), found[2])
    return f"<td{found[1] or ''}{f' class={chr(34)}{name}{chr(34)}' if name else ''}>{content}</td>"
