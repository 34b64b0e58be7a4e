"""Sessions over HTTP: asking, waiting for consent, tickets, notes, the end; whose they are."""
import threading
import time

import pytest

import harness
from harness import wait_until


@pytest.fixture(scope="module")
def staff(server):
    class Staff:
        admin, technician, other, auditor = server.admin(), server.technician(), server.technician(), server.auditor()
    return Staff


@pytest.fixture(scope="module")
def machine(server, staff, tmp_path_factory):
    """A machine that nobody sits at: sessions on it open at once."""
    made = staff.admin.post("/api/machines", {"name": "unattended"}, want=201)
    key = staff.admin.post(f"/api/machines/{made['id']}/keys", {}, want=201)
    agent = harness.Agent(server, tmp_path_factory.mktemp("agent"), name="unattended", key=key["key"],
                          allow=("shell", "tcp:web=127.0.0.1:9"))
    agent.start()
    staff.admin.wait_online("unattended")
    return made


@pytest.fixture
def session(staff, machine):
    opened = staff.technician.open_session(machine["id"], reason="look at <it>")
    yield opened
    staff.technician.request("DELETE", f"/api/sessions/{opened['id']}")


def test_an_unattended_machine_opens_at_once(staff, machine):
    reply = staff.technician.request("POST", "/api/sessions", {"machine": machine["id"], "reason": "look at <it>"})
    assert reply.status == 201 and reply.json["state"] == "opened" and reply.json["asks_consent"] is False
    seen = staff.technician.session(reply.json["id"])
    assert seen["machine"] == {"id": machine["id"], "name": "unattended"}
    assert seen["owner"]["id"] == staff.technician.user["id"] and seen["reason"] == "look at <it>"
    assert seen["consent_mode"] == "unattended" and seen["channels"] == [] and seen["expires_in"] > 14000
    staff.technician.end_session(seen["id"])
    seen = staff.technician.session(seen["id"])
    assert seen["state"] == "ended" and seen["why"] == "closed" and seen["bytes"] == {"to_agent": 0, "to_technician": 0}
    assert staff.technician.request("DELETE", f"/api/sessions/{seen['id']}").code == "session_ended"


def test_sessions_need_a_machine_that_is_there(staff, machine):
    def ask(**body):
        return staff.technician.request("POST", "/api/sessions", body)
    assert ask(machine="mch_" + "0" * 25 + "1").status == 404
    for bad in ("x", "", "unattended", 5, None):
        assert ask(machine=bad).json["field"] == "machine"
    assert ask().json["field"] == "machine"
    offline = staff.admin.post("/api/machines", {"name": "offline"}, want=201)
    assert ask(machine=offline["id"]).code == "machine_offline"
    for bad in ("a\u202eb", "\u0007", "x" * 1001, "", 1):
        assert ask(machine=machine["id"], reason=bad).json["field"] == "reason"
    assert ask(machine=machine["id"], owner="usr_x").json["field"] == "owner"
    assert staff.auditor.request("POST", "/api/sessions", {"machine": machine["id"]}).status == 403


def test_a_session_is_its_owners(staff, session):
    path = f"/api/sessions/{session['id']}"
    for method, target, body in (("GET", path, None), ("DELETE", path, None), ("POST", f"{path}/note", {"note": "x"}),
                                 ("POST", f"{path}/tickets", {"service": "shell"})):
        reply = staff.other.request(method, target, body)
        unknown = staff.other.request(method, target.replace(session["id"], "ses_" + "0" * 25 + "1"), body)
        assert reply.status == unknown.status == 404 and reply.body == unknown.body, method
    assert session["id"] not in [s["id"] for s in staff.other.items("/api/sessions")]
    for who in (staff.admin, staff.auditor):
        assert who.get(path)["state"] == "opened"
        assert session["id"] in [s["id"] for s in who.items("/api/sessions")]
        assert who.request("POST", f"{path}/tickets", {"service": "shell"}).status in (403, 404)
    assert staff.technician.session(session["id"])["state"] == "opened"
    events = staff.admin.events(type="access.refused", session=session["id"])
    assert {event["data"]["why"] for event in events} >= {"not_owner"} and len(events) >= 4


def test_another_login_of_the_owner_gets_no_ticket(server, staff, session):
    second = server.api().login(staff.technician.user["name"])
    assert second.session(session["id"])["state"] == "opened"
    reply = second.request("POST", f"/api/sessions/{session['id']}/tickets", {"service": "shell"})
    assert reply.status == 403 and reply.code == "not_allowed"


def test_tickets(server, staff, session):
    path = f"/api/sessions/{session['id']}/tickets"
    reply = staff.technician.request("POST", path, {"service": "shell"})
    assert reply.status == 201 and reply.json["service"] == "shell" and 0 < reply.json["expires_in"] <= 30
    for bad in ("", "ssh", "tcp:", "tcp:a b", "tcp/web", "shell ", 5, None):
        assert staff.technician.request("POST", path, {"service": bad}).json["field"] == "service", bad
    assert staff.technician.request("POST", path, {"service": "desktop"}).code == "service_off"
    ticket = staff.technician.ticket(session["id"])
    socket = staff.technician.attach(session["id"], ticket=ticket)
    socket.send(b"echo from-$((40 + 2))\n")
    assert b"from-42" in socket.recv_until(b"from-42")
    with pytest.raises(harness.Refused) as refused:  # once
        staff.technician.attach(session["id"], ticket=ticket)
    assert refused.value.reply.status == 401
    socket.close()
    seen = wait_until("the channel is closed", lambda: next(
        (s for s in [staff.technician.session(session["id"])] if s["channels"] and "closed" in s["channels"][0]), None))
    channel = seen["channels"][0]
    assert channel["service"] == "shell" and channel["to_technician_bytes"] > 0 and channel["cosigned"]


def test_ending_a_session_closes_its_channels_first(staff, machine):
    session = staff.technician.open_session(machine["id"])
    socket = staff.technician.attach(session["id"])
    socket.send(b"echo here\n")
    socket.recv_until(b"here")
    begun = time.monotonic()
    staff.admin.end_session(session["id"])
    assert time.monotonic() - begun < 4 * harness.PATIENCE
    assert socket.recv_close() == 1008
    seen = staff.technician.session(session["id"])
    assert seen["state"] == "ended" and seen["why"] == "terminated"
    assert seen["bytes"]["to_agent"] == 10 and seen["bytes"]["to_technician"] > 0
    types = [event["type"] for event in staff.admin.events(session=session["id"])]
    assert types.index("channel.closed") < types.index("session.ended")


def test_notes(staff, session):
    path = f"/api/sessions/{session['id']}/note"
    assert staff.technician.request("POST", path, {"note": "all <well>"}).status == 204
    assert staff.admin.request("POST", path, {"note": "seen"}).status == 204
    notes = [event["personal"]["note"] for event in staff.admin.events(type="session.noted", session=session["id"])]
    assert notes == ["all <well>", "seen"]
    for bad in ("", "a\nb", "x" * 1001, "\ufeff", 5):
        assert staff.technician.request("POST", path, {"note": bad}).json["field"] == "note"
    staff.technician.end_session(session["id"])
    assert staff.technician.request("POST", path, {"note": "late"}).code == "session_ended"


def test_wait_learns_of_consent(server, staff, make_agent):
    code = staff.technician.new_code()
    agent = make_agent(server, name="asked", code=code["code"], yes=True)
    guest = staff.technician.wait_online("asked")
    reply = staff.technician.request("POST", "/api/sessions", {"machine": guest["id"], "reason": "may I?"})
    assert reply.status == 202 and reply.json["state"] == "requested" and reply.json["asks_consent"]
    begun = time.monotonic()
    seen = staff.technician.get(f"/api/sessions/{reply.json['id']}?wait=30")
    assert seen["state"] == "opened" and seen["consent_mode"] != "unattended"
    assert time.monotonic() - begun < 5 * harness.PATIENCE
    assert staff.technician.get(f"/api/sessions/{reply.json['id']}?wait=5")["state"] == "opened"
    for bad in ("31", "-1", "x"):
        assert staff.technician.request("GET", f"/api/sessions/{reply.json['id']}?wait={bad}").json["field"] == "wait"
    agent.kill()


def test_a_wait_ends_with_the_right_to_it(server, tmp_path):
    """The agent asks on a terminal, and nobody answers."""
    mine = server.technician()
    agent = harness.Agent(server, tmp_path, name="silent", code=mine.new_code()["code"], yes=False)
    terminal = harness.Terminal("silent-terminal", tmp_path, agent.command())
    guest = mine.wait_online("silent")
    asked = mine.call("POST", "/api/sessions", {"machine": guest["id"]}, want=202)
    terminal.expect("Allow it")
    seen = []

    def wait():
        waiting = harness.Api(server, mine.source)
        waiting.token = mine.token
        begun = time.monotonic()
        seen.append((waiting.request("GET", f"/api/sessions/{asked['id']}?wait=20").status,
                     time.monotonic() - begun))
    thread = threading.Thread(target=wait)
    thread.start()
    time.sleep(1)
    assert not seen
    mine.logout()
    thread.join()
    assert seen[0][0] == 401 and seen[0][1] < 1 + 2 * harness.PATIENCE
    terminal.kill()


def test_a_withdrawn_request(server, tmp_path):
    mine = server.technician()
    agent = harness.Agent(server, tmp_path, name="undecided", code=mine.new_code()["code"], yes=False)
    terminal = harness.Terminal("undecided-terminal", tmp_path, agent.command())
    guest = mine.wait_online("undecided")
    asked = mine.call("POST", "/api/sessions", {"machine": guest["id"]}, want=202)
    begun = time.monotonic()
    assert mine.get(f"/api/sessions/{asked['id']}?wait=1")["state"] == "requested"
    assert time.monotonic() - begun >= 1
    assert mine.request("POST", f"/api/sessions/{asked['id']}/tickets", {"service": "shell"}).code == "not_consented"
    mine.end_session(asked["id"])
    seen = mine.session(asked["id"])
    assert seen["state"] == "ended" and seen["why"] == "withdrawn"
    terminal.kill()


def test_a_repeated_request_opens_one_session(staff, machine):
    before = len(staff.technician.items("/api/sessions"))
    headers = {"Idempotency-Key": "one-session"}
    replies = [staff.technician.request("POST", "/api/sessions", {"machine": machine["id"]}, headers=headers)
               for _ in range(3)]
    assert [r.status for r in replies] == [201] * 3 and len({r.json["id"] for r in replies}) == 1
    assert len(staff.technician.items("/api/sessions")) == before + 1
    staff.technician.end_session(replies[0].json["id"])


def test_sessions_end_with_their_login(server, staff, machine):
    mine = server.technician()
    session = mine.open_session(machine["id"])
    socket = mine.attach(session["id"])
    socket.send(b"echo up\n")
    socket.recv_until(b"up")
    mine.logout()
    begun = time.monotonic()
    assert socket.recv_close() == 1008
    assert time.monotonic() - begun < 1 * harness.PATIENCE
    assert staff.admin.wait_session(session["id"], "ended")["why"] == "logout"
