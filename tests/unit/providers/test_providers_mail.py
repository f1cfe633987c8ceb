"""`generic.mail.send`: what arrives at a real server that speaks SMTP."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from cloudflow_dagster.nodes.errors import NodeError
from cloudflow_dagster.nodes.spec import Repeat
from cloudflow_dagster.providers import catalogue
from tests.fixtures.calls import Allowed, WorkingCall
from tests.fixtures.mail import make_certificate, taking_mails


@pytest.fixture
def call(tmp_path: Path) -> WorkingCall:
    return WorkingCall(files=tmp_path)


def send(call: WorkingCall, server: str, **config: Any) -> Any:
    node_type = catalogue().get("generic.mail.send")
    assert node_type is not None
    assert node_type.handler is not None
    given = {"from": "Shop <shop@example.com>", "to": "ada@example.com", "subject": "Costs"}
    return node_type.handler(call, {"server": server, **given, **config})


def refused(call: WorkingCall, server: str, **config: Any) -> NodeError:
    with pytest.raises(NodeError) as caught:
        send(call, server, **config)
    return caught.value


def test_a_mail_arrives_whole_and_with_everybody_who_gets_it(call: WorkingCall) -> None:
    with taking_mails() as taken:
        sent = send(
            call,
            f"smtp+plain://127.0.0.1:{taken.port}",
            to=["Ada <ada@example.com>", "bob@example.com"],
            cc="eve@example.com",
            bcc="mallory@example.com",
            reply_to="ops@example.com",
            subject="Kosten für März €",
            text="Alles gut.\n.\nWirklich.",
            html="<p>Alles gut.</p>",
        )
    ((recipients, mail),) = taken.mails
    assert recipients == [f"{who}@example.com" for who in ("ada", "bob", "eve", "mallory")]
    assert sent == {"id": mail["Message-ID"], "to": recipients, "refused": {}}
    assert call.token[:32] in sent["id"]
    assert mail["Subject"] == "Kosten für März €"
    assert (mail["From"], mail["Reply-To"]) == ("Shop <shop@example.com>", "ops@example.com")
    assert (mail["To"], mail["Cc"]) == (
        "Ada <ada@example.com>, bob@example.com",
        "eve@example.com",
    )
    assert "mallory" not in mail.as_string()
    plain, html = mail.iter_parts()
    assert plain.get_content().splitlines() == ["Alles gut.", ".", "Wirklich."]
    assert html.get_content().strip() == "<p>Alles gut.</p>"


def test_a_user_says_who_they_are_only_after_tls(
    call: WorkingCall, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_certificate(tmp_path)
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "ca.pem"))
    with taking_mails(tls=tmp_path, password="p@ss") as taken:
        send(call, f"smtp://ada:p%40ss@127.0.0.1:{taken.port}")
        assert refused(call, f"smtp://ada:wrong@127.0.0.1:{taken.port}").code == "NotAllowed"
    assert len(taken.mails) == 1
    starts = [line.split()[0].upper() for line in taken.commands]
    assert starts.index("STARTTLS") < starts.index("AUTH")
    assert "p@ss" in call.hidden


def test_a_mail_goes_through_tls_from_the_first_byte(
    call: WorkingCall, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_certificate(tmp_path)
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "ca.pem"))
    with taking_mails(tls=tmp_path, at_once=True, password="p@ss") as taken:
        sent = send(call, f"smtps://ada:p%40ss@127.0.0.1:{taken.port}", text="Alles gut.")
        wrong = refused(call, f"smtps://ada:wrong@127.0.0.1:{taken.port}")
        elsewhere = refused(call, f"smtps://ada:p%40ss@localhost:{taken.port}")
    assert (wrong.code, wrong.transient) == ("NotAllowed", False)
    assert (elsewhere.code, elsewhere.transient) == ("TlsError", False)
    assert "localhost" in elsewhere.message
    ((recipients, mail),) = taken.mails
    assert recipients == sent["to"] == ["ada@example.com"]
    assert mail.get_content().strip() == "Alles gut."
    assert not [line for line in taken.commands if line.upper().startswith("STARTTLS")]


def test_where_tls_and_its_absence_meet_nothing_is_sent(
    call: WorkingCall, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_certificate(tmp_path)
    with taking_mails(tls=tmp_path, at_once=True, password="p") as stranger:
        error = refused(call, f"smtps://ada:p@127.0.0.1:{stranger.port}")
    assert (error.code, error.transient, error.unsure) == ("TlsError", False, False)
    assert stranger.commands == []
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "ca.pem"))
    with taking_mails(password="p") as plain:
        error = refused(call, f"smtps://ada:p@127.0.0.1:{plain.port}")
    assert (error.code, error.transient, error.unsure) == ("TlsError", False, False)
    assert not [line for line in plain.commands if "AUTH" in line]


@pytest.mark.parametrize("at_once", [True, False])
def test_a_connection_that_ends_with_tls_under_way_may_have_taken_the_mail(
    call: WorkingCall, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, at_once: bool
) -> None:
    make_certificate(tmp_path)
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "ca.pem"))
    scheme = "smtps" if at_once else "smtp"
    with taking_mails(tls=tmp_path, at_once=at_once, says="\n") as taken:
        error = refused(call, f"{scheme}://127.0.0.1:{taken.port}")
    assert (error.code, error.transient, error.unsure) == ("ConnectionFailed", False, True)


def test_a_server_that_nobody_vouches_for_gets_nothing(call: WorkingCall, tmp_path: Path) -> None:
    make_certificate(tmp_path)
    with taking_mails(tls=tmp_path, password="p") as taken:
        assert refused(call, f"smtp://ada:p@127.0.0.1:{taken.port}").code == "TlsError"
    assert not [line for line in taken.commands if "AUTH" in line]
    with taking_mails(password="p") as plain:
        error = refused(call, f"smtp://ada:p@127.0.0.1:{plain.port}")
    assert (error.code, error.transient) == ("SmtpError", False)
    assert not [line for line in plain.commands if "AUTH" in line]


def test_whom_the_server_refuses_is_told(call: WorkingCall) -> None:
    with taking_mails(refuses="nobody") as taken:
        server = f"smtp+plain://127.0.0.1:{taken.port}"
        sent = send(call, server, to=["ada@example.com", "nobody@example.com"])
        error = refused(call, server, to="nobody@example.com")
    assert sent["to"] == ["ada@example.com"]
    assert sent["refused"] == {"nobody@example.com": "550 unknown here"}
    assert error.code == "Refused"
    assert "nobody@example.com: unknown here" in error.message
    assert len(taken.mails) == 1


@pytest.mark.parametrize(
    ("says", "code", "transient", "unsure"),
    [
        ("451 try again later", "SmtpError", True, False),
        ("554 no", "SmtpError", False, False),
        ("\n", "ConnectionFailed", False, True),
    ],
)
def test_it_is_known_whether_a_mail_may_have_been_taken(
    call: WorkingCall, says: str, code: str, *, transient: bool, unsure: bool
) -> None:
    with taking_mails(says=says) as taken:
        error = refused(call, f"smtp+plain://127.0.0.1:{taken.port}")
    assert (error.code, error.transient, error.unsure) == (code, transient, unsure)


def test_a_server_that_is_gone_after_it_has_taken_a_mail_has_taken_it(call: WorkingCall) -> None:
    with taking_mails(leaves="421 too late") as taken:
        sent = send(call, f"smtp+plain://127.0.0.1:{taken.port}")
    assert sent["to"] == ["ada@example.com"]
    assert len(taken.mails) == 1


def test_what_makes_no_sense_is_refused_in_words(call: WorkingCall) -> None:
    for server in ("mail.example.com", "https://x", "smtp://", "smtp://h:port", "smtps://h/path"):
        error = refused(call, server)
        assert (error.code, "smtps://user:password@host" in error.message) == (
            "InvalidConfig",
            True,
        )
    assert "without TLS" in refused(call, "smtp+plain://u:p@host").message
    server = "smtp+plain://127.0.0.1:9"
    assert refused(call, server, to="ada").message == "`ada` is no mail address."
    assert refused(call, server, to="a@b\r\nBcc: c@d").code == "InvalidConfig"
    assert refused(call, server).code == "ConnectionFailed"
    call.settings = Allowed(private_addresses=False)
    assert refused(call, server).code == "ForbiddenAddress"


def test_whether_an_interrupted_one_was_sent_only_a_person_knows() -> None:
    found = catalogue().get("generic.mail.send")
    assert found is not None
    assert found.repeat is Repeat.ASK
