"""An agent from outside: commands in it, and its files."""

import asyncio
import codecs
import functools
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence
from contextlib import aclosing

from ringfence.cluster import cluster_errors
from ringfence.errors import AgentEndedError, CommandError
from ringfence.result import CommandResult, Output
from ringfence.running import Running, running
from ringfence.threads import in_thread
from ringfence_kube.api import Api
from ringfence_kube.attending import how_it_ended
from ringfence_kube.command import STDERR, STDOUT, Command, bound
from ringfence_kube.errors import UnreachableError
from ringfence_kube.objects import Raw, collection, name_of, namespace_of

_KILLED = 137
"""Exit code of a command that was killed: on its own, or with its agent."""
_END_SECONDS = 5.0
"""How long the operator may take to say that an agent has ended."""
_LONGEST = 128 * 1024
"""Linux takes no longer argument."""
_NAMES = {STDOUT: "stdout", STDERR: "stderr"}
_READ = ("sh", "-c", 'exec cat <"$1"', "sh")
_WRITE = ("sh", "-c", 'head -c "$2" >"$1"; exit $?', "sh")
"""By length, as standard input has no end of its own. The shell stays and holds the output: where nobody does any more,
containerd ends the input, too."""


class Agent:
    """An agent that runs, until the end of its `async with`."""

    def __init__(self, api: Api, agent: Raw) -> None:
        self._api = api
        self._agent = agent
        self.name = name_of(agent)
        self.namespace = namespace_of(agent)

    async def run(
        self,
        command: Sequence[str],
        *,
        on_output: Callable[[Output], object] | None = None,
        timeout: float | None = None,  # noqa: ASYNC109 - it is the command's
        check: bool = False,
    ) -> CommandResult:
        """Run a command in the agent and return how it ended; `on_output` gets what it writes at once.

        It is killed, with all that it started, if we are cancelled, and after `timeout` seconds. Raises TimeoutError
        then, CommandError where it fails and `check` is set, AgentEndedError, ClusterError.
        """
        written: dict[str, list[str]] = {name: [] for name in _NAMES.values()}
        code = 0
        async with asyncio.timeout(timeout), aclosing(self._events(command)) as events:
            async for event in events:
                if isinstance(event, int):
                    code = event
                    continue
                written[event.stream].append(event.text)
                if on_output:
                    on_output(event)
        result = CommandResult(command, code, "".join(written["stdout"]), "".join(written["stderr"]))
        return result.check() if check else result

    async def run_python(
        self,
        source: str,
        *arguments: str,
        on_output: Callable[[Output], object] | None = None,
        timeout: float | None = None,  # noqa: ASYNC109 - as of run
        check: bool = False,
    ) -> CommandResult:
        """Run a snippet by the agent's `python3`; the arguments are its `sys.argv[1:]`. As `run` in everything else."""
        command = ["python3", "-u", "-c", source, *arguments]
        return await self.run(command, on_output=on_output, timeout=timeout, check=check)

    async def stream(self, command: Sequence[str]) -> AsyncIterator[Output]:
        """Run a command in the agent and yield what it writes as it comes; nothing of it is kept. As `run` else.

        Raises CommandError at its end unless its exit code is 0. Leaving the loop early ends the command.
        """
        last = ""
        async with aclosing(self._events(command)) as events:
            async for event in events:
                if isinstance(event, Output):
                    last = event.text if event.stream == _NAMES[STDERR] else last
                    yield event
                elif event:
                    raise CommandError(command[0], exit_code=event, stdout="", stderr=last)

    async def read_file(self, path: str) -> bytes:
        """Return what a file of the agent holds. Raises CommandError if it cannot be read."""
        return await self._file(path, [*_READ, path], b"")

    async def write_file(self, path: str, content: bytes | str) -> None:
        """Write a file in the agent; its directory is there. Raises CommandError if it cannot be written."""
        data = content.encode() if isinstance(content, str) else content
        await self._file(path, [*_WRITE, path, str(len(data))], data)

    async def _file(self, path: str, argv: Sequence[str], content: bytes) -> bytes:
        written: dict[int, list[bytes]] = {stream: [] for stream in _NAMES}
        with cluster_errors():
            async with running(self._beginning(argv)) as command:
                await command.write(content)
                async for stream, piece in command.pieces():
                    written[stream].append(piece)
        if command.code:
            said = b"".join(written[STDERR]).decode(errors="replace")
            raise CommandError(path, exit_code=command.code, stdout="", stderr=said)
        return b"".join(written[STDOUT])

    async def _events(self, command: Sequence[str]) -> AsyncGenerator[Output | int, None]:
        """Yield what a command writes, and its exit code at the end."""
        argv = _checked(command)
        with cluster_errors():
            try:
                async with running(self._beginning(bound(argv))) as begun, aclosing(_texts(begun)) as texts:
                    async for each in texts:
                        yield each
                code = begun.code or 0
            except UnreachableError as error:
                await self._raise_if_ended(error)
                raise
            if code == _KILLED:
                await self._raise_if_ended(None)
            yield code

    def _beginning(self, argv: Sequence[str]) -> Callable[[], Command]:
        return functools.partial(Command.begin, self._api, self.namespace, self.name, argv, container="agent")

    async def _raise_if_ended(self, error: Exception | None) -> None:
        path = collection("agents", self.namespace)
        look = functools.partial(how_it_ended, self._api, path, self._agent, seconds=_END_SECONDS)
        if ended := await in_thread(look):
            raise AgentEndedError(f"Agent {self.name} has ended: {ended.sentence or f'with {ended.code}'}") from error


async def _texts(begun: Running) -> AsyncGenerator[Output, None]:
    decoders = {stream: codecs.getincrementaldecoder("utf-8")("replace") for stream in _NAMES}
    async for stream, piece in begun.pieces():
        if text := decoders[stream].decode(piece):
            yield Output(_NAMES[stream], text)
    for stream, decoder in decoders.items():
        if text := decoder.decode(b"", final=True):
            yield Output(_NAMES[stream], text)


def _checked(command: Sequence[str]) -> Sequence[str]:
    if isinstance(command, str) or not command:
        raise TypeError('write a command as its words, such as ["python3", "job.py"], or ["sh", "-c", "a | b"]')
    if any(len(word.encode()) >= _LONGEST for word in command):
        raise ValueError("no word of a command may have 128 KiB: write_file() it, and name the file")
    return command
