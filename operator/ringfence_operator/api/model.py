"""What every API model shares: names, immutability, reading and writing bodies."""

from datetime import UTC, datetime
from typing import Annotated, Any, ClassVar, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, GetJsonSchemaHandler, PlainSerializer
from pydantic.alias_generators import to_camel
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema

from ringfence_operator.api.rule import Rule, add_rules

T = TypeVar("T")


def is_empty(value: object) -> bool:
    """Return whether a list or map says nothing, and so need not be written."""
    return not value


def format_timestamp(moment: datetime) -> str:
    """Return `moment` as Kubernetes writes it: RFC 3339, UTC, whole seconds."""
    return f"{moment.astimezone(UTC).replace(tzinfo=None).isoformat(timespec='seconds')}Z"


def _whole_seconds(moment: datetime) -> datetime:
    # The API server keeps whole seconds; a status that keeps more never equals the one read back.
    return moment.replace(microsecond=0) if moment.microsecond else moment


Timestamp = Annotated[datetime, AfterValidator(_whole_seconds), PlainSerializer(format_timestamp, when_used="json")]
"""A `metav1.Time`: any finer part is cut off when a model is made."""

Items = Annotated[tuple[T, ...], Field(exclude_if=is_empty)]
"""A list that is left out of the body when it is empty."""

StringMap = Annotated[dict[str, T], Field(exclude_if=is_empty)]
"""A map with string keys that is left out of the body when it is empty."""


class Model(BaseModel):
    """A frozen piece of an API object: snake_case here, camelCase on the wire, unknown fields dropped."""

    model_config = ConfigDict(
        frozen=True,
        extra="ignore",
        alias_generator=to_camel,
        validate_by_name=True,
        validate_by_alias=True,
        use_attribute_docstrings=True,
    )

    rules: ClassVar[tuple[Rule, ...]] = ()
    """Rules of the CRD about the object as a whole."""

    def to_body(self) -> dict[str, Any]:
        """Return the JSON form: defaults spelt out, absent fields and empty lists and maps left out."""
        return self.model_dump(mode="json", by_alias=True, exclude_none=True)

    @classmethod
    def __get_pydantic_json_schema__(cls, core: CoreSchema, handler: GetJsonSchemaHandler, /) -> JsonSchemaValue:
        """Return the JSON schema with the model's own rules in it."""
        schema = handler.resolve_ref_schema(handler(core))
        return add_rules(schema, cls.rules)
