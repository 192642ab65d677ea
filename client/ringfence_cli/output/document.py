"""Results for programs."""

import json
from enum import StrEnum
from typing import Any


class Form(StrEnum):
    """What --output takes."""

    TABLE = "table"
    JSON = "json"
    YAML = "yaml"


def document(form: Form, value: Any) -> str:
    """Return `value`, made of what JSON has, as JSON or YAML with a line feed at its end."""
    if form is Form.JSON:
        return json.dumps(value, indent=2, ensure_ascii=False) + "\n"
    import yaml  # noqa: PLC0415 - of no use to the other forms

    text: str = yaml.safe_dump(value, sort_keys=False, allow_unicode=True, width=110)
    return text
