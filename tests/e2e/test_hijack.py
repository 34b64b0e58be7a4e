"""Stolen things: session ids, tickets, tokens, cookies, a whole laptop. Each thief comes from another
network than the session is bound to, or, with the laptop, from the same one."""
import contextlib
import socket
import threading
import time

import pytest

import harness
from harness import wait_until


def thief(api, source=None):
    """Somebody who holds the tokens of `api`, elsewhere."""
    other = harness.Api(api.server, source)
    other.token, other.refresh_token, other.user = api.token, api.refresh_token, api.user
    return other


def reprove(api, password=harness.PASSWORD):
    return api.request("POST", "/api/auth/reprove", {"password": password})


def silent(socket, seconds=1.0):
    """No byte comes."""
    try:
        got = socket.recv(seconds / harness.PATIENCE)
    except TimeoutError:
        return True
    raise AssertionError(f"got {got!r}")


def settle(socket):
    """Until the prompt is there and nothing more comes."""
    with contextlib.suppress(TimeoutError):
        while True:
            socket.recv(0.3 / harness.PATIENCE)


@pytest.fixture(scope="module")
def box(server, tmp_path_factory):
    made = server.admin().post("/api/machines", {"name": "box"}, want=201)
    key = server.admin().post(f"/api/machines/{made['id']}/keys", {}, want=201)
    agent = harness.Agent(server, tmp_path_factory.mktemp("agent"), name="box", key=key["key"],
                          allow=("shell", "tcp:web=127.0.0.1:9"))
    agent.start()
    server.admin().wait_online("box")
    yield made["id"]
    agent.kill()


@pytest.fixture
def desk(server, box):
    """A technician with an open shell."""
    class Desk:
        api = server.technician()
        session = api.open_session(box)["id"]
        shell = api.attach(session)
    Desk.shell.send(b"echo up-$((40+2))\n")
    Desk.shell.recv_until(b"up-42")
    settle(Desk.shell)
    yield Desk
    Desk.shell.drop()


def events(server, session, kind):
    return server.admin().events(type=kind, session=session)


def test_a_stolen_token_pauses_the_relay(server, desk):
    other = thief(desk.api)
    assert other.request("GET", "/api/machines").status == 200  # a token is a token, but it is noticed
    assert silent_after(desk)
    seen = server.admin().wait_event(type="session.suspected", session=desk.session)
    assert seen["data"]["why"] == "other_network" and seen["data"]["net_mode"] == "pause"
    assert seen["personal"]["address"] == other.source
    assert server.admin().session(desk.session)["paused"] is True
    for who in (other, desk.api):  # nobody gets a new socket until the proof
        reply = who.request("POST", f"/api/sessions/{desk.session}/tickets", {"service": "shell"})
        assert (reply.status, reply.code) == (403, "reprove_needed")
    assert reprove(other, "not-the-password").code == "wrong_password"
    other.request("GET", "/api/sessions")
    assert len(events(server, desk.session, "session.suspected")) == 1  # once per network
    reply = reprove(desk.api)
    assert reply.status == 200 and reply.json == {"resumed": [desk.session]}
    assert b"late-42" in desk.shell.recv_until(b"late-42")  # what was typed meanwhile arrives
    assert server.admin().session(desk.session)["paused"] is False
    assert [e["data"]["n"] for e in server.admin().events(session=desk.session) if "n" in e["data"]] == \
        list(range(server.admin().session(desk.session)["events"]))


def silent_after(desk):
    desk.shell.send(b"echo late-$((40+2))\n")
    return silent(desk.shell)


def test_whoever_proves_it_takes_the_session_along(server, desk):
    """The owner has moved: the session is his where he proves it, and the old sockets are cut."""
    moved = thief(desk.api)
    assert moved.session(desk.session)["paused"] in (True, False)
    assert reprove(moved).status == 200
    assert desk.shell.recv_close() == 1008
    shell = moved.attach(desk.session)
    shell.send(b"echo moved-$((40+2))\n")
    shell.recv_until(b"moved-42")
    settle(shell)
    bound = events(server, desk.session, "session.reproved")
    assert len(bound) == 1 and bound[0]["personal"]["address"] == moved.source
    desk.api.request("GET", "/api/auth/me")  # now it is the old network that is foreign
    shell.send(b"echo more-$((40+2))\n")
    assert silent(shell)
    shell.drop()


def test_a_stolen_ticket(server, desk):
    ticket = desk.api.ticket(desk.session)
    other = thief(desk.api)
    with pytest.raises(harness.Refused) as refused:
        other.attach(desk.session, ticket=ticket)
    assert (refused.value.reply.status, refused.value.reply.code) == (403, "reprove_needed")
    assert silent_after(desk)
    assert events(server, desk.session, "session.attach_refused")[-1]["data"]["why"] == "paused"
    assert len(events(server, desk.session, "session.suspected")) == 1


def test_a_stolen_session_id(server, desk):
    """Another account that knows the id learns nothing, and it is told."""
    other = server.technician()
    unknown = other.request("GET", "/api/sessions/ses_" + "0" * 25 + "1")
    reply = other.request("GET", f"/api/sessions/{desk.session}")
    assert reply.status == 404 and reply.body == unknown.body
    assert other.request("POST", f"/api/sessions/{desk.session}/tickets", {"service": "shell"}).status == 404
    desk.shell.send(b"echo on-$((40+2))\n")
    desk.shell.recv_until(b"on-42")  # the owner's relay goes on
    told = events(server, desk.session, "access.refused")
    assert {e["data"]["why"] for e in told} == {"not_owner"} and told[0]["actor"]["id"] == other.user["id"]


def test_a_stolen_refresh_token(server, desk):
    other = thief(desk.api)
    other.refresh()
    assert silent_after(desk)
    assert len(events(server, desk.session, "session.suspected")) == 1
    reply = desk.api.try_refresh()  # the robbed comes with what was used: nobody goes on with it
    assert (reply.status, reply.code) == (401, "token_reused")
    assert desk.shell.recv_close() == 1008
    assert other.request("GET", "/api/auth/me").status == 401
    assert server.admin().wait_session(desk.session, "ended")["why"] == "token_revoked"
    assert server.admin().events(type="token.reused")[-1]["subject"]["user"] == desk.api.user["id"]


def test_a_stolen_laptop(server, desk):
    """Everything, from the same network: nothing tells the thief apart, but he cannot prove that he
    is the owner, and one call of an admin ends it all."""
    other = thief(desk.api, desk.api.source)
    assert other.request("GET", "/api/machines").status == 200
    assert not events(server, desk.session, "session.suspected")
    assert reprove(other, "first guess of a thief").code == "wrong_password"
    refused = server.admin().wait_event(type="password.refused", user=desk.api.user["id"])
    assert refused["data"]["why"] == "reprove"
    family = next(t["id"] for t in server.admin().items("/api/tokens", user=desk.api.user["id"]) if t["live"])
    server.admin().call("DELETE", f"/api/tokens/{family}", want=204)
    begun = time.monotonic()
    assert desk.shell.recv_close() == 1008
    assert time.monotonic() - begun < 1 * harness.PATIENCE
    assert other.request("GET", "/api/auth/me").status == 401
    assert other.try_refresh().status == 401


def test_guesses_of_a_proof_are_limited(server, desk):
    assert [reprove(desk.api, f"guess number {i} of many").status for i in range(6)] == [403] * 5 + [429]


def policy(server, *changes):
    return server.cli("policy", "set", *changes, check=0)


def test_strict_refuses_and_roaming_only_tells(make_server, tmp_path):
    server = make_server()
    admin = server.admin()
    made = admin.post("/api/machines", {"name": "box"}, want=201)
    key = admin.post(f"/api/machines/{made['id']}/keys", {}, want=201)["key"]
    harness.Agent(server, tmp_path, name="box", key=key).start()
    admin.wait_online("box")

    policy(server, "session_network=2")
    mine = server.technician()
    session = mine.open_session(made["id"])["id"]
    shell = mine.attach(session)
    ticket = mine.ticket(session)
    other = thief(mine)
    for call in (("GET", "/api/machines"), ("GET", f"/api/sessions/{session}"),
                 ("POST", f"/api/sessions/{session}/tickets", {"service": "shell"})):
        assert other.request(*call).code == "other_network"
    assert other.try_refresh().code == "other_network"
    assert reprove(other).code == "other_network"
    with pytest.raises(harness.Refused) as refused:
        other.attach(session, ticket=ticket)
    assert refused.value.reply.code == "other_network"
    shell.send(b"echo strict-$((40+2))\n")
    shell.recv_until(b"strict-42")  # the owner is not disturbed
    assert events(server, session, "session.suspected")[0]["data"]["net_mode"] == "refuse"
    mine.end_session(session)

    policy(server, "session_network=0")
    weak = admin.wait_event(type="policy.adopted", match=lambda e: "weakened" in e["data"])
    assert weak["data"]["weakened"] == ["session_network"]
    session = mine.open_session(made["id"])["id"]
    shell = thief(mine).attach(session)
    shell.send(b"echo roam-$((40+2))\n")
    shell.recv_until(b"roam-42")
    told = events(server, session, "session.suspected")
    assert len(told) >= 1 and told[0]["data"]["net_mode"] == "note"
    assert server.cli("policy", "set", "session_network=3").returncode == 1
    assert "session_network" in server.cli("policy", "show", check=0).stdout


class From(harness.Api):
    """Behind a proxy that says where it comes from."""

    def __init__(self, api, address):
        super().__init__(api.server, "127.0.0.1")
        self.address, self.token, self.user = address, api.token, api.user

    def request(self, method, path, body=None, headers=None, **kwargs):
        headers = dict(headers or {}, **{"X-Forwarded-For": self.address, "X-Forwarded-Proto": "https"})
        return super().request(method, path, body, headers=headers, **kwargs)


def test_both_ip_versions_are_one_person(make_server, tmp_path):
    """A browser that comes by IPv4 now and by IPv6 then raises nothing; a third network does."""
    server = make_server("--trusted-proxies", "127.0.0.0/8", plain=True)
    admin = server.admin()
    made = admin.post("/api/machines", {"name": "box"}, want=201)
    key = admin.post(f"/api/machines/{made['id']}/keys", {}, want=201)["key"]
    harness.Agent(server, tmp_path, name="box", key=key).start()
    admin.wait_online("box")
    mine = server.technician()
    v4, v6 = From(mine, "192.0.2.7"), From(mine, "2001:db8:1:2::7")
    session = v4.open_session(made["id"])["id"]
    for who in (v6, v4, From(mine, "2001:db8:1:2:ffff::1"), v6, v4):  # one /64 is one network
        assert who.ticket(session)
    assert len(events(server, session, "session.bound")) == 1
    assert not events(server, session, "session.suspected")
    for n, foreign in enumerate(("2001:db8:1:3::7", "192.0.2.8"), 1):
        assert From(mine, foreign).request(
            "POST", f"/api/sessions/{session}/tickets", {"service": "shell"}).code == "reprove_needed"
        assert len(events(server, session, "session.suspected")) == n
    assert From(mine, "192.0.2.7").request("POST", "/api/auth/reprove", {"password": harness.PASSWORD}).status == 200
    assert v6.ticket(session) and v4.ticket(session)  # both are bound still


class Detour:
    """The way to the server from another address of this machine."""

    def __init__(self, server, source):
        self.server, self.source, self.ca, self.secret_file = server, source, server.ca, server.secret_file
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"https://localhost:{self.listener.getsockname()[1]}"
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            near, _ = self.listener.accept()
            far = socket.create_connection(("127.0.0.1", self.server.port), source_address=(self.source, 0))
            for a, b in ((near, far), (far, near)):
                threading.Thread(target=self.pump, args=(a, b), daemon=True).start()

    @staticmethod
    def pump(a, b):
        with contextlib.suppress(OSError):
            while data := a.recv(65536):
                b.sendall(data)
        with contextlib.suppress(OSError):
            b.shutdown(socket.SHUT_WR)


def test_an_agent_from_another_network(server, tmp_path):
    admin = server.admin()
    made = admin.post("/api/machines", {"name": "roamer"}, want=201)
    key = admin.post(f"/api/machines/{made['id']}/keys", {}, want=201)["key"]
    agent = harness.Agent(server, tmp_path, name="roamer", key=key)
    agent.start()
    admin.wait_online("roamer")

    def reconnect(way):
        agent.kill()
        wait_until("it is gone", lambda: not admin.get(f"/api/machines/{made['id']}")["online"])
        agent.server = way
        agent.start()
        admin.wait_online("roamer")

    def alarms():
        return [e for e in admin.events(type="agent.alarmed", machine=made["id"])]
    reconnect(server)
    assert not alarms()
    reconnect(Detour(server, "127.77.0.1"))
    assert [(e["data"]["rule"], e["personal"]["address"]) for e in alarms()] == [("network_changed", "127.77.0.1")]
