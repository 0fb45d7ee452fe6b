"""What HTTP adds to the suite: who may post, formats, statuses, certificates, clients that behave badly."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from channels.errors import ConfigError, Finding, MessageError, QueueFull, Refused, StoreError, Undelivered
from channels.fields import HostPort
from channels.message import Message
from channels.ports import Outcome
from connectors.http import HttpDestination, HttpDestinationSettings, HttpSource, HttpSourceSettings
from connectors.shared.listener import Listener
from tests.connectors import certificates
from tests.connectors.certificates import Certificates
from tests.connectors.conformance import hl7, message
from tests.connectors.intake import ListIntake, surroundings

HL7 = {"Content-Type": "application/hl7-v2"}
FHIR = {"Content-Type": "application/fhir+json"}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return certificates.make(tmp_path_factory.mktemp("certificates"))


class Post:
    """A source that listens, and a client."""

    def __init__(self, site: Path) -> None:
        self.site, self.intake = site, ListIntake()
        self.client = httpx.AsyncClient(timeout=20, trust_env=False)
        self.source: HttpSource | None = None

    async def start(self, **options: Any) -> HttpSource:
        settings = HttpSourceSettings.model_validate({"listen": "127.0.0.1:0"} | options)
        self.source = HttpSource(settings, surroundings(self.site))
        assert self.source.address.port == 0
        await self.source.start(self.intake)
        return self.source

    def url(self, path: str = "/", scheme: str = "http") -> str:
        assert self.source is not None
        return f"{scheme}://127.0.0.1:{self.source.address.port}{path}"

    async def __call__(self, body: bytes, headers: dict[str, str] | None = None, **options: Any) -> httpx.Response:
        return await self.client.post(self.url(), content=body, headers=HL7 if headers is None else headers, **options)


@pytest.fixture
async def post(tmp_path: Path) -> AsyncIterator[Post]:
    made = Post(tmp_path)
    yield made
    await made.client.aclose()
    if made.source is not None:
        await made.source.stop()


# the source: answers


async def test_an_hl7_message_is_answered_with_its_acknowledgement(post: Post) -> None:
    await post.start()
    answer = await post(hl7(7), HL7 | {"Idempotency-Key": "k1"})
    assert (answer.status_code, answer.headers["content-type"]) == (200, "application/hl7-v2; charset=iso8859-1")
    assert answer.content.endswith(b"MSA|AA|7\r")
    (one,) = post.intake.messages
    assert one.attributes == {
        "path": "/", "peer": "127.0.0.1", "content_type": "application/hl7-v2", "idempotency_key": "k1",
    }  # fmt: skip


@pytest.mark.parametrize(
    "error, status, code",
    [
        (MessageError("no", "PID-3", "204"), 422, b"MSA|AE|7"),
        (StoreError("the disk is full"), 503, b"MSA|AR|7"),
        (QueueFull("full"), 503, b"MSA|AR|7"),
        (Refused("answered AE"), 422, b"MSA|AE|7"),
    ],
)
async def test_a_refusal_has_a_status_and_an_acknowledgement(post: Post, error: Any, status: int, code: bytes) -> None:
    await post.start()
    post.intake.refuse_with = lambda one: error
    answer = await post(hl7(7))
    assert answer.status_code == status
    assert code in answer.content
    assert ("retry-after" in answer.headers) == (status == 503)


async def test_other_formats_are_answered_in_json(post: Post) -> None:
    await post.start()
    post.intake.outcome = Outcome(12, duplicate=True, findings=(Finding("MSH-10", "205", "used before"),))
    answer = await post(b"{}", FHIR | {"Idempotency-Key": "k1"})
    assert answer.status_code == 202
    assert answer.json() == {
        "id": 12, "duplicate": True, "findings": [{"place": "MSH-10", "code": "205", "problem": "used before"}],
    }  # fmt: skip
    (one,) = post.intake.messages
    assert (one.format, one.charset, one.control_id, one.body) == ("fhir+json", "utf-8", "k1", b"{}")


@pytest.mark.parametrize(
    "error, status, said",
    [
        (MessageError("no", "Patient.name", "204"), 422, {"place": "Patient.name", "code": "204", "problem": "no"}),
        (StoreError("the disk is full"), 503, {"place": "", "code": "207", "problem": "the disk is full"}),
        (Refused("answered 422"), 422, {"place": "", "code": "207", "problem": "answered 422"}),
    ],
)
async def test_a_refusal_of_another_format_is_in_json(
    post: Post, error: Any, status: int, said: dict[str, Any]
) -> None:
    await post.start()
    post.intake.refuse_with = lambda one: error
    answer = await post(b"{}", FHIR)
    assert (answer.status_code, answer.json()) == (status, said)


async def test_json_may_be_asked_for(post: Post) -> None:
    await post.start()
    answer = await post(hl7(7), HL7 | {"Accept": "application/json"})
    assert (answer.status_code, answer.json()["id"]) == (202, 1)


async def test_what_is_not_hl7_is_a_bad_request(post: Post) -> None:
    await post.start()
    answer = await post(b"hello")
    said = {"place": "MSH", "code": "199", "problem": "the message does not begin with an MSH segment"}
    assert (answer.status_code, answer.json()) == (400, said)
    assert len(post.intake.refused) == 1


@pytest.mark.parametrize(
    "answer, kind",
    [
        (b'{"a": 1}', "application/json"),
        (b"<a/>", "application/xml"),
        (b"MSH|^~\\&|", "application/hl7-v2"),
        (b"\x00", "application/octet-stream"),
    ],
)
async def test_the_answer_of_a_destination_is_passed_on(post: Post, answer: bytes, kind: str) -> None:
    await post.start()
    post.intake.outcome = Outcome(1, answer=answer)
    found = await post(b"{}", FHIR)
    assert (found.status_code, found.content, found.headers["content-type"]) == (200, answer, kind)


# the source: requests


@pytest.mark.parametrize(
    "kind, form, charset",
    [
        ("application/hl7-v2; charset=utf-8", "hl7v2", "ascii"),
        ("X-Application/HL7-v2+er7", "hl7v2", "ascii"),
        ("text/xml; charset=ISO-8859-1", "xml", "iso8859-1"),
        ('application/xml; version=1; charset="utf-8"', "xml", "utf-8"),
        ("application/xml; charset=klingon", "xml", "utf-8"),
        ("application/pdf", "pdf", "utf-8"),
        ("application/octet-stream", "raw", "utf-8"),
    ],
)
async def test_the_content_type_says_the_format(post: Post, kind: str, form: str, charset: str) -> None:
    await post.start()
    body = b"MSH|^~\\&|GAP||||20260310||ADT^A01|1|P|2.5\r" if form == "hl7v2" else b"x"
    await post(body, {"Content-Type": kind})
    (one,) = post.intake.messages
    assert (one.format, one.charset) == (form, charset)


async def test_an_unknown_content_type_is_refused_unless_the_format_is_set(post: Post) -> None:
    source = await post.start()
    assert (await post(hl7(1), {"Content-Type": "text/plain"})).status_code == 415
    assert (await post(hl7(1), {})).status_code == 415
    await source.stop()
    await post.start(format="hl7v2")
    assert (await post(hl7(1), {})).status_code == 200


async def test_only_its_paths_and_post_are_served(post: Post) -> None:
    await post.start(path=["/a", "/b"])
    statuses = [
        (await post.client.post(post.url(path), content=hl7(1), headers=HL7)).status_code for path in ("/a", "/b", "/")
    ]
    assert statuses == [200, 200, 404]
    assert (await post.client.get(post.url("/a"))).status_code == 405


async def test_who_may_post(post: Post) -> None:
    await post.start(basic={"gap": "pass:word", "sgl": "é"}, bearer="t0ken")
    assert (await post(hl7(1))).status_code == 401
    assert (await post(hl7(1))).headers["www-authenticate"] == "Basic"
    assert (await post(hl7(1), auth=("gap", "pass:word"))).status_code == 200
    assert (await post(hl7(2), auth=httpx.BasicAuth("sgl", "é"))).status_code == 200
    assert (await post(hl7(3), HL7 | {"Authorization": "bearer  t0ken"})).status_code == 200
    for wrong in ("Basic !", "Basic dDBrZW4=", "Bearer gap:pass:word", "Bearer", "t0ken", "Digest x"):
        assert (await post(hl7(4), HL7 | {"Authorization": wrong})).status_code == 401
    assert (await post(hl7(4), auth=("gap", "sgl"))).status_code == 401
    assert [one.attributes.get("user") for one in post.intake.messages] == ["gap", "sgl", None]


async def test_a_token_alone_asks_for_a_token(post: Post) -> None:
    await post.start(bearer=["a", "b"])
    answer = await post(hl7(1))
    assert (answer.status_code, answer.headers["www-authenticate"]) == (401, "Bearer")
    assert (await post(hl7(1), HL7 | {"Authorization": "Bearer b"})).status_code == 200


async def test_a_body_too_large_is_refused(post: Post) -> None:
    await post.start(max_size="1kB")
    assert (await post(b"x" * 1001)).status_code == 413

    async def pieces() -> AsyncIterator[bytes]:
        for _ in range(11):
            yield b"x" * 100

    answer = await post.client.post(post.url(), content=pieces(), headers=HL7)
    assert answer.status_code == 413
    assert post.intake.seen == []
    assert (await post(hl7(1))).status_code == 200


async def raw(post: Post, data: bytes, *, end: bool = False) -> bytes:
    """What the source answers to some bytes, until it closes."""
    assert post.source is not None
    reader, writer = await asyncio.open_connection(*post.source.address)
    writer.write(data)
    if end:
        writer.write_eof()
    answer = await reader.read()
    writer.close()
    return answer


async def test_a_client_that_sends_slowly_is_closed(post: Post) -> None:
    await post.start(timeout="50ms")
    assert await raw(post, b"") == b""
    assert await raw(post, b"POST / HTTP/1.1\r\nHost: x\r\n") == b""
    head = b"POST / HTTP/1.1\r\nHost: x\r\nContent-Type: application/hl7-v2\r\nContent-Length: 9\r\n\r\nMSH"
    assert (await raw(post, head)).startswith(b"HTTP/1.1 408 ")
    assert post.source is not None
    reader, writer = await asyncio.open_connection(*post.source.address)
    writer.write(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n")
    assert await reader.readline() == b"HTTP/1.1 415 Unsupported Media Type\r\n"
    writer.write(b"POST ")
    await reader.read()
    writer.close()
    assert (await post(hl7(1))).status_code == 200


async def test_a_client_that_leaves_in_the_middle_hands_in_nothing(post: Post) -> None:
    await post.start()
    assert post.source is not None
    _, writer = await asyncio.open_connection(*post.source.address)
    writer.write(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Type: application/hl7-v2\r\nContent-Length: 9\r\n\r\nMSH")
    await writer.drain()
    assert (await post(hl7(1))).status_code == 200
    writer.close()
    await writer.wait_closed()
    assert (await post(hl7(2))).status_code == 200
    assert post.intake.bodies == [hl7(1), hl7(2)]


async def test_a_client_that_leaves_before_the_answer_is_no_trouble(post: Post) -> None:
    await post.start()
    post.intake.held = True
    task = asyncio.create_task(post(hl7(1)))
    await post.intake.until(lambda: bool(post.intake.waiting))
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    post.intake.release()
    assert (await post(hl7(2))).status_code == 200
    assert post.intake.bodies == [hl7(1), hl7(2)]


async def test_what_is_not_http_is_answered_400(post: Post) -> None:
    await post.start()
    assert (await raw(post, b"\x0bMSH|^~\\&|\x1c\r")).startswith(b"HTTP/1.1 400 ")


async def test_a_taken_address_is_an_error_at_start(post: Post) -> None:
    source = await post.start()
    other = HttpSource(HttpSourceSettings(listen=source.address), surroundings(post.site))
    with pytest.raises(OSError, match="in use"):
        await other.start(post.intake)
    await other.stop()


async def test_a_client_shows_its_certificate(post: Post, made: Certificates) -> None:
    tls = {"certificate": str(made.server_certificate), "key": str(made.server_key), "clients": str(made.authority)}
    await post.start(tls=tls)
    context = ssl.create_default_context(cafile=made.authority)
    async with httpx.AsyncClient(verify=context, trust_env=False) as unknown:
        with pytest.raises(httpx.HTTPError):
            await unknown.post(post.url(scheme="https"), content=hl7(1), headers=HL7)
    known = {"authorities": made.authority, "certificate": made.client_certificate, "key": made.client_key}
    settings = HttpDestinationSettings.model_validate({"url": post.url(scheme="https"), "tls": known})
    destination = HttpDestination(settings, surroundings(post.site, "sgl"))
    await destination.start()
    receipt = await destination.send(message(1))
    await destination.aclose()
    assert (receipt.reference, post.intake.bodies) == ("200", [hl7(1)])


@pytest.mark.parametrize("path", ["in", "/{id}"])
def test_a_path_that_cannot_be_served_is_said(path: str) -> None:
    with pytest.raises(ValueError, match="a path begins with '/'"):
        HttpSourceSettings.model_validate({"listen": "127.0.0.1:0", "path": path})


async def test_a_missing_certificate_is_an_error_at_start(tmp_path: Path) -> None:
    settings = HttpSourceSettings.model_validate({"listen": "127.0.0.1:0", "tls": {"certificate": "no.pem"}})
    with pytest.raises(ConfigError, match=r"no\.pem cannot be read"):
        await HttpSource(settings, surroundings(tmp_path)).start(ListIntake())


# the destination


class Far:
    """A server with a scripted answer, that notes what it was asked."""

    def __init__(self, site: Path) -> None:
        self.site = site
        self.answer = Response(b"", 204)
        self.asked: list[tuple[str, str, dict[str, str], bytes]] = []
        self.listener = Listener(
            [Route("/in", self.take, methods=["POST", "PUT"])], context=None, patience=20, connections=100
        )
        self.built: list[HttpDestination] = []

    async def take(self, request: Request) -> Response:
        self.asked.append((request.method, request.url.path, dict(request.headers), await request.body()))
        return self.answer

    async def build(self, **options: Any) -> HttpDestination:
        url = f"http://127.0.0.1:{self.listener.address.port}/in"
        settings = HttpDestinationSettings.model_validate({"url": url} | options)
        destination = HttpDestination(settings, surroundings(self.site, "sgl"))
        self.built.append(destination)
        await destination.start()
        return destination


@pytest.fixture
async def far(tmp_path: Path) -> AsyncIterator[Far]:
    made = Far(tmp_path)
    await made.listener.start(HostPort("127.0.0.1", 0))
    yield made
    for destination in made.built:
        await destination.aclose()
    await made.listener.stop()


async def test_a_message_is_sent_with_what_identifies_it(far: Far) -> None:
    destination = await far.build(method="PUT", headers={"X-Site": "chu"}, bearer="t0ken")
    for one in (message(7), message(7), Message(b"{}", "fhir+json", id=7)):
        await destination.send(one)
    (first, again, other) = far.asked
    assert first == again
    method, path, headers, body = first
    assert (method, path, body) == ("PUT", "/in", hl7(7))
    assert headers["content-type"] == "application/hl7-v2; charset=iso8859-1"
    assert (headers["authorization"], headers["x-site"]) == ("Bearer t0ken", "chu")
    assert headers["idempotency-key"].startswith("chu-test-adt-fanout-sgl-7-")
    assert other[2]["idempotency-key"] != headers["idempotency-key"]
    assert other[2]["content-type"] == "application/fhir+json"


@pytest.mark.parametrize(
    "form, kind", [("pdf", "application/pdf"), ("cda", "application/xml"), ("b2", "application/octet-stream")]
)
async def test_each_format_has_its_content_type(far: Far, form: str, kind: str) -> None:
    destination = await far.build(basic={"user": "gap", "password": "secret"})
    await destination.send(Message(b"x", form))
    assert far.asked[0][2]["content-type"] == kind
    assert far.asked[0][2]["authorization"] == "Basic Z2FwOnNlY3JldA=="
    own = await far.build(content_type="text/x-special")
    await own.send(Message(b"x", form))
    assert far.asked[1][2]["content-type"] == "text/x-special"


@pytest.mark.parametrize(
    "headers, reference", [({"Location": "/in/9"}, "/in/9"), ({"ETag": 'W/"3"'}, 'W/"3"'), ({}, "201")]
)
async def test_the_receipt_names_what_was_made(far: Far, headers: dict[str, str], reference: str) -> None:
    far.answer = Response(b"made", 201, headers)
    receipt = await (await far.build()).send(message(1))
    assert (receipt.reference, receipt.answer) == (reference, b"made")


@pytest.mark.parametrize("status", [408, 425, 429, 500, 502, 503, 504, 501, 307])
async def test_some_answers_mean_not_now(far: Far, status: int) -> None:
    far.answer = Response(b"DUPONT", status, {"Location": "http://127.0.0.1:1/elsewhere"})
    with pytest.raises(Undelivered, match=f"^answered {status}$") as raised:
        await (await far.build()).send(message(1))
    assert raised.value.answer == b"DUPONT"


@pytest.mark.parametrize("status", [400, 401, 403, 404, 409, 422])
async def test_other_answers_mean_never(far: Far, status: int) -> None:
    far.answer = Response(b"DUPONT", status)
    with pytest.raises(Refused, match=f"^answered {status}$") as raised:
        await (await far.build()).send(message(1))
    assert raised.value.answer == b"DUPONT"
    with pytest.raises(Undelivered):
        await (await far.build(resend_on=[status])).send(message(1))


async def test_an_hl7_acknowledgement_counts_more_than_the_status(far: Far) -> None:
    destination = await far.build()
    ack = b"MSH|^~\\&|SGL||GAP||20261125||ACK|1|P|2.5\rMSA|%s|1\r"
    for code in (b"AA", b"CA"):
        far.answer = Response(ack % code, 200, media_type="application/hl7-v2")
        await destination.send(message(1))
    for code in (b"AE", b"AR", b"CR"):
        far.answer = Response(ack % code, 200, media_type="application/hl7-v2")
        with pytest.raises(Refused, match=f"^answered {code.decode()}$"):
            await destination.send(message(1))
    far.answer = Response(b"thanks", 200, media_type="application/hl7-v2")
    assert (await destination.send(message(1))).answer == b"thanks"


async def test_of_a_long_answer_only_the_beginning_is_kept(far: Far) -> None:
    far.answer = Response(b"x" * 3_000_000, 200)
    destination = await far.build()
    receipt = await destination.send(message(1))
    assert receipt.answer == b"x" * 1_000_000
    await destination.send(message(2))


async def test_a_closed_destination_sends_nothing(far: Far) -> None:
    destination = await far.build()
    await destination.aclose()
    with pytest.raises(Undelivered, match="closed"):
        await destination.send(message(1))


async def test_an_unknown_server_is_not_trusted(post: Post, made: Certificates) -> None:
    await post.start(tls={"certificate": str(made.server_certificate), "key": str(made.server_key)})
    for tls in ({}, {"authorities": str(made.authority), "server_name": "other.example"}):
        settings = HttpDestinationSettings.model_validate({"url": post.url(scheme="https"), "tls": tls})
        destination = HttpDestination(settings, surroundings(post.site, "sgl"))
        await destination.start()
        with pytest.raises(Undelivered, match="ConnectError"):
            await destination.send(message(1))
        await destination.aclose()
    settings = HttpDestinationSettings.model_validate(
        {"url": post.url(scheme="https"), "tls": {"authorities": str(made.authority), "server_name": "localhost"}}
    )
    destination = HttpDestination(settings, surroundings(post.site, "sgl"))
    await destination.start()
    await destination.send(message(1))
    await destination.aclose()


@pytest.mark.parametrize(
    "options, problem",
    [
        ({"url": "ftp://host/"}, "an address such as"),
        ({"url": "host:80"}, "an address such as"),
        ({"url": "http://user:pass@host/"}, "use `basic`"),
        ({"basic": {"user": "a", "password": "b"}, "bearer": "c"}, "exclude each other"),
    ],
)
def test_settings_that_are_wrong_are_said(options: dict[str, Any], problem: str) -> None:
    with pytest.raises(ValueError, match=problem):
        HttpDestinationSettings.model_validate({"url": "http://host/"} | options)
