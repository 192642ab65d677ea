"""The API server of the bare-machine cluster, which is killed and started again."""

import time
from contextlib import suppress
from dataclasses import dataclass
from http.client import HTTPException

from devcluster.cluster import Cluster
from devcluster.control_plane import api_server
from devcluster.process import ensure_running, running, stop
from tests.e2e.kube import Kube, RefusedError, address

NAME = "kube-apiserver"
BACK_SECONDS = 90


@dataclass(frozen=True, slots=True)
class ApiServer:
    """The process, and the way to it."""

    cluster: Cluster
    kube: Kube

    @property
    def pid(self) -> int:
        """The process that serves now."""
        return running(self.cluster)[NAME].pid

    def start_again(self) -> None:
        """Have another process in the place of one that was killed, and wait until that serves all kinds."""
        # Whoever was told to end may be there still.
        stop(self.cluster, running(self.cluster)[NAME], grace=0)
        ensure_running(self.cluster, api_server(self.cluster))
        deadline = time.monotonic() + BACK_SECONDS
        while not self._is_back():
            assert time.monotonic() < deadline, f"the API server is not back after {BACK_SECONDS} s"
            time.sleep(0.2)

    def _is_back(self) -> bool:
        with suppress(RefusedError, OSError, HTTPException):
            self.kube.request("GET", "/readyz")
            for kind in ("Agent", "AgentPool", "Pod"):
                # As the test asks later: whoever asks for a part may be answered before the others are.
                self.kube.items(address(kind))
            return True
        return False
