"""Asking the API server whose a sidecar's token is, a few at a time, so that no pass waits behind them."""

import asyncio
from typing import Any, Final

import structlog

from ringfence_operator.errors import ForbiddenError, InvalidError, OperatorError
from ringfence_operator.reconcile.ports import Kube

AUDIENCE = "ringfence-control"
PATH = "/apis/authentication.k8s.io/v1/tokenreviews"
AT_ONCE = 4
_POD_UID = "authentication.kubernetes.io/pod-uid"

log = structlog.get_logger()


class TokenReviewer:
    """Answers the control process's questions."""

    def __init__(self, kube: Kube) -> None:
        self._kube: Final = kube
        self._turns: Final = asyncio.Semaphore(AT_ONCE)

    async def review(self, token: str) -> str | None:
        """Return the UID of the pod that `token` is bound to, nothing if it is not good, None if nobody can tell."""
        spec = {"token": token, "audiences": [AUDIENCE]}
        body = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenReview", "metadata": {}, "spec": spec}
        async with self._turns:
            try:
                answer = await self._kube.create(PATH, body)
            except InvalidError:
                return ""
            except OperatorError as error:
                level = log.error if isinstance(error, ForbiddenError) else log.warning
                level("token.not_reviewed", reason=error.reason)
                return None
        return _pod_uid(answer.get("status") or {})


def _pod_uid(status: dict[str, Any]) -> str:
    """Return the pod that the API server vouches for; that it knows of audiences, too, has to be said."""
    if not status.get("authenticated") or AUDIENCE not in (status.get("audiences") or ()):
        return ""
    found = (status.get("user", {}).get("extra") or {}).get(_POD_UID) or [""]
    return str(found[0]) if len(found) == 1 else ""
