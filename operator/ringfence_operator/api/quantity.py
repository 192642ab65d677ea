"""Kubernetes quantities: exact values to compare, canonical strings to write.

Source: `k8s.io/apimachinery/pkg/api/resource`, whose `Quantity.String` the canonical form follows.
"""

import re
from decimal import ROUND_CEILING, Decimal
from functools import lru_cache
from typing import Annotated

from pydantic import BeforeValidator, WithJsonSchema

from ringfence_operator.api.rule import Rule

MAX_LENGTH = 32

_FORM = re.compile(r"([+-]?(?:\d+\.?\d*|\.\d+))(?:([KMGTPE]i)|([numkMGTPE]?)|[eE]([+-]?\d{1,2}))", re.ASCII)
_BINARY = ("", "Ki", "Mi", "Gi", "Ti", "Pi", "Ei")
_DECIMAL = {-9: "n", -6: "u", -3: "m", 0: "", 3: "k", 6: "M", 9: "G", 12: "T", 15: "P", 18: "E"}
_EXPONENTS = {suffix: exponent for exponent, suffix in _DECIMAL.items()}
_NANO = Decimal("1e-9")


@lru_cache(maxsize=4096)
def parse_quantity(value: str | int) -> Decimal:
    """Return the exact value of a quantity such as 500m, 1.5Gi, 1e3 or 2.

    Anything finer than a billionth is rounded up, as Kubernetes does. Raises ValueError for any other form.
    """
    return _read(value)[0]


@lru_cache(maxsize=4096)
def canonical_quantity(value: str | int) -> str:
    """Return the string that the API server gives back for `value`: 1000m is 1, 1.5Gi is 1536Mi."""
    amount, style = _read(value)
    if amount == 0:
        return "0"
    if style == "binary" and abs(amount) >= 1024 and amount == amount.to_integral_value():  # noqa: PLR2004
        return _binary(int(amount))
    mantissa, exponent = _thousands(amount)
    if style == "exponent":
        return f"{mantissa}e{exponent}" if exponent else str(mantissa)
    return f"{mantissa}{_DECIMAL[exponent]}"


def _read(value: str | int) -> tuple[Decimal, str]:
    """Return the amount and the notation (binary, decimal or exponent) that it was written in."""
    found = _FORM.fullmatch(str(value))
    if found is None:
        raise ValueError(f"{value!r} is not a quantity such as 500m, 2 or 10Gi")
    number, binary, decimal, exponent = found.groups()
    if binary:
        amount, style = Decimal(number) * 1024 ** _BINARY.index(binary), "binary"
    elif exponent is not None:
        amount, style = Decimal(number).scaleb(int(exponent)), "exponent"
    else:
        amount, style = Decimal(number).scaleb(_EXPONENTS[decimal]), "decimal"
    return amount.quantize(_NANO, rounding=ROUND_CEILING if amount > 0 else "ROUND_FLOOR"), style


def _thousands(amount: Decimal) -> tuple[int, int]:
    """Return mantissa and exponent, a multiple of three and as large as the mantissa stays whole."""
    mantissa, exponent = int(amount.scaleb(9)), -9
    while exponent < max(_DECIMAL) and mantissa % 1000 == 0:
        mantissa, exponent = mantissa // 1000, exponent + 3
    return mantissa, exponent


def _binary(amount: int) -> str:
    power = 0
    while power < len(_BINARY) - 1 and amount % 1024 == 0:
        amount, power = amount // 1024, power + 1
    return f"{amount}{_BINARY[power]}"


Quantity = Annotated[
    str,
    BeforeValidator(canonical_quantity),
    WithJsonSchema(
        {
            "x-kubernetes-int-or-string": True,
            "anyOf": [{"type": "integer"}, {"type": "string"}],
            "maxLength": MAX_LENGTH,
        }
    ),
]
"""The canonical string; compare two of them by `parse_quantity`."""


def positive(example: str) -> Rule:
    """Return the rule that a quantity is one and is above zero; `example` goes into the message."""
    return Rule(
        "isQuantity(string(self)) && quantity(string(self)).isGreaterThan(quantity('0'))",
        f"write a quantity above zero, such as {example}",
    )


Cores = Annotated[Quantity, positive("500m or 2")]
Bytes = Annotated[Quantity, positive("512Mi or 10Gi")]
