"""Prompts, which the sidecar has none of: methods like any other to the MCP layer."""

from typing import Any

from ringfence_sidecar.mcp.protocol import INVALID_PARAMS, ProtocolError
from ringfence_sidecar.mcp.server import Asked, Method, Server
from tests.conformance.inputs import ask, elicitation, response_of
from tests.conformance.media import image, resource, text

_ARGUMENTS: dict[str, tuple[str, ...]] = {
    "test_simple_prompt": (),
    "test_prompt_with_arguments": ("arg1", "arg2"),
    "test_prompt_with_embedded_resource": ("resourceUri",),
    "test_prompt_with_image": (),
    "test_input_required_result_prompt": (),
}


def add_prompts(server: Server) -> None:
    """Offer the prompts."""
    server.offer("prompts", listChanged=True)
    server.methods["prompts/list"] = Method(_list, is_cacheable=True)
    server.methods["prompts/get"] = Method(_get)


async def _list(_: Asked) -> dict[str, Any]:
    return {
        "prompts": [
            {
                "name": name,
                "description": f"What the suite knows as {name}.",
                "arguments": [{"name": each, "required": True} for each in arguments],
            }
            for name, arguments in _ARGUMENTS.items()
        ]
    }


async def _get(asked: Asked) -> dict[str, Any]:
    given = asked.params.get("arguments") or {}
    match asked.text("name"):
        case "test_simple_prompt":
            return _said(text("This is a simple prompt for testing."))
        case "test_prompt_with_arguments":
            return _said(text(f"Prompt with arguments: arg1='{given['arg1']}', arg2='{given['arg2']}'"))
        case "test_prompt_with_embedded_resource":
            embedded = resource(given["resourceUri"], "text/plain", "Embedded resource content for testing.")
            return _said(embedded, text("Please process the embedded resource above."))
        case "test_prompt_with_image":
            return _said(image(), text("Please analyze the image above."))
        case "test_input_required_result_prompt":
            answer = response_of(asked, "user_context")
            if answer is None:
                return ask({"user_context": elicitation("What context should the prompt use?", "context")})
            return _said(text(f"In this context: {answer}"))
    raise ProtocolError(INVALID_PARAMS, "there is no such prompt")


def _said(*content: dict[str, Any]) -> dict[str, Any]:
    return {"messages": [{"role": "user", "content": each} for each in content]}
