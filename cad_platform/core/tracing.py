"""OpenTelemetry spans, under the id of the request that led to them: who knows the id of a request finds its trace.

Off, and nothing of OpenTelemetry imported, unless `CAD_OTLP_ENDPOINT` names a collector. Spans say what was done, how
long it took and what came of it; they name jobs, models and hosts, never a patient, a study or an address. Which traces
are kept is the collector's to decide: only it knows how they ended.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import datetime
from typing import TYPE_CHECKING, Any

from django.conf import settings

from cad_platform.core import request_ids

if TYPE_CHECKING:
    from opentelemetry.context import Context
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.trace import Span, Tracer

_TRACE_ID = re.compile(r"[0-9A-Fa-f]{32}")

_provider: TracerProvider | None = None
#: The request whose first span is being begun.
_beginning: ContextVar[str] = ContextVar("beginning", default="")


def start(service: str) -> None:
    """Send this process's spans, as those of `service` ("web", "worker"), from now on; again does nothing.

    Raises
    ------
    ValueError
        `CAD_OTLP_ENDPOINT` is no address.
    """
    global _provider
    if _provider is not None or not settings.OTLP_ENDPOINT:
        return
    from opentelemetry import trace
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor
    from opentelemetry.sdk.trace.id_generator import RandomIdGenerator

    class IdsOfRequests(RandomIdGenerator):
        """The first span of a request has the ids that others can work out."""

        def generate_trace_id(self) -> int:
            request_id = _beginning.get()
            return trace_id(request_id) if request_id else super().generate_trace_id()

        def generate_span_id(self) -> int:
            request_id = _beginning.get()
            return _first_span_id(request_id) if request_id else super().generate_span_id()

    resource = Resource.create({"service.name": f"cad-{service}"})
    _provider = TracerProvider(resource=resource, id_generator=IdsOfRequests(), shutdown_on_exit=False)
    trace.set_tracer_provider(_provider)  # for those that may not know of this module
    _provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(f"{settings.OTLP_ENDPOINT}/v1/traces")))


def stop() -> None:
    """Send what waits, for a few seconds at most, and end; for a process that ends."""
    global _provider
    if _provider is not None:
        ending, _provider = _provider, None
        ending.force_flush(timeout_millis=3000)
        ending.shutdown()


def trace_id(request_id: str) -> int:
    """The trace of a request: its id itself where that is one, as those that we give are."""
    number = int(request_id, 16) if _TRACE_ID.fullmatch(request_id) else 0
    return number or int.from_bytes(hashlib.sha256(request_id.encode()).digest()[:16], "big")


@contextmanager
def request_span(name: str) -> Iterator[Span | None]:
    """The first span of the current request, which all others of its trace stand under; none where tracing is off."""
    tracer, request_id = _tracer(), request_ids.current()
    if tracer is None or not request_id:
        yield None
        return
    from opentelemetry.context import Context
    from opentelemetry.trace import SpanKind, use_span

    token = _beginning.set(request_id)
    try:
        span = tracer.start_span(name, context=Context(), kind=SpanKind.SERVER)
    finally:
        _beginning.reset(token)
    with use_span(span, end_on_exit=True, record_exception=False):
        yield span


@contextmanager
def span(name: str, **attributes: Any) -> Iterator[Span | None]:
    """A step of the current request's work, in whichever process; nothing where no request led here, or tracing is off.
    An exception that passes through marks it as failed with the exception's kind: its words may quote rows."""
    tracer = _tracer()
    if tracer is None or not request_ids.current():
        yield None
        return
    from opentelemetry.trace import Status, StatusCode

    with tracer.start_as_current_span(
        name,
        context=_context(),
        attributes={key: value for key, value in attributes.items() if value is not None},
        record_exception=False,
        set_status_on_exception=False,
    ) as made:
        try:
            yield made
        except Exception as error:
            made.set_status(Status(StatusCode.ERROR, type(error).__qualname__))
            raise


def waited(name: str, since: datetime, until: datetime, **attributes: Any) -> None:
    """A span of a time in which nobody did anything."""
    tracer = _tracer()
    if tracer is None or not request_ids.current():
        return
    made = tracer.start_span(name, context=_context(), attributes=attributes, start_time=_nanoseconds(since))
    made.end(_nanoseconds(until))


def _tracer() -> Tracer | None:
    return _provider.get_tracer("cad_platform") if _provider is not None else None


def _context() -> Context | None:
    """What a new span stands under: the span that is open here, else the first one of the request."""
    from opentelemetry import trace

    if trace.get_current_span().get_span_context().is_valid:
        return None
    request_id = request_ids.current()
    first = trace.SpanContext(
        trace_id(request_id),
        _first_span_id(request_id),
        is_remote=True,
        trace_flags=trace.TraceFlags(trace.TraceFlags.SAMPLED),
    )
    return trace.set_span_in_context(trace.NonRecordingSpan(first))


def _first_span_id(request_id: str) -> int:
    return int.from_bytes(hashlib.sha256(f"first span of {request_id}".encode()).digest()[:8], "big")


def _nanoseconds(moment: datetime) -> int:
    return int(moment.timestamp() * 1_000_000) * 1000
