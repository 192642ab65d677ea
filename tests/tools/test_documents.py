import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from ringfence_operator.api.conditions import Reason
from ringfence_operator.api.metadata import API_VERSION
from tools.crd import KINDS, object_schema
from tools.site import BROUGHT_IN, links_of

ROOT = Path(__file__).resolve().parents[2]
PAGES = sorted({*(ROOT / "docs").rglob("*.md"), *(ROOT / path for path in BROUGHT_IN)})
MANIFESTS = sorted([*(ROOT / "examples").rglob("*.yaml"), *(ROOT / "demo/manifests").glob("*.yaml")])


def name_of(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def blocks(page: Path, language: str) -> Iterator[str]:
    return iter(re.findall(rf"^```{language}\n(.*?)^```$", page.read_text(), re.MULTILINE | re.DOTALL))


def unknown(value: Any, schema: Mapping[str, Any], path: str) -> Iterator[str]:
    """Yield the fields of an object that its schema does not have."""
    if isinstance(value, list):
        for each in value:
            yield from unknown(each, schema.get("items", {}), f"{path}[]")
    elif isinstance(value, dict) and "properties" in schema:
        for name, inner in value.items():
            if name in schema["properties"]:
                yield from unknown(inner, schema["properties"][name], f"{path}.{name}")
            else:
                yield f"{path}.{name}"


def anchors_of(page: Path) -> set[str]:
    """Return the anchors that GitHub gives to the headings of a page."""
    text = re.sub(r"^```.*?^```$", "", page.read_text(), flags=re.MULTILINE | re.DOTALL)
    titles = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    plain = [re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", title).lower() for title in titles]
    return {re.sub(r"[^\w\- ]", "", title).replace(" ", "-") for title in plain}


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_link_to_a_file_leads_to_one_and_to_a_heading_in_it(page: Path) -> None:
    links = [link for link in links_of(page.read_text()) if not re.match(r"https?:", link)]
    wrong = []

    for link in links:
        path, _, anchor = link.partition("#")
        there = page.parent / path if path else page
        if not there.exists() or (anchor and anchor not in anchors_of(there)):
            wrong.append(link)

    assert wrong == []


@pytest.mark.parametrize("page", [ROOT / "README.md", ROOT / "docs/quickstart.md"], ids=name_of)
def test_manifest_that_a_page_shows_is_one_of_the_examples(page: Path) -> None:
    examples = "".join(path.read_text() for path in MANIFESTS)

    assert [block for block in blocks(page, "yaml") if block not in examples] == []


def test_the_quickstart_goes_through_every_example_as_the_readme_says() -> None:
    page = (ROOT / "docs/quickstart.md").read_text()

    assert [each.name for each in sorted((ROOT / "examples/quickstart").iterdir()) if each.name not in page] == []


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_each_object_of_ours_that_a_page_shows_fits_its_kind(page: Path) -> None:
    kinds = {kind.kind: kind for kind in KINDS}
    shown = [body for block in blocks(page, "yaml") for body in yaml.safe_load_all(block)]

    for body in shown:
        if isinstance(body, dict) and body.get("apiVersion") == API_VERSION:
            kind = kinds[body["kind"]]
            kind.from_body(body)
            assert list(unknown(body["spec"], object_schema(kind)["properties"]["spec"], "spec")) == []


def test_for_each_reason_the_troubleshooting_page_says_once_what_to_do() -> None:
    page = (ROOT / "docs/operations/troubleshooting.md").read_text()

    told = re.findall(r"^\| `(\w+)` \| \S", page, re.MULTILINE)

    assert sorted(told) == sorted(reason.value for reason in Reason)
