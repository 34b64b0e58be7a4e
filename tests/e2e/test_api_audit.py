"""The log over HTTP: events by filter, the story of a thing, heads, tiles and entry bundles."""
import base64
import hashlib
import json
import socket
import ssl
import time
import urllib.parse

import pytest

import harness
from api_kit import Local
from harness import PASSWORD


@pytest.fixture(scope="module")
def staff(server):
    class Staff:
        admin, technician, auditor = server.admin(), server.technician(), server.auditor()
    Staff.technician.new_code()
    for i in range(30):
        Staff.admin.post("/api/machines", {"name": f"m{i}"}, want=201)
    return Staff


def test_events_come_in_order_and_whole(staff):
    events = staff.auditor.events()
    assert [event["seq"] for event in events] == list(range(len(events))) and len(events) > 40
    assert events[0]["type"] == "log.opened" and len({event["id"] for event in events}) == len(events)
    for event in events:
        assert {"seq", "id", "type", "v", "time", "wall_time", "actor", "subject", "data"} <= event.keys()


def test_pages_are_bounded_and_meet(staff):
    whole = [event["seq"] for event in staff.auditor.events(type="machine.added")]
    pages = [event["seq"] for event in staff.auditor.events(type="machine.added", limit=7)]
    assert pages == whole and len(whole) >= 30
    first = staff.auditor.get("/api/audit/events?type=machine.added&limit=7")
    assert len(first["items"]) == 7 and first["next"]
    assert len(staff.auditor.get("/api/audit/events")["items"]) <= 100
    for bad in ("0", "1001", "1e9", "-1", "x"):
        assert staff.auditor.request("GET", f"/api/audit/events?limit={bad}").json["field"] == "limit"
    path = f"/api/audit/events?type=machine.added&limit=7&after={first['next']}"
    assert staff.auditor.get(path)["items"][0]["seq"] > first["items"][-1]["seq"]
    assert staff.admin.request("GET", path).code == "bad_cursor"
    assert staff.auditor.request("GET", path.replace("added", "changed")).code == "bad_cursor"
    after = staff.auditor.get(f"/api/audit/events?type=machine.added&after_seq={first['items'][-1]['seq']}")
    assert [e["seq"] for e in after["items"]] == whole[7:]
    assert staff.auditor.request("GET", path + "&after_seq=1").status == 400


def test_filters(server, staff):
    user = staff.technician.user
    by_id = staff.auditor.events(user=user["id"])
    assert by_id and by_id == staff.auditor.events(user=user["name"])
    assert all(user["id"] in (e["actor"].get("id"), e["subject"].get("user")) for e in by_id)
    assert {e["type"] for e in staff.auditor.events(type="code.*,login.succeeded")} >= {"code.issued", "login.succeeded"}
    by_address = staff.auditor.events(ip=staff.technician.source)
    assert by_address and {e["personal"]["address"] for e in by_address} == {staff.technician.source}
    machine = staff.auditor.events(type="machine.added")[0]
    assert machine["seq"] in [e["seq"] for e in staff.auditor.events(machine=machine["subject"]["machine"])]
    middle = staff.auditor.events()[20]["time"]
    early, late = staff.auditor.events(to=middle), staff.auditor.events(from_=middle, to="2999-01-01T00:00:00Z")
    assert early[-1]["seq"] + 1 == late[0]["seq"]


@pytest.mark.parametrize("query,field", [
    ("type=nonsense", "type"), ("type=", "type"), ("type=session.opened,", None), ("type=*", "type"), ("type=.*", "type"),
    ("type=a,b,c", "type"), ("user=", "user"), ("user=%27%20OR%201=1", "user"), ("user=no-such-account", "user"),
    ("ip=1.2.3", "ip"), ("ip=fe80::1%25eth0", "ip"), ("machine=x", "machine"), ("session=ses_1", "session"),
    ("from=yesterday", "from"), ("to=2026-13-01T00:00:00Z", "to"), ("after_seq=-1", "after_seq"), ("after=x", "after"),
    ("from=2027-01-01T00:00:00Z&to=2026-01-01T00:00:00Z", "from"), ("user=a%00b", "user"), ("ip=" + "1" * 7000, "ip"),
])
def test_bad_filters_are_named(staff, query, field):
    reply = staff.auditor.request("GET", f"/api/audit/events?{query}")
    if field is None:
        assert reply.status == 200
    else:
        assert reply.status == 400 and reply.json["field"] == field, reply


def test_ndjson_is_one_event_a_line(staff):
    pages = staff.auditor.events(type="machine.*,code.*,login.*")
    reply = staff.auditor.request("GET", "/api/audit/events?type=machine.*,code.*,login.*",
                                  headers={"Accept": "application/x-ndjson"})
    assert reply.status == 200 and reply.headers.get_content_type() == "application/x-ndjson"
    assert [json.loads(line) for line in reply.body.splitlines()] == pages
    reply = staff.auditor.request("GET", "/api/audit/events?limit=3", headers={"Accept": "text/html, application/x-ndjson"})
    assert len(reply.body.splitlines()) == 3


def test_one_event(staff):
    event = staff.auditor.get("/api/audit/events/0")
    assert event == staff.auditor.events()[0]
    for missing in ("999999999", "18446744073709551616", "-1", "x", "00", "0x0"):
        assert staff.auditor.request("GET", f"/api/audit/events/{missing}").status == 404


def test_the_story_of_a_thing(staff):
    user = staff.technician.user["id"]
    story = staff.auditor.items("/api/audit/timeline", user=user)
    assert story and [e["seq"] for e in story] == sorted(e["seq"] for e in story)
    assert story == staff.auditor.events(user=user)
    for query in ("", "?type=login.*", f"?user={user}&ip=127.0.0.1"):
        assert staff.auditor.request("GET", f"/api/audit/timeline{query}").status == 400


def test_minutes(staff):
    minutes = staff.auditor.get("/api/audit/stats?by=minute")["items"]
    assert sum(minute["events"] for minute in minutes) > 40 and sum(minute["logins"] for minute in minutes) >= 3
    assert staff.auditor.request("GET", "/api/audit/stats?by=hour").json["field"] == "by"


def test_reading_is_itself_an_event_and_says_no_more_than_it_must(server, staff):
    reader = server.auditor()
    reader.events(ip="192.0.2.77", user=staff.technician.user["name"], type="login.*")
    reader.request("GET", "/api/audit/timeline?ip=192.0.2.77")
    reader.request("GET", "/api/audit/events/3")
    reads = [e for e in staff.admin.events(type="audit.read") if e["actor"]["id"] == reader.user["id"]]
    assert [e["data"]["action"] for e in reads] == ["events", "timeline", "event"]
    assert reads[0]["data"]["query"] == "type=login.* user=* ip=*" and reads[2]["data"]["query"] == "seq=3"


def test_technicians_do_not_read_the_log(staff):
    for path in ("/api/audit/events", "/api/audit/events/0", "/api/audit/stats", "/log/tile/entries/000.p/1",
                 "/api/audit/timeline?user=" + staff.technician.user["id"]):
        assert staff.technician.request("GET", path).status == 403


def test_streams_that_end_give_their_place_back(server, staff):
    for _ in range(6):
        assert staff.auditor.request("GET", "/api/audit/events?limit=1",
                                     headers={"Accept": "application/x-ndjson"}).status == 200


@pytest.fixture(scope="module")
def long_log(server):
    """More than the buffers of the kernel between a server and a reader hold (4 MiB)."""
    local = Local(server)
    machine = local.call("POST", "/api/machines", {"name": "long"}, want=201)
    for i in range(1600):
        local.call("PATCH", f"/api/machines/{machine['id']}", {"note": f"{i:04} " + "\U0001F512" * 990},
                   headers={"If-Match": "*"})


def open_stream(api, query=""):
    """A stream whose reader takes little at a time."""
    sock = socket.socket()
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    sock.bind((api.source, 0))
    sock.connect(("127.0.0.1", api.server.port))
    sock.settimeout(20 * harness.PATIENCE)
    sock = ssl.create_default_context(cafile=api.server.ca).wrap_socket(sock, server_hostname=api.server.host)
    sock.sendall((f"GET /api/audit/events{query} HTTP/1.1\r\nHost: x\r\nAccept: application/x-ndjson\r\n"
                  f"Authorization: Bearer {api.token}\r\n\r\n").encode())
    return sock


def read_stream(sock):
    """What came, up to the last chunk or the end; and whether the last chunk was there."""
    data = bytearray()
    while not data.endswith(b"\r\n0\r\n\r\n"):
        try:
            piece = sock.recv(65536)
        except OSError:
            piece = b""
        if not piece:
            return data, False
        data += piece
    return data, True


def chunks(data):
    at, parts = data.index(b"\r\n\r\n") + 4, []
    while at < len(data):
        end = data.index(b"\r\n", at)
        size = int(data[at:end], 16)
        parts.append(bytes(data[end + 2:end + 2 + size]))
        at = end + 2 + size + 2
    return b"".join(parts)


def test_a_slow_reader_gets_it_all(server, staff, long_log):
    before = server.rss_kib()
    sock = open_stream(staff.auditor, "?type=machine.changed")
    time.sleep(0.5)
    assert server.rss_kib() - before < 8192 * harness.PATIENCE
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2**18)
    data, whole = read_stream(sock)
    lines = [json.loads(line) for line in chunks(data).splitlines()]
    assert whole and len(data) > 6 * 10**6
    assert [line["personal"]["note"][:4] for line in lines] == [f"{i:04}" for i in range(1600)]


def test_a_token_reads_two_streams_at_a_time(server, long_log):
    reader = server.auditor()
    streams = [open_stream(reader) for _ in range(2)]
    assert all(stream.recv(15) == b"HTTP/1.1 200 OK" for stream in streams)
    third = open_stream(reader)
    assert third.recv(13) == b"HTTP/1.1 429 "
    streams[0].close()
    harness.wait_until("a place is free", lambda: open_stream(reader).recv(13) == b"HTTP/1.1 200 ")


def test_a_stream_ends_with_its_token(server, long_log):
    reader = server.auditor()
    sock = open_stream(reader)
    assert sock.recv(15) == b"HTTP/1.1 200 OK"
    reader.logout()
    time.sleep(2.5 * harness.PATIENCE)
    data, whole = read_stream(sock)
    assert not whole and len(data) < 6 * 10**6


def test_personal_fields_are_open_to_those_who_may_see_them(server, staff):
    server.api().try_login("somebody-typed-this", PASSWORD)
    event = staff.auditor.wait_event(type="login.attempted",
                                     match=lambda e: e["personal"]["account_name"] == "somebody-typed-this")
    assert "id" not in event["actor"] and event["actor"]["account"] and event["personal"]["address"]


# ---- the tree

def head(api, **how):
    text = api.request("GET", "/log/checkpoint", **how).text
    origin, size, root = text.split("\n")[:3]
    return origin, int(size), base64.b64decode(root)


def leaf(record):
    return hashlib.sha256(b"\0" + record).digest()


def tree(leaves):
    if len(leaves) == 1:
        return leaves[0]
    k = 1 << (len(leaves) - 1).bit_length() - 1
    return hashlib.sha256(b"\1" + tree(leaves[:k]) + tree(leaves[k:])).digest()


def test_strangers_see_one_head_a_minute(server, staff):
    first = server.api().request("GET", "/log/checkpoint", token=False)
    staff.admin.post("/api/machines", {"name": "newer"}, want=201)
    assert server.api().request("GET", "/log/checkpoint", token=False).body == first.body
    assert head(staff.technician)[1] > int(first.text.split("\n")[1])
    assert server.api().request("GET", "/log/checkpoint", token="nonsense").status == 401


def test_anyone_can_rebuild_the_head_from_tiles_and_auditors_from_records(server, staff):
    origin, size, root = head(staff.auditor)
    assert origin == Local(server).call("GET", "/admin/status")["origin"]
    stranger = server.api()
    leaves, records, number = [], [], 0
    while len(leaves) < size:
        width = min(256, size - len(leaves))
        name = f"{number:03}" + (f".p/{width}" if width < 256 else "")
        reply = stranger.request("GET", f"/log/tile/0/{name}", token=False)
        assert reply.status == 200 and reply.headers["Content-Type"] == "application/octet-stream"
        assert "immutable" in reply.headers["Cache-Control"]
        leaves += [reply.body[i:i + 32] for i in range(0, len(reply.body), 32)]
        bundle = staff.auditor.request("GET", f"/log/tile/entries/{name}").body
        at = 0
        while at < len(bundle):
            n = int.from_bytes(bundle[at:at + 2], "big")
            records.append(bundle[at + 2:at + 2 + n])
            at += 2 + n
        number += 1
    assert len(leaves) == size and tree(leaves) == root
    assert [leaf(record) for record in records] == leaves


def test_tiles_that_are_not_there(server, staff):
    _origin, size, _root = head(staff.auditor)
    for path in (f"/log/tile/0/{size // 256 + 1:03}", f"/log/tile/0/{size // 256:03}.p/255", "/log/tile/3/000",
                 "/log/tile/0/x001/000"):
        assert server.api().request("GET", path, token=False).status == 404
    assert staff.auditor.request("GET", "/log/tile/entries/999").status == 404
    assert server.api().request("GET", "/log/tile/entries/000", token=False).status == 401


def test_quoting_in_queries(staff):
    odd = urllib.parse.quote("a b+c")
    assert staff.auditor.request("GET", f"/api/audit/events?user={odd}").json["field"] == "user"


def test_a_refusal_names_the_events_behind_it_to_those_who_may_read_them(server, staff):
    """Numbers for readers of the log, an opaque reference for callers without a login, nothing for others."""
    admin, auditor, technician = server.admin(), server.auditor(), server.technician()
    refused = auditor.request("POST", "/api/codes", {})
    assert refused.status == 403
    (seq,) = refused.json["events"]
    event = admin.get(f"/api/audit/events/{seq}")
    assert event["type"] == "access.refused" and event["actor"]["id"] == auditor.user["id"]

    machine = admin.post("/api/machines", {"name": "twice"}, want=201)
    path = f"/api/machines/{machine['id']}"
    admin.call("PATCH", path, {"name": "once"}, headers={"If-Match": machine["etag"]})
    stale = admin.request("PATCH", path, {"name": "again"}, headers={"If-Match": machine["etag"]})
    assert stale.status == 412 and "reference" not in stale.json
    (seq,) = stale.json["events"]
    assert admin.get(f"/api/audit/events/{seq}")["type"] == "machine.changed"

    for path in ("/api/invites", "/api/machines"):
        assert not {"events", "reference"} & set(technician.request("POST", path, {"role": "admin"} if "inv" in path else
                                                                    {"name": "x"}).json)
    answers = [server.api().try_login(name, "wrong-password-of-nobody-7") for name in
               (technician.user["name"], "nobody-of-that-name")]
    for answer in answers:
        assert answer.status == 401 and set(answer.json) == {"type", "title", "status", "code", "reference"}
    failed = {e["id"]: e for e in admin.events(type="login.failed")}
    assert all(answer.json["reference"] in failed for answer in answers)
