"""Every door of the HTTP API from outside: methods, headers, forms of bodies, HTTPS or not at all."""
import json
import re
import time

import pytest

import harness
from api_kit import Local, raw, rows, some_path

ROWS = rows()
METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE")


def test_there_are_rows():
    assert len(ROWS) > 45


@pytest.mark.parametrize("path", sorted({path for _method, path in ROWS if not path.startswith("/admin")}))
def test_other_methods_are_told_which_there_are(server, path):
    mine = [method for method, row in ROWS if row == path]
    expected = {*mine, *(["HEAD"] if "GET" in mine else [])}
    api = server.api()
    for method in (*METHODS, "OPTIONS", "TRACE"):
        if method in mine:
            continue
        reply = api.request(method, some_path(path), token=False)
        assert reply.status == 405 and reply.code == "method_not_allowed", (method, reply)
        assert set(reply.headers["Allow"].split(", ")) == expected
        assert "Access-Control-Allow-Origin" not in reply.headers
    assert api.request("BREW", some_path(path), token=False).status == 501


@pytest.mark.parametrize("method,path", [row for row in ROWS if row[1].startswith("/admin")])
def test_local_doors_do_not_exist_over_the_network(server, method, path):
    for token in (False, server.admin().token):
        reply = server.api().request(method, some_path(path), {} if method == "POST" else None, token=token)
        assert reply.status == 404 and reply.code == "not_found"


@pytest.mark.parametrize("method,path", [
    row for row in ROWS if row[1].startswith("/api/") and row[1] not in (
        "/api/auth/login", "/api/auth/refresh", "/api/auth/logout", "/api/auth/register", "/api/codes/validate")])
def test_every_other_door_needs_a_token(server, method, path):
    body = {} if method in ("POST", "PUT", "PATCH") else None
    reply = server.api().request(method, some_path(path), body, token=False)
    assert reply.status == 401 and reply.code == "unauthenticated"
    assert reply.headers["WWW-Authenticate"] == "Bearer"


@pytest.mark.parametrize("method,path", [row for row in ROWS if row[0] in ("POST", "PUT", "PATCH")
                                         and not row[1].startswith("/admin")])
def test_bodies_are_json_objects_of_known_members(server, method, path):
    api, target = server.admin(), some_path(path)
    headers = {"If-Match": "*"}

    def send(body, kind="application/json", **more):
        return api.request(method, target, body if isinstance(body, bytes) else json.dumps(body).encode(),
                           headers={**headers, "Content-Type": kind, **more})
    for kind in ("text/plain", "multipart/form-data; boundary=x", "application/json; charset=latin1",
                 "application/x-www-form-urlencoded", ""):
        reply = send({}, kind)
        assert reply.status == 415 and reply.code == "media_type", kind
    assert send({}, **{"Content-Encoding": "gzip"}).status == 415
    for body in (b"", b"{", b"[]", b"null", b"1", b"{}{}", b"\xff", b'{"a":"\xff"}', b'{"a":1,"a":1}',
                 b'{"a":1e400}', b'{"a":"\\ud800"}',
                 b'{"a":' + b"[" * 100 + b"]" * 100 + b"}", b'{"a":"\\u0000"}'):
        reply = send(body)
        assert reply.status == 400 and reply.code in ("malformed", "bad_field"), (body[:40], reply)
    reply = send({"no_such_member_<b>": 1})
    assert reply.status == 400 and reply.json["field"] == "no_such_member_<b>" and b"<b>" not in reply.body
    assert send(b"x" * 70000).status == 413


@pytest.mark.parametrize("method,path", [row for row in ROWS if row[0] in ("GET", "DELETE")
                                         and row[1].startswith("/api/")])
def test_unknown_parameters_are_named(server, method, path):
    reply = server.admin().request(method, some_path(path) + "?nonsense=1")
    assert reply.status == 400 and reply.json["field"] == "nonsense"
    reply = server.admin().request(method, some_path(path) + "?%00=1")
    assert reply.status == 400
    if method == "GET":
        reply = server.admin().request(method, some_path(path) + "?at_least=0&at_least=0")
        assert reply.status == 400 and reply.json["field"] == "at_least"


@pytest.mark.parametrize("method,path", [row for row in ROWS if "{id}" in row[1] and row[1].startswith("/api/")])
def test_ids_that_cannot_be_are_not_there(server, method, path):
    body = {} if method in ("POST", "PUT", "PATCH") else None
    for bad in ("x", "usr_1", "mch_" + "z" * 26, "ses_" + "0" * 27, "%2e%2e", "cod_%00", "a" * 3000):
        target = some_path(path.replace("{id}", bad))
        reply = server.admin().request(method, target, body, headers={"If-Match": "*"})
        assert reply.status == 404, (bad, reply)


@pytest.mark.parametrize("target", ["/../etc/passwd", "/%2e%2e/etc/passwd", "/api/../admin/status", "/..%2fadmin/status",
                                    "/api/codes/", "//api/codes", "/api//codes", "/API/codes", "/api/codes;x",
                                    "/api%2fcodes", "/.", "/log/tile/../../etc", "/%5c..%5c", "/openapi.yaml/",
                                    "/log/tile/0/0", "/log/tile/64/000", "/log/tile/0/000.p/0", "/log/tile/0/000.p/257",
                                    "/log/tile/0/x000/001", "/log/tile/0/x001"])
def test_nothing_lies_beside_the_doors(server, target):
    reply = server.api().request("GET", target, token=False)
    assert reply.status == 404 and reply.code == "not_found"


def test_answers_carry_the_headers_that_browsers_heed(server):
    for path in ("/", "/openapi.yaml", "/healthz", "/api/auth/me", "/nowhere"):
        reply = server.api().request("GET", path, token=False)
        assert reply.headers["X-Content-Type-Options"] == "nosniff"
        assert reply.headers["Cache-Control"] == "no-store"
        assert "frame-ancestors 'none'" in reply.headers["Content-Security-Policy"]
        assert "unsafe" not in reply.headers["Content-Security-Policy"]
        assert reply.headers["Referrer-Policy"] == "no-referrer"
        assert "Server" not in reply.headers
        assert "Strict-Transport-Security" not in reply.headers  # localhost
    reply = server.api().request("GET", "/", token=False, headers={"Host": "gate.example"})
    text = raw(server.api(), b"GET / HTTP/1.1\r\nHost: gate.example\r\nConnection: close\r\n\r\n")
    assert b"Strict-Transport-Security: max-age=31536000\r\n" in text


def test_no_foreign_page_is_granted_anything(server):
    for method in ("OPTIONS", "GET"):
        reply = server.api().request(method, "/api/auth/me", token=False, headers={
            "Origin": "https://evil.example", "Access-Control-Request-Method": "GET"})
        assert not [name for name in reply.headers if name.lower().startswith("access-control-")]


def test_head_is_get_without_the_body(server):
    for path in ("/", "/healthz", "/openapi.yaml"):
        got, head = (server.api().request(method, path, token=False) for method in ("GET", "HEAD"))
        assert head.status == got.status and head.body == b""
        assert head.headers["Content-Length"] == str(len(got.body))
    assert server.admin().request("HEAD", "/api/users").status == 200


def test_the_document_is_served(server):
    reply = server.api().request("GET", "/openapi.yaml", token=False)
    assert reply.text.startswith("openapi: 3.1.0\n")
    assert reply.body == (harness.pathlib.Path(__file__).parents[2] / "docs" / "openapi.yaml").read_bytes()


def test_health(server):
    assert server.api().request("GET", "/healthz", token=False).text == "ok\n"
    assert server.api().request("GET", "/readyz", token=False).text == "ready\n"


def test_a_peer_that_hangs_up_leaves_nothing_behind(server):
    """At every stage: while the password is proven, while the ledger decides, while a wait runs."""
    token = server.admin().token
    login = json.dumps({"name": "hanging-up", "password": "x" * 30}).encode()
    shapes = [
        b"POST /api/auth/login HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s"
        % (len(login), login),
        b"POST /api/codes HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer %s\r\nIdempotency-Key: gone\r\n"
        b"Content-Type: application/json\r\nContent-Length: 2\r\n\r\n{}" % token.encode(),
        b"GET /api/auth/me?at_least=100000 HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer %s\r\n\r\n" % token.encode(),
        b"GET /api/audit/events HTTP/1.1\r\nHost: x\r\nAccept: application/x-ndjson\r\nAuthorization: Bearer %s\r\n\r\n"
        % token.encode(),
    ]
    for _round in range(5):
        for shape in shapes:
            sock = server.api().connect()
            sock.sendall(shape)
            sock.close()
    # What was asked for is settled all the same, and once.
    reply = harness.wait_until("the code is issued", lambda: next(
        (r for r in [server.admin().request("POST", "/api/codes", {}, headers={"Idempotency-Key": "gone"})]
         if r.status == 201), None))
    codes = server.admin().items("/api/codes")
    assert [code["id"] for code in codes].count(reply.json["id"]) == 1 and len(codes) == 1
    assert server.running()


def test_a_hundred_requests_over_one_connection(server):
    api = server.technician()
    for _ in range(100):
        assert api.request("GET", "/api/auth/me").status == 200


# ---- plain HTTP beside HTTPS

@pytest.fixture
def both(make_server):
    port = harness.free_port()
    server = make_server("--listen-plain", f"127.0.0.1:{port}", "--public-url", "https://gate.example:8443")
    server.plain_port = port
    return server


def plain(server, text):
    with harness.socket.create_connection(("127.0.0.1", server.plain_port)) as sock:
        sock.sendall(text.encode())
        sock.settimeout(10)
        data = b""
        while True:
            chunk = sock.recv(65536)
            if not chunk:
                return data.decode("latin-1")
            data += chunk


def test_plain_http_sends_pages_to_the_configured_host_and_refuses_the_rest(both):
    end = "Host: evil.example\r\nConnection: close\r\n\r\n"
    answer = plain(both, f"GET /?a=b HTTP/1.1\r\n{end}")
    assert answer.startswith("HTTP/1.1 308 ")
    assert "\r\nLocation: https://gate.example:8443/?a=b\r\n" in answer and "evil" not in answer
    assert plain(both, f"GET //evil.example/ HTTP/1.1\r\n{end}").count("Location: https://gate.example:8443//evil") == 1
    for line in ("GET /api/auth/me", "POST /api/auth/login", "GET /log/checkpoint", "GET /relay/agent", "POST /",
                 "GET /admin/status", "DELETE /anything"):
        answer = plain(both, f"{line} HTTP/1.1\r\n{end}")
        assert answer.startswith("HTTP/1.1 403 ") and "https_required" in answer, line
    assert "Strict-Transport-Security" not in answer
    assert plain(both, f"GET /healthz HTTP/1.1\r\n{end}").startswith("HTTP/1.1 200 ")


def test_behind_a_proxy_the_clients_own_way_counts(make_server):
    server = make_server("--trusted-proxies", "127.0.0.0/8", plain=True)
    name, password = "admin", harness.PASSWORD

    def login(**headers):
        return server.api().request("POST", "/api/auth/login", {"name": name, "password": password, "cookie": False},
                                    token=False, headers={k.replace("_", "-"): v for k, v in headers.items()})
    assert login(X_Forwarded_For="192.0.2.7", X_Forwarded_Proto="https").status == 200
    reply = login(X_Forwarded_For="192.0.2.7", X_Forwarded_Proto="http")
    assert reply.status == 403 and reply.code == "https_required"
    assert login().status == 200  # by loopback itself
    # One client is one client, whatever it writes left of what the proxy added.
    password = "wrong-password"
    seen = [login(X_Forwarded_For=f"10.9.8.{i}, 192.0.2.99", X_Forwarded_Proto="https").status for i in range(6)]
    assert seen == [401] * 5 + [429]
    event = server.admin().events(type="login.failed")[-1]
    assert event["personal"]["address"] == "192.0.2.99" and event["personal"]["proxy_address"].startswith("127.")


# ---- admin.sock

def test_the_local_socket_needs_no_token(server):
    local = Local(server)
    status = local.call("GET", "/admin/status")
    assert status["ready"] is True and status["durable"] >= 3 and status["durable"] <= status["head"]
    assert status["counters"]["loops"] >= 1 and status["origin"]
    assert local.call("GET", "/api/users")["items"]
    assert local.call("GET", "/api/auth/me")["role"] == "admin"


def test_users_made_and_changed_locally(server):
    local = Local(server)
    made = local.call("POST", "/admin/users", {"name": "Local.One", "role": "technician",
                                               "password": harness.PASSWORD, "display_name": "Local One"}, want=201)
    assert made["name"] == "local.one"
    api = server.api().login("local.one")
    assert local.request("POST", "/admin/users", {"name": "local.one", "role": "technician",
                                                  "password": harness.PASSWORD}).code == "name_taken"
    for body, field in (({"name": "x", "role": "root", "password": harness.PASSWORD}, "role"),
                        ({"name": "x y", "role": "admin", "password": harness.PASSWORD}, "name"),
                        ({"name": "x", "role": "admin"}, "password"),
                        ({"name": "x", "role": "admin", "password": harness.PASSWORD, "id": "usr_1"}, "id"),
                        ({"name": "x", "role": "admin", "password": harness.PASSWORD,
                          "display_name": "a\u202eb"}, "display_name")):
        reply = local.request("POST", "/admin/users", body)
        assert reply.status == 400 and reply.json["field"] == field
    assert local.request("POST", "/admin/users",
                         {"name": "x", "role": "admin", "password": "password1234"}).status == 422
    other = "set-by-the-owner-of-the-folder-7"
    local.call("POST", f"/admin/users/{made['id']}/password", {"password": other}, want=204)
    assert api.request("GET", "/api/auth/me").status == 401
    server.api().login("local.one", other)
    assert local.request("POST", "/admin/users/usr_" + "0" * 25 + "1/password", {"password": other}).status == 404


def test_keys_rotate_and_the_log_goes_on(make_server):
    server = make_server()
    local = Local(server)
    for key in ("event", "log", "event"):
        answer = local.call("POST", "/admin/keys/rotate", {"key": key})
        event = local.call("GET", f"/api/audit/events/{answer['seq']}")
        assert event["type"] == "key.rotated" and event["data"]["key_role"] == key
        server.technician()
    assert local.request("POST", "/admin/keys/rotate", {"key": "root"}).status == 400
    local.call("POST", "/admin/clock/accept", want=204)


def test_a_code_is_a_users(server):
    reply = Local(server).request("POST", "/api/codes", {})
    assert reply.status == 403 and "log in" in reply.json["detail"]


def test_requests_are_answered_while_passwords_are_proven(server):
    """The loop never waits for Argon2id."""
    api = server.technician()
    sockets = []
    for i in range(8):
        body = json.dumps({"name": f"slow-{i}", "password": "x" * 30}).encode()
        sock = server.api().connect()
        sock.sendall(b"POST /api/auth/login HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
                     b"Content-Length: %d\r\n\r\n%s" % (len(body), body))
        sockets.append(sock)
    begun = time.monotonic()
    assert api.request("GET", "/api/auth/me").status == 200
    took = time.monotonic() - begun
    for sock in sockets:
        sock.settimeout(60 * harness.PATIENCE)
        assert re.match(rb"HTTP/1.1 401 ", sock.recv(100))
        sock.close()
    assert took < 0.2 * harness.PATIENCE
