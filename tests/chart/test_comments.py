"""From the comments of values: their schema, their page, and what is said of a comment that lacks."""

import re

import jsonschema
import pytest
import yaml

from tests.chart.chart import branches
from tools.chart import (
    CHART,
    build_schema,
    chart_values,
    crd_template,
    leaves,
    read_values,
    schema_of,
    schema_text,
    user_roles_template,
)
from tools.chart_page import chart_page
from tools.chart_types import TYPES

VALUES = """\
# -- The first part

# What it is
# about.
outer:
  # How many.
  # @type integer {minimum: 1}
  count: 2
  # Further ones.
  # @type labels
  more: {a: b}
# -- The second part

# Names.
# @type list of name
names: []
"""


def test_comment_gives_meaning_type_and_heading() -> None:
    outer, names = read_values(VALUES)
    count, more = outer.values

    assert (outer.name, outer.meaning, outer.kind, outer.heading) == (
        "outer",
        "What it is about.",
        None,
        "The first part",
    )
    assert (count.name, count.meaning, count.default) == ("outer.count", "How many.", 2)
    assert (more.kind, more.default) == ("labels", {"a": "b"})
    assert names.kind == "list of name"
    assert [each.name for each in leaves((outer, names))] == ["outer.count", "outer.more", "names"]


def test_schema_closes_every_branch_and_says_what_each_value_means() -> None:
    schema = build_schema(read_values(VALUES))
    outer = schema["properties"]["outer"]

    assert schema["additionalProperties"] is False
    assert outer["additionalProperties"] is False
    assert outer["properties"]["count"] == {"description": "How many.", "type": "integer", "minimum": 1}


@pytest.mark.parametrize(
    "text",
    [
        "a: 1\n",
        "# What it is.\na: 1\n",
        "# @type integer\na: 1\n",
        "# What it is.\n# @type integer\n\na: 1\n",
        "# What it is.\na:\n  b: 1\n",
        "# What it is.\na: {}\n",
    ],
)
def test_value_without_meaning_or_type_is_refused_by_its_name(text: str) -> None:
    with pytest.raises(ValueError, match=r"^a(\.b)?: write above it what it means"):
        read_values(text)


@pytest.mark.parametrize("kind", ["integr", "list of integr", "integer minimum=1", "optional list of name", ""])
def test_type_that_is_none_is_refused_by_the_name_of_its_value(kind: str) -> None:
    with pytest.raises(ValueError, match=r"^outer\.count: .* is no type; there are boolean, "):
        schema_of(kind, "outer.count")


def test_optional_type_lets_the_empty_string_in_besides() -> None:
    validator = jsonschema.Draft7Validator(schema_of("optional namePath", "x"))

    assert [validator.is_valid(text) for text in ("", "a/b", "a", "a/b/c")] == [True, True, False, False]


@pytest.mark.parametrize(
    ("kind", "good", "bad"),
    [
        ("quantity", ["500m", "1.5Gi", "2", 2, "100M", "64Ki"], ["", "4 GB", "-1", -1, "1ki", 1.5, "0", 0, "0Mi"]),
        ("duration", ["30s", "1m30s", "500ms"], ["30", "", "s"]),
        ("name", ["a", "ringfence-redis", "a.b"], ["", "A", "-a", "a-", "a_b"]),
        ("cidr", ["10.0.0.0/8", "fd00::/64", "192.0.2.1"], ["host", "10.0.0.0-9", ""]),
        ("address", ["192.0.2.1", "2001:db8::1"], ["dns.example", "10.0.0.0/8"]),
        ("repository", ["docker.io/ringfence/operator", "registry:5000/a/b_c"], ["a:1", "A/b", "", "a//b"]),
        ("tag", ["", "0.1.0", "v1_2-x"], [":1", "a/b", "-a"]),
        ("digest", ["", f"sha256:{'0' * 64}"], ["sha256:0", f"sha512:{'0' * 64}", "0" * 64]),
        ("count", [0, 1, "50%"], [-1, "1", "%", 0.5]),
        ("image", ["own", "registry:5000/a:b@sha256:c"], ["", "-x", "a b"]),
        ("key", ["ca.crt", "administrator"], ["", "a/b"]),
        ("labels", [{}, {"team": "a"}], [{"team": 1}, {"ringfence.dev/agent": "a"}, {"app.kubernetes.io/name": "x"}]),
        (
            "annotations",
            [{"app.kubernetes.io/name": "x"}],
            [{"quota.ringfence.dev/a": "b"}, {"meta.helm.sh/x": "y"}],
        ),
        ("env", [{"name": "A", "value": "b"}], [{"value": "b"}, {"name": "RINGFENCE_X"}, {"name": "A", "value": 1}]),
        ("object", [{"kind": "ConfigMap"}, "kind: ConfigMap"], [1, ["x"]]),
    ],
)
def test_type_takes_what_fits_and_nothing_else(kind: str, good: list[object], bad: list[object]) -> None:
    validator = jsonschema.Draft7Validator(TYPES[kind])

    assert [each for each in good if not validator.is_valid(each)] == []
    assert [each for each in bad if validator.is_valid(each)] == []


def test_schema_is_one_and_the_default_values_fit_it() -> None:
    schema = yaml.safe_load(schema_text())

    jsonschema.Draft7Validator.check_schema(schema)
    jsonschema.Draft7Validator(schema).validate(yaml.safe_load((CHART / "values.yaml").read_text()))


def test_every_type_is_used() -> None:
    kinds = " ".join(each.kind or "" for each in leaves(chart_values())).split()

    assert TYPES.keys() - set(kinds) == set()


def test_page_names_every_value_with_its_default_and_meaning() -> None:
    page = chart_page(chart_values())

    for value in leaves(chart_values()):
        assert any(
            line.startswith(f"| `{value.name}` |") and line.endswith(f"| {value.meaning} |")
            for line in page.splitlines()
        )
    for branch in branches():
        assert len(branch.path) > 1 or branch.meaning in page
    assert "| `operator.replicas` | `2` |" in page
    assert "| `settings.clusterDomain` | `cluster.local` |" in page


def test_link_of_the_page_leads_to_a_file() -> None:
    links = re.findall(r"\]\(([^)#]+)", chart_page(chart_values()))

    assert links
    assert [link for link in links if not (CHART / link).exists()] == []


def test_template_of_a_kind_gives_out_braces_as_they_are() -> None:
    manifest = "# Made.\nkind: X\nmetadata:\n  name: xs\n  labels:\n    a: b\nspec:\n  text: '{{ x }}'\n"

    assert crd_template(manifest) == (
        "# Made.\n{{- if .Values.crds.enabled }}\nkind: X\nmetadata:\n"
        '  {{- include "ringfence.crdMetadata" (dict "root" . "name" "xs") | nindent 2 }}\n'
        "spec:\n  text: '{{ \"{{\" }} x }}'\n{{- end }}\n"
    )


def test_template_of_roles_keeps_what_adds_each_to_kubernetes_own() -> None:
    role = (
        "kind: ClusterRole\nmetadata:\n  name: {0}\n  labels:\n    rbac.authorization.k8s.io/aggregate-to-{0}: 'true'\n"
    )

    made = user_roles_template("# Made.\n" + role.format("view") + "---\n" + role.format("edit"))

    for name in ("view", "edit"):
        labels = f'"labels" (dict "rbac.authorization.k8s.io/aggregate-to-{name}" "true")'
        assert f'(dict "root" . "name" "{name}" {labels})' in made
    assert "labels:" not in made
