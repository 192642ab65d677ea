"""Scored scenarios that do not apply to the sidecar, by revision, each with its reason; a stale one fails."""

_ASKS = "the sidecar never asks its client anything: a call has all its arguments, or is refused with what is missing"

NOT_APPLYING = {
    "2025-11-25": {
        "tools-call-sampling": _ASKS,
        "tools-call-elicitation": _ASKS,
        "elicitation-sep1034-defaults": _ASKS,
        "elicitation-sep1330-enums": _ASKS,
    },
    "2026-07-28": {},
}

ON_THE_PRODUCT = {
    "2025-11-25": (
        "server-initialize",
        "server-session-lifecycle",
        "ping",
        "tools-list",
        "resources-list",
        "server-sse-multiple-streams",
        "dns-rebinding-protection",
    ),
    "2026-07-28": (
        "tools-list",
        "resources-list",
        "sep-2164-resource-not-found",
        "server-sse-multiple-streams",
        "dns-rebinding-protection",
        "http-header-validation",
    ),
}
"""Scenarios that need none of the suite's own tools: run against the sidecar itself besides."""
