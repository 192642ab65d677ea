"""A real RabbitMQ on loopback, which a test may kill and start anew on what it had written."""

import base64
import hashlib
import json
import os
import signal
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.backends.certificates import Issued
from tests.backends.waiting import until
from tests.ports import free_port

USER, PASSWORD = "agents", "agents-password"
READER, READER_PASSWORD = "reader", "reader-password"
"""A user who may neither configure nor write."""
WRITER, WRITER_PASSWORD = "audit", "audit-password"
"""A user who may declare streams of the audit and write to them, and nothing else."""
VIRTUAL_HOST = "team"
_SCRIPT = Path("/usr/lib/rabbitmq/bin/rabbitmq-server")
_START_SECONDS = 90.0


class RabbitMQServer:
    """One broker: a node of its own with its own name, ports, port mapper and data."""

    def __init__(self, directory: Path, *, tls: Issued | None = None) -> None:
        self.port = free_port()
        self.tls_port = free_port() if tls else 0
        self._mapper_port, self._distribution_port = free_port(), free_port()
        self._directory = directory / f"rabbitmq-{self.port}"
        self._directory.mkdir()
        self._tls = tls
        self._node: subprocess.Popen[bytes] | None = None
        self._mapper: subprocess.Popen[bytes] | None = None
        self._configure()

    def url(self, user: str = USER, password: str = PASSWORD) -> str:
        """Return what a driver connects to."""
        return f"amqp://{user}:{password}@127.0.0.1:{self.port}/{VIRTUAL_HOST}"

    def start(self) -> None:
        """Start it on what it has, and wait until it speaks AMQP."""
        environment = self._environment()
        with (self._directory / "log").open("ab") as log:
            if self._mapper is None:
                mapper = ["epmd", "-port", str(self._mapper_port), "-address", "127.0.0.1"]
                self._mapper = subprocess.Popen(mapper, stdout=log, stderr=log)
            self._node = subprocess.Popen(
                [_SCRIPT.resolve(), "-noinput"], env=environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )
        until(self._is_ready, what="RabbitMQ speaks AMQP", seconds=_START_SECONDS)

    @property
    def is_running(self) -> bool:
        """False once it was killed."""
        return self._node is not None

    def control(self, *arguments: str) -> None:
        """Give the node an order of `rabbitmqctl`; takes seconds."""
        script = _SCRIPT.resolve().parent / "rabbitmqctl"
        subprocess.run([script, *arguments], env=self._environment(), check=True, capture_output=True, timeout=60)

    def has_written(self, queue: str) -> bool:
        """Return True once a quorum queue's name is on disk, about a second after it was declared.

        Until then, this version forgets the queue for good if it is killed.
        """
        return any(queue.encode() in file.read_bytes() for file in self._directory.glob("mnesia/quorum/*/names.dets"))

    def kill(self) -> None:
        """End it at once, as a machine that loses power."""
        self._end(signal.SIGKILL)

    def freeze(self) -> None:
        """Have it answer nothing, with its connections open."""
        assert self._node is not None
        self._node.send_signal(signal.SIGSTOP)
        # Each thread stops when it is its turn, which may be after the next message.
        until(self._is_frozen, what="every thread of RabbitMQ stands still")

    def thaw(self) -> None:
        """Have it go on."""
        assert self._node is not None
        self._node.send_signal(signal.SIGCONT)

    def close(self) -> None:
        """End the node and its port mapper."""
        self.kill()
        if self._mapper is not None:
            self._mapper.kill()
            self._mapper.wait(10)
            self._mapper = None

    def _end(self, number: signal.Signals) -> None:
        if self._node is not None:
            self._node.send_signal(number)
            self._node.wait(30)
            self._node = None

    def _is_ready(self) -> bool:
        assert self._node is not None
        assert self._node.poll() is None, (self._directory / "log").read_text()[-2000:]
        try:
            with socket.create_connection(("127.0.0.1", self.port), timeout=1) as connection:
                connection.sendall(b"AMQP\x00\x00\x09\x01")
                return bool(connection.recv(1))
        except OSError:
            return False

    def _is_frozen(self) -> bool:
        assert self._node is not None
        states = Path(f"/proc/{self._node.pid}/task").glob("*/stat")
        return all(state.read_text().rpartition(")")[2].split()[0] == "T" for state in states)

    def _configure(self) -> None:
        definitions = self._directory / "definitions.json"
        definitions.write_text(json.dumps(_definitions()))
        lines = [
            f"listeners.tcp.1 = 127.0.0.1:{self.port}",
            f"load_definitions = {definitions}",
            "loopback_users = none",
            "log.file = false",
            "log.console = true",
            "log.console.level = warning",
            "disk_free_limit.absolute = 50MB",
        ]
        if self._tls is not None:
            lines += [
                f"listeners.ssl.1 = 127.0.0.1:{self.tls_port}",
                f"ssl_options.cacertfile = {self._tls.authority}",
                f"ssl_options.certfile = {self._tls.certificate}",
                f"ssl_options.keyfile = {self._tls.key}",
                "ssl_options.verify = verify_none",
                "ssl_options.fail_if_no_peer_cert = false",
            ]
        (self._directory / "rabbitmq.conf").write_text("\n".join(lines) + "\n")
        (self._directory / "enabled_plugins").write_text("[].\n")

    def _environment(self) -> dict[str, str]:
        here = self._directory
        return {
            "PATH": os.environ["PATH"],
            "HOME": str(here),
            "LANG": "C.UTF-8",
            "ERL_EPMD_PORT": str(self._mapper_port),
            "ERL_EPMD_ADDRESS": "127.0.0.1",
            # Has the script become the node, so that its pid is the node's.
            "RUNNING_UNDER_SYSTEMD": "true",
            "RABBITMQ_NODENAME": f"test-{self.port}@localhost",
            "RABBITMQ_DIST_PORT": str(self._distribution_port),
            "RABBITMQ_MNESIA_BASE": str(here),
            "RABBITMQ_MNESIA_DIR": str(here / "mnesia"),
            "RABBITMQ_LOG_BASE": str(here),
            "RABBITMQ_PID_FILE": str(here / "pid"),
            "RABBITMQ_CONFIG_FILE": str(here / "rabbitmq.conf"),
            "RABBITMQ_ADVANCED_CONFIG_FILE": str(here / "none.config"),
            "RABBITMQ_CONF_ENV_FILE": str(here / "none.conf"),
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(here / "enabled_plugins"),
            "RABBITMQ_FEATURE_FLAGS_FILE": str(here / "feature_flags"),
            # Two schedulers that sleep when there is nothing to do: the machine is shared.
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": (
                "+S 2:2 +sbwt none +sbwtdcpu none +sbwtdio none -kernel inet_dist_use_interface {127,0,0,1}"
            ),
        }


def _definitions() -> dict[str, object]:
    everything = {"configure": ".*", "write": ".*", "read": ".*"}
    return {
        "users": [_user(USER, PASSWORD), _user(READER, READER_PASSWORD), _user(WRITER, WRITER_PASSWORD)],
        "vhosts": [{"name": "/"}, {"name": VIRTUAL_HOST}],
        "permissions": [
            {"user": USER, "vhost": VIRTUAL_HOST, **everything},
            {"user": READER, "vhost": VIRTUAL_HOST, **everything, "configure": "^$", "write": "^$"},
            {
                "user": WRITER,
                "vhost": VIRTUAL_HOST,
                "configure": "^audit-",
                "write": r"^amq\.default$",
                "read": "^$",
            },
        ],
    }


def _user(name: str, password: str) -> dict[str, object]:
    salt = b"salt"
    digest = hashlib.sha256(salt + password.encode()).digest()
    return {
        "name": name,
        "password_hash": base64.b64encode(salt + digest).decode(),
        "hashing_algorithm": "rabbit_password_hashing_sha256",
        "tags": "",
    }


@contextmanager
def running_rabbitmq(directory: Path, *, tls: Issued | None = None) -> Iterator[RabbitMQServer]:
    """Have a broker until the block ends."""
    server = RabbitMQServer(directory, tls=tls)
    try:
        server.start()
        yield server
    finally:
        server.close()
