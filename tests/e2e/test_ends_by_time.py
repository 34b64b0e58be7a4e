"""What ends by itself, with a policy that makes hours into seconds: sessions, logins, codes, questions
for consent, guests. Real binaries and the real clock; the edges are the unit tests' business."""
import time

import pytest

import relay_kit
from harness import PATIENCE, Closed, wait_until


@pytest.fixture
def quick(make_server, tmp_path):
    """A server with this policy, and a desk on it."""
    def start(*numbers, **desk_options):
        server = make_server()
        server.cli("policy", "set", *numbers, check=0)
        return relay_kit.Desk(server, tmp_path, **desk_options)
    return start


def closed_by(websocket, timeout=15.0):
    began = time.monotonic()
    with pytest.raises(Closed):
        while True:
            websocket.recv(timeout)
    return time.monotonic() - began


def test_a_session_ends_at_its_longest_even_while_it_is_used(quick):
    desk = quick(f"session_s={3 * PATIENCE}", by="key")
    session = desk.session()
    channel = desk.attach(session)
    began = time.monotonic()
    with pytest.raises(Closed):
        while time.monotonic() < began + 20 * PATIENCE:
            channel.send(b"\n")
            channel.recv(5)
    ended = desk.wait_event("session.ended")
    assert ended["data"]["why"] == "max_duration" and ended["subject"]["session"] == session
    assert 2.5 * PATIENCE < time.monotonic() - began < 10 * PATIENCE


def test_a_session_ends_when_the_technician_sends_nothing_whatever_the_machine_sends(quick):
    desk = quick(f"session_idle_s={3 * PATIENCE}", by="key")
    session = desk.session()
    channel = desk.attach(session)
    channel.send(b"while sleep 0.2; do echo busy; done\n")
    assert closed_by(channel, 20) > 1.5 * PATIENCE
    assert desk.wait_event("session.ended")["data"]["why"] == "idle"
    assert desk.api.session(session)["state"] == "ended"


def test_a_session_that_is_used_does_not_become_idle(quick):
    desk = quick("session_idle_s=6", by="key")  # the ledger hears of bytes up to two seconds later
    session = desk.session()
    channel = desk.attach(session)
    for _ in range(9):
        channel.send(b"\n")
        time.sleep(1)
    assert desk.api.session(session)["state"] == "opened"


def test_a_question_without_an_answer_is_withdrawn(quick):
    desk = quick(f"consent_s={2 * PATIENCE}", yes=False)
    reply = desk.api.open_session(desk.machine, wait=False)
    assert reply["state"] == "requested"
    desk.api.wait_session(reply["id"], "ended")
    assert desk.wait_event("session.ended")["subject"]["session"] == reply["id"]


def test_a_code_is_worthless_after_its_time(make_server):
    server = make_server()
    server.cli("policy", "set", "code_s=2", check=0)
    api = server.technician()
    code = api.new_code()
    assert api.request("POST", "/api/codes/validate", {"code": code["code"]}, token=False).status == 200
    wait_until("the code is worthless", lambda: api.request(
        "POST", "/api/codes/validate", {"code": code["code"]}, token=False).status == 401, every=0.8)
    assert server.admin().wait_event(type="code.expired")["subject"]["code"] == code["id"]


def test_a_login_ends_without_a_refresh(make_server):
    server = make_server()
    server.cli("policy", "set", "family_idle_s=3", "access_s=1", check=0)
    api = server.technician()
    wait_until("the access token is over", lambda: api.request("GET", "/api/auth/me").status == 401, every=0.3)
    api.refresh()
    time.sleep(4)
    assert api.try_refresh().status == 401


def test_a_login_ends_at_its_longest_however_often_it_is_refreshed(make_server):
    server = make_server()
    server.cli("policy", "set", "family_s=4", "family_idle_s=3", check=0)
    api = server.technician()
    began = time.monotonic()
    while (reply := api.try_refresh()).status == 200:
        api.refresh_token = reply.json["refresh_token"]
        time.sleep(0.5)
        assert time.monotonic() < began + 30
    assert time.monotonic() - began < 20


def test_a_guest_without_a_session_goes(quick):
    desk = quick(f"guest_idle_s={3 * PATIENCE}")
    assert desk.wait_event("machine.removed", timeout=15)["subject"]["machine"] == desk.machine
    assert desk.api.request("GET", f"/api/machines/{desk.machine}").status == 404
