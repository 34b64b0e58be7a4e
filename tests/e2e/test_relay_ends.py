"""Whose session it is, and how it ends: by its owner, by an admin, by anybody's sudden death."""
import contextlib
import socket
import threading
import time

import harness
import pytest
import relay_kit


@pytest.fixture
def echo():
    service = relay_kit.Service(relay_kit.echo)
    yield service
    service.close()


@pytest.fixture
def desk(server, tmp_path, echo):
    return relay_kit.Desk(server, tmp_path, by="key", name=f"box-{tmp_path.name[-20:]}",
                          allow=("shell", f"tcp:echo=127.0.0.1:{echo.port}"))


def ended(desk, session):
    return desk.wait_event("session.ended", lambda e: e["subject"]["session"] == session, timeout=20)


def gone(ws, within):
    """The socket is cut, and how long that took."""
    start = time.monotonic()
    with contextlib.suppress(harness.Closed, OSError):
        while True:
            ws.recv(within)
    return time.monotonic() - start


def test_a_second_technician_sees_nothing_of_it(desk, server):
    session = desk.session()
    ticket = desk.api.ticket(session)
    other = server.technician()
    unknown = "ses_" + "0" * 26
    for method, path, body in (("GET", "", None), ("DELETE", "", None), ("POST", "/tickets", {"service": "shell"}),
                               ("POST", "/note", {"note": "mine"})):
        theirs = other.request(method, f"/api/sessions/{session}{path}", body)
        nobodys = other.request(method, f"/api/sessions/{unknown}{path}", body)
        assert theirs.status == nobodys.status == 404
        assert theirs.code == nobodys.code
    assert session not in [s["id"] for s in other.items("/api/sessions")]
    # Nor does a guessed ticket, or one for another session or service, open a door.
    mine = other.open_session(desk.machine)["id"]
    for path, text in ((f"{session}/shell", "AAAA"), (f"{session}/shell", other.ticket(mine)),
                       (f"{session}/tcp/echo", ticket)):
        with pytest.raises(harness.Refused) as refused:
            harness.WebSocket(other.connect(), server, f"/relay/sessions/{path}",
                              protocols=("gatehouse.v1", f"ticket.{text}"))
        assert refused.value.reply.status in (401, 403, 404)
    other.end_session(mine)
    desk.api.end_session(session)


def test_a_ticket_opens_one_door_once(desk, server):
    session = desk.session()
    ticket = desk.api.ticket(session, "tcp:echo")
    ws = desk.api.attach(session, "tcp/echo", ticket=ticket)
    assert ws.protocol == "gatehouse.v1"
    ws.send(b"x")
    assert ws.recv() == b"x"
    with pytest.raises(harness.Refused) as again:
        desk.api.attach(session, "tcp/echo", ticket=ticket)
    assert again.value.reply.status == 401
    desk.api.end_session(session)


def test_an_admin_ends_it_and_nothing_passes_after(desk, server):
    session = desk.session()
    ws = desk.attach(session, "tcp:echo")
    ws.send(b"x")
    assert ws.recv() == b"x"
    server.admin().end_session(session)
    assert gone(ws, 5) < 5
    assert ended(desk, session)["data"]["why"] == "terminated"
    assert desk.api.request("POST", f"/api/sessions/{session}/tickets", {"service": "shell"}).status == 409


@pytest.mark.release
def test_terminate_cuts_a_running_transfer_within_a_second(server, tmp_path):
    def flood(sock):
        while True:
            sock.sendall(relay_kit.BLOCK)
    service = relay_kit.Service(flood)
    desk = relay_kit.Desk(server, tmp_path, by="key", name="flood", allow=(f"tcp:flood=127.0.0.1:{service.port}",))
    times = []
    for _ in range(3):
        session = desk.session()
        ws = desk.attach(session, "tcp:flood")
        ws.recv()
        last = {}

        def watch():
            with contextlib.suppress(harness.Closed, OSError):
                while True:
                    ws.recv(5)
                    last["byte"] = time.monotonic()
        reader = threading.Thread(target=watch)
        reader.start()
        time.sleep(0.3)
        start = time.monotonic()
        server.admin().end_session(session)
        reader.join(10)
        assert not reader.is_alive()
        times.append(max(last["byte"], start) - start)
    assert min(times) < 1.0, times
    service.close()


def test_a_session_survives_its_channels(desk):
    session = desk.session()
    for _ in range(3):
        ws = desk.attach(session, "tcp:echo")
        ws.send(b"x")
        assert ws.recv() == b"x"
        ws.drop()  # SIGKILL of a technician looks like that
    harness.wait_until("the channels are closed", lambda: len(
        [e for e in desk.events(type="channel.closed") if e["subject"]["session"] == session]) == 3)
    assert desk.api.session(session)["state"] == "opened"
    desk.api.end_session(session)
    assert ended(desk, session)["data"]["to_agent_bytes"] == 3


def test_the_technicians_program_is_killed(desk, tmp_path):
    process = desk.profile.connect(desk.machine, "--service", "tcp:echo", "-L", "0")
    number = relay_kit.listening(process)
    with socket.create_connection(("127.0.0.1", number)) as sock:
        sock.sendall(b"x")
        assert sock.recv(1) == b"x"
        opened = desk.wait_event("channel.opened", lambda e: e["subject"]["machine"] == desk.machine)
        process.kill()
        closed = desk.wait_event("channel.closed",
                                 lambda e: e["data"]["channel"] == opened["data"]["channel"], timeout=20)
        assert closed["data"]["why"]
        assert "cosigned" in closed["data"]
    desk.api.end_session(opened["subject"]["session"])


def test_the_agent_is_killed(desk):
    session = desk.session()
    ws = desk.attach(session, "tcp:echo")
    ws.send(b"x")
    assert ws.recv() == b"x"
    desk.agent.kill()
    assert gone(ws, 10) < 10
    desk.wait_event("agent.disconnected", lambda e: e["subject"]["machine"] == desk.machine)
    end = ended(desk, session)
    assert end["data"]["why"] == "agent_gone"
    closed = desk.wait_event("channel.closed", lambda e: e["subject"]["session"] == session)
    assert "cosigned" not in closed["data"]  # nobody was left to sign
    desk.agent.start()
    desk.api.wait_online(desk.agent.machine_name)
    again = desk.session()
    desk.api.end_session(again)


def test_the_server_is_killed(make_server, tmp_path, echo):
    server = make_server()
    desk = relay_kit.Desk(server, tmp_path, by="key", name="box", allow=(f"tcp:echo=127.0.0.1:{echo.port}",))
    session = desk.session()
    ws = desk.attach(session, "tcp:echo")
    ws.send(b"x")
    assert ws.recv() == b"x"
    server.restart(kill=True)
    assert gone(ws, 10) < 10
    desk.api.close()
    assert ended(desk, session)["data"]["why"] == "server_restart"
    desk.api.wait_online("box", timeout=30)  # the agent has come back by itself
    again = desk.session()
    ws = desk.attach(again, "tcp:echo")
    ws.send(b"y")
    assert ws.recv() == b"y"
    desk.api.end_session(again)
    assert server.verify().returncode == 0


def test_a_logged_out_technician_loses_the_channel(desk, server):
    api = server.api().login(desk.api.user["name"])
    session = api.open_session(desk.machine)["id"]
    ws = api.attach(session, "tcp/echo", ticket=api.ticket(session, "tcp:echo"))
    ws.send(b"x")
    assert ws.recv() == b"x"
    api.logout()
    assert gone(ws, 5) < 5
    assert ended(desk, session)


def test_a_removed_machine_loses_its_agent(desk, server):
    session = desk.session()
    ws = desk.attach(session, "tcp:echo")
    ws.send(b"x")
    assert ws.recv() == b"x"
    server.admin().call("DELETE", f"/api/machines/{desk.machine}", want=204)
    assert gone(ws, 5) < 5
    assert ended(desk, session)
    assert desk.agent.wait(30) == 1  # not enrolled any more, and its key is spent
    assert "refused by the server" in desk.agent.log()


ELSEWHERE = ["192.0.2.0/24"]


def allow(server, path, networks):
    server.admin().call("PUT", path, {"allow": networks}, headers={"If-Match": "*"})


@pytest.mark.parametrize("overall", [False, True], ids=["machine", "overall"])
def test_an_address_that_is_not_allowed_any_more_is_cut_within_a_second(make_server, tmp_path, echo, overall):
    """Also on another loop than the one that took the change; who is allowed stays."""
    server = make_server("--loops", "2")
    service = f"tcp:echo=127.0.0.1:{echo.port}"
    desk = relay_kit.Desk(server, tmp_path / "cut", by="key", name="cut", allow=(service,))
    other = relay_kit.Desk(server, tmp_path / "stays", by="key", name="stays", allow=(service,))
    path = "/api/allowlist" if overall else f"/api/machines/{desk.machine}/allowlist"
    session = desk.session()
    ws = desk.attach(session, "tcp:echo")
    ws.send(b"x")
    assert ws.recv() == b"x"
    allow(server, path, ["127.0.0.0/8"])  # still allowed
    ws.send(b"y")
    assert ws.recv() == b"y"
    start = time.monotonic()
    allow(server, path, ELSEWHERE)
    gone(ws, 5)
    assert time.monotonic() - start < harness.PATIENCE
    gone_event = desk.wait_event("agent.disconnected", lambda e: e["subject"]["machine"] == desk.machine)
    assert gone_event["data"]["why"] == "address_not_allowed" and gone_event["actor"]["kind"] == "server"
    assert ended(desk, session)["data"]["why"] == "agent_gone"
    desk.wait_event("agent.rejected", lambda e: e["data"]["why"] == "address")
    assert not desk.events(type="agent.disconnected")[1:] or overall
    online = {m["name"]: m["online"] for m in server.admin().machines()}
    assert online == {"cut": False, "stays": not overall}
    allow(server, path, [])
    for one in (desk, other):
        one.agent.restart()  # a refused agent comes back by itself too, but takes a minute
        one.api.wait_online(one.agent.machine_name)
    again = desk.session()
    ws = desk.attach(again, "tcp:echo")
    ws.send(b"z")
    assert ws.recv() == b"z"
    desk.api.end_session(again)
    assert server.verify().returncode == 0


def test_both_ends_on_different_loops(make_server, tmp_path, echo):
    """With three loops the two sockets of a channel mostly arrive on different ones, and are joined."""
    server = make_server("--loops", "3")
    desk = relay_kit.Desk(server, tmp_path, by="key", name="box", allow=(f"tcp:echo=127.0.0.1:{echo.port}",))
    session = desk.session()
    sockets = [desk.attach(session, "tcp:echo") for _ in range(24)]
    for i, ws in enumerate(sockets):
        ws.send(b"%d" % i * 1000)
    for i, ws in enumerate(sockets):
        got, want = b"", b"%d" % i * 1000
        while len(got) < len(want):
            got += ws.recv()
        assert got == want
    desk.api.end_session(session)
    for ws in sockets:
        gone(ws, 5)
    assert len([e for e in desk.events(type="channel.closed") if e["subject"]["session"] == session]) == 24
