"""A forward pass of a host, whichever protocol it speaks."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from opentelemetry import trace

from cad_platform.modelserver import calls, open_inference
from cad_platform.modelserver.hosts import Host, Version


def predict(host: Host, version: Version, body: bytes, seconds: float) -> bytes:
    """The answer to `body`, both in this platform's encoding. Raises as `calls.predict`."""
    ask = open_inference.predict if host.speaks_open_inference else calls.predict
    with _span(host, version):
        return ask(host, version, body, seconds)


@contextmanager
def _span(host: Host, version: Version) -> Iterator[None]:
    """In the trace of who asks, where there is one: probes and rounds have none."""
    if not trace.get_current_span().get_span_context().is_valid:
        yield
        return
    with trace.get_tracer(__name__).start_as_current_span(
        "forward pass",
        attributes={"host": host.name, "version": str(version)},
        record_exception=False,
        set_status_on_exception=False,
    ) as span:
        try:
            yield
        except Exception as error:
            span.set_status(trace.Status(trace.StatusCode.ERROR, type(error).__qualname__))
            raise
