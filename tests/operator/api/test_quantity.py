from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ringfence_operator.api.quantity import canonical_quantity, parse_quantity

FACTORS = {
    "m": Fraction(1, 1000), "": Fraction(1), "k": Fraction(10**3), "M": Fraction(10**6), "G": Fraction(10**9),
    "Ki": Fraction(2**10), "Mi": Fraction(2**20), "Gi": Fraction(2**30), "Ti": Fraction(2**40), "e3": Fraction(10**3),
}  # fmt: skip
QUANTITIES = st.tuples(st.integers(0, 10**9), st.integers(0, 999), st.sampled_from(sorted(FACTORS)))


@pytest.mark.parametrize(
    ("text", "value"),
    [("500m", "0.5"), ("2", "2"), (2, "2"), ("1.5Gi", "1610612736"), ("1e3", "1000"), ("1E", "1e18"), ("1Ki", "1024")],
)
def test_quantity_is_read_exactly(text: str | int, value: str) -> None:
    assert parse_quantity(text) == Decimal(value)


@pytest.mark.parametrize(
    "text", ["", "x", "1GB", "1 Gi", "1gi", "1K", "1e", "1.2.3", "NaN", "Infinity", "1_0", "1\n", "1" * 33]
)
def test_what_is_no_quantity_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is not a quantity such as 500m, 2 or 10Gi"):
        parse_quantity(text)


@given(st.text(alphabet="0123456789.+-eEinumkKMGTP", max_size=40))
def test_no_text_raises_anything_else(text: str) -> None:
    try:
        canonical = canonical_quantity(text)
    except ValueError:
        return

    assert len(canonical) > 32 or parse_quantity(canonical) == parse_quantity(text)


@given(QUANTITIES)
def test_value_is_the_number_times_its_unit_rounded_up_to_a_thousandth(parts: tuple[int, int, str]) -> None:
    whole, thousandths, unit = parts
    exact = (whole + Fraction(thousandths, 1000)) * FACTORS[unit]

    value = Fraction(parse_quantity(f"{whole}.{thousandths:03}{unit}"))

    assert 0 <= value - exact < Fraction(1, 1000)
    assert (value * 1000).denominator == 1


@given(QUANTITIES)
def test_canonical_form_keeps_the_value_and_stays_as_it_is(parts: tuple[int, int, str]) -> None:
    whole, thousandths, unit = parts
    text = f"{whole}.{thousandths:03}{unit}"

    canonical = canonical_quantity(text)

    assert parse_quantity(canonical) == parse_quantity(text)
    assert canonical_quantity(canonical) == canonical
