import asyncio
import ssl
import subprocess
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from ringfence_operator.errors import UnavailableError
from ringfence_operator.kube.credentials import Credentials
from ringfence_operator.kube.kubelet import Kubelet

SUMMARY = {
    "node": {"nodeName": "n1"},
    "pods": [
        {
            "podRef": {"name": "a", "namespace": "team", "uid": "pod-1"},
            "network": {
                "rxBytes": 10,
                "txBytes": 20,
                "interfaces": [{"rxBytes": 10, "txBytes": 20}, {"rxBytes": 1, "txBytes": 2}],
            },
            "containers": [
                {"name": "sidecar", "memory": {"workingSetBytes": 5}},
                {"name": "agent", "memory": {"workingSetBytes": 1234}},
            ],
        },
        {"podRef": {"name": "b", "namespace": "team", "uid": "pod-2"}, "containers": [{"name": "agent"}]},
        {"podRef": {"name": "c", "namespace": "team", "uid": "pod-3"}},
    ],
}


class FakeKubelet:
    """Serves the summary over TLS, to whoever shows the token; `asked` are the paths."""

    def __init__(self, folder: Path, address: str = "IP:127.0.0.1") -> None:
        self.certificate, self.key = folder / "kubelet.crt", folder / "kubelet.key"
        self.asked: list[str] = []
        self.tokens: list[str | None] = []
        self.port = 0
        self.answer: Any = SUMMARY
        made = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
        made += ["-keyout", str(self.key), "-out", str(self.certificate), "-subj", "/CN=n1", "-days", "2"]
        made += ["-addext", f"subjectAltName={address}", "-config", "/dev/null"]
        subprocess.run(
            made, check=True, capture_output=True, env={"OPENSSL_CONF": "/dev/null", "PATH": "/usr/bin:/bin"}
        )

    async def serve(self, request: web.Request) -> web.StreamResponse:
        self.asked.append(request.path_qs)
        self.tokens.append(request.headers.get("Authorization"))
        if request.headers.get("Authorization") != "Bearer ours":
            return web.Response(status=403, text="Forbidden (user=x, verb=get, resource=nodes, subresource=stats)")
        return web.json_response(self.answer)


@pytest.fixture
async def kubelet(tmp_path: Path) -> AsyncIterator[FakeKubelet]:
    made = FakeKubelet(tmp_path)
    async for each in running(made):
        yield each


async def running(made: FakeKubelet) -> AsyncIterator[FakeKubelet]:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(made.certificate, made.key)
    app = web.Application()
    app.router.add_get("/{path:.*}", made.serve)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0, ssl_context=context)
    await site.start()
    made.port = runner.addresses[0][1]
    yield made
    await runner.cleanup()


def credentials(ca: Path | None, *, token: str = "ours") -> Credentials:
    return Credentials(server="https://api.invalid", ca_path=str(ca) if ca else None, token=token)


async def test_each_agents_memory_is_told_by_the_uid_of_its_pod(kubelet: FakeKubelet) -> None:
    asking = Kubelet(credentials(kubelet.certificate))

    found = await asking.memory("127.0.0.1", kubelet.port)
    await asking.close()

    assert found == {"pod-1": 1234}
    assert kubelet.asked == ["/stats/summary?only_cpu_and_memory=true"]


async def test_what_each_pod_moved_is_told_of_all_its_interfaces(kubelet: FakeKubelet) -> None:
    asking = Kubelet(credentials(kubelet.certificate))

    found = await asking.network("127.0.0.1", kubelet.port)
    await asking.close()

    assert found == {"pod-1": 33}
    assert kubelet.asked == ["/stats/summary"]


async def test_a_kubelet_that_cannot_prove_who_it_is_gets_no_token(kubelet: FakeKubelet) -> None:
    asking = Kubelet(credentials(None))

    with pytest.raises(UnavailableError, match="RINGFENCE_OPERATOR_KUBELET_AUTHORITY"):
        await asking.memory("127.0.0.1", kubelet.port)
    await asking.close()

    assert kubelet.tokens == []


async def test_its_certificate_must_be_for_its_address(tmp_path: Path) -> None:
    async for elsewhere in running(FakeKubelet(tmp_path, "IP:127.0.0.9")):
        asking = Kubelet(credentials(elsewhere.certificate))

        with pytest.raises(UnavailableError, match="not trusted"):
            await asking.memory("127.0.0.1", elsewhere.port)
        await asking.close()

        assert elsewhere.tokens == []


async def test_its_authority_may_be_another_than_the_api_servers(kubelet: FakeKubelet) -> None:
    asking = Kubelet(credentials(None), authority=str(kubelet.certificate))

    found = await asking.memory("127.0.0.1", kubelet.port)
    await asking.close()

    assert found == {"pod-1": 1234}


async def test_a_refusal_is_told_in_the_kubelets_words(kubelet: FakeKubelet) -> None:
    asking = Kubelet(credentials(kubelet.certificate, token="another"))

    with pytest.raises(UnavailableError, match=r"403 Forbidden .*subresource=stats"):
        await asking.memory("127.0.0.1", kubelet.port)
    await asking.close()


async def test_what_is_no_summary_is_an_error_and_no_crash(kubelet: FakeKubelet) -> None:
    kubelet.answer = {"pods": [{"containers": [{"name": "agent", "memory": {"workingSetBytes": 1}}]}]}
    asking = Kubelet(credentials(kubelet.certificate))

    with pytest.raises(UnavailableError):
        await asking.memory("127.0.0.1", kubelet.port)
    await asking.close()


async def test_nobody_there_is_an_error_as_well(tmp_path: Path) -> None:
    asking = Kubelet(credentials(None))

    with pytest.raises(UnavailableError):
        await asking.memory("127.0.0.1", 1)
    await asking.close()


async def test_kubelets_that_do_not_answer_keep_nobody_waiting_who_does(kubelet: FakeKubelet) -> None:
    async def say_nothing(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()

    silent = await asyncio.start_server(say_nothing, "127.0.0.1", 0)
    port = silent.sockets[0].getsockname()[1]
    client = Kubelet(credentials(kubelet.certificate))
    waiting = [asyncio.create_task(client.memory("127.0.0.1", port)) for _ in range(64)]
    await asyncio.wait(waiting, timeout=0)

    found = await client.memory("127.0.0.1", kubelet.port)

    for task in waiting:
        task.cancel()
    await asyncio.wait(waiting)
    await client.close()
    silent.close()
    assert found == {"pod-1": 1234}
