import time
from base64 import urlsafe_b64encode
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ringfence_operator.control.token import LONGEST, BadTokenError, claims_of
from tests.operator.control.sidecar_side import ISSUER, POD, token

NOW = time.time()


def test_a_projected_token_says_whose_it_is_and_until_when() -> None:
    exp = int(time.time()) + 60

    claims = claims_of(token(exp=exp), issuer=ISSUER, now=time.time())

    assert (claims.pod_uid, claims.expires) == (POD, exp)


@pytest.mark.parametrize("audience", ["ringfence-control", ["x", "ringfence-control"]])
def test_an_audience_may_be_one_of_several(audience: Any) -> None:
    assert claims_of(token(aud=audience), issuer=None, now=time.time()).pod_uid == POD


@pytest.mark.parametrize(
    "claims",
    [
        {"aud": None},
        {"aud": []},
        {"aud": {"ringfence-control": 1}},
        {"aud": "ringfence-control2"},
        {"iss": None},
        {"exp": None},
        {"exp": "9999999999"},
        {"exp": True},
        {"exp": int(NOW)},
        {"nbf": int(NOW) + 7_200},
        {"kubernetes.io": None},
        {"kubernetes.io": []},
        {"kubernetes.io": {"pod": []}},
        {"kubernetes.io": {"pod": {"uid": ""}}},
        {"kubernetes.io": {"pod": {"uid": 7}}},
    ],
)
def test_claims_of_another_form_are_refused(claims: dict[str, Any]) -> None:
    with pytest.raises(BadTokenError):
        claims_of(token(**claims), issuer=ISSUER, now=time.time())


@pytest.mark.parametrize("algorithm", ["none", "HS256", "", None])
def test_what_the_api_server_does_not_sign_so_is_refused(algorithm: Any) -> None:
    body = token().split(".")[1]
    head = urlsafe_b64encode(f'{{"alg": "{algorithm}"}}'.encode()).decode()

    with pytest.raises(BadTokenError):
        claims_of(f"{head}.{body}.x", issuer=ISSUER, now=time.time())


@pytest.mark.parametrize(
    "text", ["", "a", "a.b", "a.b.c", "..", token() + ".x", token()[: -1 - len("signature")] + ".", "ä" + token()]
)
def test_what_is_no_jwt_is_refused(text: str) -> None:
    with pytest.raises(BadTokenError):
        claims_of(text, issuer=ISSUER, now=time.time())


def test_what_is_too_long_is_not_even_looked_at() -> None:
    with pytest.raises(BadTokenError):
        claims_of(token() + "x" * LONGEST, issuer=ISSUER, now=time.time())


@given(st.lists(st.binary(max_size=60), min_size=3, max_size=3), st.booleans())
def test_nothing_that_somebody_sends_breaks_it(parts: list[bytes], is_encoded: bool) -> None:
    text = ".".join(
        urlsafe_b64encode(each).rstrip(b"=").decode() if is_encoded else each.decode("latin-1") for each in parts
    )

    with pytest.raises(BadTokenError):
        claims_of(text, issuer=None, now=time.time())


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers(-(2**60), 2**60) | st.text(max_size=8),
        lambda each: (
            st.lists(each, max_size=3)
            | st.dictionaries(st.sampled_from(["aud", "exp", "nbf", "pod", "uid", "kubernetes.io"]), each, max_size=4)
        ),
        max_leaves=12,
    )
)
def test_no_claims_break_it(claims: Any) -> None:
    made = token(**claims) if isinstance(claims, dict) else token(aud=claims)

    with suppress(BadTokenError):
        claims_of(made, issuer=None, now=time.time())
