"""Accounts over HTTP: login, refresh, logout, passwords, invitations, tokens that are worth nothing."""
import hashlib
import json
import threading
import time

import pytest

from api_kit import SECRET, Local, b64, cookie_of, sign, token_parts
from harness import PASSWORD, Api

NEW_PASSWORD = "another-plain-tractor-under-moss-4"


def login(api, name, password, **more):
    return api.request("POST", "/api/auth/login", {"name": name, "password": password, **more}, token=False)


# ---- login

def test_login_tells_who_one_is(server):
    reply = login(server.api(), "admin", PASSWORD, cookie=False)
    assert reply.status == 200
    answer = reply.json
    assert answer["token_type"] == "Bearer" and answer["expires_in"] == 900
    assert answer["user"]["name"] == "admin" and answer["user"]["role"] == "admin"
    assert "Set-Cookie" not in reply.headers
    header, claims, _mac = token_parts(answer["access_token"])
    assert header["alg"] == "HS256" and claims["exp"] - claims["iat"] == 900
    assert claims["sub"] == answer["user"]["id"]


def test_the_refresh_token_travels_by_cookie_or_body_never_both(server):
    reply = login(server.api(), "admin", PASSWORD)
    value, attributes = cookie_of(reply)
    assert value and "refresh_token" not in reply.json
    assert set(attributes) == {"HttpOnly", "Secure", "SameSite=Strict", "Path=/api/auth", "Max-Age=43200"}


def test_names_are_folded(server):
    assert login(server.api(), "ADMIN", PASSWORD, cookie=False).status == 200


def test_every_failed_login_looks_the_same(server):
    server.person(name="disabled-one")
    person = next(u for u in server.admin().items("/api/users") if u["name"] == "disabled-one")
    server.admin().call("PATCH", f"/api/users/{person['id']}", {"disabled": True},
                        headers={"If-Match": person["etag"]})
    replies = [login(server.api(), *who) for who in (
        ("nobody-of-that-name", PASSWORD), ("admin", "wrong" * 5), ("disabled-one", PASSWORD),
        ("admin", "x"), ("admin", "x" * 1000))]
    for reply in replies:
        assert reply.status == 401 and reply.code == "bad_login"
        assert reply.told == replies[0].told and len(reply.body) == len(replies[0].body)
        assert [h for h in reply.headers.keys()] == [h for h in replies[0].headers.keys()]


def test_five_logins_a_minute_per_address(server):
    api = server.api()
    for left in (4, 3, 2, 1, 0):
        reply = login(api, "counted", "wrong-password")
        assert reply.status == 401
        assert reply.headers["X-RateLimit-Remaining"] == str(left)
        assert reply.headers["X-RateLimit-Limit"] == "5"
    reply = login(api, "counted", "wrong-password")
    assert reply.status == 429 and reply.code == "too_often"
    assert 0 < int(reply.headers["Retry-After"]) <= 60
    assert reply.headers["RateLimit-Policy"] == '"default";q=5;w=60'
    assert login(server.api(), "counted", "wrong-password").status == 401


def test_parallel_guesses_do_not_slip_through(server):
    api, seen = server.api(), []

    def guess():
        seen.append(login(Api(server, api.source), "guessed", "wrong-password").status)
    threads = [threading.Thread(target=guess) for _ in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(seen) == [401] * 5 + [429] * 7


@pytest.mark.parametrize("password", ["p\u0000q-and-some-more", "x" * 1025, ""])
def test_a_password_that_cannot_be_one(server, password):
    reply = login(server.api(), "admin", password)
    assert reply.status == 400


def test_a_password_of_a_mebibyte_is_not_even_read(server):
    """The head tells its length; the answer is there before a byte of it was sent."""
    with server.api().connect() as sock:
        sock.sendall(f"POST /api/auth/login HTTP/1.1\r\nHost: {server.host}:{server.port}\r\n"
                     f"Content-Type: application/json\r\nContent-Length: {2**20}\r\n\r\n".encode())
        assert sock.recv(4096).startswith(b"HTTP/1.1 413 ")


# ---- refresh and logout

def test_refresh_rotates(server):
    api = server.technician()
    first = api.refresh_token
    api.refresh()
    assert api.refresh_token != first
    assert api.get("/api/auth/me")["name"] == api.user["name"]
    # The predecessor gets the same again, for a moment and from the same network.
    again = api.try_refresh(first)
    assert again.status == 200 and again.json["refresh_token"] == api.refresh_token


def test_reuse_ends_the_family(server):
    api = server.technician()
    first = api.refresh_token
    api.refresh()
    api.refresh()
    reply = api.try_refresh(first)
    assert reply.status == 401 and reply.code == "token_reused"
    assert api.try_refresh().status == 401
    assert api.request("GET", "/api/auth/me").status == 401
    assert server.admin().wait_event(type="token.reused", user=api.user["id"])


@pytest.mark.parametrize("token", ["x", "a.b.c", "tok_00000000000000000000000000.0.AAAA", "é", "x" * 120])
def test_refresh_tokens_made_up(server, token):
    reply = server.api().try_refresh(token)
    assert reply.status == 401 and reply.code == "token_invalid"


def test_an_access_token_is_no_refresh_token_and_the_other_way_round(server):
    api = server.technician()
    assert api.try_refresh(api.token[:110]).status == 401
    assert api.request("GET", "/api/auth/me", token=api.refresh_token).status == 401


def origin(server):
    return Local(server).call("GET", "/admin/status")["public_url"]


def by_cookie(server, path, cookie, **headers):
    return server.api().request("POST", path, b"{}", token=False, headers={
        "Cookie": f"a=b; __Secure-gatehouse-refresh={cookie}", "Content-Type": "application/json",
        **{name.replace("_", "-"): value for name, value in headers.items()}})


def test_the_cookie_is_taken_from_our_own_pages_only(server):
    cookie = cookie_of(login(server.api(), "admin", PASSWORD))[0]
    ours = origin(server)
    for bad in (None, "null", "https://evil.example", ours + ".evil.example", ours + "/", ours.upper(), ""):
        reply = by_cookie(server, "/api/auth/refresh", cookie, **({} if bad is None else {"Origin": bad}))
        assert reply.status == 403 and reply.code == "origin_not_allowed", bad
        assert ours in reply.json["detail"]
        assert by_cookie(server, "/api/auth/logout", cookie,
                         **({} if bad is None else {"Origin": bad})).status == 403
    reply = by_cookie(server, "/api/auth/refresh", cookie, Origin=ours)
    assert reply.status == 200 and "refresh_token" not in reply.json
    second = cookie_of(reply)[0]
    assert second != cookie
    reply = by_cookie(server, "/api/auth/logout", second, Origin=ours)
    assert reply.status == 204
    value, attributes = cookie_of(reply)
    assert value == "" and "Max-Age=0" in attributes
    assert by_cookie(server, "/api/auth/refresh", second, Origin=ours).status == 401


def test_the_cookie_needs_json(server):
    cookie, ours = cookie_of(login(server.api(), "admin", PASSWORD))[0], origin(server)
    for kind in ("text/plain", "multipart/form-data; boundary=x", "application/x-www-form-urlencoded"):
        assert by_cookie(server, "/api/auth/refresh", cookie, Origin=ours, Content_Type=kind).status == 415
    reply = server.api().request("POST", "/api/auth/refresh", b"", token=False, headers={
        "Cookie": f"__Secure-gatehouse-refresh={cookie}", "Origin": ours})
    assert reply.status == 415


def test_two_cookies_are_one_too_many(server):
    cookie = cookie_of(login(server.api(), "admin", PASSWORD))[0]
    reply = by_cookie(server, "/api/auth/refresh", f"{cookie}; __Secure-gatehouse-refresh={cookie}",
                      Origin=origin(server))
    assert reply.status == 400 and reply.json["field"] == "Cookie"


def test_the_cookie_opens_nothing_else(server):
    cookie = cookie_of(login(server.api(), "admin", PASSWORD))[0]
    reply = server.api().request("GET", "/api/auth/me", token=False, headers={
        "Cookie": f"__Secure-gatehouse-refresh={cookie}", "Origin": origin(server)})
    assert reply.status == 401


def test_logout_ends_the_token_at_once(server):
    api = server.technician()
    api.logout()
    assert api.request("GET", "/api/auth/me").status == 401
    assert api.try_refresh().status == 401


def test_logout_by_refresh_token_alone(server):
    api = server.technician()
    assert api.request("POST", "/api/auth/logout", {"refresh_token": api.refresh_token}, token=False).status == 204
    assert api.request("GET", "/api/auth/me").status == 401
    assert api.try_refresh().status == 401
    event = server.admin().wait_event(type="logout", match=lambda e: e["subject"].get("user") == api.user["id"])
    assert event["actor"]["kind"] in ("nobody", "user")


def test_logout_of_nobody(server):
    assert server.api().request("POST", "/api/auth/logout", {}, token=False).status == 401


# ---- access tokens that are worth nothing

def forgeries(good):
    header, claims, _ = token_parts(good)
    text = good.rsplit(".", 1)[0]
    other = dict(claims, sub="usr_" + "0" * 25 + "1")
    return {
        "none": f"{b64(json.dumps({'alg': 'none', 'typ': 'JWT'}).encode())}.{good.split('.')[1]}.",
        "None": f"{b64(json.dumps(dict(header, alg='None')).encode())}.{good.split('.')[1]}.",
        "no alg": sign({k: v for k, v in header.items() if k != "alg"}, claims),
        "hs384": sign(dict(header, alg="HS384"), claims, digest=hashlib.sha384),
        "hs256 in lower case": sign(dict(header, alg="hs256"), claims),
        "other kid": sign(dict(header, kid="0" * 16), claims),
        "jku": sign(dict(header, jku="https://evil.example/keys"), claims),
        "jwk": sign(dict(header, jwk={"kty": "oct", "k": "AAAA"}), claims),
        "crit": sign(dict(header, crit=["exp"]), claims),
        "b64": sign(dict(header, b64=False), claims),
        "other secret": sign(header, claims, secret="x" * 64),
        "cut": good[:-1],
        "longer": good + "A",
        "no signature": text + ".",
        "two parts": text,
        "spaces": good.replace(".", " .", 1),
        "duplicate claim": sign(header, json.dumps(claims, separators=(",", ":"))[:-1] + ',"exp":9999999999}'),
        "unknown claim": sign(header, dict(claims, admin=True)),
        "exp as text": sign(header, dict(claims, exp=str(claims["exp"]))),
        "huge exp": sign(header, json.dumps(dict(claims, exp=0)).replace('"exp": 0', '"exp": 1e300')),
        "far exp": sign(header, dict(claims, exp=claims["exp"] + 10**6)),
        "expired": sign(header, dict(claims, iat=1000, nbf=1000, exp=1900)),
        "not yet": sign(header, dict(claims, iat=claims["iat"] + 600, nbf=claims["nbf"] + 600,
                                     exp=claims["exp"] + 600)),
        "other issuer": sign(header, dict(claims, iss="elsewhere")),
        "other audience": sign(header, dict(claims, aud="other")),
        "no sub": sign(header, {k: v for k, v in claims.items() if k != "sub"}),
        "never issued": sign(header, dict(claims, fam="tok_" + "0" * 25 + "1", jti="tok_" + "0" * 25 + "1.0")),
        "family and number disagree": sign(header, dict(claims, jti="tok_" + "0" * 25 + "1.0")),
        "number to come": sign(header, dict(claims, jti=claims["jti"].rsplit(".", 1)[0] + ".9")),
        "somebody else": sign(header, other),
        "deep": sign('{"a":' * 400 + "1" + "}" * 400, claims),
    }


def test_forged_tokens_get_one_answer(make_server):
    forged = make_server(env={"JWT_SECRET": SECRET})
    api = forged.technician()
    assert api.get("/api/auth/me")["name"] == api.user["name"]
    generic = None
    for name, token in forgeries(api.token).items():
        reply = forged.api().request("GET", "/api/auth/me", token=token)
        assert reply.status == 401 and reply.code == "unauthenticated", name
        generic = generic or reply.body
        assert reply.body == generic, name
        assert reply.headers["WWW-Authenticate"] == "Bearer"
    why = {event["data"]["why"] for event in forged.admin().events(type="token.rejected")}
    assert {"header", "signature", "claims", "expired", "early", "issuer", "audience", "form"} <= why
    forgeds = forged.admin().events(type="token.forged")
    assert sorted(event["data"]["token_n"] for event in forgeds) == [0, 0, 9], [f["data"] for f in forgeds]
    assert api.get("/api/auth/me")["name"] == api.user["name"]


def test_a_huge_token_is_cut_off_in_the_head(server):
    reply = server.api().request("GET", "/api/auth/me", token="a" * 20000)
    assert reply.status == 431
    assert server.api().request("GET", "/api/auth/me", token="a" * 8000).status == 401


@pytest.mark.parametrize("value", ["", "Bearer", "Basic YTpi", "bearer", "Gatehouse-Code 123456789"])
def test_no_token_no_entry(server, value):
    reply = server.api().request("GET", "/api/auth/me", token=False, headers={"Authorization": value})
    assert reply.status == 401 and reply.code == "unauthenticated"


def test_a_token_in_the_query_is_no_token(server):
    api = server.technician()
    assert server.api().request("GET", f"/api/auth/me?access_token={api.token}").status == 401
    reply = api.request("GET", "/api/auth/me?access_token=abc")
    assert reply.status == 400 and reply.json["field"] == "access_token" and b"abc" not in reply.body


def test_a_token_asks_600_times_a_minute(server):
    api = server.technician()
    seen = [api.request("GET", "/api/auth/me") for _ in range(3)]
    left = [int(reply.headers["X-RateLimit-Remaining"]) for reply in seen]
    assert left == [left[0], left[0] - 1, left[0] - 2] and seen[0].headers["X-RateLimit-Limit"] == "600"


# ---- passwords

def change(api, current, new):
    return api.request("POST", "/api/auth/password", {"current": current, "new": new})


def test_a_changed_password_ends_the_other_logins(server):
    api = server.technician()
    other = server.api().login(api.user["name"])
    assert change(api, PASSWORD, NEW_PASSWORD).status == 204
    assert api.get("/api/auth/me")
    assert other.request("GET", "/api/auth/me").status == 401
    assert login(server.api(), api.user["name"], PASSWORD).status == 401
    assert login(server.api(), api.user["name"], NEW_PASSWORD).status == 200


def test_the_current_password_is_needed(server):
    api = server.technician()
    reply = change(api, "not-the-password-at-all", NEW_PASSWORD)
    assert reply.status == 403 and reply.code == "wrong_password"
    reply = api.request("POST", "/api/auth/password", {"new": NEW_PASSWORD})
    assert reply.status == 400 and reply.json["field"] == "current"
    assert login(server.api(), api.user["name"], PASSWORD).status == 200


@pytest.mark.parametrize("new", ["short-1", "password1234", "x" * 129, "qwertyuiop12"])
def test_weak_passwords_are_not_taken(server, new):
    api = server.technician()
    reply = change(api, PASSWORD, new)
    assert reply.status == 422 and reply.code == "weak_password" and reply.json["field"] == "new"
    assert login(server.api(), api.user["name"], PASSWORD).status == 200


def test_a_password_is_not_the_name(server):
    api = server.technician(name="margarethe.hollerbusch")
    assert change(api, PASSWORD, "margarethe.hollerbusch1").status == 422


def test_five_password_changes_a_minute(server):
    api = server.technician()
    seen = [change(api, "not-the-password-at-all", NEW_PASSWORD).status for _ in range(6)]
    assert seen == [403] * 5 + [429]


# ---- invitations and registration

def register(server, invite, name, password=PASSWORD, **more):
    body = {"name": name, "password": password, **more, **({} if invite is None else {"invite": invite})}
    return server.api().request("POST", "/api/auth/register", body, token=False)


def invite(server, role="technician"):
    return server.admin().post("/api/invites", {"role": role}, want=201)


def test_an_invitation_makes_one_account(server):
    one = invite(server, "auditor")
    assert one["role"] == "auditor" and 0 < one["expires_in"] <= 7 * 86400
    reply = register(server, one["invite"], "Erna.Example", display_name="Erna <b>")
    assert reply.status == 201
    assert reply.json["role"] == "auditor" and reply.json["name"] == "erna.example"
    assert b"<b>" not in reply.body
    assert register(server, one["invite"], "second").code == "invite_invalid"
    state = next(i for i in server.admin().items("/api/invites") if i["id"] == one["id"])
    assert state["state"] == "used" and state["user"] == reply.json["id"] and "invite" not in state


def test_a_taken_name_is_told_and_the_invitation_stands(server):
    one = invite(server)
    reply = register(server, one["invite"], "ADMIN")
    assert reply.status == 409 and reply.code == "name_taken" and reply.json["field"] == "name"
    assert register(server, one["invite"], "somebody-new").status == 201


def test_without_an_invitation_nobody_comes_in(server):
    assert register(server, None, "mallory").status == 403
    one = invite(server)
    changed = one["invite"][:-1] + ("A" if one["invite"][-1] != "A" else "B")
    assert register(server, changed, "mallory").code == "invite_invalid"
    server.admin().call("DELETE", f"/api/invites/{one['id']}", want=204)
    assert register(server, one["invite"], "mallory").code == "invite_invalid"
    reply = register(server, "inv_nonsense-that-is-long-enough-to-be-one", "mallory")
    assert reply.status == 400 and reply.json["field"] == "invite"


def test_a_weak_password_registers_nobody(server):
    one = invite(server)
    reply = register(server, one["invite"], "weakling", "weakling1234")
    assert reply.status == 422 and reply.json["field"] == "password"
    assert register(server, one["invite"], "weakling").status == 201


def test_two_registrations_a_minute_per_address(server):
    api = server.api()
    seen = [api.request("POST", "/api/auth/register", {"name": f"n{i}", "password": PASSWORD}, token=False).status
            for i in range(3)]
    assert seen == [403, 403, 429]


@pytest.mark.parametrize("member", ["role", "id", "seq", "disabled", "owner"])
def test_what_is_not_the_clients_to_say(server, member):
    reply = register(server, None, "mallory", **{member: "admin"})
    assert reply.status == 400 and reply.json["field"] == member


# ---- roles, users, tokens

def test_roles_decide(server):
    technician, auditor = server.technician(), server.auditor()
    assert technician.request("GET", "/api/users").code == "not_allowed"
    assert technician.request("GET", "/api/audit/events").status == 403
    assert technician.request("POST", "/api/invites", {"role": "admin"}).status == 403
    assert auditor.request("POST", "/api/codes", {}).status == 403
    assert auditor.request("GET", "/api/audit/events?limit=1").status == 200
    event = server.admin().wait_event(type="access.refused", user=technician.user["id"])
    assert event["data"]["why"] == "role"


def test_a_new_role_ends_the_old_tokens(server):
    api = server.technician()
    user = server.admin().get(f"/api/users/{api.user['id']}")
    changed = server.admin().call("PATCH", f"/api/users/{user['id']}", {"role": "auditor"},
                                  headers={"If-Match": user["etag"]})
    assert changed["role"] == "auditor" and changed["etag"] != user["etag"]
    assert api.request("GET", "/api/auth/me").status == 401
    assert server.api().login(api.user["name"]).get("/api/auth/me")["role"] == "auditor"


def test_a_disabled_account_is_out_at_once(server):
    api = server.technician()
    user = server.admin().get(f"/api/users/{api.user['id']}")
    changed = server.admin().call("PATCH", f"/api/users/{user['id']}", {"disabled": True},
                                  headers={"If-Match": user["etag"]})
    assert changed["disabled"] is True
    assert api.request("GET", "/api/auth/me").status == 401
    server.admin().call("PATCH", f"/api/users/{user['id']}", {"disabled": False},
                        headers={"If-Match": changed["etag"]})
    server.api().login(api.user["name"])


def test_two_admins_and_one_edit(server):
    api = server.technician()
    path = f"/api/users/{api.user['id']}"
    reply = server.admin().request("GET", path)
    etag = reply.headers["ETag"]
    assert etag == reply.json["etag"]
    assert server.admin().request("PATCH", path, {"role": "auditor"}).status == 428
    server.admin().call("PATCH", path, {"role": "auditor"}, headers={"If-Match": etag})
    reply = server.admin().request("PATCH", path, {"role": "admin"}, headers={"If-Match": etag})
    assert reply.status == 412 and reply.code == "changed_meanwhile"
    assert server.admin().request("PATCH", path, {"role": "admin"}, headers={"If-Match": "W/1"}).status == 400
    server.admin().call("PATCH", path, {"role": "technician"}, headers={"If-Match": "*"})


def test_the_last_admin_stays(make_server):
    server = make_server()
    admin = server.admin()
    path = f"/api/users/{admin.user['id']}"
    for body in ({"disabled": True}, {"role": "technician"}):
        assert admin.request("PATCH", path, body, headers={"If-Match": "*"}).code == "last_admin"


def test_tokens_are_seen_and_ended(server):
    api = server.technician()
    second = server.api().login(api.user["name"])
    mine = api.items("/api/tokens")
    assert len(mine) == 2 and [t["current"] for t in mine].count(True) == 1
    other = next(t for t in mine if not t["current"])
    stranger = server.technician()
    assert stranger.request("DELETE", f"/api/tokens/{other['id']}").status == 404
    assert stranger.request("GET", f"/api/tokens?user={api.user['id']}").status == 404
    assert server.admin().items("/api/tokens", user=api.user["id"])
    api.call("DELETE", f"/api/tokens/{other['id']}", want=204)
    assert second.request("GET", "/api/auth/me").status == 401
    assert api.get("/api/auth/me")
    assert api.request("DELETE", f"/api/tokens/{other['id']}").status == 404


# ---- a repeated POST

def test_a_repeated_post_has_one_effect(server):
    api = server.technician()
    headers = {"Idempotency-Key": "abc-1"}
    first = api.request("POST", "/api/codes", {}, headers=headers)
    again = api.request("POST", "/api/codes", {}, headers=headers)
    assert first.status == again.status == 201 and first.json == again.json
    assert len(api.items("/api/codes")) == 1
    reply = api.request("POST", "/api/codes", {"ttl_s": 60}, headers=headers)
    assert reply.status == 422 and reply.code == "idempotency_key_reused"
    assert api.request("POST", "/api/codes", {}, headers={"Idempotency-Key": "abc-2"}).json != first.json
    assert api.request("POST", "/api/codes", {}, headers={"Idempotency-Key": "a b"}).status == 400
    assert api.request("POST", "/api/codes", {}, headers={"Idempotency-Key": ""}).status == 400


def test_a_key_is_its_owners(server):
    one, two = server.technician(), server.technician()
    headers = {"Idempotency-Key": "same"}
    assert one.request("POST", "/api/codes", {}, headers=headers).json != \
        two.request("POST", "/api/codes", {}, headers=headers).json


def test_a_replay_needs_a_living_token(server):
    api = server.technician()
    headers = {"Idempotency-Key": "later"}
    assert api.request("POST", "/api/codes", {}, headers=headers).status == 201
    api.logout()
    assert api.request("POST", "/api/codes", {}, headers=headers).status == 401


def test_a_refused_post_may_be_tried_again(server):
    admin, headers = server.admin(), {"Idempotency-Key": "retry"}
    path = "/api/machines/mch_" + "0" * 26 + "/keys"
    assert admin.request("POST", path, {}, headers=headers).status == 404
    assert admin.request("POST", path, {}, headers=headers).status == 404


def test_reads_wait_for_what_was_written(server):
    admin = server.admin()
    for i in range(20):
        reply = admin.request("POST", "/api/machines", {"name": f"at-least-{i}"})
        position = reply.headers["Gatehouse-Position"]
        seen = admin.get(f"/api/machines?limit=1&at_least={position}")
        assert seen["items"][0]["name"] == f"at-least-{i}" and seen["position"] >= int(position)
    begun = time.monotonic()
    reply = admin.request("GET", f"/api/auth/me?at_least={int(position) + 900}")
    assert reply.status == 503 and reply.code == "behind" and time.monotonic() - begun > 4
    assert admin.request("GET", f"/api/auth/me?at_least={int(position) + 5000}").status == 400
    assert admin.request("GET", "/api/auth/me?at_least=-1").status == 400
