"""What nobody may ever read in a log line, an event, an answer or a process table; and text from
strangers, which stays text wherever it is shown (B22, B35, B39, B42). docs/logging.md is the policy."""
import csv
import io
import json
import pathlib
import re
import secrets

import pytest

import harness
import relay_kit
from api_kit import SECRET, Local, raw, rows, some_path

MARK = "MARKED" + secrets.token_hex(12)
NASTY = "\u009b2J\u202egnp.exe\u2066=1+1\u200b"  # C1, bidi, zero width: what bytes of a header can hold


def marked(name):
    return f"{MARK}-{name}"


def probe_every_door(server, token):
    """Each route with marked secrets in every place that a client could put one; the answers."""
    for method, path in rows():
        at = some_path(path)
        api = server.api()
        yield api.request(method, f"{at}?access_token={marked('query')}&ticket={marked('query')}", token=False)
        yield api.request(method, at, token=marked("bearer"), headers={"Cookie": f"__Secure-gatehouse-refresh={marked('cookie')}"})
        body = {name: marked(name) for name in ("password", "refresh_token", "code", "current", "new", "invite", "key")}
        yield api.request(method, at, body, token=token, headers={"Idempotency-Key": secrets.token_hex(8)})
        yield api.request(method, at, b'{"password": "' + marked("cut").encode(), token=token,
                          headers={"Content-Type": "application/json"})
        if path.startswith("/relay/"):
            for authorization in ("Gatehouse-Code", "Gatehouse-Key", "Gatehouse-Ticket", "Gatehouse-Device"):
                yield api.request(method, at, token=False, headers={
                    "Authorization": f"{authorization} {marked('agent')}", "Connection": "Upgrade",
                    "Upgrade": "websocket", "Sec-WebSocket-Version": "13", "Sec-WebSocket-Key": "AAAAAAAAAAAAAAAAAAAAAA==",
                    "Sec-WebSocket-Protocol": f"gatehouse.v1, ticket.{marked('ticket')}"})


@pytest.mark.deadline(240)
def test_no_secret_is_shown_anywhere(make_server, tmp_path):
    log = tmp_path / "server.lines"
    server = make_server("--log-level", "debug", "--log-format", "json", "--log-file", log, env={"JWT_SECRET": SECRET})
    known = {"JWT_SECRET": SECRET, "password": harness.PASSWORD}
    for path in (server.state / "keys").iterdir():
        if path.suffix == ".key":
            known[path.name] = path.read_text().split()[-1]

    # A working day, so that real secrets have been everywhere they ever go.
    desk = relay_kit.Desk(server, tmp_path, by="key")
    known |= {"key": desk.agent.key.split("_")[2], "access": desk.api.token, "refresh": desk.api.refresh_token}
    session = desk.session()
    known["ticket"] = desk.api.ticket(session)
    ws = desk.api.attach(session, ticket=known["ticket"])
    ws.send(b"echo d''one\n")
    ws.recv_until(b"done")
    environments = [pathlib.Path(f"/proc/{pid}/{name}").read_bytes().decode(errors="replace")
                    for pid in (server.pid, desk.agent.pid) for name in ("cmdline", "environ")]
    ws.drop()
    code = desk.api.new_code()
    known["code"] = code["code"]
    invite = server.admin().call("POST", "/api/invites", {"role": "auditor"}, want=201)
    known["invitation"] = invite["invite"].split("_")[2]
    desk.api.refresh()
    known |= {"access2": desk.api.token, "refresh2": desk.api.refresh_token}
    assert server.api().request("POST", "/api/auth/login", {"name": "admin", "password": marked("login")},
                                token=False).status == 401

    # Strangers and clumsy clients put secrets into every place there is.
    answers = [reply.body.decode(errors="replace") + str(reply.headers) for reply in
               probe_every_door(server, server.admin().token)]
    answers.append(raw(server.api(), f"GET /{marked('path')} HTTP/1.1\r\nHost: x\r\nX-Token: {marked('x')}\r\n\r\n"
                       .encode()).decode(errors="replace"))
    assert len(answers) > 200

    admin = server.api().login("admin")
    shown = {
        "answers": "\n".join(answers),
        "environment": "\n".join(environments),
        "lines": log.read_text() + server.log() + server.out() + desk.agent.log() + desk.agent.out(),
        "events": json.dumps(admin.events()),
        "ndjson": admin.request("GET", "/api/audit/events", headers={"Accept": "application/x-ndjson"}).text,
        "command line": "".join(server.cli("audit", *what, check=0).stdout for what in (
            ("events",), ("events", "--json"), ("timeline", "--session", session))),
    }
    known |= {"admin": admin.token}
    for where, text in shown.items():
        assert len(text) > 50, where
        for name, secret in known.items():
            assert secret not in text, f"{name} in {where}"
        if where != "answers":  # a wrong path or name may be said to whoever sent it, but no credential
            assert MARK not in text, f"{text[max(0, text.index(MARK) - 200):][:300]} in {where}"
    for name in ("bearer", "cookie", "password", "refresh_token", "current", "new", "cut", "agent", "ticket", "query"):
        assert marked(name) not in shown["answers"], name
    for line in log.read_text().splitlines():
        assert {"time", "level", "event"} <= set(json.loads(line))


def is_inert(text):
    """Nothing but printable characters and line ends: no C0, DEL, C1, bidi marks or zero widths."""
    return not re.search("[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200b-\u200f\u202a-\u202e\u2060-\u2069\ufeff]", text)


def test_foreign_text_is_inert_in_every_form(make_server):
    server = make_server()
    name = harness.PASSWORD
    api = server.api()
    agent = f"=cmd|' /C calc'!A0 <b>{NASTY}"
    request = (f"POST /api/auth/login HTTP/1.1\r\nHost: {server.host}:{server.port}\r\nContent-Type: application/json\r\n"
               f"Connection: close\r\nUser-Agent: ").encode() + agent.encode() + b"\r\n"
    body = json.dumps({"name": "admin", "password": name, "cookie": False}).encode()
    answer = raw(api, request + f"Content-Length: {len(body)}\r\n\r\n".encode() + body)
    if answer.startswith(b"HTTP/1.1 400"):
        agent = "=cmd|' /C calc'!A0 <b>"  # not even taken; what is taken must be inert all the same
        answer = raw(api, request.replace(NASTY.encode(), b"") + f"Content-Length: {len(body)}\r\n\r\n".encode() + body)
    assert answer.startswith(b"HTTP/1.1 200"), answer[:200]
    admin = server.api().login("admin")
    reply = admin.request("GET", "/api/tokens")
    assert any((item.get("user_agent") or "").startswith("=cmd") for item in reply.json["items"])
    assert "<b>" not in reply.text and "\\u003cb" in reply.text
    profile = relay_kit.profile_of(admin)
    for args in (("token", "list"), ("token", "list", "--json"), ("token", "list", "-o", "csv"),
                 ("audit", "events"), ("audit", "events", "--json")):
        out = profile.run(*args, check=0).stdout
        assert "cmd" in out or args[0] == "audit"
        assert is_inert(out), [hex(ord(c)) for c in out if not is_inert(c)]
    cells = [cell for row in csv.reader(io.StringIO(profile.run("token", "list", "-o", "csv", check=0).stdout)) for cell in row]
    assert not [cell for cell in cells if cell[:1] in "=+-@" and cell]
    assert is_inert(server.log())


@pytest.mark.parametrize("level,said", [("debug", True), ("info", True), ("warn", False), ("error", False)])
def test_level_format_and_target(make_server, tmp_path, level, said):
    log = tmp_path / "lines"
    server = make_server("--log-level", level, "--log-file", log, "--log-format", "json")
    assert server.stop() == 0
    lines = [json.loads(line) for line in log.read_text().splitlines()]
    assert any(line["event"] == "server_started" for line in lines) == said
    order = ["debug", "info", "warn", "error"]
    assert all(order.index(line["level"]) >= order.index(level) for line in lines)
    assert "server_started" not in server.log()
    assert log.stat().st_mode & 0o777 == 0o600


def test_what_is_in_a_line_for_a_person(make_server):
    server = make_server(plain=True)
    line = next(line for line in server.log().splitlines() if "server_started" in line)
    assert re.match(r"time=\S+Z level=info event=server_started url=\S+ origin=\S+ events=\d+ loops=\d+$", line)
    assert Local(server).request("GET", "/admin/status").status == 200
