"""What agents are told: refusals and warnings."""

import math
from collections.abc import Mapping, Sequence

from ringfence_sidecar.envelope import Notice
from ringfence_sidecar.errors import LimitedError
from ringfence_sidecar.quotas.buckets import Bucket, Figures, Refused, Short

WARNING = "QuotaWarning"
AWAY = "QuotaStoreUnavailable"
WAITED = "QuotaWaitExceeded"
MISSING = "QuotaNotFound"
_MOMENT = 1.0
"""Seconds after which to try again where nobody can say when something is free."""


def amount(number: float) -> str:
    """Return it as it is written: whole numbers whole."""
    return f"{number:.0f}" if number == int(number) else f"{number:.6g}"


def named(bucket: Bucket) -> str:
    """Return what the limit is called in sentences."""
    window = "at once" if bucket.shape.is_held else f"per {bucket.limit.window}"
    return f"quota {bucket.limit.quota}: {bucket.limit.resource} {amount(bucket.limit.max)} {window} ({bucket.scope})"


def details(bucket: Bucket, used: float) -> dict[str, object]:
    """Return the same for programs."""
    limit = bucket.limit
    return {
        "quota": limit.quota,
        "resource": limit.resource,
        "window": limit.window,
        "scope": bucket.scope,
        "enforcement": limit.enforcement,
        "limit": limit.max,
        "used": used,
    }


def names(said: Mapping[str, object], bucket: Bucket) -> bool:
    """Return whether these details are of this bucket's limit."""
    own = details(bucket, 0.0)
    return all(said.get(each) == own[each] for each in ("quota", "resource", "window", "scope"))


def refusal(refused: Refused, *, waited: float | None = None, share: str = "") -> LimitedError:
    """Return the error of a refusal. `waited` are the seconds in a Soft limit's line, `share` says why it is less."""
    short = _decisive(refused.short)
    bucket, figures = short.asked.bucket, short.figures
    if short.asked.least > bucket.limit.max:
        return LimitedError(
            f"{named(bucket)} is less than the {amount(short.asked.least)} that the call needs: ask for less",
            rule=bucket.rule,
            retryable=False,
            details=details(bucket, figures.taken),
        )
    used = f"{amount(figures.used)} used"
    if bucket.shape.is_held:
        used = f"{amount(figures.reserved)} held"
    elif figures.reserved:
        used += f", {amount(figures.reserved)} granted to calls under way"
    when = "try again once calls under way have ended" if short.wait is None else f"more in {_seconds(short.wait)} s"
    after = "" if waited is None else f"; waited {waited:.1f} s"
    return LimitedError(
        f"{named(bucket)} is used up: {used}{share}; {when}{after}",
        code=None if waited is None else WAITED,
        rule=bucket.rule,
        retry_after=_MOMENT if short.wait is None else max(0.001, round(short.wait, 3)),
        details=details(bucket, figures.taken),
    )


def denial(bucket: Bucket, reason: str, *, used: float, retry_after: float) -> LimitedError:
    """Return the error of a call that may not go on while nobody knows what is left."""
    return LimitedError(
        f"{named(bucket)} cannot be counted now, and the call may not go on uncounted: {reason}",
        code=AWAY,
        rule=bucket.rule,
        retry_after=retry_after,
        details=details(bucket, used),
    )


def missing(bucket: Bucket) -> LimitedError:
    """Return the error of a call of an agent that names a Quota which does not exist."""
    return LimitedError(
        f"quota {bucket.limit.quota} does not exist, and nobody knows how much it would permit: nothing goes on until "
        "it is there",
        code=MISSING,
        rule=bucket.rule,
        retry_after=_MOMENT,
        details=details(bucket, 0.0),
    )


def over(bucket: Bucket, used: float) -> Notice:
    """Return the warning of a limit that warns, and is passed."""
    said = f"{named(bucket)} is passed: {amount(used)} used"
    return Notice(WARNING, said, bucket.limit.quota, bucket.limit.resource)


def reached(bucket: Bucket, figures: Figures, percent: int) -> Notice:
    """Return the warning of a percentage that use has come to."""
    said = f"{named(bucket)} is at {percent}% or more: {amount(figures.taken)} used"
    return Notice(WARNING, said, bucket.limit.quota, bucket.limit.resource)


def _decisive(short: Sequence[Short]) -> Short:
    """Return the one that takes longest, of those that do not let the call wait if there are any."""
    final = [each for each in short if not each.may_wait] or short
    return max(final, key=lambda each: math.inf if each.wait is None else each.wait)


def _seconds(wait: float) -> str:
    return f"{wait:.3f}" if wait < 1 else f"{math.ceil(wait)}"
