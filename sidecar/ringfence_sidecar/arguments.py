"""A call's arguments, as its operation takes them."""

import re
from collections.abc import Mapping
from typing import Any

import msgspec

from ringfence_sidecar.connectors.base import Operation
from ringfence_sidecar.errors import InvalidArgumentsError

_ERROR = re.compile(r"(?P<what>.*?)(?: - at `\$(?P<path>.*)`)?", re.DOTALL)
_NAMED = re.compile(r"Object (?:missing required|contains unknown) field `(?P<name>[^`]*)`")


def converted(operation: Operation, arguments: Mapping[str, Any]) -> msgspec.Struct:
    """Return the arguments as `operation.arguments`. Raises InvalidArgumentsError, which names the field."""
    try:
        return msgspec.convert(arguments, operation.arguments)
    except msgspec.ValidationError as error:
        raise _explained(operation, str(error)) from None


def check_key(operation: Operation, key: str) -> None:
    """Raise InvalidArgumentsError if the call has an idempotency key, of which the operation would make nothing."""
    if key and not operation.takes_key:
        raise InvalidArgumentsError(
            f"{operation.name} takes no idempotency key: leave it out; whether a call may be made again, its error says"
        )


def _explained(operation: Operation, text: str) -> InvalidArgumentsError:
    match = _ERROR.fullmatch(text)
    what, path = (match["what"], match["path"] or "") if match else (text, "")
    named = _NAMED.match(what)
    field = f"arguments{path}" + (f".{named['name']}" if named else "")
    takes = ""
    if named and not path:
        fields = msgspec.structs.fields(operation.arguments)
        names = [each.encode_name + (" (required)" if each.required else "") for each in fields]
        takes = f"; {operation.name} takes {', '.join(names) or 'no arguments'}"
    return InvalidArgumentsError(f"{field}: {what[:1].lower()}{what[1:]}{takes}", field=field)
