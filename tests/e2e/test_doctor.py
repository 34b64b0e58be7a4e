"""State folders that a server must refuse, each with its remedy, and what `gatehouse doctor` says about them."""
import contextlib
import json
import os
import shutil
import socket
import subprocess

import harness
import pytest

FAILSTOP = 74


@pytest.fixture(scope="module")
def template(tmp_path_factory):
    """A folder in which a server has been at work."""
    server = harness.Server(tmp_path_factory.mktemp("template")).init().start()
    server.technician()
    server.cli("key", "rotate", "event", check=0)
    assert server.stop() == 0
    return server


@pytest.fixture
def server(template, tmp_path):
    """A server on a copy of it."""
    one = harness.Server(tmp_path)
    shutil.copytree(template.state, one.state)
    yield one
    if one.running():
        one.stop()


def doctor(server, *args, **kwargs):
    done = server.cli("doctor", "--json", *args, **kwargs)
    found = {}
    for item in json.loads(done.stdout)["items"]:
        found.setdefault(item["check"], []).append((item["level"], item["text"]))
    return done.returncode, found


def flip(path, offset):
    data = bytearray(path.read_bytes())
    data[offset] ^= 0xff
    path.write_bytes(data)


def damage_log(server):
    """Other bytes in a record: as somebody would who hides what he did."""
    path = server.state / "log/data.mdb"
    origin = (server.state / "origin").read_text().strip().encode()
    data = path.read_bytes()
    assert origin in data  # log.opened says it
    path.write_bytes(data.replace(origin, origin[:-1] + bytes([origin[-1] ^ 1])))


def write(path, text):
    path.write_text(text)


DAMAGE = {
    "newer format": (lambda s: write(s.state / "format", "gatehouse-state 2\n"), "newer build", "folder"),
    "no folder": (lambda s: shutil.rmtree(s.state), "gatehouse init", "folder"),
    "missing event key": (lambda s: (s.state / "keys/event.2.key").unlink(), "event.2.key", "keys"),
    "missing log key": (lambda s: (s.state / "keys/log.1.key").unlink(), "log.1.key", "keys"),
    "wrong key": (lambda s: flip(s.state / "keys/log.1.key", 3), "restore", "keys"),
    "folder open to others": (lambda s: s.state.chmod(0o755), "chmod 0700", "folder"),
    "key open to others": (lambda s: (s.state / "keys/log.1.key").chmod(0o644), "chmod 0600", "keys"),
    "keystore open to others": (lambda s: (s.state / "keystore").chmod(0o640), "chmod 0600", "files"),
    "token secret open to others": (lambda s: (s.state / "jwt.env").chmod(0o644), "chmod 600", "tokens"),
    "no token secret": (lambda s: (s.state / "jwt.env").unlink(), "jwt", "tokens"),
    "wrong owner": (lambda s: os.chown(s.state, 65534, 65534), "chown", "folder"),
    "no keystore": (lambda s: (s.state / "keystore").unlink(), "backup", "files"),
}


@pytest.mark.parametrize("what", DAMAGE)
def test_what_is_wrong_is_refused_with_the_remedy(server, what):
    spoil, remedy, check = DAMAGE[what]
    if what == "wrong owner" and os.geteuid() != 0:
        pytest.skip("only root gives files away")
    spoil(server)
    code, found = doctor(server)
    assert code == 1
    assert any(level == "wrong" and remedy in text for level, text in found[check]), found
    server.start(wait=False)
    assert server.wait(20) == 1
    line = server.log().strip().splitlines()[-1]
    assert line.startswith("gatehouse serve: ") and remedy in line, line


def test_a_log_that_does_not_verify_is_named(server, tmp_path):
    damage_log(server)
    code, found = doctor(server, "--full")
    assert code == 5
    level, text = found["log"][0]
    assert level == "wrong" and "backup" in text
    assert server.verify().returncode == 5


def test_a_second_server_on_the_same_folder_or_port(server, tmp_path):
    server.start()
    second = harness.Process("second", tmp_path)
    second.spawn(server.command())
    assert second.wait(20) == 1
    assert f"in use by process {server.pid}" in second.log() and "--state-dir" in second.log()
    other = harness.Server(tmp_path / "other").init()
    other.port = server.port
    other.start(wait=False)
    assert other.wait(20) == 1
    assert str(server.port) in other.log() and "in use" in other.log().lower(), other.log()
    assert server.api().request("GET", "/healthz").status == 200


def test_a_sound_folder_with_and_without_its_server(server):
    code, found = doctor(server)
    assert code == 0, found
    assert {level for lines in found.values() for level, _ in lines} == {"ok", "note"}
    assert found["anchor"][0][0] == "note" and "--anchor-dir" in found["anchor"][0][1]
    assert "root.key" in found["root key"][0][1]
    assert "none is running" in found["server"][0][1]
    before = sorted((p, p.stat().st_mtime_ns) for p in server.state.rglob("*")
                    if p.is_file() and p.name not in ("lock", "lock.mdb"))
    doctor(server)
    assert before == sorted((p, p.stat().st_mtime_ns) for p in server.state.rglob("*")
                            if p.is_file() and p.name not in ("lock", "lock.mdb"))
    server.start()
    code, found = doctor(server)
    assert code == 0 and found["server"] == [("ok", "is running, and ready")]
    text = server.cli("doctor", check=0).stdout
    assert "ok     log" in text and "\x1b" not in text


def test_the_marker_of_a_failed_write_goes_only_after_a_full_verification(server):
    write(server.state / "failed", "fdatasync of the log: Input/output error\n")
    (server.state / "failed").chmod(0o600)
    server.start(wait=False)
    assert server.wait(20) == 1 and "gatehouse doctor" in server.log()
    (server.state / "keystore").chmod(0o640)
    assert doctor(server)[0] == 1
    assert (server.state / "failed").exists()
    (server.state / "keystore").chmod(0o600)
    code, found = doctor(server)
    assert code == 0 and "Input/output error" in found["failure"][0][1]
    assert "every signature" in found["log"][0][1]
    assert not (server.state / "failed").exists()
    server.start()


def test_a_full_disk_ends_the_server_and_loses_nothing(tmp_path):
    mount = tmp_path / "small"
    mount.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=320m,mode=0700", "tmpfs", mount],
                      stderr=subprocess.DEVNULL, check=False).returncode != 0:
        pytest.skip("no tmpfs can be mounted here")
    try:
        fill_and_recover(harness.Server(mount).init().start(), mount)
    finally:
        subprocess.run(["umount", "-l", mount], check=False)


def fill_and_recover(server, mount):
    from api_kit import Local
    local, acknowledged = Local(server), []
    stat = os.statvfs(mount)
    with (mount / "ballast").open("wb") as out:
        os.posix_fallocate(out.fileno(), 0, stat.f_bavail * stat.f_frsize - 65536)
    with contextlib.suppress(OSError, harness.http.client.HTTPException):
        for i in range(5000):  # who is on the server's machine is never refused
            networks = [f"10.{i // 256}.{i % 256}.{k}/32" for k in range(64)]
            reply = local.request("PUT", "/api/allowlist", {"allow": networks}, headers={"If-Match": "*"})
            assert reply.status == 200, reply
            acknowledged.append(int(reply.json["etag"].strip('"')))
    assert server.wait(30) == FAILSTOP, server.log()[-2000:]
    assert server.log().count("FATAL") == 1 and "gatehouse doctor" in server.log()
    assert acknowledged
    (mount / "ballast").unlink()
    code, found = doctor(server)
    assert code == 0, found
    server.start()
    there = {e["seq"] for e in server.admin().events(type="allowlist.changed")}
    assert set(acknowledged) <= there
    assert server.stop() == 0
    assert server.verify().returncode == 0


# ---- signing keys

def test_keys_rotate_by_command_and_all_of_the_log_verifies(server):
    server.start()
    for key in ("event", "log", "log", "event"):
        server.cli("key", "rotate", key, check=0)
        server.admin().post("/api/machines", {"name": f"after-{key}"}, want=201)
    names = sorted(p.name for p in (server.state / "keys").iterdir())
    assert names == ["event.4.key", "log.3.key", "root.key", "root.pub"]  # old secrets are gone
    assert server.verify().returncode == 0
    assert server.cli("key", "rotate", "root").returncode == 1
    server.restart()
    assert len(server.admin().events(type="key.rotated")) == 5
    assert server.verify().returncode == 0
    assert doctor(server)[0] == 0


@pytest.mark.parametrize("key", ["event", "log"])
def test_a_server_killed_while_it_rotates_goes_on(server, key):
    """At whatever moment: the key that the log names is there, and no other."""
    delays = [0, 0.001, 0.002, 0.004, 0.006, 0.01, 0.02, 0.05]
    for delay in delays:
        server.start()
        with socket.socket(socket.AF_UNIX) as sock:
            sock.connect(str(server.state / "admin.sock"))
            body = json.dumps({"key": key}).encode()
            sock.sendall(b"POST /admin/keys/rotate HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
                         b"Content-Length: %d\r\n\r\n%s" % (len(body), body))
            harness.time.sleep(delay)
            server.kill()
        assert server.verify().returncode == 0
    server.start()
    server.admin().post("/api/machines", {"name": "goes on"}, want=201)
    server.stop()
    secrets = sorted(p.name for p in (server.state / "keys").iterdir() if p.name.startswith(("event", "log")))
    assert len(secrets) == 2, secrets
    code, found = doctor(server, "--full")
    assert code == 0, found


def test_config_show_names_where_each_value_is_from(server):
    (server.state / "gatehouse.conf").write_text("loops = 3\n# a comment\nlog-level = debug\n")
    (server.state / "gatehouse.conf").chmod(0o600)
    env = harness.clean_environment(GATEHOUSE_LOG_FORMAT="json")
    done = server.cli("config", "show", "--proof-threads", "1", "--json", env=env, check=0)
    items = {item["name"]: item for item in json.loads(done.stdout)["items"]}
    assert items["loops"] == {"name": "loops", "value": "3", "from": "file", "line": 1}
    assert items["log-level"]["line"] == 3
    assert items["log-format"]["from"] == "environment" and items["log-format"]["value"] == "json"
    assert items["proof-threads"]["from"] == "flag" and items["listen"]["from"] == "default"
    text = server.cli("config", "show", check=0).stdout
    assert "loops              3" in text and "file line 1" in text
    (server.state / "gatehouse.conf").write_text("loops = many\n")
    done = server.cli("config", "show", check=2)
    assert "gatehouse.conf:1" in done.stderr or "line 1" in done.stderr
