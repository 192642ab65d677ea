import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PAGES = sorted(
    [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), ROOT / "examples/README.md", ROOT / "devcluster/README.md"]
)
MANIFESTS = sorted([*(ROOT / "examples").rglob("*.yaml"), *(ROOT / "demo/manifests").glob("*.yaml")])


def name_of(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def blocks(page: Path, language: str) -> Iterator[str]:
    return iter(re.findall(rf"^```{language}\n(.*?)^```$", page.read_text(), re.MULTILINE | re.DOTALL))


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_link_to_a_file_leads_to_one(page: Path) -> None:
    links = re.findall(r"\]\((?!https?:|#)([^)#]+)", page.read_text())

    assert [link for link in links if not (page.parent / link).exists()] == []


@pytest.mark.parametrize("page", [ROOT / "README.md", ROOT / "docs/quickstart.md"], ids=name_of)
def test_manifest_that_a_page_shows_is_one_of_the_examples(page: Path) -> None:
    examples = "".join(path.read_text() for path in MANIFESTS)

    assert [block for block in blocks(page, "yaml") if block not in examples] == []
