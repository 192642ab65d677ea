"""What kopf calls: log in, start, stop. Its own watches are not used (docs/design says why)."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import kopf

from ringfence_operator.kube.credentials import Credentials
from ringfence_operator.process import Process
from ringfence_operator.settings import Settings

_TOKEN = Path("/var/run/secrets/kubernetes.io/serviceaccount/token")

Login = Callable[..., kopf.ConnectionInfo | None]


def log_in(**kwargs: Any) -> kopf.ConnectionInfo:
    """Return how to reach the API server: as the pod's service account, else as the kubeconfig says."""
    found = kopf.login_with_service_account(**kwargs) or kopf.login_with_kubeconfig(**kwargs)
    if found is None:
        raise kopf.LoginError("found neither a service account nor a kubeconfig: run in a pod, or set KUBECONFIG")
    return found


def _token_path(info: kopf.ConnectionInfo) -> str | None:
    return str(_TOKEN) if info.token and _TOKEN.exists() else None


def build_registry(settings: Settings, *, on_failure: Callable[[], None]) -> kopf.OperatorRegistry:
    """Return the registry with which kopf runs one replica; `on_failure` is to end it when a part of it failed."""
    registry = kopf.OperatorRegistry()
    running: list[Process] = []

    @kopf.on.login(registry=registry)
    def login(**kwargs: Any) -> kopf.ConnectionInfo:
        return log_in(**kwargs)

    @kopf.on.startup(registry=registry, errors=kopf.ErrorsMode.PERMANENT)
    async def start(settings: kopf.OperatorSettings, logger: Any, **_: Any) -> None:
        settings.scanning.disabled = True
        settings.posting.enabled = False
        info = log_in(settings=settings, logger=logger)
        credentials = Credentials.from_connection(info, token_path=_token_path(info))
        process = Process(options, credentials, on_failure=on_failure)
        running.append(process)
        await process.start()

    @kopf.on.cleanup(registry=registry)
    async def stop(**_: Any) -> None:
        for process in running:
            await process.stop()

    options = settings
    return registry
