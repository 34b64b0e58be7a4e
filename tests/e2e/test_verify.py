"""Evidence in a file: exported beside a running server, verified without it, and damaged in every way
an operator or a thief could think of."""
import base64
import hashlib
import json
import os
import pathlib
import re
import shutil
import signal
import subprocess
import time

import harness
import pytest
import relay_kit
from api_kit import Local
from harness import binary, run

ROOT = pathlib.Path(__file__).resolve().parents[2]


def verify(file, *args, **kwargs):
    return run(binary("gatehouse-verify"), "log", file, *args, **kwargs)


def frames(data):
    """(header, [(tag, bytes), ...]) of a log file."""
    at = 0
    for _ in range(3):
        at = data.index(b"\n", at) + 1
    header, found = data[:at], []
    while at < len(data):
        length = int.from_bytes(data[at + 1:at + 5], "big")
        found.append((data[at:at + 1], data[at + 5:at + 5 + length]))
        at += 5 + length
    return header, found


def put_frames(header, found):
    return header + b"".join(tag + len(body).to_bytes(4, "big") + body for tag, body in found)


def records(bundle):
    at, found = 0, []
    while at < len(bundle):
        size = int.from_bytes(bundle[at:at + 2], "big")
        found.append(bundle[at + 2:at + 2 + size])
        at += 2 + size
    return found


def put_records(found):
    return b"".join(len(record).to_bytes(2, "big") + record for record in found)


@pytest.fixture(scope="module")
def evidence(tmp_path_factory):
    """A log with a session in it, two key rotations and a restart, exported while the server runs."""
    class Evidence:
        folder = tmp_path_factory.mktemp("evidence")
    server = harness.Server(Evidence.folder / "server").init().start()
    admin = server.admin()
    Evidence.head_before = admin.request("GET", "/log/checkpoint").body
    desk = relay_kit.Desk(server, Evidence.folder, by="key", name="evident")
    session = desk.session()
    socket = desk.attach(session)
    desk.wait_event("channel.opened")
    socket.close()
    admin.request("DELETE", f"/api/sessions/{session}")
    Evidence.log_key = log_vkey(server)
    server.cli("key", "rotate", "event", check=0)
    for i in range(260):  # a second bundle
        Local(server).call("POST", "/api/machines", {"name": f"m{i}"}, want=201)
    Evidence.head_middle = admin.request("GET", "/log/checkpoint").body
    server.cli("key", "rotate", "log", check=0)
    server.restart()
    Evidence.server, Evidence.root_key = server, (server.state / "keys/root.pub").read_text().strip()
    Evidence.file = Evidence.folder / "evidence.log"
    Evidence.said = server.cli("audit", "export", "--out", Evidence.file, check=0).stdout
    Evidence.data = Evidence.file.read_bytes()
    Evidence.header, Evidence.frames = frames(Evidence.data)
    Evidence.origin, Evidence.size = Evidence.header.split(b"\n")[1].decode(), int(Evidence.header.split(b"\n")[2])
    yield Evidence
    assert server.stop() == 0


def vkey(name, key):
    number = hashlib.sha256(name.encode() + b"\n\x01" + key).digest()[:4].hex()
    return "+".join((name, number, base64.b64encode(b"\x01" + key).decode()))


def log_vkey(server):
    """The log key of log.opened, as a verifier key: what an auditor noted down on the first day."""
    opened = server.admin().events()[0]["data"]
    return vkey(opened["origin"], base64.b64decode(opened["log_key"]))


def test_the_whole_log_verifies_by_roots_key(evidence):
    done = verify(evidence.file, "--key", evidence.root_key, check=0)
    assert f"log {evidence.origin}: {evidence.size} events verify (every signature, chain, tree and head)" in done.stdout
    assert re.search(r"signatures (\d+), agents' statements (\d+), heads 1, state digests 2", done.stdout)
    assert done.stderr == ""
    key_file = evidence.folder / "root.vkey"
    key_file.write_text(evidence.root_key + "\n")
    result = json.loads(verify(evidence.file, "--key-file", key_file, "--json", check=0).stdout)
    root = evidence.frames[0][1].split(b"\n")[2].decode()
    assert result == {"verifies": True, "origin": evidence.origin, "key": "root", "checked": "full", "root": root,
                      "events": evidence.size, "heads": 1, "signatures": evidence.size,
                      "statements": result["statements"], "digests": 2, "digests_not_checked": 0}
    assert result["statements"] >= 3  # enrolment, connection, channel
    fast = json.loads(verify(evidence.file, "--key-file", key_file, "--json", "--fast", check=0).stdout)
    assert fast["checked"] == "fast" and fast["signatures"] == 3 and fast["digests"] == 0 and fast["root"] == root
    with evidence.file.open("rb") as file:
        piped = subprocess.run([binary("gatehouse-verify"), "log", "-", "--key", evidence.root_key], stdin=file,
                               env=harness.clean_environment(), capture_output=True, check=False, timeout=60)
    assert piped.returncode == 0 and b"events verify" in piped.stdout


def test_the_export_is_itself_an_event(evidence):
    seq = int(re.search(r"event (\d+) says that this was exported", evidence.said)[1])
    event = evidence.server.admin().get(f"/api/audit/events/{seq}")
    assert event["type"] == "audit.exported" and event["actor"]["kind"] == "cli" and event["data"]["action"] == "log"
    assert seq < evidence.size and f"{evidence.size} events of log {evidence.origin}" in evidence.said
    assert evidence.file.stat().st_mode & 0o777 == 0o600
    assert not list(evidence.folder.glob("*.partial*"))


def test_a_log_key_vouches_for_tree_and_heads_only(evidence):
    """The first log key signed older heads; the newest is by the next one, which only root's chain vouches for."""
    older = evidence.folder / "middle.checkpoint"
    older.write_bytes(evidence.head_middle)
    done = verify(evidence.file, "--key", evidence.log_key, "--checkpoint", older, check=0)
    assert "tree, heads and key events" in done.stdout and "A log key vouches for tree and heads only" in done.stdout
    alone = verify(evidence.file, "--key", evidence.log_key, check=5)
    assert "no head is signed by the key given" in alone.stderr
    with evidence.file.open("rb") as file:
        opened = next(body for tag, body in frames(file.read())[1] if tag == b"K")
    assert opened[:8] == bytes(8)


def test_an_older_head_must_be_extended(evidence):
    for name in ("head_before", "head_middle"):
        older = evidence.folder / f"{name}.checkpoint"
        older.write_bytes(getattr(evidence, name))
        size = int(older.read_bytes().split(b"\n")[1])
        done = verify(evidence.file, "--key", evidence.root_key, "--fast", "--checkpoint", older, check=0)
        assert f"extends the older head of {size} events" in done.stdout and "heads 2" in done.stdout


def test_a_rollback_is_caught_by_a_head_kept_outside(evidence):
    """The file of yesterday, put in place of today's, is flawless; only the newer head tells."""
    later = evidence.folder / "later.checkpoint"
    Local(evidence.server).call("POST", "/api/machines", {"name": "later"}, want=201)
    later.write_bytes(evidence.server.admin().request("GET", "/log/checkpoint").body)
    done = verify(evidence.file, "--key", evidence.root_key, "--fast", "--checkpoint", later, check=5)
    assert f"event {evidence.size}: it is missing: a head speaks of" in done.stderr
    result = json.loads(verify(evidence.file, "--key", evidence.root_key, "--fast", "--json", "--checkpoint", later,
                               check=5).stdout)
    assert result["verifies"] is False and result["bad_seq"] == evidence.size and "missing" in result["why"]


def test_two_logs_of_one_name_do_not_pass_for_each_other(evidence, make_server):
    """Another server under the same origin: other keys, so neither file nor head fits the other."""
    other = make_server(init=("--origin", evidence.origin))
    mine = evidence.folder / "other.log"
    other.cli("audit", "export", "--out", mine, check=0)
    assert "log.opened names another root key" in verify(mine, "--key", evidence.root_key, check=5).stderr
    other_key = (other.state / "keys/root.pub").read_text().strip()
    assert "event 0: log.opened names another root key" in verify(evidence.file, "--key", other_key, check=5).stderr
    verify(mine, "--key", other_key, check=0)
    head = evidence.folder / "other.checkpoint"
    head.write_bytes(other.admin().request("GET", "/log/checkpoint").body)
    done = verify(evidence.file, "--key", evidence.root_key, "--checkpoint", head, check=5)
    assert re.search(r"event \d+: the head of size \d+ has another root than these events", done.stderr)
    # bundles of one log in the frame of the other
    spliced = evidence.folder / "spliced.log"
    theirs = [frame for frame in frames(mine.read_bytes())[1] if frame[0] == b"B"]
    spliced.write_bytes(put_frames(evidence.header, [f for f in evidence.frames if f[0] not in b"BE"] + theirs + [(b"E", b"")]))
    assert verify(spliced, "--key", evidence.root_key, check=5).stderr.startswith("gatehouse-verify: event 0: ")


def test_a_log_of_another_name(evidence, make_server):
    other = make_server(start=False, init=("--origin", "another.example"))
    file = evidence.folder / "another.log"
    other.cli("audit", "export", "--out", file, check=0)
    assert "another origin than the key's" in verify(file, "--key", evidence.root_key, check=5).stderr


# ---- damage

def damages(evidence):
    """name -> (the file's bytes, the seq to be named or None, words of the reason)"""
    header, parts = evidence.header, evidence.frames
    bundles = [i for i, (tag, _) in enumerate(parts) if tag == b"B"]
    first, second = bundles[0], bundles[1]
    listed = [int.from_bytes(body[:8], "big") for tag, body in parts if tag == b"K"]
    victim = next(seq for seq in range(40, 200) if seq not in listed)
    plain = records(parts[first][1])

    def with_part(index, body, tag=None):
        changed = list(parts)
        changed[index] = (tag or changed[index][0], body)
        return put_frames(header, changed)

    def with_records(change):
        found = list(plain)
        change(found)
        return with_part(first, put_records(found))

    def flipped(at_end):
        """A bit of the victim's record, counted from its end."""
        def change(found):
            record = bytearray(found[victim])
            record[len(record) - at_end] ^= 1
            found[victim] = bytes(record)
        return with_records(change)

    def head(change):
        return with_part(0, change(parts[0][1]))
    root = parts[0][1].split(b"\n")[2]
    lines = header.split(b"\n")
    return {
        "a bit of a body": (flipped(100), victim, ""),
        "a bit of a signature": (flipped(5), victim, "the signature is false"),
        "one event gone": (with_records(lambda f: f.pop(victim)), victim, f"it says that it is event {victim + 1}"),
        "one event twice": (with_records(lambda f: f.insert(victim, f[victim])), victim + 1, f"says that it is event {victim}"),
        "two events swapped": (with_records(lambda f: f.__setitem__(slice(victim, victim + 2), [f[victim + 1], f[victim]])),
                               victim, f"it says that it is event {victim + 1}"),
        "one put in place of another": (with_records(lambda f: f.__setitem__(victim, f[victim - 1])), victim, "says that it is"),
        "two bundles swapped": (put_frames(header, parts[:first] + [parts[second], parts[first]] + parts[second + 1:]), 0, ""),
        "a bundle gone": (put_frames(header, parts[:first] + parts[second:]), 0, ""),
        "a bundle twice": (put_frames(header, parts[:second] + [parts[first]] + parts[second:]), 256, "says that it is event 0"),
        "the last bundle gone": (put_frames(header, parts[:-2] + parts[-1:]), bundles.index(bundles[-1]) * 256, "it is missing"),
        "the last event gone": (with_part(bundles[-1], put_records(records(parts[bundles[-1]][1])[:-1])), evidence.size - 1, "it is missing"),
        "the tail gone, size and all": (put_frames(b"\n".join([*lines[:2], b"256", b""]), parts[:second] + parts[-1:]), None, "a head of more events"),
        "no head": (put_frames(header, parts[1:]), None, "no head speaks of all these events"),
        "a head of another root": (head(lambda h: h.replace(root, b"A" * 43 + b"=")), evidence.size - 1, "has another root"),
        "a head of another size": (head(lambda h: h.replace(b"\n%d\n" % evidence.size, b"\n%d\n" % (evidence.size - 1))),
                                   evidence.size - 2, "has another root"),
        "a head signed by nobody": (head(lambda h: h[:-12] + (b"A" if h[-12:-11] != b"A" else b"B") + h[-11:]),
                                    evidence.size - 1, "not signed by the log key in force"),
        "a key event not listed": (put_frames(header, [p for i, p in enumerate(parts) if i != 2]), listed[1], "list of key events"),
        "a key event listed that is none": (put_frames(header, parts[:2] + [(b"K", (3).to_bytes(8, "big") + plain[3])] + parts[2:]),
                                            3, "list of key events"),
        "a key event swapped for another": (with_part(1, bytes(8) + parts[2][1][8:]), 0, "list of key events"),
        "cut inside a bundle": (evidence.data[:len(evidence.data) * 2 // 3], None, "the file ends inside a frame"),
        "cut before the end": (evidence.data[:-5], None, "the file ends inside a frame"),
        "more behind the end": (evidence.data + b"B", None, "something follows the end"),
        "no file of ours": (b"MZ" + evidence.data, None, "this is not"),
        "empty": (b"", None, "the file ends inside a frame"),
        "a size that is none": (put_frames(header.replace(b"\n%d\n" % evidence.size, b"\n-1\n"), parts), None, "size is not a number"),
        "a huge frame": (header + b"B\xff\xff\xff\xff" + bytes(100), None, "too long"),
        "terminal escapes for an origin": (b"gatehouse-log-file-v1\n\x1b]0;owned\x07\n1\n", None, "not the header"),
    }


DAMAGES = ["a bit of a body", "a bit of a signature", "one event gone", "one event twice", "two events swapped",
           "one put in place of another", "two bundles swapped", "a bundle gone", "a bundle twice",
           "the last bundle gone", "the last event gone", "the tail gone, size and all", "no head",
           "a head of another root", "a head of another size", "a head signed by nobody", "a key event not listed",
           "a key event listed that is none", "a key event swapped for another", "cut inside a bundle",
           "cut before the end", "more behind the end", "no file of ours", "empty", "a size that is none",
           "a huge frame", "terminal escapes for an origin"]


def test_every_damage_is_tried(evidence):
    assert list(damages(evidence)) == DAMAGES


@pytest.mark.parametrize("name", DAMAGES)
def test_damage_is_named(evidence, tmp_path, name):
    data, seq, reason = damages(evidence)[name]
    assert data != evidence.data
    file = tmp_path / "damaged.log"
    file.write_bytes(data)
    done = verify(file, "--key", evidence.root_key, check=5)
    assert done.stdout == "" and reason in done.stderr and len(done.stderr.splitlines()) == 1, done.stderr
    assert "\x1b" not in done.stderr
    if seq is not None:
        assert done.stderr.startswith(f"gatehouse-verify: event {seq}: "), done.stderr
    else:
        assert re.search(r"byte \d+: .*the first event not reached is \d+", done.stderr), done.stderr
    result = json.loads(verify(file, "--key", evidence.root_key, "--json", check=5).stdout)
    assert result["verifies"] is False and reason in result["why"] and (seq is None or result["bad_seq"] == seq)
    if name != "a bit of a signature":
        verify(file, "--key", evidence.root_key, "--fast", check=5)


def test_a_changed_signature_does_not_pass_the_tree_either(evidence, tmp_path):
    """--fast does not check it, but the leaf is another: the head tells, though not which event."""
    data, seq, _reason = damages(evidence)["a bit of a signature"]
    file = tmp_path / "damaged.log"
    file.write_bytes(data)
    done = verify(file, "--key", evidence.root_key, "--fast", check=5)
    assert int(re.search(r"event (\d+): the head", done.stderr)[1]) >= seq


# ---- how it is asked

@pytest.mark.parametrize("args", [
    ["log", "FILE"], ["log", "--key", "KEY"], ["log", "FILE", "--key", "KEY", "--key-file", "KEYFILE"],
    ["log", "FILE", "FILE", "--key", "KEY"], ["log", "FILE", "--key", "nonsense"], ["log", "FILE", "--key", "KEY", "--deep"],
    ["log", "FILE", "--key", "BADKEY"], ["log", "FILE", "--key", "KEY", "--checkpoint", "FILE"],
    ["log", "FILE", "--key", "KEY", "--checkpoint", "FOREIGN"],
    ["event", "FILE", "--key", "KEY"], ["receipt", "FILE"], ["capsule", "FILE"], ["frob"], [],
])
def test_wrong_use_is_exit_2(evidence, tmp_path, args):
    foreign = tmp_path / "foreign.checkpoint"
    foreign.write_bytes(evidence.head_before.replace(evidence.origin.encode(), b"another.example"))
    words = {"FILE": evidence.file, "KEY": evidence.root_key, "KEYFILE": evidence.folder / "root.vkey", "FOREIGN": foreign,
             "BADKEY": re.sub(r"\+[0-9a-f]{8}\+", "+00000000+", evidence.root_key)}
    done = run(binary("gatehouse-verify"), *[words.get(arg, arg) for arg in args], check=2)
    assert done.stdout == "" and done.stderr


def test_what_cannot_be_read_is_exit_1(evidence, tmp_path):
    for args in ((tmp_path / "none", "--key", evidence.root_key), (tmp_path, "--key", evidence.root_key),
                 (evidence.file, "--key-file", tmp_path / "none"),
                 (evidence.file, "--key", evidence.root_key, "--checkpoint", tmp_path / "none")):
        assert "cannot be read" in verify(*args, check=1).stderr


def test_help_shows_examples_and_every_option(evidence):
    for args in (["--help"], ["log", "--help"]):
        text = run(binary("gatehouse-verify"), *args, check=0).stdout
        for word in ("--key", "--key-file", "--fast", "--checkpoint", "--json", "examples:", "Exit codes:"):
            assert word in text
    text = run(binary("gatehouse"), "audit", "export", "--help", check=0).stdout
    assert "--out" in text and "example:" in text


def test_it_is_what_an_auditor_can_be_handed():
    """libsodium and libc; nothing of a server's."""
    linked = subprocess.run(["ldd", binary("gatehouse-verify")], capture_output=True, text=True, check=True).stdout
    names = set(re.findall(r"^\s*(lib\w[\w+-]*?)\.so", linked, re.MULTILINE))
    assert names - {"libdl", "libasan", "libubsan", "libtsan", "libm", "libgcc_s", "libstdc++"} <= {"libsodium", "libc", "libmsgpackc"}, names


def test_progress_is_shown_on_a_terminal_only(evidence):
    """Too short a log for progress: a terminal sees the result and nothing else."""
    seen = harness.Terminal("verify", evidence.folder, [binary("gatehouse-verify"), "log", str(evidence.file), "--key",
                                                        evidence.root_key], env=harness.clean_environment())
    seen.expect("events verify")
    assert seen.finish() == 0


# ---- the export

def test_an_export_overwrites_nothing(evidence, tmp_path):
    kept = tmp_path / "kept"
    kept.write_text("precious")
    before = len(evidence.server.admin().events(type="audit.exported"))
    assert "will not overwrite" in evidence.server.cli("audit", "export", "--out", kept, check=1).stderr
    dangling = tmp_path / "dangling"
    dangling.symlink_to(tmp_path / "elsewhere")
    evidence.server.cli("audit", "export", "--out", dangling, check=1)
    assert kept.read_text() == "precious" and not (tmp_path / "elsewhere").exists()
    assert "cannot write" in evidence.server.cli("audit", "export", "--out", tmp_path / "no/such/folder", check=1).stderr
    assert sorted(path.name for path in tmp_path.iterdir()) == ["dangling", "kept"]
    assert len(evidence.server.admin().events(type="audit.exported")) == before
    evidence.server.cli("audit", "export", check=2)


def test_an_export_to_standard_output(evidence, tmp_path):
    done = subprocess.run([binary("gatehouse"), "audit", "export", "--state-dir", evidence.server.state, "--out", "-", "--json"],
                          capture_output=True, env=harness.clean_environment(), check=True, timeout=60)
    said = json.loads(done.stderr)
    (tmp_path / "piped.log").write_bytes(done.stdout)
    result = json.loads(verify(tmp_path / "piped.log", "--key", evidence.root_key, "--json", check=0).stdout)
    assert said["events"] == result["events"] > said["recorded"] >= evidence.size


def test_without_a_server_the_lock_is_taken_and_nothing_recorded(make_server, tmp_path):
    server = make_server()
    server.technician()
    assert server.stop() == 0
    done = server.cli("audit", "export", "--out", tmp_path / "quiet.log", check=0)
    assert "not recorded in the log" in done.stdout
    key = (server.state / "keys/root.pub").read_text().strip()
    first = json.loads(verify(tmp_path / "quiet.log", "--key", key, "--json", check=0).stdout)
    said = json.loads(server.cli("audit", "export", "--out", tmp_path / "again.log", "--json", check=0).stdout)
    assert said["recorded"] is None and said["events"] == first["events"]
    assert (tmp_path / "quiet.log").read_bytes() == (tmp_path / "again.log").read_bytes()


def test_a_server_that_does_not_answer_gets_no_silent_export(make_server, tmp_path):
    server = make_server()
    server.signal(signal.SIGSTOP)
    try:
        export = harness.Process("export", tmp_path)
        export.spawn([binary("gatehouse"), "audit", "export", "--state-dir", str(server.state), "--out", str(tmp_path / "x.log")])
        time.sleep(1)
        assert export.running() and not (tmp_path / "x.log").exists()
        export.signal(signal.SIGTERM)
    finally:
        server.signal(signal.SIGCONT)
    export.wait()
    (server.state / "admin.sock").unlink()
    done = server.cli("audit", "export", "--out", tmp_path / "y.log", check=3)
    assert done.stderr and not (tmp_path / "y.log").exists() and not list(tmp_path.glob("*.partial*"))


def test_exported_and_verified_while_the_log_grows(evidence, tmp_path):
    """Heads, tiles and records of one moment each time, though events come in all the while."""
    server = evidence.server
    api, sizes = Local(server), []
    stop = time.monotonic() + 4
    number = 0
    while time.monotonic() < stop or number < 3:
        exporting = subprocess.Popen([binary("gatehouse"), "audit", "export", "--state-dir", server.state, "--out",
                                      tmp_path / f"{number}.log"], env=harness.clean_environment(), stdout=subprocess.DEVNULL)
        verifying = subprocess.Popen([binary("gatehouse"), "audit", "verify", "--state-dir", server.state],
                                     env=harness.clean_environment(), stdout=subprocess.DEVNULL)
        while exporting.poll() is None or verifying.poll() is None:
            api.call("POST", "/api/machines", {"name": f"busy{number}-{time.monotonic_ns()}"}, want=201)
        assert exporting.returncode == 0 and verifying.returncode == 0
        sizes.append(json.loads(verify(tmp_path / f"{number}.log", "--key", evidence.root_key, "--json", check=0).stdout)["events"])
        number += 1
    assert sizes == sorted(set(sizes))


# ---- strangers' programs

@pytest.fixture(scope="session")
def go_oracle(tmp_path_factory):
    folder = tmp_path_factory.mktemp("go")
    env = dict(os.environ, GO111MODULE="off", GOPATH="/usr/share/gocode", GOFLAGS="", GOPROXY="off", CGO_ENABLED="0",
               GOCACHE=str(folder / "cache"), HOME=str(folder))
    subprocess.run(["go", "build", "-o", folder / "oracle", ROOT / "tests/oracle/go/main.go"], env=env, check=True, timeout=240)
    return folder / "oracle"


@pytest.mark.deadline(300)
def test_a_live_server_is_judged_by_the_go_oracle(go_oracle, make_server, tmp_path):
    """Go's transparency log packages over HTTPS, as anybody on the network: head, tiles, consistency."""
    server = make_server()
    for i in range(300):
        Local(server).call("POST", "/api/machines", {"name": f"m{i}"}, want=201)
    server.restart()  # the head that strangers see is at most a minute old, and made at start

    def oracle(*args):
        return subprocess.run([go_oracle, "--url", server.url, "--ca", server.ca, *args], capture_output=True, text=True,
                              env=harness.clean_environment(), check=False, timeout=60)
    key = log_vkey(server)
    done = oracle("--vkey", key, "--at-least", "300", "--save", tmp_path / "kept")
    assert done.returncode == 0, done.stderr
    server.restart()
    assert server.api().request("GET", "/log/checkpoint", token=False).body != (tmp_path / "kept").read_bytes()
    done = oracle("--vkey", key, "--old", tmp_path / "kept")
    assert done.returncode == 0, done.stderr
    refused = oracle("--vkey", vkey(key.split("+")[0], bytes(32)))
    assert refused.returncode != 0 and "no verifiable signatures" in refused.stderr
    forged = (tmp_path / "kept").read_text().replace("\n", "\n", 1).split("\n")
    forged[1] = "1"
    (tmp_path / "forged").write_text("\n".join(forged))
    assert oracle("--vkey", key, "--old", tmp_path / "forged").returncode != 0


def test_an_exported_file_is_judged_by_the_python_oracle(evidence):
    """tests/oracle/records.py knows docs/log-format.md and nothing of ours."""
    done = run("/usr/bin/python3", ROOT / "tests/oracle/records.py", evidence.file, "--key", evidence.root_key, check=0)
    assert f"{evidence.size} records verified" in done.stdout


def test_a_rolled_back_state_folder_is_caught_by_an_older_export_of_the_head(evidence, make_server, tmp_path):
    """Replay of an old backup: the older log is sound in itself; a head from after it is not extended."""
    server = make_server()
    server.technician()
    assert server.stop() == 0
    backup = tmp_path / "backup"
    shutil.copytree(server.state, backup)
    server.start()
    server.technician()
    head = tmp_path / "head"
    head.write_bytes(server.admin().request("GET", "/log/checkpoint").body)
    old = tmp_path / "old.log"
    run(binary("gatehouse"), "audit", "export", "--state-dir", backup, "--out", old, check=0)
    key = (server.state / "keys/root.pub").read_text().strip()
    verify(old, "--key", key, check=0)
    assert "it is missing" in verify(old, "--key", key, "--checkpoint", head, check=5).stderr
    assert run(binary("gatehouse"), "audit", "verify", "--state-dir", backup, "--checkpoint", head).returncode == 5


# ---- the document

def test_the_document_is_true_as_it_stands(make_server, tmp_path):
    """docs/verify.md: every `sh` block in its order, with this server's folder and address in place of the example's."""
    server = make_server(init=("--origin", "help.example"))
    server.technician()
    (tmp_path / "desk").mkdir()
    (tmp_path / "desk/tests").symlink_to(ROOT / "tests")
    shutil.copy(server.ca, tmp_path / "desk/ca.crt")
    blocks = re.findall(r"^```sh\n(.*?)^```$", (ROOT / "docs/verify.md").read_text(), re.MULTILINE | re.DOTALL)
    assert len(blocks) == 7
    env = harness.clean_environment(PATH=f"{harness.BIN}:{os.environ['PATH']}")
    said = ""
    for block in blocks:
        command = block.replace("/var/lib/gatehouse", str(server.state)).replace("https://help.example", server.url)
        said += run("bash", "-euo", "pipefail", "-c", command, cwd=tmp_path / "desk", env=env, check=0).stdout
    for words in ("help.example/root+", "says that this was exported", "every signature, chain, tree and head",
                  "tree, heads and key events", '"verifies":true', "extends the older head of", "records verified"):
        assert words in said, said
