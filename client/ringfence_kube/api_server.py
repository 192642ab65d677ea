"""A real API server behind Transport, by the `kubernetes` library, which knows all that a kubeconfig may say."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from typing import Any
from urllib.parse import urlencode

import urllib3
from kubernetes.client import ApiClient
from kubernetes.client.exceptions import ApiException

from ringfence_kube.errors import UnreachableError
from ringfence_kube.transport import Answer, Channel

_JSON = "application/json"
_SECONDS = 15.0
"""How long a request may take; a stream has no end of its own."""
_PIECE = 8192


class ApiServer:
    """The API server that a client of the `kubernetes` library leads to."""

    def __init__(self, client: ApiClient) -> None:
        self._client = client

    def send(self, method: str, path: str, query: Mapping[str, str], body: Any = None) -> Answer:
        """See Transport."""
        response = self._open(method, path, query, body, _SECONDS)
        try:
            return Answer(response.status, response.data)
        except urllib3.exceptions.HTTPError as error:
            raise UnreachableError(self._sentence(error)) from error

    def stream(self, path: str, query: Mapping[str, str]) -> Iterator[bytes] | Answer:
        """See Transport."""
        response = self._open("GET", path, query, None, (_SECONDS, None))
        if response.status >= 400:  # noqa: PLR2004
            return Answer(response.status, response.data)
        return self._lines(response)

    def channel(self, path: str, query: Sequence[tuple[str, str]]) -> Channel | Answer:
        """See Transport."""
        # Only commands in agents need it, and it takes a while to load.
        from ringfence_kube.channel import open_websocket  # noqa: PLC0415

        settings, headers = self._client.configuration, dict[str, str]()
        self._client.update_params_for_auth(headers, [], ["BearerToken"], path, "GET", None)
        said = {name.lower(): value for name, value in headers.items()}
        return open_websocket(settings, f"{settings.host}{path}?{urlencode(query)}", said.get("authorization", ""))

    def _lines(self, response: urllib3.BaseHTTPResponse) -> Iterator[bytes]:
        pending = b""
        with closing(response):
            try:
                # read1 returns what is there; `stream` would wait until a piece is full.
                while piece := response.read1(_PIECE):
                    *lines, pending = (pending + piece).split(b"\n")
                    yield from lines
            except urllib3.exceptions.HTTPError as error:
                raise UnreachableError(self._sentence(error)) from error
        if pending:
            yield pending

    def _open(
        self, method: str, path: str, query: Mapping[str, str], body: Any, timeout: Any
    ) -> urllib3.BaseHTTPResponse:
        headers = {"Accept": _JSON, "Content-Type": _JSON, "User-Agent": "ringfence"}
        try:
            self._client.update_params_for_auth(headers, [], ["BearerToken"], path, method, body)
            url = f"{self._client.configuration.host}{path}" + (f"?{urlencode(query)}" if query else "")
            answered = self._client.call_api(method, url, headers, body, _request_timeout=timeout)
        except (urllib3.exceptions.HTTPError, ApiException, OSError) as error:
            raise UnreachableError(self._sentence(error)) from error
        response: urllib3.BaseHTTPResponse = answered.response
        return response

    def _sentence(self, error: Exception) -> str:
        cause = getattr(error, "reason", None) or error
        # urllib3 puts its own object before the words: "<…HTTPSConnection…>: Failed to establish …"
        words = str(cause).rpartition(">: ")[2].strip() or type(error).__name__
        return f"no answer from the API server at {self._client.configuration.host}: {words}"
