"""A server with what the conformance suite expects to find, on the product's own MCP layer.

`python -m tests.conformance.everything PORT` serves it on 127.0.0.1, behind the product's guard.
"""

import asyncio
import sys
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from ringfence_sidecar.guard import Guard
from ringfence_sidecar.mcp.endpoint import Endpoint
from ringfence_sidecar.mcp.protocol import MISSING_CAPABILITY, ProtocolError
from ringfence_sidecar.mcp.resources import Resource, Resources
from ringfence_sidecar.mcp.server import Asked, Era, Method, Server
from ringfence_sidecar.mcp.tools import Tool, Tools
from ringfence_sidecar.serving import listen, server_of
from tests.conformance.inputs import INPUT_TOOLS
from tests.conformance.media import JSON_SCHEMA, PNG_BYTES, WAV, image, resource, text
from tests.conformance.prompts import add_prompts
from tests.conformance.templates import add_templates

Answer = Callable[[Asked, Mapping[str, Any]], Awaitable[dict[str, Any]]]


def build() -> Server:
    """Return the server."""
    server = Server("everything", "1.0.0")
    tools, resources = Tools(server), Resources(server)
    add_prompts(server)
    add_templates(server)
    server.offer("resources", listChanged=True, subscribe=True)
    server.offer("logging")
    server.offer("completions")
    older = frozenset({Era.HANDSHAKE})
    for name in ("logging/setLevel", "resources/subscribe", "resources/unsubscribe"):
        server.methods[name] = Method(_nothing, older)
    server.methods["completion/complete"] = Method(_complete)
    resources.replace(
        (
            _resource("test://static-text", "text/plain", "This is the content of the static text resource."),
            _resource("test://static-binary", "image/png", PNG_BYTES),
            _resource("test://watched-resource", "text/plain", "Nothing happens here."),
        )
    )
    tools.replace(_tools(server))
    return server


def _tools(server: Server) -> list[Tool]:
    answers: dict[str, Answer] = {
        "test_simple_text": _plain(text("This is a simple text response for testing.")),
        "test_image_content": _plain(image()),
        "test_audio_content": _plain({"type": "audio", "data": WAV, "mimeType": "audio/wav"}),
        "test_embedded_resource": _plain(
            resource("test://embedded-resource", "text/plain", "This is an embedded resource content.")
        ),
        "test_multiple_content_types": _plain(
            text("Multiple content types test:"),
            image(),
            resource("test://mixed-content-resource", "application/json", '{"test":"data","value":123}'),
        ),
        "test_tool_with_logging": _log,
        "test_logging_tool": _log,
        "test_tool_with_progress": _progress,
        "test_error_handling": _fail,
        "test_missing_capability": _need_sampling,
        "test_streaming_elicitation": _plain(text("Nothing is asked of the client on its own.")),
        "test_trigger_tool_change": _change(server, "tools"),
        "test_trigger_prompt_change": _change(server, "prompts"),
        **INPUT_TOOLS,
    }
    tools = [Tool(_definition(name, {"type": "object"}), answer) for name, answer in answers.items()]
    schema = Tool(_definition("json_schema_2020_12_tool", JSON_SCHEMA), _plain(text("It has a schema.")))
    return [*tools, schema]


def _definition(name: str, schema: Mapping[str, Any]) -> dict[str, Any]:
    return {"name": name, "description": f"What the suite knows as {name}.", "inputSchema": schema}


def _plain(*content: dict[str, Any]) -> Answer:
    async def answer(_: Asked, __: Mapping[str, Any]) -> dict[str, Any]:
        return {"content": list(content)}

    return answer


def _change(server: Server, kind: str) -> Answer:
    async def answer(_: Asked, __: Mapping[str, Any]) -> dict[str, Any]:
        server.changed(kind)
        return {"content": [text("Changed.")]}

    return answer


async def _log(asked: Asked, _: Mapping[str, Any]) -> dict[str, Any]:
    if asked.era is Era.HANDSHAKE or "io.modelcontextprotocol/logLevel" in asked.meta:
        for said in ("Tool execution started", "Tool processing data", "Tool execution completed"):
            await asked.notify("notifications/message", {"level": "info", "data": said})
            await asyncio.sleep(0.05)  # the suite wants to hear of them one by one
    return {"content": [text("Logged.")]}


async def _progress(asked: Asked, _: Mapping[str, Any]) -> dict[str, Any]:
    for progress in (0, 50, 100):
        if asked.progress is not None:
            await asked.progress(progress, "")
    return {"content": [text("Progressed.")]}


async def _fail(_: Asked, __: Mapping[str, Any]) -> dict[str, Any]:
    return {"isError": True, "content": [text("This tool intentionally returns an error for testing")]}


async def _need_sampling(asked: Asked, _: Mapping[str, Any]) -> dict[str, Any]:
    if "sampling" not in asked.capabilities:
        raise ProtocolError(MISSING_CAPABILITY, "sampling is needed", {"requiredCapabilities": {"sampling": {}}})
    return {"content": [text("It could be asked.")]}


async def _nothing(_: Asked) -> dict[str, Any]:
    return {}


async def _complete(_: Asked) -> dict[str, Any]:
    return {"completion": {"values": ["paris", "park", "party"], "total": 3, "hasMore": False}}


def _resource(uri: str, kind: str, content: str | bytes) -> Resource:
    async def read(_: Asked) -> str | bytes:
        return content

    name = uri.removeprefix("test://")
    return Resource({"uri": uri, "name": name, "description": f"The {name}.", "mimeType": kind}, read)


def main() -> None:
    """Serve until told to stop."""
    app = Guard(Endpoint(build()), max_body_bytes=1 << 20)
    server = server_of(app, most_connections=64, stop_seconds=1)
    asyncio.run(server.serve(sockets=[listen("127.0.0.1", int(sys.argv[1]))]))


if __name__ == "__main__":
    main()
