"""Devices that a login made known: their attempts are counted apart, so that no stranger can keep
somebody out by failing in his name, from his network, or from everywhere."""
import harness

NAME = "__Host-gatehouse-device"


def login(api, name, password=harness.PASSWORD, **more):
    return api.request("POST", "/api/auth/login", {"name": name, "password": password, "cookie": False, **more},
                       token=False)


def known(server, name):
    reply = login(server.api(), name, remember=True)
    assert reply.status == 200, reply
    return reply.json["device"]


def account(server):
    return server.technician().user["name"]


def test_no_stranger_locks_a_technician_out(server):
    name = account(server)
    device = known(server, name)
    for _ in range(3):  # from three addresses: more failures than the account has slots
        api = server.api()
        statuses = [login(api, name, "not the right one").status for _ in range(5)]
    assert statuses[-1] == 429
    assert login(server.api(), name).status == 429  # right, but from nowhere that is known
    assert login(api, name, device=device).status == 200  # from the very address that failed
    assert login(server.api(), name, device=device).status == 200


def test_a_known_device_has_its_own_end(server):
    name = account(server)
    device = known(server, name)
    api = server.api()
    statuses = [login(api, name, "not the right one", device=device).status for _ in range(11)]
    assert statuses == [401] * 10 + [429]
    reply = login(api, name, device=device)
    assert reply.status == 429 and reply.headers["X-RateLimit-Limit"] == "10"
    assert login(server.api(), name).status == 200  # others are not held to it


def test_it_is_the_accounts_and_opens_nothing(server):
    name, other = account(server), account(server)
    device = known(server, name)
    api = server.api()
    for _ in range(5):
        assert login(api, other, "not the right one", device=device).status == 401
    assert login(api, other, device=device).status == 429  # known, but not to this account
    assert login(server.api(), name, "not the right one", device=device).status == 401
    assert api.request("GET", "/api/auth/me", token=device).status in (401, 429)


def test_browsers_get_a_cookie(server):
    name = account(server)
    api = server.api()
    reply = api.request("POST", "/api/auth/login", {"name": name, "password": harness.PASSWORD}, token=False)
    lines = [line for line in reply.headers.get_all("Set-Cookie") if line.startswith(NAME)]
    assert len(lines) == 1 and "device" not in reply.json
    value, attributes = lines[0].split(";")[0].partition("=")[2], {part.strip() for part in lines[0].split(";")[1:]}
    assert attributes >= {"Path=/", "HttpOnly", "Secure", "SameSite=Strict"}
    assert not any(part.startswith("Domain") for part in attributes)
    for _ in range(5):
        login(api, name, "not the right one")
    body = {"name": name, "password": harness.PASSWORD}
    assert api.request("POST", "/api/auth/login", body, token=False).status == 429
    again = api.request("POST", "/api/auth/login", body, token=False, headers={"Cookie": f"a=b; {NAME}={value}"})
    assert again.status == 200
    assert [line.split(";")[0] for line in again.headers.get_all("Set-Cookie") if line.startswith(NAME)] == [
        f"{NAME}={value}"]


def test_listed_and_removable(server):
    name = account(server)
    device = known(server, name)
    api = server.api().login(name)
    listed = [item for item in api.items("/api/tokens") if item["kind"] == "device"]
    assert len(listed) == 1 and listed[0]["id"] == device.split(".")[0] and listed[0]["live"]
    assert listed[0]["address"].startswith("127.")
    event = server.admin().wait_event(type="device.known", match=lambda e: e["data"]["device"] == listed[0]["id"])
    assert event["subject"]["user"] == api.user["id"]
    server.technician().call("DELETE", f"/api/tokens/{listed[0]['id']}", want=404)
    api.call("DELETE", f"/api/tokens/{listed[0]['id']}", want=204)
    api.call("DELETE", f"/api/tokens/{listed[0]['id']}", want=404)
    stranger = server.api()
    for _ in range(5):
        login(stranger, name, "not the right one", device=device)
    assert login(stranger, name, device=device).status == 429
    server.admin().wait_event(type="device.removed")


def test_the_command_line_is_known(server):
    name = account(server)
    profile = server.profile(name)
    files = list((profile.home / "state").glob("gatehouse/device.*"))
    assert len(files) == 1 and files[0].stat().st_mode & 0o777 == 0o600
    profile.run("logout", check=0)
    for _ in range(3):
        api = server.api()
        for _ in range(5):
            login(api, name, "not the right one")
    assert login(server.api(), name).status == 429
    profile.login()
    assert list((profile.home / "state").glob("gatehouse/device.*")) == files


def test_the_oldest_gives_way(server):
    name = account(server)
    first = known(server, name)
    for _ in range(16):
        last = known(server, name)
    api = server.api().login(name)
    live = {item["id"] for item in api.items("/api/tokens") if item["kind"] == "device" and item["live"]}
    assert len(live) == 16 and last.split(".")[0] in live and first.split(".")[0] not in live


def test_known_after_a_restart(make_server):
    server = make_server()
    name = account(server)
    device = known(server, name)
    server.restart(kill=True)
    api = server.api()
    for _ in range(5):
        login(api, name, "not the right one")
    assert login(api, name).status == 429
    assert login(api, name, device=device).status == 200
    assert server.verify().returncode == 0
