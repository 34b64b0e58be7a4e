"""A load: workers that do what people, agents and strangers do, all at once, until they are told to
stop, and a tally of what each was granted. Whoever is answered otherwise than he should be stops
the load; whoever kills things knows what may be refused to him afterwards."""
import collections
import contextlib
import hashlib
import json
import os
import random
import secrets
import socket
import ssl
import threading
import time

import harness
import relay_kit
from api_kit import Local

PIECE = os.urandom(48 * 1024)
TYPED = b"echo load-$((40 + 2))\n"
OPENS_A_MINUTE = 27  # a user may open 30 sessions
GONE = (harness.Closed, harness.Refused, OSError, ssl.SSLError)


class Load:
    """The workers' threads, their tally, and the first thing that went wrong."""

    def __init__(self, server, seed):
        self.server, self.seed = server, seed
        self.stopping = threading.Event()
        self.lock = threading.Lock()
        self.tally = collections.Counter()
        self.failures, self.threads = [], []
        self.own = threading.local()
        self.random = random.Random(seed)

    def admin(self):
        """The admin's login, over a connection of this thread's own."""
        if not hasattr(self.own, "admin"):
            self.own.admin = self.server.admin().twin()
        return self.own.admin

    def count(self, what, n=1):
        with self.lock:
            self.tally[what] += n

    def start(self, worker, *args, rest=0.0):
        """Runs worker(load, random, *args) again and again, with a rest between."""
        rng = random.Random(f"{self.seed} {worker.__name__} {len(self.threads)}")

        def run():
            try:
                while not self.stopping.is_set():
                    worker(self, rng, *args)
                    self.stopping.wait(rest * rng.random() * 2)
            except BaseException as failure:
                self.failures.append((worker.__name__, failure))
                self.stopping.set()
        thread = threading.Thread(target=run, name=worker.__name__, daemon=True)
        self.threads.append(thread)
        thread.start()

    def run_for(self, seconds):
        self.stopping.wait(seconds)
        self.finish()

    def finish(self):
        self.stopping.set()
        for thread in self.threads:
            thread.join(60 * harness.PATIENCE)
            assert not thread.is_alive(), f"{thread.name} does not end"
        for name, failure in self.failures:
            raise AssertionError(f"{name} failed (seed {self.seed}): {failure!r}") from failure


# ---- people

def come_and_go(load, rng, name):
    """A login by password, refreshes, and mostly a logout."""
    api = load.server.api().login(name)
    load.count("login.succeeded")
    for _ in range(rng.randrange(1, 3)):
        api.refresh()
        load.count("token.refreshed")
    assert api.get("/api/auth/me")["name"] == name
    if rng.random() < 0.7:
        api.logout()
        assert api.request("GET", "/api/auth/me").status == 401
    api.close()


def mistype(load, _rng, name):
    """A wrong password for a known name and for an unknown one."""
    for who in (name, "nobody-" + secrets.token_hex(4)):
        api = load.server.api()
        assert api.try_login(who, "not-that-one-either-5").status == 401
        load.count("mistyped")
        api.close()


def be_hired_and_fired(load, _rng):
    """An account from its invitation to its end, while its owner is logged in."""
    admin = load.admin()
    api = load.server.person(by=admin)
    load.count("user.registered")
    load.count("login.succeeded")
    user = admin.get(f"/api/users/{api.user['id']}")
    admin.call("PATCH", f"/api/users/{api.user['id']}", {"disabled": True}, headers={"If-Match": user["etag"]})
    load.count("user.disabled")
    assert api.request("GET", "/api/auth/me").status == 401
    api.close()


def issue_codes(load, rng, api):
    """Codes: issued (twice the same, over two connections at once), asked for, revoked."""
    key = {"Idempotency-Key": secrets.token_hex(8)}
    other = api.twin()
    replies = []
    twin = threading.Thread(target=lambda: replies.append(other.request("POST", "/api/codes", {}, headers=key)))
    twin.start()
    replies.append(api.request("POST", "/api/codes", {}, headers=key))
    twin.join()
    issued = [reply.json for reply in replies if reply.status == 201]
    assert issued and {reply.status for reply in replies} <= {201, 409}, replies
    assert len({code["id"] for code in issued}) == 1
    load.count("code.issued")
    stranger = load.server.api()
    for _ in range(rng.randrange(1, 3)):
        assert stranger.post("/api/codes/validate", {"code": issued[0]["code"]}, token=False)["valid"] is True
        load.count("code.validated")
    api.call("DELETE", f"/api/codes/{issued[0]['id']}", want=204)
    load.count("code.revoked")
    other.close()
    stranger.close()


def keep_machines(load, rng, api):
    """The list of machines: added, changed, looked at as soon as it must be there, removed."""
    reply = api.request("POST", "/api/machines", {"name": f"spare {secrets.token_hex(4)}", "tags": ["spare"]})
    assert reply.status == 201, reply
    machine, position = reply.json, reply.headers["Gatehouse-Position"]
    load.count("machine.added")
    assert machine["id"] in [m["id"] for m in
                             api.get(f"/api/machines?filter=tag:spare&limit=100&at_least={position}")["items"]]
    api.call("PATCH", f"/api/machines/{machine['id']}", {"note": "x" * rng.randrange(1, 900)},
             headers={"If-Match": machine["etag"]})
    load.count("machine.changed")
    api.call("DELETE", f"/api/machines/{machine['id']}", want=204)
    load.count("machine.removed")


# ---- readers

def read_audit(load, rng, api):
    """Events by page and by line, one of them, a story, the minutes: while all are writing."""
    start = rng.randrange(50)
    page = api.get(f"/api/audit/events?limit=60&after_seq={start}")["items"]
    seqs = [event["seq"] for event in page]
    assert seqs == list(range(start + 1, start + 1 + len(seqs)))
    lines = api.request("GET", f"/api/audit/events?limit=300&after_seq={start}",
                        headers={"Accept": "application/x-ndjson"})
    assert lines.status == 200
    assert [json.loads(line) for line in lines.body.splitlines()][:len(page)] == page
    assert api.get(f"/api/audit/events/{seqs[-1]}") == page[-1]
    story = api.get(f"/api/audit/timeline?user={api.user['id']}&limit=50")["items"]
    assert [event["seq"] for event in story] == sorted({event["seq"] for event in story})
    assert api.get("/api/audit/stats?by=minute")["items"]
    load.count("audits")


def read_log(load, rng, api):
    """The head, tiles and records below it, and none of them ever takes anything back."""
    origin, size, _root = api.request("GET", "/log/checkpoint").text.split("\n")[:3]
    with load.lock:
        seen = load.tally["size of the log"]
        load.tally["size of the log"] = max(seen, int(size))
    number = rng.randrange(int(size) // 256 + 1)
    width = min(256, int(size) - number * 256)
    if origin and width > 0:
        name = f"{number:03}" + (f".p/{width}" if width < 256 else "")
        tile = api.request("GET", f"/log/tile/0/{name}")
        bundle = api.request("GET", f"/log/tile/entries/{name}")
        assert tile.status == bundle.status == 200, (tile, bundle)
        at, leaves = 0, b""
        while at < len(bundle.body):
            n = int.from_bytes(bundle.body[at:at + 2], "big")
            leaves += hashlib.sha256(b"\0" + bundle.body[at + 2:at + 2 + n]).digest()
            at += 2 + n
        assert leaves == tile.body
    load.count("tiles")


def hang_up(load, rng, api):
    """Asks, and is gone before the answer: while it is proven, decided, waited for, streamed."""
    body = json.dumps({"name": "hanging-up", "password": "x" * 30}).encode()
    bearer = b"Authorization: Bearer " + api.token.encode()
    request = rng.choice([
        b"POST /api/auth/login HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s"
        % (len(body), body),
        b"GET /api/auth/me?at_least=%d HTTP/1.1\r\nHost: x\r\n%s\r\n\r\n" % (load.tally["size of the log"] + 900, bearer),
        b"GET /api/audit/events HTTP/1.1\r\nHost: x\r\nAccept: application/x-ndjson\r\n%s\r\n\r\n" % bearer,
        b"GET /log/tile/0/000 HTTP/1.1\r\nHost: x\r\n\r\n" * 8])
    with load.server.api().connect() as sock:
        sock.sendall(request)
        if rng.random() < 0.5:
            sock.settimeout(0.05)
            with contextlib.suppress(OSError):
                sock.recv(100)
    load.count("hang-ups")


def reload_certificates(load, rng):
    load.server.signal(harness.signal.SIGHUP)
    load.count("reloads")


def rotate_keys(load, rng):
    """New signing keys in the middle of it, by the local socket."""
    local = Local(load.server)
    local.call("POST", "/admin/keys/rotate", {"key": rng.choice(["event", "log"])})
    load.count("key.rotated")
    assert local.call("GET", "/admin/status")["origin"]


# ---- sessions

class Post:
    """A technician and a machine of his own, and how the sessions on it are to end."""

    def __init__(self, server, folder, name, services, first):
        self.desk = relay_kit.Desk(server, folder, by="key", name=name, start=False,
                                   allow=("shell", *(f"tcp:{n}=127.0.0.1:{s.port}" for n, s in services.items())))
        self.sessions, self.opened_at = set(), collections.deque(maxlen=OPENS_A_MINUTE)
        self.ends = [first]  # so that a short load has seen each
        self.clean = {}  # session -> bytes that were sent to its services and came back, all of them
        self.desk.agent.start()

    def next_end(self, rng):
        """In an order by chance, but each of them once before any comes again."""
        if not self.ends:
            self.ends = rng.sample(ENDS, len(ENDS))
        return self.ends.pop()

    def online(self):
        self.desk.machine = self.desk.api.wait_online(self.desk.agent.machine_name, timeout=30)["id"]
        return self

    def open(self, load):
        while len(self.opened_at) == OPENS_A_MINUTE and time.monotonic() - self.opened_at[0] < 61:
            time.sleep(0.2)
        self.opened_at.append(time.monotonic())
        session = self.desk.api.open_session(self.desk.machine)["id"]
        self.sessions.add(session)
        load.count("session.opened")
        return session


def echo(ws, rng):
    """Sends pieces and gets them back; how many bytes."""
    sent = 0
    for _ in range(rng.randrange(1, 5)):
        piece = PIECE[:rng.randrange(1, len(PIECE))]
        ws.send(piece)
        sent += len(piece)
        got = b""
        while len(got) < len(piece):
            got += ws.recv()
        assert got == piece
    return sent


def type_into(ws):
    ws.send({"resize": [100, 30]})
    ws.send(TYPED)
    ws.recv_until(b"load-42")


def pour(ws):
    """Sends without an end, until the other side is gone."""
    with contextlib.suppress(*GONE):
        while True:
            ws.send(PIECE)
            ws.recv(20)


def pouring(sockets):
    threads = [threading.Thread(target=pour, args=(ws,), daemon=True) for ws in sockets]
    for thread in threads:
        thread.start()
    return threads


def join(threads):
    for thread in threads:
        thread.join(60 * harness.PATIENCE)
        assert not thread.is_alive(), "a socket that goes on after its end"


def close_cleanly(load, post, session, sockets):
    for ws in sockets:
        ws.close()
    post.desk.api.end_session(session)


def terminate(load, post, session, sockets):
    """An admin ends it while bytes pour through; nothing comes after."""
    readers = pouring(sockets)
    time.sleep(0.2)
    load.admin().end_session(session)
    join(readers)


def vanish(load, post, session, sockets):
    for ws in sockets:
        ws.drop()
    post.desk.api.end_session(session)


def kill_agent(load, post, session, sockets):
    """SIGKILL in the middle of an exchange; the machine comes back by itself."""
    for ws in sockets:
        ws.send(PIECE)
    post.desk.agent.restart()
    for ws in sockets:
        with contextlib.suppress(*GONE):
            ws.recv_close(20)
        ws.drop()
    post.desk.api.wait_session(session, "ended", timeout=30)
    post.online()


ENDS = [close_cleanly, terminate, vanish, kill_agent]


def work_on_a_machine(load, rng, post):
    """A session with a shell and some ports, to one of its possible ends."""
    session = post.open(load)
    sockets = [post.desk.attach(session, service) for service in ["shell"] + ["tcp:echo"] * rng.randrange(1, 4)]
    load.count("channels", len(sockets))
    type_into(sockets[0])
    sent = sum(echo(ws, rng) for ws in sockets[1:])
    end = post.next_end(rng)
    if end is close_cleanly:
        post.clean[session] = sent
    end(load, post, session, sockets)
    load.count(end.__name__)
    for ws in sockets:
        ws.drop()


def help_somebody(load, _rng, api, folder):
    """A code, redeemed by an agent; consent, waited for by long polls; a shell; and both are gone."""
    name = "guest-" + secrets.token_hex(4)
    code = api.new_code()
    load.count("code.issued")
    agent = harness.Agent(load.server, folder, name=name, code=code["code"]).start()
    machine = api.wait_online(name, timeout=30)["id"]
    load.count("code.redeemed")
    session = api.open_session(machine, wait=False)
    load.count("session.opened")
    answers = []

    def poll():
        one = api.twin()
        answers.append(one.get(f"/api/sessions/{session['id']}?wait=30", timeout=60)["state"])
        one.close()
    polls = [threading.Thread(target=poll, daemon=True) for _ in range(3)]
    for one in polls:
        one.start()
    join(polls)
    assert answers == ["opened"] * 3, answers
    load.count("polls", 3)
    ws = api.attach(session["id"])
    load.count("channels")
    type_into(ws)
    api.end_session(session["id"])
    assert ws.recv_close(20) == 1008
    ws.drop()
    load.count("machine.removed")  # a guest goes with his session
    assert agent.stop() == 0, agent.log()
