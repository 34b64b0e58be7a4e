"""The agent's own life: enrolment, its state folder, whom it trusts, what it says when it is not wanted."""
import base64
import hashlib
import os
import pathlib
import socket

import harness
import pytest
import relay_kit


def agent(server, folder, *args, name="box", timeout=30, **options):
    """Runs an agent that is expected to end by itself."""
    one = harness.Agent(server, folder, name=name, args=args, **options).start()
    status = one.wait(timeout)
    return status, one.log()


def test_the_state_folder_is_private_and_holds_what_it_should(server, tmp_path):
    desk = relay_kit.Desk(server, tmp_path, by="key", name="tidy")
    state = desk.agent.state
    assert state.stat().st_mode & 0o777 == 0o700
    for name, size in (("device.key", 32), ("server.pin", None), ("machine", 31)):
        assert (state / name).stat().st_mode & 0o777 == 0o600
        assert size is None or (state / name).stat().st_size == size
    origin, root = (state / "server.pin").read_text().splitlines()
    assert root == server.root_key and root.startswith(origin + "/root+")
    assert (state / "machine").read_text().strip() == desk.machine


def test_the_key_is_spent_and_the_device_comes_back_by_itself(server, tmp_path):
    desk = relay_kit.Desk(server, tmp_path, by="key", name="again")
    assert desk.agent.stop() == 0
    server.secret_file("again.key", "gh_" + "0" * 26 + "_" + "A" * 43)  # no use any more
    desk.agent.start()
    assert desk.api.wait_online("again")["id"] == desk.machine
    assert desk.agent.stop() == 0
    desk.wait_event("agent.disconnected", lambda e: e["subject"]["machine"] == desk.machine)


def test_enroll_binds_and_goes(server, tmp_path):
    admin = server.admin()
    machine = admin.post("/api/machines", {"name": "prepared"}, want=201)["id"]
    key = admin.post(f"/api/machines/{machine}/keys", {}, want=201)["key"]
    done = harness.run(harness.binary("gatehouse-agent"), "enroll", "--server", server.url, "--ca", server.ca,
                       "--state-dir", tmp_path / "state", "--key-file", server.secret_file("prepared.key", key))
    assert done.returncode == 0, done.stderr
    one = harness.Agent(server, tmp_path, name="prepared", key=None)
    one.state = tmp_path / "state"
    one.start()
    assert admin.wait_online("prepared")["id"] == machine


def test_a_second_device_on_one_key_is_refused(server, tmp_path):
    desk = relay_kit.Desk(server, tmp_path, by="key", name="first")
    status, log = agent(server, tmp_path / "other", name="second", key=desk.agent.key)
    assert status in (1, 4) and "refused by the server" in log


@pytest.mark.parametrize("options,status,says", [
    ({"code": "000000000"}, 1, "code_invalid"),
    ({"key": "gh_" + "0" * 26 + "_" + "A" * 43}, 1, "key_invalid"),
    ({"key": "not a key"}, 2, "no API key"),
    ({}, 2, "give --code or --key-file"),
])
def test_why_it_is_not_wanted_is_said_in_one_line(server, tmp_path, options, status, says):
    got, log = agent(server, tmp_path, **options)
    assert (got, says in log) == (status, True), log
    assert len([line for line in log.splitlines() if "refused" in line or says in line]) == 1


def test_a_code_works_once_and_a_revoked_one_never(server, tmp_path):
    api = server.technician()
    code = api.new_code()
    api.call("DELETE", f"/api/codes/{code['id']}", want=204)
    assert agent(server, tmp_path, name="late", code=code["code"])[0] == 1
    desk = relay_kit.Desk(server, tmp_path / "desk", name="first")
    assert agent(server, tmp_path / "second", name="second", code=desk.agent.code)[0] == 1


def test_an_unreachable_server(server, tmp_path):
    other = harness.Server(tmp_path / "nowhere", plain=True)
    status, log = agent(other, tmp_path, code="123456789")
    assert status == 3 and "cannot connect" in log
    other.host = "no-such-host.invalid"
    other.plain = False
    status, log = agent(other, tmp_path / "b", code="123456789", ca=server.ca)
    assert status == 3 and "cannot resolve" in log


def test_it_speaks_only_with_a_server_that_it_can_verify(server, make_server, tmp_path):
    stranger = make_server()
    status, log = agent(server, tmp_path / "a", code="123456789", ca=stranger.ca)
    assert status == 1 and "self-signed certificate" in log
    server.host, before = "127.0.0.1", server.host  # the certificate is for localhost, or for both
    try:
        wrong = make_server(host="other.example")
        wrong.host = "localhost"
        status, log = agent(wrong, tmp_path / "b", code="123456789")
        assert status == 1 and "mismatch" in log.lower()
    finally:
        server.host = before


def test_credentials_never_travel_in_clear_or_after_a_redirect(server, tmp_path):
    class Elsewhere:
        url, ca = "http://192.0.2.1:80", None
        secret_file = server.secret_file
    status, log = agent(Elsewhere, tmp_path, code="123456789")
    assert status == 2 and "plain http" in log

    seen = []

    def redirect(sock):
        seen.append(sock.recv(65536))
        sock.sendall(b"HTTP/1.1 308 Permanent Redirect\r\nLocation: http://127.0.0.1:%d/\r\n"
                     b"Content-Length: 0\r\n\r\n" % second.port)
    second = relay_kit.Service(lambda sock: seen.append(b"followed"))
    first = relay_kit.Service(redirect)

    class Redirecting:
        url, ca = f"http://127.0.0.1:{first.port}", None
        secret_file = server.secret_file
    status, log = agent(Redirecting, tmp_path / "b", code="123456789")
    assert status == 1 and "redirect" in log
    assert len(seen) == 1 and b"Gatehouse-Code 123456789" in seen[0]
    first.close()
    second.close()


ANSWERS = {
    "nothing": b"", "ssh": b"SSH-2.0-x\r\n", "page": b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
    "no-accept": b"HTTP/1.1 101 X\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n", "zeros": b"\x00" * 70000,
    "endless": b"HTTP/1.1 401 No\r\nContent-Length: 99999999\r\n\r\n",
}


@pytest.mark.parametrize("answer", ANSWERS)
def test_what_is_no_gatehouse_is_left_alone(server, tmp_path, answer):
    def say(sock):
        sock.recv(65536)
        sock.sendall(ANSWERS[answer])
        sock.shutdown(socket.SHUT_WR)
        sock.recv(65536)
    service = relay_kit.Service(say)

    class Odd:
        url, ca = f"http://127.0.0.1:{service.port}", None
        secret_file = server.secret_file
    status, log = agent(Odd, tmp_path, code="123456789")
    assert status in (1, 3) and log.count("\n") <= 2, log
    service.close()


def test_another_server_than_the_pinned_one_is_refused(server, make_server, tmp_path):
    desk = relay_kit.Desk(server, tmp_path, by="key", name="pinned")
    assert desk.agent.stop() == 0
    other = make_server()
    machine = other.admin().post("/api/machines", {"name": "pinned"}, want=201)["id"]
    key = other.admin().post(f"/api/machines/{machine}/keys", {}, want=201)["key"]
    moved = harness.Agent(other, tmp_path, name="pinned", key=key)
    moved.state = desk.agent.state
    (moved.state / "machine").unlink()
    assert moved.start().wait(20) == 5
    assert "server.pin" in moved.log() and "root key" in moved.log()
    assert not other.admin().events(type="machine.enrolled")


@pytest.mark.parametrize("spoil,says", [
    (lambda state: os.chmod(state / "device.key", 0o644), "only you can read"),
    (lambda state: (state / "device.key").write_bytes(b"short"), "damaged"),
    (lambda state: os.chmod(state, 0o755), "alone"),
    (lambda state: (state / "machine").write_text("mch_x\n"), "damaged"),
    (lambda state: (state / "server.pin").write_text("one line"), "damaged"),
])
def test_a_spoiled_state_folder_is_refused_with_the_remedy(server, tmp_path, spoil, says):
    desk = relay_kit.Desk(server, tmp_path, by="key", name=f"s{tmp_path.name[-6:]}")
    assert desk.agent.stop() == 0
    spoil(desk.agent.state)
    assert desk.agent.start().wait(15) == 1
    assert says in desk.agent.log()


def test_one_agent_per_state_folder(server, tmp_path):
    desk = relay_kit.Desk(server, tmp_path, by="key", name="single")
    second = harness.Agent(server, tmp_path / "b", name="single", key=desk.agent.key)
    second.state = desk.agent.state
    assert second.start().wait(15) == 1
    assert "another agent" in second.log()
    assert desk.agent.running()


@pytest.mark.parametrize("allow,args,says", [
    ("tcp:x=192.0.2.1:80", (), "not this machine"),
    ("tcp:x=169.254.169.254:80", ("--allow-remote",), "link-local"),
    ("tcp:x=[fe80::1]:80", ("--allow-remote",), "link-local"),
    ("tcp:x=0.0.0.0:80", ("--allow-remote",), "link-local"),
    ("tcp:x=no-such-host.invalid:80", ("--allow-remote",), "cannot resolve"),
    ("tcp:x=127.0.0.1", (), "HOST:PORT"), ("tcp:x=127.0.0.1:0", (), "HOST:PORT"), ("tcp:=127.0.0.1:1", (), "expected"),
    ("tcp:a/b=127.0.0.1:1", (), "expected"), ("desktop", (), "needs"), ("shell=127.0.0.1:1", (), "takes no"),
    ("what", (), "expected"), ("tcp:x=::1:80", (), "HOST:PORT"),
])
def test_targets_are_checked_at_the_start(server, tmp_path, allow, args, says):
    status, log = agent(server, tmp_path, *args, allow=(allow,), code="123456789")
    assert status == 2 and says in log


def test_remote_targets_when_their_owner_wants_them(server, tmp_path):
    service = relay_kit.Service(relay_kit.echo)
    desk = relay_kit.Desk(server, tmp_path, by="key", name="gateway", args=("--allow-remote",),
                          allow=(f"tcp:echo=localhost:{service.port}",))
    session = desk.session()
    ws = desk.attach(session, "tcp:echo")
    ws.send(b"x")
    assert ws.recv() == b"x"
    desk.api.end_session(session)
    service.close()


@pytest.mark.parametrize("argv", [(), ("walk",), ("run",), ("run", "--server", "https://x", "--bogus"),
                                  ("run", "--server", "https://x", "--code", "12"),
                                  ("run", "--server", "https://x", "--code", "123456789", "--key-file", "k"),
                                  ("run", "--server", "ftp://x", "--code", "123456789"),
                                  ("run", "--server", "https://x/path", "--code", "123456789"),
                                  ("run", "--server", "https://x", "--name", "a\u202eb", "--code", "123456789"),
                                  ("run", "--server", "https://x", "--code", "123456789", "more")])
def test_usage_errors_name_what_is_wrong(argv, tmp_path):
    done = harness.run(harness.binary("gatehouse-agent"), *argv, env=harness.clean_environment(HOME=tmp_path))
    assert done.returncode == 2 and done.stderr.startswith("gatehouse-agent: ")
    assert "\u202e" not in done.stderr


def test_help_and_version(tmp_path):
    for argv, says in ((("--help",), "--allow"), (("run", "--help"), "Examples"), (("--version",), "gatehouse-agent ")):
        done = harness.run(harness.binary("gatehouse-agent"), *argv, check=0)
        assert says in done.stdout and not done.stderr


def test_no_secret_is_visible_and_no_core_is_left(server, tmp_path):
    desk = relay_kit.Desk(server, tmp_path, by="key", name="quiet")
    proc = pathlib.Path(f"/proc/{desk.agent.pid}")
    assert "Max core file size        0 " in (proc / "limits").read_text().replace("  0  ", " 0 ") or \
        (proc / "limits").read_text().split("Max core file size")[1].split()[0] == "0"
    secret = desk.agent.key.split("_")[2]
    for name in ("cmdline", "environ"):
        assert secret.encode() not in (proc / name).read_bytes()
    assert secret not in desk.agent.log() and secret not in server.log()


def test_a_hostile_server_is_scanned_and_bounded(server, tmp_path):
    """After a real handshake, messages that are none: the agent closes, and tries again later."""
    challenges = iter([b"\x82\x02\xff\xff", b"\x82\x05\xdd\x10\x00\x00\x00", b"\x81\x02{}",
                       b"\x82\x7f\x00\x00\x00\x00\x10\x00\x00\x00", b"\xf2\x01x", b"\x82\x03\x92\x02\x80"])
    closes = []

    def serve(sock):
        head = b""
        while b"\r\n\r\n" not in head:
            head += sock.recv(4096)
        key = next(line.split(b": ")[1] for line in head.split(b"\r\n") if line.lower().startswith(b"sec-websocket-key"))
        accept = base64.b64encode(hashlib.sha1(key + b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11").digest())
        sock.sendall(b"HTTP/1.1 101 X\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: " + accept +
                     b"\r\nSec-WebSocket-Protocol: gatehouse-agent.v1\r\n\r\n")
        sock.sendall(next(challenges))
        frame = sock.recv(4096)
        masked = bytes(b ^ frame[2 + i % 4] for i, b in enumerate(frame[6:]))
        closes.append((frame[0], int.from_bytes(masked[:2], "big")))
    service = relay_kit.Service(serve)

    class Hostile:
        url, ca = f"http://127.0.0.1:{service.port}", None
        secret_file = server.secret_file
    state = tmp_path / "agent-box-state"
    state.mkdir(mode=0o700)
    (state / "machine").touch(0o600)
    (state / "machine").write_text("mch_" + "0" * 25 + "1\n")
    for _ in range(6):  # each run meets one of them; a restart skips the waiting
        one = harness.Agent(Hostile, tmp_path, name="box").start()
        count = len(closes)
        harness.wait_until("the agent has closed", lambda: len(closes) > count, 10)
        assert one.stop() == 0
    assert [close[0] for close in closes] == [0x88] * 6
    assert {close[1] for close in closes} <= {1002, 1007, 1008, 1009}
    service.close()
