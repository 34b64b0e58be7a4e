"""What the processes have given up, seen from outside: dumps, privileges, system calls, files; and
that secrets in memory stay where no dump takes them (B42, B43, B61)."""
import base64
import os
import pathlib
import re
import resource
import signal

import pytest

import harness
import relay_kit
from api_kit import Local

SANITIZED = harness.KIND in ("asan", "tsan")


def status(pid):
    lines = pathlib.Path(f"/proc/{pid}/status").read_text().splitlines()
    return dict(line.split(":\t", 1) for line in lines if ":\t" in line)


def threads(pid):
    return [int(entry.name) for entry in pathlib.Path(f"/proc/{pid}/task").iterdir()]


def core_limits(pid):
    line = next(line for line in pathlib.Path(f"/proc/{pid}/limits").read_text().splitlines() if "core file" in line)
    return line.split()[4:6]


def test_the_server_is_confined_in_every_thread(server):
    ids = threads(server.pid)
    assert len(ids) > 4
    for thread in ids:
        said = status(thread)
        assert said["Seccomp"].strip() == "2" and said["NoNewPrivs"].strip() == "1", said["Name"]
    assert core_limits(server.pid) == ["0", "0"]
    assert status(server.pid)["CapAmb"].strip("0\n") == ""
    children = pathlib.Path(f"/proc/{server.pid}/task/{server.pid}/children").read_text()
    assert children == ""


def test_the_server_says_what_it_could_not_give_up(server):
    missing = set(re.findall(r"event=not_confined missing=(\w+)", server.log()))
    assert "event=not_confined failed" not in server.log()
    assert missing <= ({"landlock"} if SANITIZED else set())
    assert ("event=running_as_root" in server.log()) == (os.geteuid() == 0)


def test_the_agent_keeps_its_keys_to_itself_and_its_shells_free(server, tmp_path):
    desk = relay_kit.Desk(server, tmp_path)
    assert core_limits(desk.agent.pid)[0] == "0"
    ws = desk.attach(desk.session())
    ws.send(b"grep -E 'NoNewPrivs|Seccomp:' /proc/self/status; echo d''one\n")
    said = ws.recv_until(b"done")
    # sudo must work in a shell as it does without us
    assert b"NoNewPrivs:\t0" in said and b"Seccomp:\t0" in said
    ws.drop()


@pytest.mark.skipif(SANITIZED, reason="a sanitizer catches the signal")
def test_a_crash_leaves_no_core(make_server, tmp_path):
    """The shell that starts it would allow one: the process itself says no."""
    folder = tmp_path / "here"
    folder.mkdir()
    server = make_server(start=False)
    server.spawn(server.command(), cwd=folder, env=harness.clean_environment(), preexec_fn=lambda: resource.setrlimit(
        resource.RLIMIT_CORE, (resource.getrlimit(resource.RLIMIT_CORE)[1],) * 2))
    server.wait_ready()
    server.signal(signal.SIGSEGV)
    code = server.wait()
    assert code == -signal.SIGSEGV
    assert list(folder.iterdir()) == []


@pytest.mark.release
def test_no_dump_would_hold_a_key(make_server):
    """Every copy of a secret in memory lies in pages that are locked and left out of dumps."""
    server = make_server()
    api = server.technician()
    secret = re.search(r"JWT_SECRET=(\S+)", (server.state / "jwt.env").read_text())[1].encode()
    api.refresh()
    assert Local(server).request("POST", "/admin/keys/rotate", {"key": "event"}).status == 200
    old = server.state / "keys/event.1.key"
    harness.wait_until("the old key is wiped", lambda: not old.exists())
    files = {path.name: path.read_text().split()[-1] for path in (server.state / "keys").iterdir()
             if re.match(r"(event|log)\.\d+\.key", path.name)}
    assert {"event.2.key", "log.1.key"} <= set(files)
    needles = {"jwt": secret, **{name: base64.b64decode(text)[:32] for name, text in files.items()},
               **{f"{name} as text": text.encode() for name, text in files.items()}}
    found = {name: 0 for name in needles}
    for start, end, flags, where in mappings(server.pid):
        data = memory(server.pid, start, end)
        for name, needle in needles.items():
            if needle in data:
                found[name] += 1
                assert {"dd", "lo"} <= flags, f"{name} in {where} {start:x}, which a dump would hold: {sorted(flags)}"
    # What is in use was found, so it was looked for in the right places.
    assert found["jwt"] > 0 and found["event.2.key"] > 0 and found["log.1.key"] > 0, found


def mappings(pid):
    start = None
    for line in pathlib.Path(f"/proc/{pid}/smaps").read_text().splitlines():
        head = re.match(r"([0-9a-f]+)-([0-9a-f]+) (....) \S+ \S+ \S+\s*(.*)", line)
        if head:
            start, end, mode, where = int(head[1], 16), int(head[2], 16), head[3], head[4]
        elif line.startswith("VmFlags:") and mode.startswith("r") and not where.endswith("data.mdb") and \
                where not in ("[vvar]", "[vsyscall]"):
            yield start, end, set(line.split()[1:]), where


def memory(pid, start, end):
    with open(f"/proc/{pid}/mem", "rb", buffering=0) as mem:
        mem.seek(start)
        try:
            return mem.read(end - start)
        except OSError:
            return b""


@pytest.mark.parametrize("name", ["jwt.env", "keystore", "keys/event.1.key", "keys/log.1.key", "keys/root.key"])
def test_secret_files_that_others_can_read_are_refused(make_server, name):
    server = make_server(start=False)
    path = server.state / name
    files = [path] if path.is_file() else [entry for entry in path.rglob("*") if entry.is_file()]
    assert files, name
    for file in files:
        file.chmod(0o644)
    server.start(wait=False)
    if server.wait_or_none(3) is None:
        assert name == "keys/root.key"  # the server never reads it: it is to be kept elsewhere
        server.stop()
        return
    assert server.child.returncode == 1
    assert "chmod" in server.log()


@pytest.mark.skipif(SANITIZED, reason="sanitizers write their reports anywhere")
def test_a_link_out_of_the_state_folder_leads_nowhere(make_server, tmp_path):
    """Landlock: what a thief of the process plants in the folder cannot be followed out of it."""
    server = make_server()
    maps = pathlib.Path(f"/proc/{server.pid}/maps").read_text()
    assert str(server.state) in maps
    certificate, key = server.state / "tls.crt", server.state / "tls.key"
    before = certificate.read_text()
    certificate.rename(tmp_path / "elsewhere.crt")
    certificate.symlink_to(tmp_path / "elsewhere.crt")
    server.signal(signal.SIGHUP)
    harness.wait_until("it says that it kept the old one", lambda: "event=certificate_kept" in server.log())
    certificate.unlink()
    certificate.write_text(before)
    assert key.exists()
    server.signal(signal.SIGHUP)
    harness.wait_until("it took the new one", lambda: "event=certificate_reloaded" in server.log())
