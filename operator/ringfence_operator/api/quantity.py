"""Kubernetes quantities: exact values to compare, canonical strings to write.

Source: `k8s.io/apimachinery/pkg/api/resource`, whose `Quantity.String` the canonical form follows.
"""

import re
from decimal import ROUND_UP, Context, Decimal
from functools import lru_cache
from typing import Annotated

from pydantic import BeforeValidator, WithJsonSchema

from ringfence_operator.api.rule import Rule

MAX_LENGTH = 32

_FORM = re.compile(r"([+-]?(?:\d+\.?\d*|\.\d+))(?:([KMGTPE]i)|([numkMGTPE]?)|[eE]([+-]?\d{1,2}))", re.ASCII)
_BINARY = ("", "Ki", "Mi", "Gi", "Ti", "Pi", "Ei")
_DECIMAL = {-9: "n", -6: "u", -3: "m", 0: "", 3: "k", 6: "M", 9: "G", 12: "T", 15: "P", 18: "E"}
_EXPONENTS = {suffix: exponent for exponent, suffix in _DECIMAL.items()}
_MILLI = Decimal("1e-3")
_DIGITS = 256  # more than the longest number with the greatest suffix has


@lru_cache(maxsize=4096)
def parse_quantity(value: str | int) -> Decimal:
    """Return the exact value of a quantity such as 500m, 1.5Gi, 1e3 or 2.

    Anything finer than a thousandth is rounded up, as Kubernetes does in lists of resources.
    Raises ValueError for any other form.
    """
    return _read(value)[0]


@lru_cache(maxsize=4096)
def canonical_quantity(value: str | int) -> str:
    """Return the string that the API server keeps `value` as: 1000m is 1, 1.5Gi is 1536Mi."""
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
    text = str(value)
    found = _FORM.fullmatch(text)
    if found is None or len(text) > MAX_LENGTH:
        raise ValueError(f"{value!r} is not a quantity such as 500m, 2 or 10Gi")
    number, binary, decimal, exponent = found.groups()
    if binary:
        factor, style = Decimal(1024 ** _BINARY.index(binary)), "binary"
    elif exponent is not None:
        factor, style = Decimal(f"1e{exponent}"), "exponent"
    else:
        factor, style = Decimal(f"1e{_EXPONENTS[decimal]}"), "decimal"
    exact = Context(prec=_DIGITS, rounding=ROUND_UP)
    return exact.quantize(exact.multiply(Decimal(number), factor), _MILLI), style


def _thousands(amount: Decimal) -> tuple[int, int]:
    """Return mantissa and exponent, a multiple of three and as large as the mantissa stays whole."""
    mantissa, exponent = int(amount.scaleb(3, Context(prec=_DIGITS))), -3
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


def _above_zero(example: str) -> Rule:
    return Rule(
        "isQuantity(string(self)) && quantity(string(self)).isGreaterThan(quantity('0'))",
        f"write a quantity above zero, such as {example}",
    )


_FINITE = Rule(
    "!isQuantity(string(self)) || quantity(string(self)).isLessThan(quantity('1E'))",
    "no machine has that much: write a quantity below 1E",
)

Cores = Annotated[Quantity, _above_zero("500m or 2"), _FINITE]
Bytes = Annotated[Quantity, _above_zero("512Mi or 10Gi"), _FINITE]
Held = Annotated[
    Quantity,
    _above_zero("1Mi or 10Mi"),
    Rule(
        "!isQuantity(string(self)) || quantity(string(self)).compareTo(quantity('32Mi')) <= 0",
        "a sidecar holds it in memory as a whole: write at most 32Mi",
    ),
]
"""Bytes that have room in a sidecar."""
