"""A session changes hands: offered by its owner, accepted by whom he named, consented to again where
somebody sits at the machine."""
import pytest

import harness


def offer(api, session, to):
    return api.request("POST", f"/api/sessions/{session}/transfer", {"to": to})


def accept(api, session):
    return api.request("POST", f"/api/sessions/{session}/transfer", {"accept": True})


@pytest.fixture(scope="module")
def box(server, tmp_path_factory):
    made = server.admin().post("/api/machines", {"name": "box"}, want=201)["id"]
    key = server.admin().post(f"/api/machines/{made}/keys", {}, want=201)["key"]
    agent = harness.Agent(server, tmp_path_factory.mktemp("agent"), name="box", key=key)
    agent.start()
    server.admin().wait_online("box")
    yield made
    agent.kill()


@pytest.fixture
def people(server):
    return server.technician(), server.technician(), server.technician()


def says(shell, word):
    shell.send(f"echo {word}-$((40+2))\n".encode())
    shell.recv_until(f"{word}-42".encode())


def test_unattended(server, people, box):
    mine, other, third = people
    session = mine.open_session(box)["id"]
    before = mine.session(session)
    shell = mine.attach(session)
    says(shell, "mine")
    name = other.user["name"]
    assert offer(other, session, name).status == 404 and accept(other, session).status == 404
    reply = offer(mine, session, name.upper())
    assert reply.status == 202 and reply.json["offered_to"] == other.user["id"] and 100 < reply.json["expires_in"] <= 120
    says(shell, "still")  # nothing has changed yet
    assert other.session(session)["offered_to"] == other.user["id"]  # he may look at it
    assert third.request("GET", f"/api/sessions/{session}").status == 404
    assert other.request("POST", f"/api/sessions/{session}/tickets", {"service": "shell"}).status == 404
    assert accept(third, session).status == 404 and accept(mine, session).status == 404
    reply = accept(other, session)
    assert reply.status == 201 and reply.json["state"] == "opened", reply
    assert shell.recv_close() == 1008
    assert mine.request("GET", f"/api/sessions/{session}").status == 404
    assert mine.request("POST", f"/api/sessions/{session}/tickets", {"service": "shell"}).status == 404
    assert session not in [s["id"] for s in mine.items("/api/sessions")]
    assert session in [s["id"] for s in other.items("/api/sessions")]
    assert accept(other, session).status == 404  # once
    shell = other.attach(session)
    says(shell, "others")
    seen = other.session(session)
    assert seen["owner"]["id"] == other.user["id"] and seen["expires_in"] <= before["expires_in"]
    events = server.admin().events(session=session)
    assert [e["data"]["n"] for e in events if "n" in e["data"]] == list(range(seen["events"]))
    moved = next(e for e in events if e["type"] == "session.transferred")
    assert moved["actor"]["id"] == other.user["id"] and moved["data"]["from_user"] == mine.user["id"]
    other.end_session(session)
    assert server.verify().returncode == 0


def test_who_may_be_offered_one(server, people, box):
    mine, other, _ = people
    session = mine.open_session(box)["id"]
    gone = server.technician()
    me = server.admin().request("GET", f"/api/users/{gone.user['id']}")
    server.admin().call("PATCH", f"/api/users/{gone.user['id']}", {"disabled": True},
                        headers={"If-Match": me.headers["ETag"]})
    for name in (server.auditor().user["name"], mine.user["name"], gone.user["name"], "nobody-of-that-name"):
        reply = offer(mine, session, name)
        assert (reply.status, reply.json["field"]) == (400, "to"), name
    for body in ({}, {"to": other.user["name"], "accept": True}, {"accept": False}, {"to": ""}, {"accept": 1}):
        assert mine.request("POST", f"/api/sessions/{session}/transfer", body).status == 400
    second = server.api().login(mine.user["name"])
    assert offer(second, session, other.user["name"]).code == "not_allowed"  # another login of the owner
    mine.end_session(session)
    assert offer(mine, session, other.user["name"]).code == "session_ended"


def test_an_offer_ends_by_time(server, people, box):
    mine, other, _ = people
    server.cli("policy", "set", "consent_s=1", check=0)
    session = mine.open_session(box)["id"]
    assert offer(mine, session, other.user["name"]).status == 202
    harness.wait_until("it is over", lambda: other.request(
        "POST", f"/api/sessions/{session}/transfer", {"accept": True}).status == 404 or None, 5, every=1.5)
    server.cli("policy", "set", "consent_s=120", check=0)


def test_consent_is_asked_again(server, people, tmp_path):
    mine, other, _ = people
    agent = harness.Agent(server, tmp_path, name="guest", code=mine.new_code()["code"], yes=False)
    terminal = harness.Terminal("guest-terminal", tmp_path, agent.command())
    guest = mine.wait_online("guest")
    asked = mine.call("POST", "/api/sessions", {"machine": guest["id"], "reason": "first"}, want=202)["id"]
    terminal.expect("Allow it")
    terminal.type("y\n")
    mine.wait_session(asked, "opened")
    shell = mine.attach(asked)
    says(shell, "first")
    assert offer(mine, asked, other.user["name"]).status == 202
    reply = accept(other, asked)
    assert reply.status == 202 and reply.json["state"] == "requested" and reply.json["asks_consent"]
    assert shell.recv_close() == 1008
    assert other.request("POST", f"/api/sessions/{asked}/tickets", {"service": "shell"}).code == "not_consented"
    terminal.expect("Allow it")
    terminal.type("y\n")
    other.wait_session(asked, "opened")
    shell = other.attach(asked)
    says(shell, "second")
    said = server.admin().events(type="session.consented", session=asked)
    assert len(said) == 2 and all(e["data"]["cosigned"] for e in said)
    assert offer(other, asked, mine.user["name"]).status == 202
    assert accept(mine, asked).status == 202
    terminal.expect("Allow it")
    terminal.type("n\n")
    assert server.admin().wait_session(asked, "ended")["why"] == "denied"
    terminal.kill()
    assert server.verify().returncode == 0
