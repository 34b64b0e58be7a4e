"""A disk that is nearly full: nothing new is taken, but who has to see to it gets in, and what is open can
end."""
import contextlib
import os
import subprocess

import harness
import pytest
import relay_kit

MIB = 1024 * 1024


@pytest.fixture
def small_disk(tmp_path):
    """A file system of 320 MiB, for one server."""
    mount = tmp_path / "small"
    mount.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=320m,mode=0700", "tmpfs", mount],
                      stderr=subprocess.DEVNULL, check=False).returncode != 0:
        pytest.skip("no tmpfs can be mounted here")
    yield mount
    subprocess.run(["umount", "-l", mount], check=False)


def fill(mount, leave):
    """A file that leaves this many bytes."""
    stat = os.statvfs(mount)
    size = stat.f_bavail * stat.f_frsize - leave
    with (mount / "ballast").open("wb") as out:
        os.posix_fallocate(out.fileno(), 0, size)


def ready(server):
    reply = server.api().request("GET", "/readyz")
    return reply.status, reply.text


@pytest.fixture
def disked(small_disk):
    server = harness.Server(small_disk).init()
    server.state_mount = small_disk
    yield server.start()
    if server.running():
        server.stop()


def test_below_the_mark_nothing_new_but_logins_and_ends(disked, tmp_path):
    echo = relay_kit.Service(relay_kit.echo)
    desk = relay_kit.Desk(disked, tmp_path, by="key", name="box", allow=(f"tcp:echo=127.0.0.1:{echo.port}",))
    session = desk.session()
    ws = desk.attach(session, "tcp:echo")
    ws.send(b"x")
    assert ws.recv() == b"x"

    fill(disked.state_mount, 200 * MIB)
    harness.wait_until("the mark is noticed", lambda: ready(disked)[0] == 503, timeout=5)
    assert "nearly full" in ready(disked)[1]
    admin = disked.api().login(disked.admin_name)
    for api, path, body in ((desk.api, "/api/codes", {}), (desk.api, "/api/sessions", {"machine": desk.machine}),
                            (desk.api, f"/api/sessions/{session}/tickets", {"service": "tcp:echo"}),
                            (admin, "/api/machines", {"name": "more"}), (admin, "/api/invites", {"role": "admin"}),
                            (disked.api(), "/api/codes/validate", {"code": "123456789"})):
        reply = api.request("POST", path, body, token=None if api.token else False)
        assert reply.status == 503 and reply.code == "low_space", (path, reply)
        assert int(reply.headers["Retry-After"]) > 1
    other = harness.Agent(disked, tmp_path, name="other", code="123456789")
    assert harness.run(*other.command(), env=harness.clean_environment(HOME=tmp_path), timeout=20).returncode != 0
    ws.send(b"y")  # what is open goes on
    assert ws.recv() == b"y"
    desk.api.refresh()
    desk.api.end_session(session)
    with contextlib.suppress(harness.Closed):
        while True:
            ws.recv()
    assert desk.wait_event("session.ended", lambda e: e["subject"]["session"] == session)
    admin.call("PATCH", f"/api/users/{desk.api.user['id']}", {"disabled": True}, headers={"If-Match": "*"})
    assert disked.cli("status", "--json", check=0).stdout.count('"low_space":true') == 1

    (disked.state_mount / "ballast").unlink()
    harness.wait_until("there is room again", lambda: ready(disked)[0] == 200, timeout=5)
    assert admin.post("/api/machines", {"name": "more"}, want=201)
    counted = admin.wait_event(type="refusals.counted", timeout=30)
    assert counted["data"]["total"] >= 6
    assert "event=low_space" in disked.log() and "event=space_again" in disked.log()
    echo.close()
    assert disked.stop() == 0
    assert disked.verify().returncode == 0
