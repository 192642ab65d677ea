"""What MkDocs is told besides mkdocs.yml: pages that lie outside of docs/, and links that lead out of it.

Links in Markdown are written for whoever reads the repository. Where one leads to a file that is no page of the site,
the site has a page that shows the file, so that nothing leads to a place that is not part of it.
"""

import html
import re
from collections.abc import Iterator, Mapping
from pathlib import Path, PurePosixPath
from posixpath import normpath, relpath

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT = Path(__file__).resolve().parents[1]
DOCS = "docs"
SOURCE = "source"
"""Where on the site the files are that are shown as they are."""
BROUGHT_IN: Mapping[str, str] = {
    "AGENTS.md": "development/repository.md",
    "CHANGELOG.md": "changes.md",
    "CONTRIBUTING.md": "development/contributing.md",
    "README.md": "tour.md",
    "SECURITY.md": "security.md",
    "charts/ringfence/README.md": "reference/helm-values.md",
    "devcluster/README.md": "development/cluster.md",
    "examples/README.md": "examples.md",
    "tests/e2e/escape/README.md": "concepts/attacks.md",
}
"""Pages of the site that are kept elsewhere in the repository."""
_KEPT_AT = {page: path for path, page in BROUGHT_IN.items()}
_LANGUAGES = {".go": "go", ".json": "json", ".md": "markdown", ".py": "python", ".toml": "toml", ".yaml": "yaml"}
_FENCE = re.compile(r"^( *)(`{3,}).*?^\1\2 *$", re.MULTILINE | re.DOTALL)
_LINK = re.compile(r"(\]\()([^()\s]+)(\))")
_BARS = re.compile(r"`([^`\n]*\\\|[^`\n]*)`")
_ELSEWHERE = re.compile(r"[a-z][a-z0-9+.-]*:|#|/")


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add what lies outside of docs/: pages, and the files that any page leads to."""
    for path, page in BROUGHT_IN.items():
        files.append(File.generated(config, page, abs_src_path=str(ROOT / path)))
    wanted = {
        target
        for file in files.documentation_pages()
        for target in _outside(file.content_string, kept_at(file.src_uri))
    }
    for target in sorted(wanted):
        files.append(File.generated(config, _page_of(target), content=_shown(target)))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:  # noqa: ARG001 - by name
    """Have the links of a page lead to pages of the site."""
    if page.file.src_uri.startswith(f"{SOURCE}/"):
        return markdown
    return rewritten(markdown, page.file.src_uri)


def rewritten(markdown: str, page: str) -> str:
    """Return the text of a page of the site with its links as the site has them."""
    here = kept_at(page)

    def lead(found: re.Match[str]) -> str:
        target, mark, anchor = found[2].partition("#")
        if not target or _ELSEWHERE.match(found[2]):
            return found[0]
        there = relpath(_page_of(_resolved(target, here)), PurePosixPath(page).parent.as_posix())
        return f"{found[1]}{there}{mark}{anchor}{found[3]}"

    return "".join(
        text if is_code else _BARS.sub(_with_bars, _LINK.sub(lead, text)) for text, is_code in _parts(markdown)
    )


def _with_bars(code: re.Match[str]) -> str:
    """Return code in a table with its bars as they are meant: Python's Markdown would leave the backslashes there."""
    return f"<code>{html.escape(code[1]).replace(chr(92) + '|', '&#124;')}</code>"


def kept_at(page: str) -> str:
    """Return where in the repository a page of the site is kept."""
    return _KEPT_AT.get(page, f"{DOCS}/{page}")


def links_of(markdown: str) -> Iterator[str]:
    """Yield where the links of a text lead, those in blocks of code left out."""
    for text, is_code in _parts(markdown):
        if not is_code:
            yield from (found[2] for found in _LINK.finditer(text))


def _outside(markdown: str, here: str) -> Iterator[str]:
    """Yield the paths, from the repository's root, of what a text leads to that is no page yet."""
    for link in links_of(markdown):
        target = link.partition("#")[0]
        if target and not _ELSEWHERE.match(link):
            path = _resolved(target, here)
            if not path.startswith(f"{DOCS}/") and path not in BROUGHT_IN and (ROOT / path).exists():
                yield path


def _resolved(target: str, here: str) -> str:
    return normpath((PurePosixPath(here).parent / target).as_posix())


def _page_of(path: str) -> str:
    """Return the page of the site that shows a file or folder of the repository."""
    if path in BROUGHT_IN:
        return BROUGHT_IN[path]
    inside = path.removeprefix(f"{DOCS}/")
    if (ROOT / path).is_dir():
        return f"{inside if inside != path else f'{SOURCE}/{path}'}/index.md"
    return inside if inside != path else f"{SOURCE}/{path}.md"


def _shown(path: str) -> str:
    """Return a page that shows a file, or lists a folder."""
    found = ROOT / path
    head = f"---\nsearch: {{exclude: true}}\n---\n\n# {path}\n\n"
    if found.is_dir():
        names = sorted(each.relative_to(found).as_posix() for each in found.rglob("*") if _is_shown(each))
        return head + "A folder of the repository, with these files:\n\n" + "".join(f"- `{name}`\n" for name in names)
    return f"{head}A file of the repository.\n\n`````{_LANGUAGES.get(found.suffix, '')}\n{found.read_text()}\n`````\n"


def _is_shown(path: Path) -> bool:
    return path.is_file() and "__pycache__" not in path.parts


def _parts(markdown: str) -> Iterator[tuple[str, bool]]:
    """Yield the text piece by piece, and of each whether it is a block of code."""
    end = 0
    for block in _FENCE.finditer(markdown):
        yield markdown[end : block.start()], False
        yield block[0], True
        end = block.end()
    yield markdown[end:], False
