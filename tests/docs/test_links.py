"""How links of the repository become links of the site."""

import pytest

from tools.site import rewritten


@pytest.mark.parametrize(
    ("page", "written", "expected"),
    [
        ("quickstart.md", "[a](concepts/egress.md#x)", "[a](concepts/egress.md#x)"),
        ("quickstart.md", "[a](../README.md)", "[a](tour.md)"),
        ("tour.md", "[a](docs/concepts/egress.md)", "[a](concepts/egress.md)"),
        ("reference/helm-values.md", "[a](../../docs/operations/cilium.md)", "[a](../operations/cilium.md)"),
        ("concepts/threat-model.md", "[a](../../SECURITY.md#b)", "[a](../security.md#b)"),
        ("quickstart.md", "[a](../examples/quickstart/1-task.yaml)", "[a](source/examples/quickstart/1-task.yaml.md)"),
        ("concepts/client.md", "[a](../../examples/client)", "[a](../source/examples/client/index.md)"),
        ("tour.md", "[a](docs/design)", "[a](design/index.md)"),
        ("index.md", "[a](https://example.org/a.md) [b](#c)", "[a](https://example.org/a.md) [b](#c)"),
    ],
)
def test_link_of_the_repository_leads_to_the_page_of_the_site(page: str, written: str, expected: str) -> None:
    assert rewritten(written, page) == expected


def test_what_looks_like_a_link_in_a_block_of_code_stays_as_it_is() -> None:
    text = "```\n[a](../README.md)\n```\n"

    assert rewritten(text, "quickstart.md") == text


def test_bar_in_the_code_of_a_table_is_shown_without_its_backslash() -> None:
    assert rewritten("| `[a\\|b]` |", "quickstart.md") == "| <code>[a&#124;b]</code> |"
