"""What the command line does for people beyond lists: accounts by invitation, own passwords, codes,
the policy, and allow lists."""
import json

import pytest

from harness import PASSWORD, Profile, binary, clean_environment, run

OTHER = "another-horse-battery-staple-7"


def register(server, folder, name, invite, password=PASSWORD):
    folder.mkdir(exist_ok=True)
    for file, text in (("invite", invite), ("password", password)):
        (folder / file).touch(0o600)
        (folder / file).write_text(text + "\n")
    return run(binary("gatehouse"), "register", "--server", server.url, "--ca", server.ca, "--user", name,
               "--invite-file", folder / "invite", "--password-file", folder / "password",
               env=clean_environment(HOME=folder))


def test_an_invitation_becomes_an_account_once(server, tmp_path):
    invite = server.admin().call("POST", "/api/invites", {"role": "technician"}, want=201)["invite"]
    done = register(server, tmp_path / "a", "cli-ada", invite)
    assert done.returncode == 0 and "Registered cli-ada (technician)" in done.stderr
    me = Profile(server, "cli-ada", PASSWORD).login().run("me", "--json")
    assert json.loads(me.stdout)["role"] == "technician"
    again = register(server, tmp_path / "b", "cli-eve", invite)
    assert again.returncode in (1, 4) and len(again.stderr.splitlines()) == 1
    assert invite not in again.stderr


def test_people_change_their_own_password(server):
    name = server.technician().user["name"]
    profile = Profile(server, name, PASSWORD).login()
    current = server.secret_file("current.password", PASSWORD)
    new = server.secret_file("new.password", OTHER)
    wrong = profile.run("password", "--current-file", new, "--new-file", current)
    assert wrong.returncode in (1, 4) and OTHER not in wrong.stderr
    assert profile.run("password", "--current-file", current, "--new-file", new).returncode == 0
    assert server.api().try_login(name, PASSWORD).status == 401
    assert server.api().try_login(name, OTHER).status == 200


def test_a_code_is_checked_from_a_file_or_a_pipe(server):
    profile = server.profile()
    code = json.loads(profile.run("code", "new", "--json").stdout)["code"]
    assert json.loads(profile.run("code", "check", "--code-file", "-", "--json", input=code + "\n").stdout)["valid"]
    refused = profile.run("code", "check", "--code-file", "-", input="999999999\n")
    assert refused.returncode == 4 and "999999999" not in refused.stderr


def test_one_allow_list_for_all_machines(make_server):
    server = make_server()
    profile = server.profile()
    assert "127.0.0.0/8" in profile.run("machine", "allow-all", "127.0.0.0/8").stdout
    bad = profile.run("machine", "allow-all", "127.0.0.0/40")
    assert bad.returncode == 1 and "allow" in bad.stderr
    assert server.admin().get("/api/allowlist")["allow"] == ["127.0.0.0/8"]
    assert profile.run("machine", "allow-all").returncode == 0
    assert server.admin().get("/api/allowlist")["allow"] == []


def numbers(text):
    return {item["name"]: item for item in json.loads(text)["items"]}


def test_the_policy_is_shown_and_changed_and_told(make_server):
    server = make_server()
    before = numbers(server.profile().run("policy", "show", "--json").stdout)
    assert before["login_net"]["value"] == "5/60" and not before["login_net"]["changed"]
    changed = server.cli("policy", "set", "login_net=2/60", "session_s=3600", "--json", check=0)
    assert numbers(changed.stdout)["login_net"] == dict(before["login_net"], value="2/60", changed=True)
    client = server.api()
    assert [client.try_login("nobody", PASSWORD).status for _ in range(3)] == [401, 401, 429]
    event = server.admin().events(type="policy.adopted")[-1]
    assert event["actor"]["kind"] == "cli"
    server.restart()
    after = numbers(server.cli("policy", "show", "--json", check=0).stdout)
    assert after["login_net"]["value"] == "2/60" and after["session_s"]["value"] == "3600"


@pytest.mark.parametrize("assignment, says", [
    ("login_net=0/60", "range"), ("nonsense=1", "no number of that name"), ("session_s", "NAME=NUMBER"),
    ("login_net=5", "COUNT/SECONDS"), ("session_s=\x1b[2J", "NAME=NUMBER"),
])
def test_a_number_that_cannot_be_is_named_and_nothing_changes(server, assignment, says):
    before = server.cli("policy", "show", "--json", check=0).stdout
    refused = server.cli("policy", "set", "code_s=60", assignment)
    assert refused.returncode == 1 and says in refused.stderr and "\x1b" not in refused.stderr
    assert json.loads(server.cli("policy", "show", "--json", check=0).stdout)["sha256"] == json.loads(before)["sha256"]


def test_the_policy_is_not_changed_over_the_network(server):
    assert server.admin().request("PATCH", "/admin/policy", {"set": ["login_net=100/60"]}).status == 404
    assert server.technician().request("GET", "/api/policy").status == 403
    assert server.auditor().get("/api/policy")["items"]
