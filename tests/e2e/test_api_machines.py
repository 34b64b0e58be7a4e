"""Support codes, machines, keys and allow lists over HTTP."""
import pytest

from api_kit import Local
from harness import wait_until

NASTY = "<img src=x onerror=alert(1)>"


@pytest.fixture(scope="module")
def staff(server):
    class Staff:
        admin, technician, other, auditor = server.admin(), server.technician(), server.technician(), server.auditor()
    return Staff


# ---- support codes

def test_codes_live_ten_minutes_and_show_their_digits_once(server, staff):
    code = staff.technician.new_code()
    assert len(code["code"]) == 9 and code["code"].isdigit() and 590 <= code["expires_in"] <= 600
    listed = next(c for c in staff.technician.items("/api/codes") if c["id"] == code["id"])
    assert listed["state"] == "live" and "code" not in listed and code["code"] not in str(listed)
    assert staff.technician.new_code(ttl_s=60)["expires_in"] <= 60
    assert staff.technician.request("POST", "/api/codes", {"ttl_s": 601}).json["field"] == "ttl_s"
    for bad in (0, -1, 1.5, "60", None, 10**12, True):
        reply = staff.technician.request("POST", "/api/codes", {"ttl_s": bad})
        assert reply.status == 400 and reply.json["field"] == "ttl_s", bad


def test_a_post_without_a_body_means_all_defaults(staff):
    assert staff.technician.request("POST", "/api/codes").status == 201


def test_codes_are_seen_by_their_issuer_and_those_who_see_all(staff):
    code = staff.technician.new_code()
    for who, sees in ((staff.technician, True), (staff.admin, True), (staff.auditor, True), (staff.other, False)):
        assert (code["id"] in [c["id"] for c in who.items("/api/codes")]) == sees
    assert staff.other.request("DELETE", f"/api/codes/{code['id']}").status == 404
    assert staff.auditor.request("DELETE", f"/api/codes/{code['id']}").status == 403
    staff.technician.call("DELETE", f"/api/codes/{code['id']}", want=204)
    assert staff.technician.request("DELETE", f"/api/codes/{code['id']}").status == 404
    listed = next(c for c in staff.technician.items("/api/codes") if c["id"] == code["id"])
    assert listed["state"] == "revoked" and "expires_in" not in listed


def validate(server, code, api=None):
    return (api or server.api()).request("POST", "/api/codes/validate", {"code": code}, token=False)


def test_does_a_code_stand(server, staff):
    code = staff.technician.new_code()
    digits = code["code"]
    for form in (digits, f"{digits[:3]} {digits[3:6]} {digits[6:]}", f"{digits[:3]}-{digits[3:6]}-{digits[6:]}"):
        assert validate(server, form).json["valid"] is True
    staff.technician.call("DELETE", f"/api/codes/{code['id']}", want=204)
    revoked, never = validate(server, digits), validate(server, "000000000")
    assert revoked.status == never.status == 401 and revoked.told == never.told
    for bad in ("abcdefghi", "", "12345678\u0661", "1" * 41, "1" * 17, 123456789, "- -"):
        reply = validate(server, bad)
        assert reply.status == 400 and reply.json["field"] == "code", bad


def test_ten_codes_a_minute_per_address(server):
    api = server.api()
    seen = [validate(server, f"{i:09}", api).status for i in range(11)]
    assert seen == [401] * 10 + [429]


# ---- machines

def test_a_machine_from_beginning_to_end(staff):
    reply = staff.admin.request("POST", "/api/machines", {"name": "Web 1", "tags": ["prod", "web", "prod"]})
    assert reply.status == 201
    machine = reply.json
    assert machine["tags"] == ["prod", "web"] and machine["name"] == "Web 1" and machine["online"] is False
    assert reply.headers["ETag"] == machine["etag"]
    path = f"/api/machines/{machine['id']}"
    assert staff.technician.get(path)["name"] == "Web 1"
    changed = staff.admin.call("PATCH", path, {"name": "Web One", "note": "in the cellar"},
                               headers={"If-Match": machine["etag"]})
    assert changed["name"] == "Web One" and changed["note"] == "in the cellar" and changed["tags"] == ["prod", "web"]
    assert staff.admin.request("PATCH", path, {"name": "x"}, headers={"If-Match": machine["etag"]}).status == 412
    again = staff.admin.call("PATCH", path, {"note": "", "tags": []}, headers={"If-Match": changed["etag"]})
    assert "note" not in again and again["tags"] == []
    staff.admin.call("DELETE", path, want=204)
    assert staff.admin.request("GET", path).status == 404
    assert staff.admin.request("PATCH", path, {"name": "x"}, headers={"If-Match": "*"}).status == 404
    assert staff.admin.request("DELETE", path).status == 404
    assert machine["id"] not in [m["id"] for m in staff.admin.machines()]


def test_machines_are_an_admins_to_change(staff):
    machine = staff.admin.post("/api/machines", {"name": "not yours"}, want=201)
    path = f"/api/machines/{machine['id']}"
    for who in (staff.technician, staff.auditor):
        assert who.request("POST", "/api/machines", {"name": "x"}).status == 403
        assert who.request("PATCH", path, {"name": "x"}, headers={"If-Match": "*"}).status == 403
        assert who.request("DELETE", path).status == 403
        assert who.request("POST", f"{path}/keys", {}).status == 403
        assert who.request("GET", f"{path}/keys").status == 403
        assert who.request("PUT", f"{path}/allowlist", {"allow": []}, headers={"If-Match": "*"}).status == 403
        assert who.request("PUT", "/api/allowlist", {"allow": []}, headers={"If-Match": "*"}).status == 403


@pytest.mark.parametrize("name", ["", " ", " edge", "edge ", "a\u202eb", "a\u200bb", "line\nfeed", "\u001b[2J", "x" * 65, "\u0000",
                                  "é" * 65, 5, None, ["x"], {}])
def test_names_that_are_none(staff, name):
    reply = staff.admin.request("POST", "/api/machines", {"name": name})
    assert reply.status == 400 and reply.json["field"] in ("name", "body")


@pytest.mark.parametrize("tags", [["a b"], ["é"], [""], ["x" * 65], [f"t{i}" for i in range(17)], [1], "prod", [None]])
def test_tags_that_are_none(staff, tags):
    reply = staff.admin.request("POST", "/api/machines", {"name": "x", "tags": tags})
    assert reply.status == 400 and reply.json["field"] == "tags"


@pytest.mark.parametrize("member", ["id", "owner", "online", "guest", "seq", "etag", "added"])
def test_what_is_not_the_clients_to_say(staff, member):
    reply = staff.admin.request("POST", "/api/machines", {"name": "x", member: "y"})
    assert reply.status == 400 and reply.json["field"] == member


def test_foreign_text_comes_back_as_text(staff):
    machine = staff.admin.post("/api/machines", {"name": NASTY}, want=201)
    reply = staff.admin.request("GET", f"/api/machines/{machine['id']}")
    assert b"<" not in reply.body and reply.json["name"] == NASTY


def test_machines_are_found_by_filter(staff):
    for name, tags in (("db-1", ["prod"]), ("db-2", ["test"]), ("mail", ["prod"])):
        staff.admin.post("/api/machines", {"name": name, "tags": tags}, want=201)

    def found(text):
        return sorted(m["name"] for m in staff.technician.machines(text))
    assert found("name:db-*") == ["db-1", "db-2"]
    assert found("name:db-* tag:prod") == ["db-1"]
    assert found("name:db-* -tag:prod") == ["db-2"]
    assert found("name:DB-? online:false") == ["db-1", "db-2"]
    assert found('name:"db-*"') == []
    for bad in ("colour:red", "name", "online:maybe", "seen<x", "(a+)+$", "name:" + "a" * 2000, "tag:\u0001"):
        reply = staff.technician.request("GET", "/api/machines?filter=" + bad.replace("+", "%2B").replace(
            " ", "%20").replace("\u0001", "%01"))
        assert reply.status == 400 and reply.json["field"] == "filter", bad


def test_pages_meet_without_a_gap(staff, server):
    made = [staff.admin.post("/api/machines", {"name": f"page-{i:02}"}, want=201)["id"] for i in range(25)]
    seen = [m["id"] for m in staff.technician.items("/api/machines", filter="name:page-*", limit=7)]
    assert seen == made[::-1]
    page = staff.technician.get("/api/machines?filter=name:page-*&limit=7")
    cursor = page["next"]
    path = f"/api/machines?filter=name:page-*&limit=3&after={cursor}"
    assert len(staff.technician.get(path)["items"]) == 3
    for who, stolen in ((staff.other, path), (staff.technician, path.replace("page-*", "page-1*")),
                        (staff.technician, path.replace(cursor, cursor[:-1] + ("A" if cursor[-1] != "A" else "B"))),
                        (staff.technician, path.replace(cursor, "")), (staff.technician, path.replace(cursor, "5"))):
        reply = who.request("GET", stolen)
        assert reply.status == 400 and reply.code == "bad_cursor"
    for bad in ("0", "-1", "1001", "1e9", "x", "", "5.0", "+5", "1000000000000000000000"):
        reply = staff.technician.request("GET", "/api/machines?limit=" + bad.replace("+", "%2B"))
        assert reply.status == 400 and reply.json["field"] == "limit", bad


def test_users_are_found_by_filter(staff, server):
    assert [u["name"] for u in staff.admin.items("/api/users", filter="name:admin")] == ["admin"]
    assert {u["role"] for u in staff.admin.items("/api/users", filter="role:technician")} == {"technician"}
    assert staff.admin.items("/api/users", filter="role:technician disabled:true") == []
    assert len(staff.admin.items("/api/users", filter="role:technician", limit=1)) >= 2
    assert staff.admin.request("GET", "/api/users?filter=online:true").json["field"] == "filter"


# ---- keys

def test_keys_are_shown_once(staff):
    machine = staff.admin.post("/api/machines", {"name": "keyed"}, want=201)
    path = f"/api/machines/{machine['id']}/keys"
    key = staff.admin.post(path, {"ttl_s": 3600}, want=201)
    assert key["key"].startswith("gh_" + key["id"][4:] + "_") and key["expires_in"] == 3600
    listed = staff.admin.items(path)
    assert [k["state"] for k in listed] == ["live"]
    assert listed[0]["prefix"] == "gh_" + key["id"][4:] and key["key"].split("_")[2] not in str(listed)
    staff.admin.call("DELETE", f"{path}/{key['id']}", want=204)
    assert staff.admin.request("DELETE", f"{path}/{key['id']}").status == 404
    assert staff.admin.items(path)[0]["state"] == "revoked"
    other = staff.admin.post("/api/machines", {"name": "other"}, want=201)
    key = staff.admin.post(path, {}, want=201)
    assert "expires_in" not in key
    assert staff.admin.request("DELETE", f"/api/machines/{other['id']}/keys/{key['id']}").status == 404


# ---- allow lists

def test_allow_lists(staff):
    machine = staff.admin.post("/api/machines", {"name": "guarded"}, want=201)
    path = f"/api/machines/{machine['id']}/allowlist"
    reply = staff.admin.request("PUT", path, {"allow": ["192.0.2.0/24", "2001:db8::/32"]},
                                headers={"If-Match": machine["allow_etag"]})
    assert reply.status == 200 and reply.headers["ETag"] == reply.json["etag"]
    seen = staff.admin.get(f"/api/machines/{machine['id']}")
    assert seen["allow"] == ["192.0.2.0/24", "2001:db8::/32"] and seen["allow_etag"] == reply.json["etag"]
    assert seen["etag"] == machine["etag"]
    assert staff.admin.request("PUT", path, {"allow": []}, headers={"If-Match": machine["allow_etag"]}).status == 412
    assert staff.admin.request("PUT", path, {"allow": []}).status == 428
    for bad in (["192.0.2.0/33"], ["192.0.2.1/24 "], ["x"], ["192.0.2.0/24", "010.0.0.0/8"], [1], "192.0.2.0/24",
                ["192.0.2.0/24"] * 65):
        reply = staff.admin.request("PUT", path, {"allow": bad}, headers={"If-Match": "*"})
        assert reply.status == 400 and reply.json["field"] == "allow", bad
    staff.admin.call("PUT", path, {"allow": []}, headers={"If-Match": "*"})


def test_the_list_for_all_machines(make_server):
    admin = make_server().admin()
    empty = admin.get("/api/allowlist")
    assert empty["allow"] == []
    first = admin.call("PUT", "/api/allowlist", {"allow": ["10.0.0.0/8"]}, headers={"If-Match": empty["etag"]})
    assert admin.get("/api/allowlist") == {"allow": ["10.0.0.0/8"], "etag": first["etag"]}
    reply = admin.request("PUT", "/api/allowlist", {"allow": []}, headers={"If-Match": empty["etag"]})
    assert reply.status == 412


# ---- with a real agent

def test_an_agent_comes_by_key_and_goes_with_it(server, staff, make_agent):
    machine = staff.admin.post("/api/machines", {"name": "enrolled"}, want=201)
    key = staff.admin.post(f"/api/machines/{machine['id']}/keys", {}, want=201)
    agent = make_agent(server, name="enrolled", key=key["key"])
    online = staff.admin.wait_online("enrolled")
    assert online["id"] == machine["id"] and online["bound"] and "shell" in online["services"] and online["os"]
    assert staff.admin.items(f"/api/machines/{machine['id']}/keys")[0]["state"] == "spent"
    staff.admin.call("DELETE", f"/api/machines/{machine['id']}/keys/{key['id']}", want=204)
    wait_until("the agent is cut off",
               lambda: not staff.admin.get(f"/api/machines/{machine['id']}")["online"], timeout=2)
    agent.kill()


def test_a_guest_is_its_issuers(server, staff, make_agent):
    code = staff.technician.new_code()
    make_agent(server, name="a-guest", code=code["code"])
    guest = staff.technician.wait_online("a-guest")
    assert guest["guest"] and guest["code"] == code["id"]
    assert staff.other.request("GET", f"/api/machines/{guest['id']}").status == 404
    assert guest["id"] not in [m["id"] for m in staff.other.machines()]
    assert guest["id"] in [m["id"] for m in staff.auditor.machines()]
    assert staff.other.request("POST", "/api/sessions", {"machine": guest["id"]}).status == 404
    listed = next(c for c in staff.technician.items("/api/codes") if c["id"] == code["id"])
    assert listed["state"] == "redeemed" and listed["machine"] == guest["id"]
    assert validate(server, code["code"]).status == 401
    assert Local(server).call("GET", f"/api/machines/{guest['id']}")["name"] == "a-guest"
