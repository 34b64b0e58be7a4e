"""Alerts: opened by what happened, joined by what happens again, explained by their events, and
acknowledged by an admin."""
import json

import pytest

import harness
from harness import wait_until


def alerts(server, state="open", rule=None):
    return [a for a in server.admin().items("/api/audit/alerts", state=state) if rule in (None, a["rule"])]


def alert(server, rule, timeout=5.0, **members):
    return wait_until(f"an alert {rule}", lambda: next(
        (a for a in alerts(server, rule=rule) if all(a.get(k) == v for k, v in members.items())), None), timeout)


@pytest.fixture(scope="module")
def machines(server, tmp_path_factory):
    folder, made = tmp_path_factory.mktemp("agents"), []
    for n in range(4):
        machine = server.admin().post("/api/machines", {"name": f"m{n}"}, want=201)["id"]
        key = server.admin().post(f"/api/machines/{machine}/keys", {}, want=201)["key"]
        harness.Agent(server, folder, name=f"m{n}", key=key).start()
        server.admin().wait_online(f"m{n}")
        made.append(machine)
    return made


def test_a_foreign_session_id(server, machines):
    mine, other = server.technician(), server.technician()
    session = mine.open_session(machines[0])["id"]
    assert not [a for a in alerts(server) if a.get("session") == session]
    for _ in range(3):
        assert other.request("GET", f"/api/sessions/{session}").status == 404
    seen = alert(server, "foreign_session", session=session, count=3)
    assert seen["severity"] == "critical" and seen["state"] == "open" and "another user's" in seen["meaning"]
    assert len(seen["events"]) == 3 and seen["id"] == f"{seen['events'][0]}-foreign_session"
    for seq in seen["events"]:  # each can be looked at
        event = server.admin().get(f"/api/audit/events/{seq}")
        assert event["type"] == "access.refused" and event["actor"]["id"] == other.user["id"]
    assert server.admin().get(f"/api/audit/alerts/{seen['id']}")["events"] == seen["events"]


def test_acknowledged_once_and_opened_again(server, machines):
    mine, other, auditor = server.technician(), server.technician(), server.auditor()
    session = mine.open_session(machines[1])["id"]
    other.request("GET", f"/api/sessions/{session}")
    seen = alert(server, "foreign_session", session=session)
    path = f"/api/audit/alerts/{seen['id']}"
    assert auditor.get(path)["id"] == seen["id"]  # whoever reads the log reads alerts
    assert auditor.request("POST", f"{path}/ack", {}).status == 403
    assert mine.request("GET", path).status == 403 and mine.request("POST", f"{path}/ack", {}).status == 403
    assert server.admin().request("POST", f"/api/audit/alerts/{seen['events'][0]}-flood/ack", {}).status == 404
    for bad in ("x", "1", "-", "1-", "-flood", "99999999-flood", "1-" + "x" * 99, "0x1-flood", "1--flood"):
        assert server.admin().request("POST", f"/api/audit/alerts/{bad}/ack", {}).status == 404, bad
        assert server.admin().request("GET", f"/api/audit/alerts/{bad}").status == 404, bad
    server.admin().call("POST", f"{path}/ack", {"note": "talked to them"}, want=204)
    assert server.admin().request("POST", f"{path}/ack", {}).status == 404  # once
    done = wait_until("it is acknowledged", lambda: next(
        (a for a in [server.admin().get(path)] if a["state"] == "acknowledged"), None))
    assert done["acknowledged"]["by"] == server.admin().user["id"]
    event = server.admin().get(f"/api/audit/events/{done['acknowledged']['event']}")
    assert event["type"] == "alert.acknowledged" and event["personal"]["note"] == "talked to them"
    assert seen["id"] not in [a["id"] for a in alerts(server)]
    assert seen["id"] in [a["id"] for a in alerts(server, "all")]
    other.request("GET", f"/api/sessions/{session}")
    again = alert(server, "foreign_session", session=session)
    assert again["id"] != seen["id"] and again["count"] == 1


def test_stolen_tokens_alert(server, machines):
    mine = server.technician()
    session = mine.open_session(machines[2])["id"]
    thief = harness.Api(server)
    thief.token = mine.token
    thief.request("GET", "/api/machines")
    assert alert(server, "session_network", session=session)["severity"] == "critical"
    assert mine.request("POST", "/api/auth/reprove", {"password": "wrong password wrong"}).status == 403
    alert(server, "proof_failed", user=mine.user["id"])
    old = mine.refresh_token
    mine.refresh()
    thief.refresh_token = old
    assert thief.try_refresh().status == 401
    alert(server, "refresh_reuse", user=mine.user["id"])


def test_a_ticket_that_comes_twice(server, machines):
    mine = server.technician()
    session = mine.open_session(machines[3])["id"]
    ticket = mine.ticket(session)
    mine.attach(session, ticket=ticket).drop()
    with pytest.raises(harness.Refused):
        mine.attach(session, ticket=ticket)
    alert(server, "ticket_replayed", session=session)


def test_many_machines(server, machines):
    assert server.cli("policy", "set", "machines_alert=3").returncode == 0
    weak = server.cli("policy", "set", "machines_alert=4").returncode
    assert weak == 0
    alert(server, "policy_weakened")
    server.cli("policy", "set", "machines_alert=3", check=0)
    mine = server.technician()
    for machine in machines[:3] * 2:
        mine.open_session(machine)
    assert not [a for a in alerts(server, rule="many_machines") if a["user"] == mine.user["id"]]
    mine.open_session(machines[3])
    assert alert(server, "many_machines", user=mine.user["id"])["severity"] == "warning"


def test_the_command_line(server, machines):
    shown = server.cli("audit", "alerts", check=0).stdout
    open_ones = alerts(server)
    assert open_ones and all(a["id"] in shown for a in open_ones)
    one = open_ones[0]["id"]
    assert one in server.cli("audit", "alert", one, check=0).stdout
    server.cli("audit", "alerts", "--ack", one, "--note", "seen to", check=0)
    assert one not in server.cli("audit", "alerts", check=0).stdout
    assert one in server.cli("audit", "alerts", "--state", "all", check=0).stdout
    assert server.cli("audit", "alerts", "--ack", one).returncode == 1
    listed = json.loads(server.cli("audit", "alerts", "--state", "all", "--json", check=0).stdout)
    assert one in [a["id"] for a in listed["items"]]


def test_alerts_live_through_a_restart(fresh_server):
    fresh_server.cli("policy", "set", "ticket_s=60", check=0)
    seen = alert(fresh_server, "policy_weakened")
    fresh_server.restart(kill=True)
    fresh_server._admin = None
    assert [a["id"] for a in alerts(fresh_server)] == [seen["id"]]
    fresh_server.admin().call("POST", f"/api/audit/alerts/{seen['id']}/ack", {}, want=204)
