"""TCP services and desktops through the relay: ports, pipes, ssh, VNC, and a lot of bytes."""
import contextlib
import hashlib
import os
import pathlib
import shutil
import socket
import struct
import subprocess
import threading

import harness
import pytest
import relay_kit

GIB = 1 << 30


@pytest.fixture(scope="module")
def echo():
    service = relay_kit.Service(relay_kit.echo)
    yield service
    service.close()


@pytest.fixture(scope="module")
def desk(server, echo, tmp_path_factory):
    since = len(harness.processes)
    one = relay_kit.Desk(server, tmp_path_factory.mktemp("desk"), by="key", name="ports",
                         allow=("shell", f"tcp:echo=127.0.0.1:{echo.port}", "tcp:nobody=127.0.0.1:1"))
    kept, harness.processes[since:] = harness.processes[since:], []  # lives as long as the module
    yield one
    for process in kept:
        process.kill()


@contextlib.contextmanager
def port(desk, service):
    """gatehouse connect -L, ended by Ctrl-C, which is its ordinary end."""
    process = desk.profile.connect(desk.machine, "--service", service, "-L", "0")
    try:
        yield relay_kit.listening(process)
    finally:
        process.signal(2)
        assert process.wait(15) == 0, process.log()


def test_a_local_port_carries_many_connections(desk):
    with port(desk, "tcp:echo") as number:
        sockets = [socket.create_connection(("127.0.0.1", number)) for _ in range(8)]
        for i, sock in enumerate(sockets):
            sock.sendall(b"connection %d" % i)
        for i, sock in enumerate(sockets):
            sock.settimeout(15 * harness.PATIENCE)
            assert sock.recv(100) == b"connection %d" % i
        for sock in sockets:  # half a close goes there, and half a close comes back
            sock.shutdown(socket.SHUT_WR)
            assert sock.recv(100) == b""
            sock.close()


def test_half_a_close_is_not_a_whole_one(desk, server, tmp_path):
    """The service answers only after it has seen the end of the question."""
    def answer_at_the_end(sock):
        size, digest = relay_kit.drain(sock)
        sock.sendall(f"{size} {digest}".encode())
    late = relay_kit.Service(answer_at_the_end)
    other = relay_kit.Desk(server, tmp_path, by="key", name="late", allow=(f"tcp:late=127.0.0.1:{late.port}",))
    done = subprocess.run(other.profile.connect_command(other.machine, "--service", "tcp:late"), input=b"x" * 300000,
                          capture_output=True, env=other.profile.env(), timeout=60 * harness.PATIENCE)
    assert done.returncode == 0, done.stderr
    assert done.stdout.decode() == f"300000 {hashlib.sha256(b'x' * 300000).hexdigest()}"
    late.close()


def test_a_socket_in_the_file_system(desk, tmp_path):
    path = tmp_path / "echo.sock"
    process = desk.profile.connect(desk.machine, "--service", "tcp:echo", "-L", str(path))
    harness.wait_until("connect listens", lambda: "listening" in process.log())
    assert path.stat().st_mode & 0o077 == 0
    with socket.socket(socket.AF_UNIX) as sock:
        sock.connect(str(path))
        sock.sendall(b"hello")
        assert sock.recv(100) == b"hello"
    process.signal(15)
    assert process.wait() == 0
    assert not path.exists()


@pytest.mark.parametrize("where", ["0.0.0.0:0", "192.0.2.1:80", "x", ":", "127.0.0.1:65536", "[::]:0"])
def test_only_loopback_is_listened_on(desk, where):
    done = desk.profile.run("connect", desk.machine, "--service", "tcp:echo", "-L", where)
    assert done.returncode == 2 and "-L" in done.stderr


def test_bytes_of_all_values_pass_unchanged(desk):
    data = bytes(range(256)) * 4096
    done = subprocess.run(desk.profile.connect_command(desk.machine, "--service", "tcp:echo"), input=data,
                          capture_output=True, env=desk.profile.env(), timeout=60 * harness.PATIENCE)
    assert done.stdout == data and done.returncode == 0


def test_a_service_that_is_down_or_off_says_so(desk):
    down = desk.profile.run("connect", desk.machine, "--service", "tcp:nobody", input="x")
    assert down.returncode == 255 and "service_failed" in down.stderr
    off = desk.profile.run("connect", desk.machine, "--service", "tcp:other", input="x")
    assert off.returncode == 255 and "turned" in off.stderr
    with port(desk, "tcp:nobody") as number, socket.create_connection(("127.0.0.1", number)) as sock:
        assert sock.recv(10) == b""


def test_the_log_knows_the_bytes(desk):
    session = desk.session()
    ws = desk.attach(session, "tcp:echo")
    ws.send(b"a" * 70000)
    got = b""
    while len(got) < 70000:
        got += ws.recv()
    ws.send({"eof": True})
    assert ws.recv() == '{"eof":true}'
    ws.close()
    event = desk.wait_event("channel.closed", lambda e: e["subject"]["session"] == session)
    assert event["data"]["to_agent_bytes"] == event["data"]["to_technician_bytes"] == 70000
    assert "cosigned" in event["data"], event  # the agent has signed the same
    desk.api.end_session(session)
    ended = desk.wait_event("session.ended", lambda e: e["subject"]["session"] == session)
    assert ended["data"]["to_agent_bytes"] == 70000


@pytest.mark.skipif(not shutil.which("sshd", path="/usr/sbin:/usr/bin"), reason="no sshd")
def test_ssh_through_connect(desk, server, tmp_path):
    """A real sshd, a real ssh, `gatehouse connect` as its ProxyCommand, throw-away keys."""
    keys = tmp_path / "keys"
    keys.mkdir(mode=0o700)
    for name in ("host", "user"):
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", keys / name], check=True)
    shutil.copy(keys / "user.pub", keys / "authorized")
    number = harness.free_port()
    config = keys / "sshd_config"
    config.write_text(f"Port {number}\nListenAddress 127.0.0.1\nHostKey {keys}/host\nUsePAM no\nStrictModes no\n"
                      f"AuthorizedKeysFile {keys}/authorized\nPidFile none\nPasswordAuthentication no\n"
                      "PermitRootLogin prohibit-password\n")
    pathlib.Path("/run/sshd").mkdir(exist_ok=True)
    sshd = harness.Process("sshd", tmp_path).spawn(["/usr/sbin/sshd", "-D", "-e", "-f", str(config)])
    other = relay_kit.Desk(server, tmp_path, by="key", name="behind", allow=(f"tcp:ssh=127.0.0.1:{number}",))
    (keys / "known").write_text("behind " + (keys / "host.pub").read_text())
    proxy = " ".join(other.profile.connect_command(other.machine, "--service", "tcp:ssh"))
    ssh = ["ssh", "-F", "none", "-o", f"ProxyCommand={proxy}", "-o", f"UserKnownHostsFile={keys}/known",
           "-o", "StrictHostKeyChecking=yes", "-o", "BatchMode=yes", "-i", str(keys / "user"), "behind"]
    data = os.urandom(3_000_000)
    done = subprocess.run([*ssh, "cat; echo over >&2; exit 5"], input=data, capture_output=True,
                          env=other.profile.env(), timeout=90 * harness.PATIENCE)
    assert done.returncode == 5, done.stderr
    assert done.stdout == data and b"over" in done.stderr
    other.wait_event("session.ended", lambda e: e["subject"]["machine"] == other.machine)
    assert sshd.running()


@pytest.mark.skipif(not shutil.which("Xtigervnc"), reason="no TigerVNC")
def test_a_real_vnc_server_through_desktop(server, tmp_path):
    """The RFB handshake (RFC 6143, section 7) with TigerVNC, up to its first picture."""
    number, display = harness.free_port(), 40 + os.getpid() % 900
    vnc = harness.Process("vnc", tmp_path).spawn(
        ["Xtigervnc", f":{display}", "-rfbport", str(number), "-localhost", "-SecurityTypes", "None", "-geometry",
         "320x200", "-depth", "24", "-nolisten", "tcp"])
    harness.wait_until("the VNC server listens", lambda: not socket.socket().connect_ex(("127.0.0.1", number)), 20)
    desk = relay_kit.Desk(server, tmp_path, by="key", name="screen", allow=(f"desktop=127.0.0.1:{number}",))
    with port(desk, "desktop") as local, socket.create_connection(("127.0.0.1", local)) as sock:
        stream = sock.makefile("rwb", buffering=0)
        sock.settimeout(20 * harness.PATIENCE)

        def take(n):
            data = b""
            while len(data) < n:
                more = stream.read(n - len(data))
                assert more, data
                data += more
            return data
        assert take(12) == b"RFB 003.008\n"
        stream.write(b"RFB 003.008\n")
        types = take(take(1)[0])
        assert 1 in types
        stream.write(b"\x01")
        assert struct.unpack(">I", take(4))[0] == 0
        stream.write(b"\x01")
        width, height = struct.unpack(">HH", take(4))
        assert (width, height) == (320, 200)
        take(16)
        take(struct.unpack(">I", take(4))[0])
        stream.write(struct.pack(">BBHi", 2, 0, 1, 0))  # raw encoding only
        stream.write(struct.pack(">BBHHHH", 3, 0, 0, 0, width, height))
        assert take(1) == b"\x00"
        take(1)
        assert struct.unpack(">H", take(2))[0] >= 1
        x, y, w, h, encoding = struct.unpack(">HHHHi", take(12))
        assert encoding == 0 and (w, h) == (320, 200)
        take(w * h * 4)
    assert vnc.running()


@pytest.mark.release
@pytest.mark.deadline(300)
@pytest.mark.parametrize("direction", ["there", "back"])
def test_a_gibibyte_passes_whole_in_flat_memory(server, tmp_path, direction):
    seen = {}

    def serve(sock):
        if direction == "there":
            seen["service"] = relay_kit.drain(sock)
        else:
            seen["digest"] = relay_kit.pour(sock, GIB)
            sock.shutdown(socket.SHUT_WR)
            relay_kit.drain(sock)
    service = relay_kit.Service(serve)
    desk = relay_kit.Desk(server, tmp_path, by="key", name=f"bulk-{direction}",
                          allow=(f"tcp:bulk=127.0.0.1:{service.port}",))
    process = desk.profile.connect(desk.machine, "--service", "tcp:bulk", "-L", "0")
    number = relay_kit.listening(process)
    peers = (server, desk.agent, process)
    before = [one.rss_kib() for one in peers]
    peak = list(before)
    stop = threading.Event()

    def watch():
        while not stop.wait(0.05):
            for i, one in enumerate(peers):
                peak[i] = max(peak[i], one.rss_kib())
    watcher = threading.Thread(target=watch)
    watcher.start()
    with socket.create_connection(("127.0.0.1", number)) as sock:
        if direction == "there":
            digest = relay_kit.pour(sock, GIB)
            sock.shutdown(socket.SHUT_WR)
            assert relay_kit.drain(sock)[0] == 0
            harness.wait_until("the service has all", lambda: "service" in seen, 30)
            assert seen["service"] == (GIB, digest)
        else:
            got = relay_kit.drain(sock)
            assert got == (GIB, seen["digest"])
    stop.set()
    watcher.join()
    growth = [after - start for after, start in zip(peak, before)]
    assert max(growth) < 16 * 1024, f"server, agent, connect grew by {growth} KiB"
    process.signal(2)
    assert process.wait() == 0
    service.close()


def test_a_side_that_does_not_read_stops_the_other(server, tmp_path):
    """Back-pressure reaches the sender: nobody on the way buffers what is not taken."""
    go, sent = threading.Event(), []

    def serve(sock):
        sock.setblocking(False)
        block = b"z" * 65536
        while not go.is_set() and sum(sent) < 256 << 20:
            try:
                sent.append(sock.send(block))
            except BlockingIOError:
                go.wait(0.05)
    service = relay_kit.Service(serve)
    desk = relay_kit.Desk(server, tmp_path, by="key", name="slow", allow=(f"tcp:flood=127.0.0.1:{service.port}",))
    session = desk.session()
    before = [server.rss_kib(), desk.agent.rss_kib()]
    ws = desk.attach(session, "tcp:flood")

    def quiet():
        count = sum(sent)
        go.wait(1.0)
        return count > 0 and sum(sent) == count
    harness.wait_until("the service is stopped", quiet, 30)
    assert sum(sent) < 64 << 20  # what fits into sockets' and our own buffers
    growth = [server.rss_kib() - before[0], desk.agent.rss_kib() - before[1]]
    assert max(growth) < 16 * 1024 * max(1, harness.PATIENCE), growth
    go.set()
    total = 0
    with contextlib.suppress(harness.Closed):
        while True:  # what was sent before is still there
            message = ws.recv()
            if isinstance(message, bytes):
                total += len(message)
            else:
                ws.send({"eof": True})
    assert total == sum(sent)
    desk.api.end_session(session)
    service.close()
