"""From the post to the result under the request's id: a real collector's port, a real message, a real worker."""

from __future__ import annotations

import gzip
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import pytest
from celery.contrib.testing.worker import start_worker
from django.utils import timezone
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from cad_platform.analysis.models import AnalysisJob
from cad_platform.config.celery import app
from cad_platform.core import request_ids, tracing
from cad_platform.core.models import OutboxEvent
from cad_platform.operations import relay
from tests.posted_files import Hospital

GIVEN = "0af7651916cd43dd8448eb211c80319c"


class Collector:
    """Takes OTLP over HTTP."""

    def __init__(self) -> None:
        self.spans: list[Any] = []
        taken = self.spans

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                if self.headers.get("Content-Encoding") == "gzip":
                    body = gzip.decompress(body)
                for resource in ExportTraceServiceRequest.FromString(body).resource_spans:
                    for scope in resource.scope_spans:
                        taken.extend(scope.spans)
                self.send_response(200)
                self.end_headers()

            def log_message(self, *_: Any) -> None:
                """In silence."""

        self.server = HTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def named(self) -> dict[str, Any]:
        return {span.name: span for span in self.spans}


@pytest.fixture
def collector(settings: Any) -> Iterator[Collector]:
    collector = Collector()
    settings.OTLP_ENDPOINT = collector.url
    yield collector
    tracing.stop()
    collector.server.shutdown()


@pytest.mark.django_db(transaction=True)
def test_a_posted_study_is_one_trace(
    models: Any, collector: Collector, broker: str, phantom_png: bytes
) -> None:
    hospital = Hospital()
    tracing.start("test")
    answer = hospital.post(files={"a.png": phantom_png}, **{"X-Request-ID": GIVEN})
    assert answer.status_code in {201, 202}, answer.content
    with start_worker(app, pool="solo", perform_ping_check=False, queues=["short"], shutdown_timeout=60):
        relay.relay_pending()
        until = time.monotonic() + 300
        while not AnalysisJob.objects.exclude(state__in=AnalysisJob.OPEN).exists():
            assert time.monotonic() < until, list(AnalysisJob.objects.values_list("state", "reason"))
            time.sleep(0.1)
    tracing.stop()

    job = AnalysisJob.objects.get()
    assert job.request_id == GIVEN
    assert set(OutboxEvent.objects.values_list("request_id", flat=True)) == {GIVEN}
    found = collector.named()
    assert {"POST api-studies", "analysis waits", "analysis attempt", "model server"} <= set(found)
    assert {span.trace_id.hex() for span in collector.spans} == {GIVEN}
    first = found["POST api-studies"]
    assert not first.parent_span_id
    assert found["analysis waits"].parent_span_id == found["analysis attempt"].parent_span_id == first.span_id
    assert found["model server"].parent_span_id == found["analysis attempt"].span_id
    said = {each.key: each.value.string_value for each in found["analysis attempt"].attributes}
    assert (said["job"], said["model"]) == (str(job.pk), str(job.model_version))
    assert said["outcome"] in {"succeeded", "not_applicable"}

    sent = b"".join(span.SerializeToString() for span in collector.spans).decode("latin-1")
    for secret in ("Okafor", "Amara", "P-1", "ACC-1", job.study.study_instance_uid, str(job.study_id)):
        assert secret not in sent


@pytest.mark.django_db
def test_what_fails_is_marked_without_its_words(collector: Collector) -> None:
    tracing.start("test")
    with request_ids.bound("chosen-by-the-sender"):
        with pytest.raises(ValueError, match="Okafor"), tracing.span("step"):
            raise ValueError("no such patient: Okafor")
        tracing.waited("wait", timezone.now(), timezone.now())
    with tracing.span("of nobody's request"):
        pass
    tracing.stop()
    found = collector.named()
    assert set(found) == {"step", "wait"}
    assert found["step"].status.message == "ValueError" and b"Okafor" not in found["step"].SerializeToString()
    assert int.from_bytes(found["step"].trace_id, "big") == tracing.trace_id("chosen-by-the-sender")


@pytest.mark.django_db(transaction=True)
def test_without_a_collector_nothing_is_sent_and_rows_name_the_request_all_the_same(settings: Any) -> None:
    settings.OTLP_ENDPOINT = ""
    tracing.start("test")
    with request_ids.bound(GIVEN), tracing.request_span("GET") as first, tracing.span("step") as step:
        assert (first, step) == (None, None)
    Hospital().post(**{"X-Request-ID": GIVEN})
    assert set(OutboxEvent.objects.values_list("request_id", flat=True)) == {GIVEN}


@pytest.mark.django_db(transaction=True)
def test_a_collector_that_is_away_delays_nobody(settings: Any) -> None:
    settings.OTLP_ENDPOINT = "http://127.0.0.1:9"
    tracing.start("test")
    assert Hospital().post().status_code in {201, 202}
    tracing.stop()


def test_ids_of_traces() -> None:
    assert tracing.trace_id(GIVEN) == int(GIVEN, 16)
    for odd in ("0" * 32, "x" * 32, "0x" + "1" * 30, "a" * 31, "系" * 8, " " * 32):
        assert 0 < tracing.trace_id(odd) < 2**128
    assert tracing.trace_id("a" * 31) != tracing.trace_id("a" * 32)
