import itertools
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ringfence_operator.resources.selector import selects


def needs(key: str, operator: str, *values: str) -> dict[str, Any]:
    return {"matchExpressions": [{"key": key, "operator": operator, **({"values": [*values]} if values else {})}]}


@pytest.mark.parametrize(
    ("selector", "labels", "is_selected"),
    [
        ({}, {}, True),
        ({}, {"a": "1"}, True),
        ({"matchLabels": None, "matchExpressions": None}, {"a": "1"}, True),
        ({"matchLabels": {"a": "1"}}, {"a": "1", "b": "2"}, True),
        ({"matchLabels": {"a": "1"}}, {"a": "2"}, False),
        ({"matchLabels": {"a": "1"}}, {}, False),
        ({"matchLabels": {"a": ""}}, {"a": ""}, True),
        ({"matchLabels": {"a": ""}}, {}, False),
        ({"matchLabels": {"a": "1", "b": "2"}}, {"a": "1"}, False),
        (needs("a", "In", "1", "2"), {"a": "2"}, True),
        (needs("a", "In", "1", "2"), {"a": "3"}, False),
        (needs("a", "In", "1"), {}, False),
        (needs("a", "In", ""), {"a": ""}, True),
        (needs("a", "In", ""), {}, False),
        (needs("a", "NotIn", "1"), {"a": "2"}, True),
        (needs("a", "NotIn", "1"), {"a": "1"}, False),
        (needs("a", "NotIn", "1"), {}, True),
        (needs("a", "Exists"), {"a": ""}, True),
        (needs("a", "Exists"), {"b": ""}, False),
        (needs("a", "DoesNotExist"), {"a": ""}, False),
        (needs("a", "DoesNotExist"), {"b": ""}, True),
        ({"matchLabels": {"a": "1"}} | needs("b", "Exists"), {"a": "1"}, False),
        ({"matchLabels": {"a": "1"}} | needs("b", "Exists"), {"a": "1", "b": "x"}, True),
    ],
)
def test_selector_matches_as_a_metav1_label_selector_does(
    selector: dict[str, Any], labels: dict[str, str], is_selected: bool
) -> None:
    assert selects(selector, labels) is is_selected


LABELS = st.dictionaries(st.sampled_from("abc"), st.sampled_from(["", "1", "2"]))


@given(
    labels=LABELS,
    key=st.sampled_from("abc"),
    values=st.lists(st.sampled_from(["", "1", "2"]), min_size=1, unique=True),
)
def test_every_operator_is_the_opposite_of_its_counterpart(labels: dict[str, str], key: str, values: list[str]) -> None:
    pairs = [("In", "NotIn", values), ("Exists", "DoesNotExist", [])]

    answers = [
        (selects(needs(key, yes, *given), labels), selects(needs(key, no, *given), labels)) for yes, no, given in pairs
    ]

    assert all(one is not other for one, other in answers)


@given(labels=LABELS, wanted=LABELS)
def test_expressions_and_labels_are_all_required(labels: dict[str, str], wanted: dict[str, str]) -> None:
    by_labels = {"matchLabels": wanted}
    by_expressions = {
        "matchExpressions": list(
            itertools.chain.from_iterable(needs(key, "In", value)["matchExpressions"] for key, value in wanted.items())
        )
    }

    assert selects(by_labels, labels) is selects(by_expressions, labels) is (wanted.items() <= labels.items())
