"""HTTP requests to a real server on loopback."""

from __future__ import annotations

import base64
import json
import socket
import ssl
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path
from threading import Barrier, Thread, Timer
from typing import Any

import pytest

from cloudflow_dagster.nodes.errors import Canceled, NodeError
from cloudflow_dagster.providers import catalogue
from cloudflow_dagster.providers.generic.http.addresses import refusal
from cloudflow_dagster.providers.generic.http.failures import retry_after
from cloudflow_dagster.providers.generic.http.reply import LARGEST_VALUE
from cloudflow_dagster.providers.generic.http.status import expected_status
from cloudflow_dagster.providers.generic.http.transport import transport
from tests.fixtures.calls import Allowed, WorkingCall
from tests.fixtures.web import Answer, Asked, Web, serving

JSON = {"Content-Type": "application/json"}


@pytest.fixture
def call(tmp_path: Path) -> WorkingCall:
    return WorkingCall(tmp_path)


def send(call: WorkingCall, config: dict[str, Any]) -> Any:
    found = catalogue().get("generic.http.request")
    assert found is not None
    assert found.handler is not None
    return found.handler(call, config)


def findings(config: dict[str, Any]) -> list[tuple[str | int, ...]]:
    found = catalogue().get("generic.http.request")
    assert found is not None
    assert found.check_config is not None
    return [path for path, _ in found.check_config(config)]


def failure(call: WorkingCall, config: dict[str, Any]) -> NodeError:
    with pytest.raises(NodeError) as caught:
        send(call, config)
    return caught.value


def echo(asked: Asked) -> Answer:
    said = {"method": asked.method, "path": asked.path, "pairs": asked.pairs}
    return Answer(body=json.dumps({**said, "body": asked.body.decode()}), headers=JSON)


@pytest.fixture
def web() -> Iterator[Web]:
    with serving(echo) as running:
        yield running


# What is sent


def test_the_answer_is_status_headers_and_body(call: WorkingCall, web: Web) -> None:
    answer = send(call, {"url": web.url("/a")})
    assert answer["status"] == 200
    assert answer["headers"]["content-type"] == "application/json"
    assert answer["body"]["method"] == "GET"
    assert answer["body"]["path"] == "/a"


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE", "OPTIONS"])
def test_methods(call: WorkingCall, web: Web, method: str) -> None:
    assert send(call, {"url": web.url(), "method": method})["body"]["method"] == method


def test_head_has_no_body(call: WorkingCall, web: Web) -> None:
    assert send(call, {"url": web.url(), "method": "HEAD"})["body"] is None


def test_a_query_is_added_to_what_the_url_has(call: WorkingCall, web: Web) -> None:
    query = {"a": [1, "x y"], "b": True, "c": None, "d": 1.5}
    answer = send(call, {"url": web.url("/?sig=a%2Fb%20c&a=0"), "query": query})
    assert answer["body"]["pairs"] == [
        ["sig", "a/b c"],
        ["a", "0"],
        ["a", "1"],
        ["a", "x y"],
        ["b", "true"],
        ["d", "1.5"],
    ]


@pytest.mark.parametrize(
    ("config", "kind", "body"),
    [
        ({"json": {"ü": [1, None]}}, "application/json", b'{"\\u00fc":[1,null]}'),
        ({"json": None}, "application/json", b"null"),
        (
            {"form": {"a": [1, "ü"], "b": None}},
            "application/x-www-form-urlencoded",
            b"a=1&a=%C3%BC",
        ),
        ({"body": "ü"}, "text/plain; charset=utf-8", "ü".encode()),
        ({"body": {"base64": "AAH/"}}, "application/octet-stream", b"\x00\x01\xff"),
        ({"body": "<a/>", "headers": {"Content-Type": "text/xml"}}, "text/xml", b"<a/>"),
    ],
)
def test_bodies(call: WorkingCall, config: dict[str, Any], kind: str, body: bytes) -> None:
    with serving(lambda _: Answer()) as web:
        send(call, {"url": web.url(), "method": "POST", **config})
    assert web.asked[0].headers["content-type"] == kind
    assert web.asked[0].body == body


def test_a_file_of_the_run_is_sent_and_no_other(
    call: WorkingCall, web: Web, tmp_path_factory: pytest.TempPathFactory
) -> None:
    inside = call.files / "a.bin"
    inside.write_text("inside")
    config = {"url": web.url(), "method": "PUT"}
    assert send(call, {**config, "body": {"file": str(inside)}})["body"]["body"] == "inside"
    outside = tmp_path_factory.mktemp("outside") / "secret"
    outside.write_text("secret")
    (call.files / "link").symlink_to(outside)
    for path in (outside, call.files / "link", call.files / ".." / ".." / "etc" / "passwd"):
        assert failure(call, {**config, "body": {"file": str(path)}}).code == "InvalidConfig"
    assert failure(call, {**config, "body": {"file": str(call.files / "no")}}).code == "FileError"


def test_two_bodies_are_refused(call: WorkingCall, web: Web) -> None:
    config = {"url": web.url(), "json": None, "form": {"a": 1}}
    assert findings(config) == [("form",)]
    assert "`json` and `form`" in failure(call, config).message


def test_headers_are_sent_as_text(call: WorkingCall) -> None:
    with serving(lambda _: Answer()) as web:
        headers = {"X-Number": 1, "X-Flag": True, "X-None": None, "X-Text": " ü\n"}
        send(call, {"url": web.url(), "headers": headers})
    sent = web.asked[0].headers
    assert (sent["x-number"], sent["x-flag"]) == ("1", "true")
    assert "x-none" not in sent
    assert sent["x-text"].encode("latin-1").decode() == "ü"
    assert sent["user-agent"].startswith("cloudflow/")


def test_a_header_cannot_smuggle_another(call: WorkingCall, web: Web) -> None:
    error = failure(call, {"url": web.url(), "headers": {"X-A": "hunter2\r\nX-B: 2"}})
    assert error.code == "InvalidConfig"
    assert "hunter2" not in error.message
    assert web.asked == []


# Who it is from


@pytest.mark.parametrize(
    ("auth", "sent", "hidden"),
    [
        (
            {"type": "basic", "username": "u", "password": "pä"},
            {"authorization": f"Basic {base64.b64encode('u:pä'.encode()).decode()}"},
            base64.b64encode("u:pä".encode()).decode(),
        ),
        ({"type": "bearer", "token": "t0k"}, {"authorization": "Bearer t0k"}, "t0k"),
        ({"type": "header", "name": "X-Api-Key", "value": "k"}, {"x-api-key": "k"}, "k"),
    ],
)
def test_auth_is_sent_and_hidden(
    call: WorkingCall, auth: dict[str, str], sent: dict[str, str], hidden: str
) -> None:
    with serving(lambda _: Answer()) as web:
        send(call, {"url": web.url(), "auth": auth})
    assert sent.items() <= web.asked[0].headers.items()
    assert hidden in call.hidden
    assert hidden not in call.log.text or len(hidden) < 2


def test_auth_in_the_query_and_in_the_url(call: WorkingCall) -> None:
    with serving(lambda _: Answer()) as web:
        auth = {"type": "query", "name": "key", "value": "a/b"}
        send(call, {"url": web.url("/?x=1"), "auth": auth})
        send(call, {"url": web.url().replace("//", "//user:hunter2@")})
    assert web.asked[0].query == {"x": "1", "key": "a/b"}
    assert {"a/b", "a%2Fb", "hunter2"} <= set(call.hidden)
    basic = base64.b64encode(b"user:hunter2").decode()
    assert web.asked[1].headers["authorization"] == f"Basic {basic}"
    assert "hunter2" not in call.log.text


@pytest.mark.parametrize(
    "auth",
    [
        {"type": "basic", "username": "u"},
        {"type": "bearer", "username": "u", "token": "t"},
        {"type": "header", "name": "X"},
    ],
)
def test_auth_that_is_not_whole_is_found(call: WorkingCall, web: Web, auth: Any) -> None:
    assert findings({"url": "https://a", "auth": auth}) == [("auth",)]
    assert failure(call, {"url": web.url(), "auth": auth}).code == "InvalidConfig"


# What comes back


@pytest.mark.parametrize(
    ("kind", "body", "form", "expected"),
    [
        ("application/json", b'{"a": 9007199254740993}', "auto", {"a": 2**53 + 1}),
        ("application/problem+json; charset=utf-8", b"[1]", "auto", [1]),
        ("application/json", b"", "auto", None),
        ("application/json", b"{oops", "auto", "{oops"),
        ("text/plain", b"[1]", "auto", "[1]"),
        ("text/plain", b"[1]", "json", [1]),
        ("text/plain; charset=latin-1", b"\xfc", "auto", "ü"),
        ("text/plain; charset=nonsense", "ü".encode(), "auto", "ü"),
        ("image/png", b"\x89\xff", "auto", {"base64": "if8="}),
        ("image/png", b"\x89a", "text", "\ufffda"),
        ("application/json", b"[1]", "text", "[1]"),
        ("text/plain", b"", "text", ""),
    ],
)
def test_bodies_are_read(
    call: WorkingCall, kind: str, body: bytes, form: str, expected: Any
) -> None:
    with serving(lambda _: Answer(body=body, headers={"Content-Type": kind})) as web:
        assert send(call, {"url": web.url(), "response": form})["body"] == expected


@pytest.mark.parametrize("body", [b"<html>", b"NaN", b"[" * 100_000])
def test_json_that_is_none_is_an_error_where_json_is_asked_for(
    call: WorkingCall, body: bytes
) -> None:
    with serving(lambda _: Answer(body=body)) as web:
        assert failure(call, {"url": web.url(), "response": "json"}).code == "InvalidResponse"


def test_a_file_is_stored_in_the_folder_of_the_run(call: WorkingCall) -> None:
    with serving(lambda _: Answer(body=b"a,b", headers={"Content-Type": "text/csv"})) as web:
        body = send(call, {"url": web.url("/x"), "response": "file"})["body"]
    file = Path(body["file"])
    assert file.parent == call.files
    assert file.suffix == ".csv"
    assert file.read_bytes() == b"a,b"
    assert list(call.files.iterdir()) == [file]


def test_what_is_large_becomes_a_file_unless_it_is_json(call: WorkingCall) -> None:
    text = "x" * (LARGEST_VALUE + 1)
    with serving(lambda _: Answer(body=text)) as web:
        body = send(call, {"url": web.url("/big.txt")})["body"]
        assert Path(body["file"]).read_text() == text
        assert Path(body["file"]).suffix == ".txt"
    with serving(lambda _: Answer(body=json.dumps(text), headers=JSON)) as web:
        assert send(call, {"url": web.url()})["body"] == text


def test_a_body_without_end_is_cut_off(call: WorkingCall, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cloudflow_dagster.providers.generic.http.reply.LARGEST_FILE", 2**20)
    monkeypatch.setattr("cloudflow_dagster.providers.generic.http.reply.LARGEST_JSON", 2**20)

    def endless(out: Any) -> None:
        out.write(b"HTTP/1.1 200 OK\r\n\r\n")
        try:
            while True:
                out.write(b"x" * 65_536)
        except OSError:
            pass

    with serving(lambda _: Answer(send=endless)) as web:
        for form in ("file", "json", "text", "auto"):
            error = failure(call, {"url": web.url(), "response": form})
            assert error.code == "ResponseTooLarge"
    assert list(call.files.iterdir()) == []


def test_gzip_is_undone(call: WorkingCall) -> None:
    import gzip

    headers = {**JSON, "Content-Encoding": "gzip"}
    with serving(lambda _: Answer(body=gzip.compress(b"[1]"), headers=headers)) as web:
        assert send(call, {"url": web.url()})["body"] == [1]
    with serving(lambda _: Answer(body=b"[1]", headers=headers)) as web:
        assert failure(call, {"url": web.url()}).code == "InvalidResponse"


# Status


@pytest.mark.parametrize(
    ("status", "transient"),
    [(400, False), (404, False), (408, True), (425, True), (429, True), (500, True), (503, True)],
)
def test_a_status_that_is_not_expected_is_an_error(
    call: WorkingCall, status: int, transient: bool
) -> None:
    headers = {"Retry-After": "7", "X-Request-Id": "req-1"}
    body = "no\n  such thing " + "y " * 2500
    with serving(lambda _: Answer(status, body, headers)) as web:
        error = failure(call, {"url": web.url("/?key=hunter2"), "method": "POST"})
    assert error.code == "HttpStatus"
    assert error.transient is transient
    assert error.retry_after == 7
    assert error.provider_request_id == "req-1"
    host = web.url("").removeprefix("http://").rstrip("/")
    assert f"POST {host} answered {status}" in error.message
    assert "no such thing y y" in error.message
    assert len(error.message) < 500
    assert "hunter2" not in error.message


def test_expect_says_what_is_no_error(call: WorkingCall) -> None:
    with serving(lambda _: Answer(404, "gone")) as web:
        assert send(call, {"url": web.url(), "expect": ["2xx", 404]})["status"] == 404
        assert send(call, {"url": web.url(), "expect": "400-499"})["body"] == "gone"
        assert failure(call, {"url": web.url(), "expect": 200}).code == "HttpStatus"


@pytest.mark.parametrize("expect", ["20x", "399-200", 99, [], "600", ["2xx", "ok"], True])
def test_an_expect_that_is_none_is_found(call: WorkingCall, web: Web, expect: Any) -> None:
    assert findings({"url": "https://a", "expect": expect}) == [("expect",)]
    assert failure(call, {"url": web.url(), "expect": expect}).code == "InvalidConfig"


def test_expect_reads_codes_ranges_and_classes() -> None:
    assert expected_status(["2XX", 404, "410", "500-599"]) == (
        range(200, 300),
        range(404, 405),
        range(410, 411),
        range(500, 600),
    )


def test_retry_after_is_seconds_or_a_date() -> None:
    assert retry_after("12") == 12
    assert retry_after("-3") == 0
    assert retry_after("nan") is None
    assert retry_after("soon") is None
    assert retry_after("1e9") == 86_400
    in_a_minute = format_datetime(datetime.now(UTC) + timedelta(seconds=60), usegmt=True)
    assert 55 < (retry_after(in_a_minute) or 0) <= 60
    assert retry_after("Mon, 01 Jan 2024 00:00:00 GMT") == 0


# The log


def test_the_log_says_what_was_called_and_no_query(call: WorkingCall) -> None:
    with serving(lambda _: Answer(headers={"x-amzn-RequestId": "id-9"})) as web:
        send(call, {"url": web.url("/a/b?x=hunter2#x"), "query": {"q": "hunter3"}})
    level, line = call.log.lines[0]
    assert level == "info"
    assert line.startswith(f"GET {web.url('/a/b')} → 200 in ")
    assert line.endswith(" ms (request id-9)")
    assert "hunter" not in call.log.text


def test_of_an_address_that_is_a_secret_as_a_whole_the_log_shows_the_host(
    call: WorkingCall, web: Web
) -> None:
    send(call, {"url": web.url("/hooks/hunter2?sig=hunter3")})
    assert call.log.lines[0][1].startswith(f"GET http://127.0.0.1:{web.port} → 200")
    assert "hunter" not in call.log.text


def test_the_beginning_of_a_body_is_not_cut_within_a_word(call: WorkingCall) -> None:
    secret = "hunter2" * 5
    bodies = [
        "x" * 280 + " " + secret,
        '{"a":"' + "x" * 270 + '","b":"' + secret,
        "x" * 290 + secret,
    ]
    for body in bodies:
        with serving(lambda _, body=body: Answer(400, body)) as web:
            message = failure(call, {"url": web.url()}).message
        assert "hunter2" not in message
        assert message.endswith("…")


def test_a_secret_is_hidden_before_a_body_is_cut(call: WorkingCall) -> None:
    call.hide("correct horse  battery")
    for body in (" " * 4085 + "correct horse  battery", "word " * 57 + "correct horse  battery"):
        with serving(lambda _, body=body: Answer(400, body)) as web:
            message = failure(call, {"url": web.url()}).message
        assert "horse" not in message


def test_a_file_holds_no_secret(call: WorkingCall) -> None:
    call.hide("hunter2")
    with serving(lambda _: Answer(200, "x" * 300_000 + "hunter2")) as web:
        value = send(call, {"url": web.url()})
    assert Path(value["body"]["file"]).read_text() == "x" * 300_000 + "***"


# Redirects


def redirecting(target: str, status: int = 302) -> Any:
    return lambda asked: (
        Answer(status, headers={"Location": target}) if asked.path == "/go" else echo(asked)
    )


def test_redirects_are_followed(call: WorkingCall) -> None:
    with serving(redirecting("/there?x=1")) as web:
        answer = send(call, {"url": web.url("/go"), "method": "POST", "json": {"a": 1}})
        assert answer["body"] == {
            "method": "GET",
            "path": "/there",
            "pairs": [["x", "1"]],
            "body": "",
        }
    with serving(redirecting("/there", 307)) as web:
        answer = send(call, {"url": web.url("/go"), "method": "POST", "body": "b"})
        assert (answer["body"]["method"], answer["body"]["body"]) == ("POST", "b")


def test_a_redirect_that_is_asked_for_is_not_followed(call: WorkingCall) -> None:
    with serving(redirecting("/there")) as web:
        answer = send(call, {"url": web.url("/go"), "expect": 302})
    assert answer["headers"]["location"] == "/there"


def test_ten_redirects_are_enough(call: WorkingCall) -> None:
    def onward(asked: Asked) -> Answer:
        step = int(asked.path[1:])
        return Answer(302, headers={"Location": f"/{step - 1}"}) if step else Answer(body="end")

    with serving(onward) as web:
        assert send(call, {"url": web.url("/10")})["body"] == "end"
        assert failure(call, {"url": web.url("/11")}).code == "TooManyRedirects"


def test_a_redirect_to_another_host_takes_no_credentials_along(call: WorkingCall) -> None:
    with serving(lambda _: Answer()) as other:
        target = other.url("/x", host="localhost")
        with serving(redirecting(target)) as web:
            for auth in (
                {"type": "bearer", "token": "hunter2"},
                {"type": "header", "name": "X-Own", "value": "hunter2"},
                {"type": "query", "name": "k", "value": "hunter2"},
            ):
                headers = {"X-Api-Key": "hunter2", "Cookie": "s=hunter2", "X-Plain": "p"}
                send(call, {"url": web.url("/go"), "auth": auth, "headers": headers})
    assert len(other.asked) == 3
    for asked in other.asked:
        assert asked.headers["x-plain"] == "p"
        assert "hunter2" not in str(asked)
    assert all("hunter2" in str(asked) for asked in web.asked)


def test_a_redirect_on_the_same_host_keeps_them(call: WorkingCall) -> None:
    with serving(redirecting("/there")) as web:
        send(call, {"url": web.url("/go"), "auth": {"type": "bearer", "token": "hunter2"}})
    assert web.asked[1].headers["authorization"] == "Bearer hunter2"


@pytest.mark.parametrize(
    ("target", "code"),
    [
        ("file:///etc/passwd", "InvalidUrl"),
        ("ftp://127.0.0.1/x", "InvalidUrl"),
        ("http://a:x/", "InvalidResponse"),
        ("http://0251.0376.0251.0376/", "InvalidResponse"),
    ],
)
def test_a_redirect_out_of_the_web_is_refused(call: WorkingCall, target: str, code: str) -> None:
    with serving(redirecting(target)) as web:
        assert failure(call, {"url": web.url("/go")}).code == code
    assert len(web.asked) == 1


# Addresses


METADATA = [
    "http://169.254.169.254/latest/meta-data/",
    "http://169.254.170.2/",
    "http://[fe80::1]/",
    "http://[fd00:ec2::254]/",
    "http://[::ffff:169.254.169.254]/",
    "http://[::ffff:a9fe:a9fe]/",
    "http://[64:ff9b::a9fe:a9fe]/",
    "http://[64:ff9b:1::a9fe:a9fe]/",
    "http://[2002:a9fe:a9fe::]/",
    "http://2852039166/",
    "http://0xA9FEA9FE/",
    "http://100.100.100.200/",
    "http://168.63.129.16/",
]


@pytest.mark.parametrize("url", METADATA)
def test_metadata_addresses_are_refused_however_they_are_written(
    call: WorkingCall, url: str
) -> None:
    error = failure(call, {"url": url, "timeout": 2})
    assert (error.code, error.transient) == ("ForbiddenAddress", False)


@pytest.mark.parametrize("url", METADATA)
def test_and_on_a_redirect(call: WorkingCall, url: str) -> None:
    with serving(redirecting(url)) as web:
        assert failure(call, {"url": web.url("/go"), "timeout": 2}).code == "ForbiddenAddress"


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "[::1]", "0.0.0.0", "[::]", "127.1"])
def test_private_addresses_are_refused_where_the_project_says_so(
    call: WorkingCall, host: str
) -> None:
    call.settings = Allowed(private_addresses=False)
    with serving(lambda _: Answer()) as web:
        assert failure(call, {"url": web.url("/", host)}).code == "ForbiddenAddress"
        call.settings = Allowed(private_addresses=True)
        assert send(call, {"url": web.url()})["status"] == 200
        # The connection that is kept open now is no way around the setting.
        call.settings = Allowed(private_addresses=False)
        assert failure(call, {"url": web.url()}).code == "ForbiddenAddress"
    assert len(web.asked) == 1


def test_a_name_is_resolved_once_and_what_was_checked_is_connected_to(
    call: WorkingCall, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A name server of an attacker answers the first question well and the next with metadata."""
    real = socket.getaddrinfo
    questions: list[str] = []

    def rebinding(host: str, *args: Any, **kwargs: Any) -> Any:
        if host != "rebind.test":
            return real(host, *args, **kwargs)
        questions.append(host)
        address = "127.0.0.1" if len(questions) % 2 else "169.254.169.254"
        return real(address, *args, **kwargs)

    monkeypatch.setattr(socket, "getaddrinfo", rebinding)
    with serving(lambda _: Answer(headers={"Connection": "close"})) as web:
        url = web.url("/", host="rebind.test")
        assert send(call, {"url": url})["status"] == 200
        assert questions == ["rebind.test"]
        assert failure(call, {"url": url}).code == "ForbiddenAddress"
    assert len(web.asked) == 1


def test_one_forbidden_address_among_good_ones_is_enough(
    call: WorkingCall, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = socket.getaddrinfo

    def mixed(host: str, *args: Any, **kwargs: Any) -> Any:
        if host != "mixed.test":
            return real(host, *args, **kwargs)
        return real("127.0.0.1", *args, **kwargs) + real("169.254.169.254", *args, **kwargs)

    monkeypatch.setattr(socket, "getaddrinfo", mixed)
    with serving(lambda _: Answer()) as web:
        url = web.url("/", host="mixed.test")
        assert failure(call, {"url": url}).code == "ForbiddenAddress"
    assert web.asked == []


@pytest.mark.parametrize("address", ["8.8.8.8", "2606:4700::1111", "52.95.110.1"])
def test_public_addresses_are_fine(address: str) -> None:
    assert refusal(address, private=False) is None


@pytest.mark.parametrize(
    "address",
    [
        "10.0.0.1",
        "172.16.0.1",
        "192.168.1.1",
        "127.0.0.1",
        "100.64.0.1",
        "::1",
        "fc00::1",
        "0.0.0.0",
    ],
)
def test_private_addresses_depend_on_the_project(address: str) -> None:
    assert refusal(address, private=True) is None
    assert refusal(address, private=False)


@pytest.mark.parametrize("address", ["224.0.0.1", "255.255.255.255", "ff02::1", "240.0.0.1"])
def test_addresses_of_many_are_never_reached(address: str) -> None:
    assert refusal(address, private=True)


def test_proxies_and_netrc_of_the_environment_are_not_used(
    call: WorkingCall, web: Web, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login u password hunter2\n")
    netrc.chmod(0o600)
    monkeypatch.setenv("NETRC", str(netrc))
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    assert send(call, {"url": web.url()})["status"] == 200
    assert "authorization" not in web.asked[0].headers


# What goes wrong


def _closed_port() -> int:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return taken.getsockname()[1]


def test_nobody_listens(call: WorkingCall) -> None:
    error = failure(call, {"url": f"http://127.0.0.1:{_closed_port()}/"})
    assert (error.code, error.transient) == ("ConnectionFailed", True)
    assert "GET 127.0.0.1" in error.message


def test_a_host_that_is_not_there(call: WorkingCall) -> None:
    error = failure(call, {"url": "http://no-such-host.invalid/"})
    assert error.code == "UnknownHost"


@pytest.mark.parametrize(
    "url", ["ftp://a/b", "example.com", "http://", "http://a:x/", "http://[::1/"]
)
def test_what_is_no_url(call: WorkingCall, url: str) -> None:
    assert failure(call, {"url": url}).code == "InvalidUrl"


def test_a_url_without_a_scheme_is_found_before() -> None:
    assert findings({"url": "example.com"}) == [("url",)]
    assert findings({"url": "{{ vars.base }}/x"}) == []
    assert findings({"url": "HTTPS://example.com"}) == []


def test_a_connection_that_breaks_off(call: WorkingCall) -> None:
    def half(out: Any) -> None:
        out.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf")

    with serving(lambda _: Answer(send=half)) as web:
        error = failure(call, {"url": web.url()})
    assert (error.code, error.transient) == ("ConnectionFailed", True)
    with serving(lambda _: Answer(send=lambda out: out.write(b"what?\r\n\r\n"))) as web:
        assert failure(call, {"url": web.url()}).code == "ConnectionFailed"


def _slowly(out: Any) -> None:
    """Send a byte now and then, so that no single read takes long."""
    out.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n")
    try:
        for _ in range(50):
            out.write(b"x")
            out.flush()
            time.sleep(0.1)
    except OSError:
        pass


@pytest.mark.parametrize("send_answer", [_slowly, lambda _: time.sleep(3)], ids=["drip", "silence"])
def test_timeout_is_for_the_whole_request(call: WorkingCall, send_answer: Any) -> None:
    began = time.monotonic()
    with serving(lambda _: Answer(send=send_answer)) as web:
        error = failure(call, {"url": web.url(), "timeout": 0.6})
        assert time.monotonic() - began < 2.5
    assert (error.code, error.transient) == ("Timeout", True)
    assert "0.6 s" in error.message


def test_the_attempts_deadline_and_canceling_end_it_too(call: WorkingCall) -> None:
    began = time.monotonic()
    with serving(lambda _: Answer(send=_slowly)) as web:
        call.deadline = time.monotonic() + 0.5
        assert failure(call, {"url": web.url()}).message == "The attempt took too long."
        call.deadline = None
        Timer(0.5, lambda: setattr(call, "canceled", True)).start()
        with pytest.raises(Canceled):
            send(call, {"url": web.url()})
        assert time.monotonic() - began < 4


def _certificate(folder: Path) -> tuple[Path, Path]:
    """Write a certificate for localhost that nobody has signed, and its key."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "localhost")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    (folder / "c.pem").write_bytes(certificate.public_bytes(pem))
    (folder / "k.pem").write_bytes(
        key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return folder / "c.pem", folder / "k.pem"


def test_certificates_are_verified_by_name(
    call: WorkingCall, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    certificate, key = _certificate(tmp_path)
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(certificate, key)
    with serving(echo, tls) as web:
        error = failure(call, {"url": web.url(host="localhost")})
        assert (error.code, error.transient) == ("TlsError", False)
        assert "SSL_CERT_FILE" in error.message
        monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
        assert send(call, {"url": web.url(host="localhost")})["status"] == 200
        error = failure(call, {"url": web.url()})
        assert error.code == "TlsError"
        assert "IP address mismatch" in error.message


def test_https_to_a_server_that_has_none(call: WorkingCall, web: Web) -> None:
    error = failure(call, {"url": web.url().replace("http:", "https:")})
    assert error.code == "TlsError"
    assert "`http://`" in error.message


def test_connections_are_kept_for_the_next_request(
    call: WorkingCall, monkeypatch: pytest.MonkeyPatch
) -> None:
    import httpcore

    connected: list[int] = []
    real = httpcore.SyncBackend.connect_tcp

    def counted(self: Any, host: str, port: int, *args: Any) -> Any:
        connected.append(port)
        return real(self, host, port, *args)

    monkeypatch.setattr(httpcore.SyncBackend, "connect_tcp", counted)
    with serving(lambda _: Answer()) as web:
        for _ in range(3):
            send(call, {"url": web.url()})
    assert connected == [web.port]
    assert len(web.asked) == 3


def test_threads_that_come_at_once_share_their_connections(monkeypatch: pytest.MonkeyPatch) -> None:
    """One that was made for nothing would lose its connections while they are open."""
    monkeypatch.setenv("SSL_CERT_FILE", ssl.get_default_verify_paths().openssl_cafile)
    together = Barrier(8)
    made: list[object] = []

    def make() -> None:
        together.wait(20)
        made.append(transport(private=True))

    threads = [Thread(target=make) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len(made) == 8
    assert len({id(one) for one in made}) == 1
