"""A headless Chromium, told what to do over its DevTools protocol (https://chromedevtools.github.io/devtools-protocol)."""

import asyncio
import base64
import shutil
import tempfile
from collections.abc import AsyncIterator, Awaitable
from contextlib import asynccontextmanager
from itertools import count
from pathlib import Path
from typing import Any, TypeVar

from aiohttp import ClientSession, ClientWebSocketResponse, WSMsgType

Answer = TypeVar("Answer")
NAMES = ("chromium", "chromium-browser", "google-chrome")
START_SECONDS = 60.0
ANSWER_SECONDS = 60.0
_FLAGS = (
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--no-first-run",
    "--hide-scrollbars",
    "--remote-debugging-port=0",
    # What the page is made of has to come from this machine.
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
)


class BrowserError(Exception):
    """There is no browser, or it did not do what it was told."""


class Tab:
    """One tab. What pages say of errors is in `errors`, in the browser's words, until it is cleared."""

    def __init__(self, socket: ClientWebSocketResponse) -> None:
        self.errors: list[str] = []
        self._socket = socket
        self._numbers = count(1)
        self._answers: dict[int, asyncio.Future[dict[str, Any]]] = {}
        self._loaded = asyncio.Event()
        self._reading = asyncio.create_task(self._read())

    async def show(self, url: str, *, width: int, height: int, is_phone: bool) -> None:
        """Open a page in a window of that size, in CSS pixels; return once it and its pictures are loaded."""
        size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": is_phone}
        await self._tell("Emulation.setDeviceMetricsOverride", **size)
        self.errors.clear()
        self._loaded.clear()
        await self._tell("Page.navigate", url=url)
        await _in_time(self._loaded.wait(), f"loading {url}")
        await self.value_of("new Promise(done => requestAnimationFrame(() => requestAnimationFrame(() => done(0))))")

    async def value_of(self, expression: str) -> Any:
        """Return what JavaScript makes of an expression, a promise's value once it is there."""
        asked = {"expression": expression, "awaitPromise": True, "returnByValue": True}
        answer = await self._tell("Runtime.evaluate", **asked)
        if "exceptionDetails" in answer:
            raise BrowserError(f"the page's script failed: {_words(answer['exceptionDetails'])}")
        return answer["result"].get("value")

    async def picture(self, *, quality: int | None = None) -> bytes:
        """Return what the window shows: a PNG, or a JPEG of a quality up to 100."""
        how = {"format": "png"} if quality is None else {"format": "jpeg", "quality": quality}
        return base64.b64decode((await self._tell("Page.captureScreenshot", **how))["data"])

    async def begin(self) -> None:
        """Have the browser tell of what happens in pages."""
        for domain in ("Page", "Runtime", "Log"):
            await self._tell(f"{domain}.enable")

    async def close(self) -> None:
        """Stop listening."""
        self._reading.cancel()
        await self._socket.close()

    async def _tell(self, method: str, **parameters: object) -> dict[str, Any]:
        number = next(self._numbers)
        self._answers[number] = asyncio.get_running_loop().create_future()
        await self._socket.send_json({"id": number, "method": method, "params": parameters})
        return await _in_time(self._answers[number], method)

    async def _read(self) -> None:
        async for message in self._socket:
            if message.type is not WSMsgType.TEXT:
                break
            said = message.json()
            if "id" in said:
                self._answer(said)
            else:
                self._happened(said["method"], said["params"])
        for waiting in self._answers.values():
            if not waiting.done():
                waiting.set_exception(BrowserError("the browser has gone"))

    def _answer(self, said: dict[str, Any]) -> None:
        waiting = self._answers.pop(said["id"])
        if waiting.done():
            return
        if "error" in said:
            waiting.set_exception(BrowserError(said["error"]["message"]))
        else:
            waiting.set_result(said["result"])

    def _happened(self, method: str, said: dict[str, Any]) -> None:
        if method == "Page.loadEventFired":
            self._loaded.set()
        elif method == "Runtime.exceptionThrown":
            self.errors.append(_words(said["exceptionDetails"]))
        elif method == "Runtime.consoleAPICalled" and said["type"] in {"error", "assert"}:
            self.errors.append(" ".join(str(each.get("value", each.get("description"))) for each in said["args"]))
        elif method == "Log.entryAdded" and said["entry"]["level"] == "error":
            self.errors.append(f"{said['entry']['text']} {said['entry'].get('url', '')}".strip())


def found() -> str | None:
    """Return where the browser is that would be run, or None."""
    return next((path for name in NAMES if (path := shutil.which(name))), None)


@asynccontextmanager
async def browser() -> AsyncIterator[Tab]:
    """Run a browser that knows nothing of earlier ones; yield its one tab. Raises BrowserError.

    One tab each, since a browser draws only the tab that is in front.
    """
    program = found()
    if program is None:
        raise BrowserError(f"no browser here: install one of {', '.join(NAMES)}")
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        argv = [program, *_FLAGS, f"--user-data-dir={profile}", "about:blank"]
        quiet = asyncio.subprocess.DEVNULL
        process = await asyncio.create_subprocess_exec(*argv, stdout=quiet, stderr=quiet)
        try:
            async with ClientSession(f"http://127.0.0.1:{await _port(Path(profile), process)}") as session:
                tab = await _opened(session)
                try:
                    yield tab
                finally:
                    await tab.close()
        finally:
            if process.returncode is None:
                process.terminate()
            await process.wait()


async def _port(profile: Path, process: asyncio.subprocess.Process) -> int:
    """Return the port on which the browser listens, once it does."""
    written = profile / "DevToolsActivePort"
    async with asyncio.timeout(START_SECONDS):
        while not (written.exists() and written.read_text().strip()):
            if process.returncode is not None:
                raise BrowserError(f"the browser ended at once, exit code {process.returncode}")
            await asyncio.sleep(0.05)
    return int(written.read_text().splitlines()[0])


async def _opened(session: ClientSession) -> Tab:
    async with session.put("/json/new?about:blank") as answer:
        address = (await answer.json())["webSocketDebuggerUrl"]
    tab = Tab(await session.ws_connect(address, max_msg_size=0))
    await tab.begin()
    return tab


async def _in_time(what: Awaitable[Answer], name: str) -> Answer:
    try:
        async with asyncio.timeout(ANSWER_SECONDS):
            return await what
    except TimeoutError:
        raise BrowserError(f"no end of {name} in {ANSWER_SECONDS:.0f} s") from None


def _words(details: dict[str, Any]) -> str:
    return str(details.get("exception", {}).get("description") or details["text"])
