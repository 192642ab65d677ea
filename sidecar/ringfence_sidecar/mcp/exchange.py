"""One request and its answer over HTTP: JSON, or a stream of events from the first notification on."""

from typing import Any

from ringfence_sidecar.asgi import EVENTS, HttpError, Request, Response
from ringfence_sidecar.mcp.protocol import encode_notification


class Exchange:
    """Where the answer to one HTTP request goes."""

    def __init__(self, request: Request, response: Response) -> None:
        accepted = request.headers.get("accept", "*/*").lower()
        self.request = request
        self.response = response
        self.can_stream = EVENTS.decode() in accepted or "*/*" in accepted or "text/*" in accepted
        can_read_json = any(kind in accepted for kind in ("application/json", "application/*", "*/*"))
        if request.method == "POST" and not can_read_json:
            raise HttpError(406, "NotAcceptable", "Accept must name application/json and text/event-stream")

    async def notify(self, method: str, params: dict[str, Any]) -> None:
        """Send a notification before the answer, if the client takes events."""
        if self.can_stream:
            await self.response.event(encode_notification(method, params))

    async def reply(self, *parts: bytes | memoryview, status: int = 200) -> None:
        """Send the answer; its status counts unless a stream has begun."""
        if self.response.is_begun:
            await self.response.event(b"".join(parts))
            await self.response.end()
        else:
            await self.response.whole(status, *parts)
