"""From what kubectl's options and files say to an API server."""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ringfence_kube.api import Api
from ringfence_kube.errors import ClusterError

_IN_POD = Path("/var/run/secrets/kubernetes.io/serviceaccount/namespace")


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """What was asked for; None is what the kubeconfig says."""

    kubeconfig: str | None = None
    context: str | None = None
    namespace: str | None = None


@dataclass(frozen=True, slots=True)
class Connection:
    """A cluster, and the namespace that is meant where none is named."""

    api: Api
    namespace: str


def connect(target: Target) -> Connection:
    """Return the way to the cluster; nothing is sent yet, but for what a login needs. Raises ClusterError.

    As kubectl does it: --kubeconfig, else the files of $KUBECONFIG merged, else ~/.kube/config, else the pod we are in.
    """
    # The library takes half a second to load, which help and completion of options need not pay.
    try:
        from kubernetes import client, config  # noqa: PLC0415
        from yaml import YAMLError  # noqa: PLC0415

        from ringfence_kube.api_server import ApiServer  # noqa: PLC0415
    except ImportError as error:
        raise ClusterError(f"a package is missing: pip install 'ringfence[outside]' ({error})") from error

    settings = client.Configuration()
    try:
        if _is_in_pod(target, config.KUBE_CONFIG_DEFAULT_LOCATION):
            config.load_incluster_config(client_configuration=settings)  # type: ignore[no-untyped-call]
            namespace = _IN_POD.read_text(encoding="utf-8").strip()
        else:
            config.load_kube_config(target.kubeconfig, target.context, settings, persist_config=False)  # type: ignore[no-untyped-call]
            contexts = config.list_kube_config_contexts(target.kubeconfig)  # type: ignore[no-untyped-call]
            namespace = _namespace(contexts[0], contexts[1], target.context)
    except config.ConfigException as error:
        raise ClusterError(f"the kubeconfig does not lead to a cluster: {error}") from error
    except (OSError, YAMLError, UnicodeDecodeError) as error:
        raise ClusterError(f"the kubeconfig cannot be read: {error}") from error
    settings.retries = 1
    return Connection(Api(ApiServer(client.ApiClient(settings))), target.namespace or namespace)


def _is_in_pod(target: Target, default: str) -> bool:
    if target.kubeconfig or target.context or "KUBERNETES_SERVICE_HOST" not in os.environ:
        return False
    return not any(Path(each).expanduser().exists() for each in default.split(os.pathsep))


def _namespace(contexts: list[dict[str, Any]], current: dict[str, Any], wanted: str | None) -> str:
    """Return the namespace of the context that is meant."""
    chosen = next((each for each in contexts if each["name"] == wanted), current)
    return chosen["context"].get("namespace") or "default"
