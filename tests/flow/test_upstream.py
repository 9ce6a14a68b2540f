"""The upstream engine against a small server that speaks the protocol over loopback: tokens, errors, adapters."""

from __future__ import annotations

import json
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "unit" / "serving"))
from fixtures.serving import Published, publish, tokens
from oracle.serving.errors import BadRequest, Busy, UnknownAdapter, UpstreamDown, UpstreamRefused
from oracle.serving.types import AdapterId, Event, Finish, Finished, Generated, Request, RequestId, Sampling, Token
from oracle.serving.upstream import Upstream, UpstreamConfig
from oracle.serving.weights import shape_of

VOCABULARY = 97


@dataclass
class Cluster:
    """What the stand-in knows, and how it is to misbehave."""

    loaded: dict[str, str] = field(default_factory=dict)
    seen: list[dict[str, Any]] = field(default_factory=list)
    status: int | None = None
    break_after: int | None = None
    stall: threading.Event | None = None


def made(body: dict[str, Any]) -> list[int]:
    """The stand-in's answer: a function of the model's name, the prompt and the seed."""
    start = sum(body["prompt"]) + len(body["model"]) + body["seed"]
    return [(start + i) % VOCABULARY for i in range(body["max_tokens"])]


class Handler(BaseHTTPRequestHandler):
    cluster: ClassVar[Cluster]

    def log_message(self, *_: object) -> None:
        pass

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.cluster.seen.append(body | {"path": self.path, "key": self.headers.get("Authorization")})
        if self.cluster.status:
            self.answer(self.cluster.status, "the cluster is unwell")
        elif self.path == "/v1/load_lora_adapter":
            self.cluster.loaded[body["lora_name"]] = body["lora_path"]
            self.answer(200, "loaded")
        elif self.path == "/v1/unload_lora_adapter":
            del self.cluster.loaded[body["lora_name"]]
            self.answer(200, "unloaded")
        elif self.path == "/v1/completions" and body["model"] in ("the-base", *self.cluster.loaded):
            self.complete(body)
        else:
            self.answer(404, "no such model")

    def answer(self, status: int, said: str) -> None:
        self.send_response(status)
        if status == 429:
            self.send_header("Retry-After", "7")
        self.end_headers()
        self.wfile.write(said.encode())

    def complete(self, body: dict[str, Any]) -> None:
        self.send_response(200)
        self.end_headers()
        answer = made(body)
        for i, token in enumerate(answer):
            if i == self.cluster.break_after:
                return
            if i and self.cluster.stall:
                self.cluster.stall.wait(20)
            choice: dict[str, Any] = {"token_ids": [token], "finish_reason": "length" if i == len(answer) - 1 else None}
            if "logprobs" in body:
                choice["logprobs"] = {
                    "token_logprobs": [-0.5],
                    "top_logprobs": [{f"token_id:{token}": -0.5, "token_id:3": -1.5}],
                }
            self.wfile.write(f"data: {json.dumps({'choices': [choice]})}\n\n".encode())
            self.wfile.flush()
        self.wfile.write(b"data: [DONE]\n\n")


@pytest.fixture
def cluster() -> Cluster:
    return Cluster()


@pytest.fixture(scope="module")
def adapter(tmp_path_factory: pytest.TempPathFactory) -> Published:
    return publish(tmp_path_factory.mktemp("published") / "r8")


@pytest.fixture
def engine(cluster: Cluster, adapter: Published) -> Iterator[Upstream]:
    handler = type("Speaking", (Handler,), {"cluster": cluster})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    url = f"http://127.0.0.1:{server.server_port}"
    upstream = Upstream(UpstreamConfig(url, "the-base", shape_of(adapter.base().config), 128, 4, 4, 20.0, "secret"))
    yield upstream
    if cluster.stall:
        cluster.stall.set()
    upstream.close()
    server.shutdown()
    server.server_close()


def run(engine: Upstream) -> dict[RequestId, list[Event]]:
    found: dict[RequestId, list[Event]] = {}
    while not engine.idle:
        for event in engine.step():
            found.setdefault(event.request, []).append(event)
    return found


def ask(adapter: AdapterId | None = None, count: int = 5, seed: int = 1, **more: Any) -> Request:
    return Request((Token(5), Token(6)), adapter, count, Sampling(0.7, 10, 0.9, seed), **more)


def test_submit__to_the_base_and_an_adapter_at_once__then_each_gets_its_own_tokens(
    engine: Upstream, cluster: Cluster, adapter: Published
) -> None:
    known = engine.register(adapter.folder)
    assert cluster.loaded == {known.id: str(adapter.folder)}
    asked = {engine.submit(ask(name, seed=seed)): (name, seed) for name in (None, known.id) for seed in range(3)}
    events = run(engine)
    for number, (name, seed) in asked.items():
        assert list(tokens(events[number])) == made(
            {"model": name or "the-base", "prompt": [5, 6], "seed": seed, "max_tokens": 5}
        )
        assert events[number][-1] == Finished(number, Finish.LENGTH)
    sent = next(body for body in cluster.seen if body["path"] == "/v1/completions" and body["seed"] == 2)
    assert (sent["temperature"], sent["top_k"], sent["top_p"], sent["key"]) == (0.7, 10, 0.9, "Bearer secret")
    counters = engine.counters()
    assert (counters.submitted, counters.finished, counters.generated_tokens, counters.loads) == (6, 6, 30, 1)


def test_submit__with_logprobs_and_a_stop_sequence__then_both_are_honoured(engine: Upstream) -> None:
    answer = made({"model": "the-base", "prompt": [5, 6], "seed": 1, "max_tokens": 5})
    stop = (Token(answer[1]), Token(answer[2]))
    number = engine.submit(ask(logprobs=2, stop=(stop,)))
    events = run(engine)[number]
    assert list(tokens(events)) == answer[:3]
    assert events[-1] == Finished(number, Finish.STOP)
    assert events[0] == Generated(number, Token(answer[0]), -0.5, ((Token(answer[0]), -0.5), (Token(3), -1.5)))


def test_forget__then_the_cluster_unloads_it_and_it_is_unknown(
    engine: Upstream, cluster: Cluster, adapter: Published
) -> None:
    known = engine.register(adapter.folder)
    engine.forget(known.id)
    assert cluster.loaded == {}
    with pytest.raises(UnknownAdapter):
        engine.submit(ask(known.id))


def test_submit__when_the_cluster_has_forgotten_the_adapter__then_that_request_says_what_to_do(
    engine: Upstream, cluster: Cluster, adapter: Published
) -> None:
    known = engine.register(adapter.folder)
    cluster.loaded.clear()
    numbers = engine.submit(ask(known.id)), engine.submit(ask())
    events = run(engine)
    with pytest.raises(UpstreamRefused, match="register its folder again"):
        tokens(events[numbers[0]])
    assert len(tokens(events[numbers[1]])) == 5


@pytest.mark.parametrize(
    ("status", "error", "said"),
    [(400, UpstreamRefused, "unwell"), (500, UpstreamDown, "unwell"), (429, Busy, "retry in 7.0 s")],
)
def test_submit__when_the_cluster_refuses__then_the_error_says_whether_to_retry(
    engine: Upstream, cluster: Cluster, status: int, error: type[Exception], said: str
) -> None:
    cluster.status = status
    number = engine.submit(ask())
    events = run(engine)
    with pytest.raises(error, match=said):
        tokens(events[number])


def test_submit__when_the_stream_breaks_off__then_the_tokens_so_far_and_an_error(
    engine: Upstream, cluster: Cluster
) -> None:
    cluster.break_after = 2
    number = engine.submit(ask())
    events = run(engine)[number]
    assert [type(event) for event in events] == [Generated, Generated, Finished]
    with pytest.raises(UpstreamDown, match="after 2 tokens"):
        tokens(events)


def test_cancel__while_it_streams__then_it_ends(engine: Upstream, cluster: Cluster) -> None:
    cluster.stall = threading.Event()
    number = engine.submit(ask())
    assert [type(event) for event in engine.step()] == [Generated]
    assert engine.cancel(number)
    cluster.stall.set()
    assert run(engine)[number][-1] == Finished(number, Finish.CANCELLED)
    assert not engine.cancel(number)


def test_submit__when_too_many_wait__then_busy(engine: Upstream, cluster: Cluster) -> None:
    cluster.stall = threading.Event()
    for _ in range(8):
        engine.submit(ask())
    with pytest.raises(Busy):
        engine.submit(ask())
    cluster.stall.set()
    assert all(len(tokens(events)) == 5 for events in run(engine).values())


def test_submit__when_the_request_makes_no_sense__then_the_cluster_never_sees_it(
    engine: Upstream, cluster: Cluster
) -> None:
    with pytest.raises(BadRequest):
        engine.submit(Request(()))
    assert cluster.seen == []


def test_register__when_nothing_listens__then_it_says_so(adapter: Published) -> None:
    upstream = Upstream(UpstreamConfig("http://127.0.0.1:9", "the-base", shape_of(adapter.base().config), 128))
    with pytest.raises(UpstreamDown, match="did not answer"):
        upstream.register(adapter.folder)
    upstream.close()
