from typing import Any

import jsonschema_rs
import pytest

from ringfence_sidecar.closed_schema import closed
from ringfence_sidecar.errors import InvalidArgumentsError

Raw = dict[str, Any]

D2019 = "https://json-schema.org/draft/2019-09/schema"
INNER: Raw = {"type": "object", "properties": {"a": {"type": "integer"}}}
BASE: Raw = {"$defs": {"base": INNER}, "allOf": [{"$ref": "#/$defs/base"}], "properties": {"b": True}}


def fits(schema: Raw, payload: Any) -> bool:
    return jsonschema_rs.validator_for(closed(schema)).is_valid(payload)


@pytest.mark.parametrize(
    ("schema", "named", "unnamed"),
    [
        (INNER, {"a": 1}, {"a": 1, "x": 1}),
        ({"properties": {"o": INNER}}, {"o": {"a": 1}}, {"o": {"a": 1, "x": 1}}),
        ({"type": "array", "items": INNER}, [{"a": 1}], [{"a": 1}, {"x": 1}]),
        ({"properties": {"o": {"items": {"properties": {"p": INNER}}}}}, {"o": [{"p": {}}]}, {"o": [{"p": {"x": 1}}]}),
        ({"prefixItems": [INNER]}, [{"a": 1}], [{"x": 1}]),
        ({"if": True, "then": {"properties": {"o": INNER}}}, {"o": {"a": 1}}, {"o": {"x": 1}}),
        ({"dependentSchemas": {"o": {"properties": {"o": INNER}}}}, {"o": {"a": 1}}, {"o": {"x": 1}}),
        ({"$schema": D2019, "items": [INNER]}, [{"a": 1}], [{"x": 1}]),
        ({"additionalProperties": INNER}, {"any": {"a": 1}}, {"any": {"x": 1}}),
        ({"$defs": {"inner": INNER}, "items": {"$ref": "#/$defs/inner"}}, [{"a": 1}], [{"x": 1}]),
        (BASE, {"a": 1, "b": 2}, {"a": 1, "b": 2, "x": 3}),
        ({"properties": {"o": {"oneOf": [INNER, {"type": "null"}]}}}, {"o": {"a": 1}}, {"o": {"x": 1}}),
    ],
)
def test_members_that_are_not_named_are_refused_at_every_depth(schema: Raw, named: Any, unnamed: Any) -> None:
    assert jsonschema_rs.validator_for(schema).is_valid(unnamed)

    assert fits(schema, named)
    assert not fits(schema, unnamed)


@pytest.mark.parametrize("says", [{"additionalProperties": True}, {"unevaluatedProperties": True}])
def test_what_a_schema_says_itself_of_other_members_stands(says: Raw) -> None:
    assert fits({**INNER, **says}, {"x": 1})
    assert fits({"properties": {"o": {**INNER, **says}}}, {"o": {"x": 1}})


@pytest.mark.parametrize("draft", ["http://json-schema.org/draft-07/schema#", "http://json-schema.org/draft-04/schema"])
def test_a_draft_that_cannot_say_it_is_refused(draft: str) -> None:
    with pytest.raises(InvalidArgumentsError, match="2019-09") as caught:
        closed({"$schema": draft, **INNER})

    assert caught.value.field == "schema.$schema"
