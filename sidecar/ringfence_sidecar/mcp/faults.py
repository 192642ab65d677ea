"""Errors of the protocol for what was not served: their data is the object that REST would have answered."""

from ringfence_sidecar.correlation import Correlation
from ringfence_sidecar.envelope import Envelope, Metadata, failed
from ringfence_sidecar.errors import CallError
from ringfence_sidecar.mcp.protocol import ProtocolError
from ringfence_sidecar.problem import document


def fault(code: int, error: CallError, correlation: Correlation) -> ProtocolError:
    """Return the error of a request that never was a call."""
    metadata = Metadata(correlation.request_id, correlation.trace.trace_id)
    return fault_of(code, error.message, failed(error, metadata))


def fault_of(code: int, message: str, envelope: Envelope) -> ProtocolError:
    """Return the error of a call that no tool has a result for."""
    return ProtocolError(code, message, document(envelope))
