"""Tools that want something of the client first: in revision 2026-07-28 that is a result like any other."""

import hashlib
import hmac
import secrets
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from ringfence_sidecar.mcp.protocol import INVALID_PARAMS, ProtocolError
from ringfence_sidecar.mcp.server import Asked
from tests.conformance.media import text

_KEY = secrets.token_bytes(32)
_ROOTS = {"method": "roots/list", "params": {}}
_NEEDS = {"elicitation/create": "elicitation", "sampling/createMessage": "sampling", "roots/list": "roots"}


def elicitation(message: str, name: str, kind: str = "string") -> dict[str, Any]:
    """Return a question for one field."""
    schema = {"type": "object", "properties": {name: {"type": kind}}, "required": [name]}
    return {"method": "elicitation/create", "params": {"message": message, "requestedSchema": schema}}


def sampling(question: str, tokens: int) -> dict[str, Any]:
    """Return a question for the client's model."""
    messages = [{"role": "user", "content": text(question)}]
    return {"method": "sampling/createMessage", "params": {"messages": messages, "maxTokens": tokens}}


def ask(requests: Mapping[str, Any], state: str = "") -> dict[str, Any]:
    """Return a result that asks the client."""
    result = {"resultType": "input_required", "inputRequests": dict(requests)}
    return result | ({"requestState": signed(state)} if state else {})


def response_of(asked: Asked, name: str) -> Mapping[str, Any] | None:
    """Return what the client answered to a question, or None."""
    given = asked.params.get("inputResponses")
    answer = given.get(name) if isinstance(given, Mapping) else None
    return answer if isinstance(answer, Mapping) else None


def signed(state: str) -> str:
    """Return a state that the client cannot change unnoticed."""
    return f"{state}.{hmac.new(_KEY, state.encode(), hashlib.sha256).hexdigest()}"


def state_of(asked: Asked) -> str:
    """Return the state that the client gave back. Raises ProtocolError if it is not what it was given."""
    given = asked.params.get("requestState")
    state = given.rpartition(".")[0] if isinstance(given, str) else ""
    if not isinstance(given, str) or not hmac.compare_digest(given, signed(state)):
        raise ProtocolError(INVALID_PARAMS, "requestState is not the one that was given out")
    return state


def _once(questions: Mapping[str, Any], done: str, state: str = "") -> Callable[..., Awaitable[dict[str, Any]]]:
    async def answer(asked: Asked, _: Mapping[str, Any]) -> dict[str, Any]:
        answers = [response_of(asked, name) for name in questions]
        if not all(_is_answer(each) for each in answers):
            return ask(questions, state)
        if state:
            state_of(asked)
        return {"content": [text(f"{done} {answers}")]}

    return answer


def _is_answer(given: Mapping[str, Any] | None) -> bool:
    return given is not None and any(name in given for name in ("action", "content", "roots"))


async def _rounds(asked: Asked, _: Mapping[str, Any]) -> dict[str, Any]:
    if response_of(asked, "step2") is not None and state_of(asked) == "two":
        return {"content": [text("Both steps are done.")]}
    if response_of(asked, "step1") is not None and state_of(asked) == "one":
        return ask({"step2": elicitation("Step 2: What is your favorite color?", "color")}, "two")
    return ask({"step1": elicitation("Step 1: What is your name?", "name")}, "one")


async def _what_it_can(asked: Asked, _: Mapping[str, Any]) -> dict[str, Any]:
    questions = {
        "ask": elicitation("What is your name?", "name"),
        "think": sampling("What is 1 + 1?", 10),
        "see": _ROOTS,
    }
    possible = {name: each for name, each in questions.items() if _NEEDS[each["method"]] in asked.capabilities}
    return ask(possible) if possible else {"content": [text("Nothing can be asked.")]}


_CONFIRM = {"confirm": elicitation("Please confirm", "ok", "boolean")}
INPUT_TOOLS = {
    "test_input_required_result_elicitation": _once({"user_name": elicitation("What is your name?", "name")}, "Hello,"),
    "test_input_required_result_sampling": _once(
        {"capital_question": sampling("What is the capital of France?", 100)}, "It said"
    ),
    "test_input_required_result_list_roots": _once({"client_roots": _ROOTS}, "There are"),
    "test_input_required_result_request_state": _once(_CONFIRM, "state-ok", "confirming"),
    "test_input_required_result_multiple_inputs": _once(
        {
            "user_name": elicitation("What is your name?", "name"),
            "greeting": sampling("Generate a greeting", 50),
            "client_roots": _ROOTS,
        },
        "All are there:",
        "three",
    ),
    "test_input_required_result_multi_round": _rounds,
    "test_input_required_result_tampered_state": _once(_CONFIRM, "state-ok", "sealed"),
    "test_input_required_result_capabilities": _what_it_can,
}
