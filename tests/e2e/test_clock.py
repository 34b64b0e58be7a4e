"""A server whose clock cannot be believed grants nothing new until an admin vouches for it. The clock is
shifted by the kernel's own means (time and mount namespaces), on the unchanged program."""
import datetime
import subprocess
import time

import harness
import pytest

DAY = 86400


def other_boot(tmp_path, days=0):
    """A command line to run a server under: always the same other kernel boot, `days` later."""
    boot = tmp_path / "boot_id"
    boot.write_text("00000000-0000-4000-8000-000000000000\n")
    return ["unshare", "--mount", "--time", "--boottime", str(days * DAY), "sh", "-c",
            f'mount --bind {boot} /proc/sys/kernel/random/boot_id && exec "$@"', "sh"]


@pytest.fixture
def ahead(make_server, tmp_path):
    """A server that ran for ten days, after which the wall clock is back where it was."""
    if subprocess.run([*other_boot(tmp_path), "true"], stderr=subprocess.DEVNULL, check=False).returncode != 0:
        pytest.skip("no time namespaces here")
    server = make_server()
    person = server.technician()
    for days in (0, 10):
        server.stop()
        server.start(wrapper=other_boot(tmp_path, days))
    server.stop()
    server.spawn(server.command())
    harness.wait_until("it answers", lambda: alive(server))
    server.known, server._admin = person.user["name"], None  # that login was ten days ago
    return server


def alive(server):
    try:
        return server.api().request("GET", "/healthz").status == 200
    except OSError:
        return False


def test_nothing_new_until_the_clock_is_accepted(ahead):
    ready = ahead.api().request("GET", "/readyz")
    assert ready.status == 503 and "clock accept" in ready.text
    person = ahead.api().login(ahead.known)
    admin = ahead.api().login(ahead.admin_name)
    for api, method, path, body in ((person, "POST", "/api/codes", {}),
                                    (ahead.api(), "POST", "/api/codes/validate", {"code": "123456789"}),
                                    (admin, "POST", "/api/machines", {"name": "x"}),
                                    (admin, "POST", "/api/invites", {"role": "auditor"}),
                                    (ahead.api(), "POST", "/api/auth/refresh", {"refresh_token": person.refresh_token})):
        reply = api.request(method, path, body, token=None if api.token else False)
        assert reply.status == 503 and reply.code == "clock_unsure", (path, reply)
        assert "gatehouse clock accept" in reply.json["detail"]
        assert int(reply.headers["Retry-After"]) >= 10
    # reading, revoking and ending go on
    assert person.get("/api/auth/me")["name"] == ahead.known
    stepped = [e for e in admin.events(type="clock.stepped") if e["data"].get("why") == "start"]
    assert len(stepped) == 1 and stepped[0]["data"]["wall_error_us"] < -9 * DAY * 10**6
    admin.call("PATCH", f"/api/users/{person.user['id']}", {"disabled": True}, headers={"If-Match": "*"})
    assert person.request("GET", "/api/auth/me").status == 401
    admin.call("PATCH", f"/api/users/{person.user['id']}", {"disabled": False}, headers={"If-Match": "*"})


def test_the_doubt_outlives_a_restart_and_ends_by_accept(ahead):
    ahead.stop()
    ahead.spawn(ahead.command())
    harness.wait_until("it answers", lambda: alive(ahead))
    assert ahead.api().request("GET", "/readyz").status == 503
    ahead.cli("clock", "accept", check=0)
    assert ahead.api().request("GET", "/readyz").status == 200
    admin = ahead.api().login(ahead.admin_name)
    assert len(admin.events(type="clock.accepted")) == 1
    assert ahead.technician().new_code()["code"]
    ahead.cli("clock", "accept", check=0)  # nothing to accept: no event
    assert len(admin.events(type="clock.accepted")) == 1
    ahead.restart()
    assert ahead.verify().returncode == 0


def test_time_goes_on_while_it_is_unsure(ahead):
    """Windows and expiries neither freeze nor skip: eff goes on from the last one."""
    admin = ahead.api().login(ahead.admin_name)
    started = admin.events(type="server.started")[-1]["time"]
    time.sleep(2)
    later = ahead.api().login(ahead.admin_name).events(type="login.succeeded")[-1]["time"]
    first, last = (datetime.datetime.fromisoformat(text.replace("Z", "+00:00")) for text in (started, later))
    assert first > datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(days=9)
    assert 1.5 < (last - first).total_seconds() < 60 * harness.PATIENCE
