"""What kubelets say of memory and network of pods: asked directly, with our token, by the permission on nodes/stats.

By the API server's way to a node, whoever may read this much could do anything to the node's pods.
"""

import asyncio
import ssl
from dataclasses import replace
from typing import Any

import aiohttp
import orjson

from ringfence_operator.errors import UnavailableError
from ringfence_operator.kube.credentials import BearerToken, Credentials

SECONDS = 4.0
_SUMMARY = "/stats/summary"
_MEMORY = f"{_SUMMARY}?only_cpu_and_memory=true"
_OK = 200


class Kubelet:
    """Asks kubelets, by address and port. Make it inside a running event loop.

    `authority` is a PEM file with those that their certificates come from; without it, that is the API server's own.
    A kubelet that cannot prove who it is gets no token.
    """

    def __init__(self, credentials: Credentials, *, authority: str | None = None) -> None:
        if authority is not None:
            credentials = replace(credentials, ca_path=authority, ca_pem=None)
        self._context = credentials.ssl_context()
        self._token = BearerToken(credentials)
        self._session: aiohttp.ClientSession | None = None

    async def memory(self, address: str, port: int) -> dict[str, int]:
        """Return the bytes that each agent's container works with, by its pod's UID. Raises UnavailableError."""
        return _working(await self._summary(address, port, _MEMORY))

    async def network(self, address: str, port: int) -> dict[str, int]:
        """Return the bytes that each pod has sent and received, by its UID. Raises UnavailableError."""
        return _moved(await self._summary(address, port, _SUMMARY))

    async def _summary(self, address: str, port: int, path: str) -> list[dict[str, Any]]:
        host = f"[{address}]" if ":" in address else address
        url = f"https://{host}:{port}{path}"
        try:
            async with asyncio.timeout(SECONDS):
                return _pods(orjson.loads(await self._get(url)))
        except TimeoutError as error:
            raise UnavailableError(f"no answer from {host}:{port} in {SECONDS:.0f} s") from error
        except ssl.SSLCertVerificationError as error:
            raise UnavailableError(_untrusted(host, port, str(error))) from error
        except (aiohttp.ClientError, OSError, ValueError, KeyError) as error:
            raise UnavailableError(f"{host}:{port}: {error or type(error).__name__}") from error

    async def _get(self, url: str) -> bytes:
        token = self._token.header()
        headers = {"Authorization": token} if token else {}
        if self._session is None:
            # Who asks bounds how many are asked at once; those that do not answer must not keep others waiting here.
            connector = aiohttp.TCPConnector(ssl=self._context, limit=0)
            self._session = aiohttp.ClientSession(connector=connector)
        try:
            async with self._session.get(url, headers=headers) as answer:
                body = await answer.read()
                if answer.status != _OK:
                    raise UnavailableError(f"{answer.status} {body[:256].decode(errors='replace')}")
                return body
        except aiohttp.ClientConnectorCertificateError as error:
            raise error.certificate_error from error

    async def close(self) -> None:
        """Close all connections."""
        if self._session is not None:
            await self._session.close()


def _untrusted(host: str, port: int, why: str) -> str:
    return (
        f"the certificate of {host}:{port} is not trusted ({why}): have kubelets use certificates of the cluster "
        "(serverTLSBootstrap), or name who signs them in RINGFENCE_OPERATOR_KUBELET_AUTHORITY"
    )


def _pods(summary: dict[str, Any]) -> list[dict[str, Any]]:
    pods: list[dict[str, Any]] = summary.get("pods") or []
    if any("uid" not in pod["podRef"] for pod in pods):
        raise KeyError("uid")
    return pods


def _moved(pods: list[dict[str, Any]]) -> dict[str, int]:
    found = {}
    for pod in pods:
        network = pod.get("network")
        if network is not None:
            interfaces = network.get("interfaces") or [network]
            counts = (each.get(name, 0) for each in interfaces for name in ("rxBytes", "txBytes"))
            found[pod["podRef"]["uid"]] = sum(int(count) for count in counts)
    return found


def _working(pods: list[dict[str, Any]]) -> dict[str, int]:
    found = {}
    for pod in pods:
        for container in pod.get("containers") or ():
            working = container.get("memory", {}).get("workingSetBytes")
            if container["name"] == "agent" and working is not None:
                found[pod["podRef"]["uid"]] = int(working)
    return found
