"""Snowflake's QUERY_TAG: who asked, in its query history for good."""

import msgspec

from ringfence_sidecar.call import Context

HEALTH_TAG = '{"request":"health"}'
"""The tag of health checks."""


def query_tag(context: Context) -> str:
    """Return the tag of a call: JSON with agent, namespace, request and trace."""
    tag = {
        "agent": context.agent.name,
        "namespace": context.agent.namespace,
        "request": context.request_id,
        "trace": context.trace.trace_id,
    }
    return msgspec.json.encode(tag).decode()
