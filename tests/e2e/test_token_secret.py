"""The secret of access tokens: where it comes from, what is refused, and how it is exchanged while
people work (B13 to B15). docs/secrets.md describes the procedures that are walked through here."""
import concurrent.futures
import contextlib
import os
import pathlib
import re
import stat
import time

import pytest

import harness
import relay_kit
from api_kit import Local, token_parts

ROOT = pathlib.Path(__file__).parents[2]


def make_secret():
    return harness.run(harness.binary("gatehouse"), "key", "jwt", check=0).stdout.strip()


def rotate(server, *args, check=0):
    return server.cli("key", "jwt", "--rotate", *args, check=check)


def me(api, token=None):
    return api.request("GET", "/api/auth/me", token=token).status


def last(server, kind):
    return server.admin().wait_event(type=kind)


def refused(server):
    """Starts a server that must not start; what it said."""
    server.start(wait=False)
    assert server.wait() == 1
    return server.log()


# ---- making one

def test_key_jwt_prints_one_that_is_fit():
    made = {make_secret() for _ in range(3)}
    assert len(made) == 3
    for secret in made:
        assert re.fullmatch(r"[A-Za-z0-9_-]{72}", secret)


def test_key_jwt_writes_a_file_for_its_owner_only(tmp_path):
    path, program = tmp_path / "jwt.secret", harness.binary("gatehouse")
    old = os.umask(0)
    try:
        done = harness.run(program, "key", "jwt", "--out", path, check=0)
    finally:
        os.umask(old)
    assert done.stdout == "" and done.stderr == ""
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert re.fullmatch(r"[A-Za-z0-9_-]{72}\n", path.read_text())
    before = path.read_text()
    again = harness.run(program, "key", "jwt", "--out", path, check=1)
    assert "exists" in again.stderr and path.read_text() == before


@pytest.mark.parametrize("args", [
    ("some-secret",), ("--rotate",), ("--leaked",), ("--grace", "5m"), ("--rotate", "--state-dir", "/x", "--leaked",
     "--grace", "5m"), ("--rotate", "--state-dir", "/x", "--grace", "16m"), ("--rotate", "--state-dir", "/x", "--out", "y")])
def test_key_jwt_takes_no_secret_and_no_nonsense(args):
    done = harness.run(harness.binary("gatehouse"), "key", "jwt", *args, check=2)
    assert "usage:" in done.stderr and done.stdout == ""


# ---- what is refused

def example():
    """What .env.example says when it is used as it is, and what it proposes in comments."""
    lines = (ROOT / ".env.example").read_text().splitlines()
    said = dict(line.split("=", 1) for line in lines if re.match(r"[A-Z_]+=", line))
    proposed = dict(line[1:].split("=", 1) for line in lines if re.match(r"#[A-Z_]+=", line))
    return said, proposed


def test_the_example_has_no_usable_secret(make_server):
    said, proposed = example()
    assert "JWT_SECRET" in said
    server = make_server(start=False, env=said)
    assert "environment JWT_SECRET is empty" in refused(server)
    server.env = {"JWT_SECRET": proposed["JWT_SECRET_PREVIOUS"] or "x"}
    assert "shorter than 64" in refused(server)
    server.env = {}
    (server.state / "jwt.env").write_text((ROOT / ".env.example").read_text())
    log = refused(server)
    assert "jwt.env" in log and "is empty" in log
    help_text = harness.run(harness.binary("gatehouse"), "serve", "--help", check=0).stdout
    for name in proposed:
        if name.startswith("GATEHOUSE_"):
            assert f"--{name[10:].lower().replace('_', '-')} " in help_text, name


@pytest.mark.parametrize("secret,why", [
    ("x" * 63, "shorter than 64"), ("changeme" * 8, "repeats itself"),
    ("your-256-bit-secret-" + "abcDEF0123456789GHIjkl_-MNOpqrSTUvwxYZ" * 2, "known sample"),
    ("0123456789" * 6 + "abcd1", "too few different"), ("ab" * 40, "repeats itself")])
def test_weak_and_sample_secrets_are_refused(make_server, secret, why):
    log = refused(make_server(start=False, env={"JWT_SECRET": secret}))
    assert "environment JWT_SECRET" in log and "gatehouse key jwt" in log
    assert why in log
    assert secret not in log


def test_a_secret_file_that_others_can_read_is_refused(make_server, tmp_path):
    path = tmp_path / "jwt.secret"
    path.write_text(make_secret() + "\n")
    path.chmod(0o644)
    server = make_server(start=False, env={"JWT_SECRET_FILE": path})
    assert "chmod 600" in refused(server)
    path.chmod(0o600)
    server.start()


def test_the_credentials_of_systemd_are_taken(make_server, tmp_path):
    folder = tmp_path / "credentials"
    folder.mkdir()
    (folder / "jwt_secret").write_text(make_secret())
    (folder / "jwt_secret").chmod(0o440)
    server = make_server(env={"CREDENTIALS_DIRECTORY": folder})
    assert rotate(server, check=1).stderr.count("docs/secrets.md") == 1


# ---- rotation in the running server

def test_old_tokens_are_refused_at_once(make_server):
    server = make_server()
    api = server.technician()
    old = api.token
    before = (server.state / "jwt.env").read_text()
    done = rotate(server)
    start = time.monotonic()
    assert "refresh" in done.stdout
    assert me(server.api(), old) == 401
    assert time.monotonic() - start < 1 * harness.PATIENCE
    text = (server.state / "jwt.env").read_text()
    assert text != before and "PREVIOUS" not in text
    assert stat.S_IMODE((server.state / "jwt.env").stat().st_mode) == 0o600
    assert not (server.state / "jwt.env.next").exists()
    api.refresh()  # the login itself goes on
    assert me(api) == 200
    assert token_parts(api.token)[0]["kid"] != token_parts(old)[0]["kid"]
    server._admin.refresh()
    event = last(server, "secret.rotated")
    assert event["data"]["why"] == "routine" and "expires" not in event["data"]
    assert event["actor"]["kind"] == "cli" and len(event["data"]["fingerprint"]) >= 43
    why = {e["data"]["why"] for e in server.admin().events(type="token.rejected")}
    assert why == {"header"}
    assert server.restart() and me(api) == 200


def test_with_a_grace_until_its_end(make_server):
    server = make_server()
    api = server.technician()
    old = api.token
    begun = time.monotonic()
    rotate(server, "--grace", "6s")
    server._admin.refresh()
    assert me(server.api(), old) == 200
    assert server.restart() and me(server.api(), old) == 200  # the end stands in jwt.env, and in the log
    event = last(server, "secret.rotated")
    assert event["data"]["expires"]
    harness.wait_until("the grace ends", lambda: me(server.api(), old) == 401, timeout=10)
    assert time.monotonic() - begun > 4.9
    why = {e["data"]["why"] for e in server.admin().events(type="token.rejected")}
    assert why == {"key_ended"}
    api.refresh()
    assert me(api) == 200


def test_a_leaked_secret_ends_everything(make_server, tmp_path):
    server = make_server("--loops", "2")
    desk = relay_kit.Desk(server, tmp_path)
    session = desk.session()
    ws = desk.attach(session)
    ws.send(b"echo before-the-leak\n")
    ws.recv_until(b"before-the-leak")
    old, old_refresh = desk.api.token, desk.api.refresh_token
    assert "Every login" in rotate(server, "--leaked").stdout
    start = time.monotonic()
    with contextlib.suppress(harness.Closed, OSError):
        while True:
            ws.recv(5)
    cut = time.monotonic() - start
    assert me(server.api(), old) == 401
    assert server.api().try_refresh(old_refresh).status == 401
    assert time.monotonic() - start < 1 * harness.PATIENCE and cut < 1 * harness.PATIENCE
    server._admin = None
    assert token_parts(server.admin().token)[0]["kid"] != token_parts(old)[0]["kid"]
    event = last(server, "secret.rotated")
    assert event["data"]["why"] == "leaked"
    ended = server.admin().wait_event(type="session.ended", match=lambda e: e["subject"]["session"] == session)
    assert ended["data"]["why"] == "secret_leaked" and ended["seq"] > event["seq"]
    server.verify(check=0)


def test_a_crash_between_file_and_event_loses_neither(make_server):
    """jwt.env.next is only adopted when the log names it."""
    server = make_server()
    api = server.technician()
    current = (server.state / "jwt.env").read_text()
    (server.state / "jwt.env.next").write_text(f"JWT_SECRET={make_secret()}\n")
    (server.state / "jwt.env.next").chmod(0o600)
    server.kill()
    server.start()  # no event names it: discarded
    assert not (server.state / "jwt.env.next").exists()
    assert (server.state / "jwt.env").read_text() == current
    assert me(api) == 200
    rotate(server)
    api.refresh()
    rotated = (server.state / "jwt.env").read_text()
    server.kill()
    (server.state / "jwt.env.next").write_text(rotated)  # as before the rename
    (server.state / "jwt.env.next").chmod(0o600)
    (server.state / "jwt.env").write_text(current)
    server.start()
    assert (server.state / "jwt.env").read_text() == rotated
    assert me(api) == 200
    server._admin = None
    assert len(server.admin().events(type="secret.rotated")) == 1


# ---- rotation by a restart, for secrets that come from outside

def test_the_environment_is_exchanged_by_a_restart(make_server):
    first, second, third = make_secret(), make_secret(), make_secret()
    server = make_server(env={"JWT_SECRET": first})
    api = server.technician()
    old = api.token
    assert "docs/secrets.md" in rotate(server, check=1).stderr
    assert server.stop() == 0

    server.env = {"JWT_SECRET": second, "JWT_SECRET_PREVIOUS": first, "JWT_SECRET_GRACE": "20s"}
    begun = time.monotonic()
    server.start()
    assert me(server.api(), old) == 200
    time.sleep(12)
    server.restart()  # once more does not make it longer
    assert me(server.api(), old) == 200
    harness.wait_until("the grace ends", lambda: me(server.api(), old) == 401, timeout=12, every=0.5)
    assert 18.9 < time.monotonic() - begun < 30
    api.refresh()
    server._admin.refresh()
    event = last(server, "secret.rotated")
    assert event["data"]["why"] == "restart" and event["actor"]["kind"] == "server"
    assert server.stop() == 0

    server.env = {"JWT_SECRET": third, "JWT_SECRET_PREVIOUS": first}
    assert "not the one that was in force" in refused(server)
    server.env = {"JWT_SECRET": third}
    server.start()
    assert me(api) == 401  # at once
    api.refresh()
    assert me(api) == 200
    server._admin.refresh()
    assert len(server.admin().events(type="secret.rotated")) == 2


def test_a_leaked_secret_from_outside_is_never_taken_again(make_server):
    first, second = make_secret(), make_secret()
    server = make_server(env={"JWT_SECRET": first})
    api = server.technician()
    assert "before its next start" in rotate(server, "--leaked").stdout
    assert me(api) == 401
    again = server.api().login(api.user["name"])  # the server works on
    assert me(again) == 200
    assert server.stop() == 0
    assert "was given up as leaked" in refused(server)
    server.env = {"JWT_SECRET": second, "JWT_SECRET_PREVIOUS": first}
    assert "was given up as leaked" in refused(server)
    server.env = {"JWT_SECRET": second}
    server.start()
    assert me(again) == 401
    again.refresh()
    assert me(again) == 200


def test_two_rotations_at_once(make_server):
    server = make_server()
    local = [Local(server) for _ in range(6)]
    with concurrent.futures.ThreadPoolExecutor(6) as pool:
        seen = list(pool.map(lambda one: one.request("POST", "/admin/secret/rotate", {}).status, local))
    assert set(seen) <= {200, 503} and 200 in seen
    assert len(server.api().login("admin").events(type="secret.rotated")) == seen.count(200)
    assert not (server.state / "jwt.env.next").exists()
    server.restart()


@pytest.mark.parametrize("body", [{"grace_s": 901}, {"grace_s": -1}, {"leaked": True, "grace_s": 1}, {"x": 1},
                                  {"leaked": "yes"}])
def test_nonsense_changes_nothing(server, body):
    before = (server.state / "jwt.env").read_text()
    assert Local(server).request("POST", "/admin/secret/rotate", body).status == 400
    assert (server.state / "jwt.env").read_text() == before
    assert not (server.state / "jwt.env.next").exists()


def test_nobody_rotates_from_afar(server):
    assert server.admin().request("POST", "/admin/secret/rotate", {}).status == 404


# ---- purposes (B14)

def test_an_access_token_opens_no_door_of_the_relay(server, tmp_path):
    desk = relay_kit.Desk(server, tmp_path)
    session = desk.session()
    token = desk.api.token
    for where, protocols, headers in (
            (f"/relay/sessions/{session}/shell", ("gatehouse.v1", f"ticket.{token}"), {}),
            (f"/relay/sessions/{session}/shell", ("gatehouse.v1",), {"Authorization": f"Bearer {token}"}),
            ("/relay/agent", ("gatehouse.v1",), {"Authorization": f"Bearer {token}"}),
            ("/relay/agent", ("gatehouse.v1",), {"Authorization": f"Gatehouse-Key {token}"}),
            ("/relay/channel", ("gatehouse.v1",), {"Authorization": f"Gatehouse-Ticket {token}"})):
        with pytest.raises(harness.Refused) as no:
            harness.WebSocket(server.api().connect(), server, where, protocols=protocols, headers=headers)
        assert no.value.reply.status in (400, 401, 403), where
    ticket = desk.api.ticket(session)
    assert me(server.api(), ticket) == 401
    assert me(server.api(), desk.api.refresh_token) == 401
