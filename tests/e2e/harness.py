"""The parts of an end-to-end test: the three programs as processes, and plain clients for the API
and for WebSockets. Standard library only, so that nothing of ours is on both sides of a wire.

GATEHOUSE_BIN names the folder of the binaries, GATEHOUSE_KIND the build (asan, release, tsan).
Everything listens on free loopback ports and lives in the test's own folder. Clients come from
addresses of their own within 127.0.0.0/8, so that one test's attempts are never counted for another.
"""
import base64
import contextlib
import fcntl
import hashlib
import http.client
import itertools
import json
import os
import pathlib
import re
import secrets
import select
import signal
import socket
import ssl
import struct
import subprocess
import termios
import time
import urllib.parse

BIN = pathlib.Path(os.environ.get("GATEHOUSE_BIN", "build/asan")).resolve()
KIND = os.environ.get("GATEHOUSE_KIND", BIN.name)
# Sanitizers cost time, never correctness: they stretch how long a test waits, not what it checks.
PATIENCE = {"asan": 3, "tsan": 8}.get(KIND, 1)
PASSWORD = "correct-horse-battery-staple-9"

processes = []  # every process of this run, for the report of a failed test
_addresses = itertools.count(int(secrets.token_hex(2), 16) % 20000)


def binary(name):
    path = BIN / name
    if not path.exists():
        raise FileNotFoundError(f"{path}: build it first (tools/test e2e does)")
    return str(path)


def fresh_address():
    """A loopback address whose /24 no other client of this run has."""
    n = next(_addresses)
    return f"127.{1 + n // 250 % 250}.{1 + n % 250}.7"


_handed_out = set()


def free_port():
    while True:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        if port not in _handed_out:
            _handed_out.add(port)
            return port


def wait_until(what, check, timeout=10.0, every=0.05):
    """Waits for check() to be true and returns its value; `what` goes into the failure."""
    deadline = time.monotonic() + timeout * PATIENCE
    while True:
        value = check()
        if value:
            return value
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {timeout * PATIENCE:.0f} s: {what}")
        time.sleep(every)


def clean_environment(**extra):
    """The programs get no variable that could configure them, beside what the test says."""
    env = {key: value for key, value in os.environ.items()
           if not key.startswith(("GATEHOUSE_", "JWT_", "XDG_")) and key != "NO_COLOR"}
    env.update({key: str(value) for key, value in extra.items()})
    return env


class Process:
    """A program under test. stdout and stderr go to one log file each."""

    def __init__(self, name, folder):
        self.name, self.folder = name, pathlib.Path(folder)
        self.folder.mkdir(parents=True, exist_ok=True)
        self.out_path, self.log_path = self.folder / f"{name}.out", self.folder / f"{name}.log"
        self.child = None
        processes.append(self)

    def spawn(self, argv, env=None, **kwargs):
        assert self.child is None or self.child.poll() is not None, f"{self.name} runs already"
        kwargs.setdefault("stdin", subprocess.DEVNULL)
        with self.out_path.open("ab") as out, self.log_path.open("ab") as log:
            kwargs.setdefault("stdout", out)
            self.child = subprocess.Popen(argv, env=env or clean_environment(), stderr=log, **kwargs)
        return self

    @property
    def pid(self):
        return self.child.pid

    def running(self):
        return self.child is not None and self.child.poll() is None

    def log(self):
        return self.log_path.read_text(errors="replace") if self.log_path.exists() else ""

    def out(self):
        return self.out_path.read_text(errors="replace") if self.out_path.exists() else ""

    def signal(self, number):
        self.child.send_signal(number)

    def wait(self, timeout=10.0):
        return self.child.wait(timeout * PATIENCE)

    def wait_or_none(self, timeout):
        """The exit status, or None when it runs on."""
        try:
            return self.wait(timeout)
        except subprocess.TimeoutExpired:
            return None

    def kill(self):
        """SIGKILL, as a crash would look to the others."""
        if self.running():
            self.child.kill()
        return self.child.wait() if self.child else None

    def stop(self, timeout=15.0):
        """SIGTERM; the exit status says whether the end was an orderly one."""
        if self.running():
            self.child.terminate()
        try:
            return self.wait(timeout)
        except subprocess.TimeoutExpired:
            self.child.kill()
            self.child.wait()
            raise AssertionError(f"{self.name} did not end within {timeout * PATIENCE:.0f} s of SIGTERM") from None

    def rss_kib(self):
        status = pathlib.Path(f"/proc/{self.pid}/status").read_text()
        return int(re.search(r"VmRSS:\s+(\d+)", status)[1])


def run(*argv, env=None, input=None, timeout=60.0, check=None, cwd=None):
    """Runs a program to its end. check: the exit status that is expected."""
    done = subprocess.run([str(a) for a in argv], env=env or clean_environment(), input=input, text=True,
                          errors="replace", capture_output=True, timeout=timeout * PATIENCE, cwd=cwd)
    if check is not None:
        assert done.returncode == check, (
            f"{' '.join(map(str, argv))}\nexit status {done.returncode}, expected {check}\n"
            f"--- stdout\n{done.stdout[-4000:]}\n--- stderr\n{done.stderr[-4000:]}")
    return done


class Server(Process):
    """gatehouse serve, with a state folder of its own, over TLS unless plain."""

    def __init__(self, folder, *args, admin="admin", password=PASSWORD, host="localhost", plain=False, env=None):
        super().__init__("server", folder)
        self.args, self.admin_name, self.password = [str(a) for a in args], admin, password
        self.host, self.plain, self.env = host, plain, env or {}
        self.state = self.folder / "state"
        self.port = free_port()
        self._admin = None
        self._people = itertools.count(1)

    # -- its life

    def init(self, *args):
        password_file = self.secret_file("admin.password", self.password)
        certificate = [] if self.plain else ["--self-signed", self.host]
        done = run(binary("gatehouse"), "init", "--state-dir", self.state, "--admin", self.admin_name,
                   "--password-file", password_file, *certificate, *args, check=0)
        self.root_key = next((line.split()[-1] for line in done.stdout.splitlines() if "+" in line.split()[-1:][0]),
                             None) if done.stdout.strip() else None
        return self

    def command(self):
        certificate = [] if self.plain else ["--tls-cert", str(self.ca), "--tls-key", str(self.state / "tls.key")]
        return [binary("gatehouse"), "serve", "--state-dir", str(self.state),
                "--listen", f"127.0.0.1:{self.port}", *certificate, *self.args]

    def start(self, wait=True, wrapper=()):
        """wrapper: a command line to run it under, such as strace's."""
        self.spawn([*wrapper, *self.command()], env=clean_environment(**self.env))
        return self.wait_ready() if wait else self

    def wait_ready(self, timeout=15.0):
        def ready():
            assert self.running(), f"the server ended with {self.child.returncode}:\n{self.log()[-3000:]}"
            with contextlib.suppress(OSError, http.client.HTTPException):
                return self.api().request("GET", "/readyz").status == 200
            return False
        wait_until("the server is ready", ready, timeout)
        return self

    def restart(self, kill=False):
        if kill:
            self.kill()
        else:
            assert self.stop() == 0
        return self.start()

    # -- ways in

    @property
    def url(self):
        return f"{'http' if self.plain else 'https'}://{self.host}:{self.port}"

    @property
    def ca(self):
        return None if self.plain else self.state / "tls.crt"

    def secret_file(self, name, text):
        path = self.folder / name
        path.touch(0o600)
        path.write_text(text + "\n")
        return path

    def api(self, source=None):
        return Api(self, source)

    def admin(self):
        """One logged-in admin per server; a test that logs out or gets revoked takes its own."""
        if self._admin is None:
            self._admin = self.api().login(self.admin_name, self.password)
        return self._admin

    def person(self, role="technician", name=None, password=PASSWORD, by=None):
        """A new account, by invitation, logged in."""
        name = name or f"{role[:4]}{next(self._people)}-{secrets.token_hex(3)}"
        invite = (by or self.admin()).call("POST", "/api/invites", {"role": role}, want=201)
        self.api().call("POST", "/api/auth/register",
                        {"invite": invite["invite"], "name": name, "password": password}, want=201)
        return self.api().login(name, password)

    def technician(self, name=None):
        return self.person("technician", name)

    def auditor(self, name=None):
        return self.person("auditor", name)

    def cli(self, *args, **kwargs):
        """A local command line on the state folder."""
        return run(binary("gatehouse"), *args, "--state-dir", self.state, **kwargs)

    def profile(self, name=None, password=PASSWORD, **kwargs):
        """A command line of its own, logged in as this person."""
        return Profile(self, name or self.admin_name, password, **kwargs).login()

    def verify(self, *args, **kwargs):
        return self.cli("audit", "verify", *args, **kwargs)


class Reply:
    def __init__(self, status, headers, body):
        self.status, self.headers, self.body = status, headers, body

    @property
    def text(self):
        return self.body.decode("utf-8")

    @property
    def json(self):
        return json.loads(self.body)

    @property
    def told(self):
        """The body without what differs by chance: the reference to the event, of one length always."""
        return re.sub(rb'"reference":"evt_[0-9a-z]{26}"', b'"reference"', self.body)

    @property
    def code(self):
        """The machine-readable reason of a refusal."""
        assert self.headers.get_content_type() == "application/problem+json", self
        return self.json["code"]

    def __repr__(self):
        return f"<{self.status} {self.body[:600]!r}>"


class Api:
    """A client of the HTTP API, at one source address, over one connection that is kept."""

    def __init__(self, server, source=None):
        self.server, self.source = server, source or fresh_address()
        self.token = self.refresh_token = self.user = None
        self.connection = None

    def connect(self, timeout=30.0):
        """A fresh connection, for whoever wants to speak raw bytes."""
        raw = socket.create_connection(("127.0.0.1", self.server.port), timeout=timeout * PATIENCE,
                                       source_address=(self.source, 0))
        if self.server.plain:
            return raw
        context = ssl.create_default_context(cafile=self.server.ca)
        return context.wrap_socket(raw, server_hostname=self.server.host)

    def twin(self):
        """Another connection of the same login."""
        other = Api(self.server, self.source)
        other.token, other.user = self.token, self.user
        return other

    def close(self):
        if self.connection:
            self.connection.close()
            self.connection = None

    def request(self, method, path, body=None, headers=None, token=None, timeout=30.0):
        """token: None for our own, False for none, or a string. A dict or list body is sent as JSON."""
        headers = dict(headers or {})
        if isinstance(body, (dict, list)):
            body = json.dumps(body).encode()
            headers.setdefault("Content-Type", "application/json")
        bearer = self.token if token is None else token
        if bearer:
            headers.setdefault("Authorization", f"Bearer {bearer}")
        for attempt in (1, 2):
            fresh = self.connection is None
            if fresh:
                self.connection = http.client.HTTPConnection(self.server.host, self.server.port)
                self.connection.sock = self.connect(timeout)
            try:
                self.connection.sock.settimeout(timeout * PATIENCE)
                self.connection.request(method, path, body=body, headers=headers)
                response = self.connection.getresponse()
                reply = Reply(response.status, response.headers, response.read())
                if response.will_close:
                    self.close()
                return reply
            except (http.client.HTTPException, OSError):
                self.close()
                # A kept connection may have been closed for idleness; a fresh one has no excuse.
                if fresh or attempt == 2:
                    raise
        raise AssertionError("unreachable")

    def call(self, method, path, body=None, want=200, **kwargs):
        """A request whose answer is known; returns its JSON, or None when there is no body."""
        reply = self.request(method, path, body, **kwargs)
        assert reply.status == want, f"{method} {path}: expected {want}, got {reply}"
        return reply.json if reply.body else None

    def get(self, path, want=200, **kwargs):
        return self.call("GET", path, want=want, **kwargs)

    def post(self, path, body=None, want=200, **kwargs):
        return self.call("POST", path, {} if body is None else body, want=want, **kwargs)

    def items(self, path, **query):
        """All items of a list, page by page."""
        found, cursor = [], None
        while True:
            asked = dict(query, **({"after": cursor} if cursor else {}))
            page = self.get(path + ("?" + urllib.parse.urlencode(asked) if asked else ""))
            found += page["items"]
            cursor = page["next"]
            if cursor is None:
                return found

    # -- accounts

    def try_login(self, name, password):
        return self.request("POST", "/api/auth/login", {"name": name, "password": password, "cookie": False},
                            token=False)

    def login(self, name, password=PASSWORD):
        reply = self.try_login(name, password)
        assert reply.status == 200, reply
        answer = reply.json
        self.token, self.refresh_token, self.user = answer["access_token"], answer["refresh_token"], answer["user"]
        return self

    def try_refresh(self, refresh_token=None):
        return self.request("POST", "/api/auth/refresh", {"refresh_token": refresh_token or self.refresh_token},
                            token=False)

    def refresh(self):
        reply = self.try_refresh()
        assert reply.status == 200, reply
        self.token, self.refresh_token = reply.json["access_token"], reply.json["refresh_token"]
        return self

    def logout(self):
        return self.call("POST", "/api/auth/logout", {}, want=204)

    # -- codes, machines, sessions

    def new_code(self, **options):
        return self.post("/api/codes", options, want=201)

    def machines(self, filter=None):
        return self.items("/api/machines", **({"filter": filter} if filter else {}))

    def wait_online(self, name, timeout=15.0):
        """The machine of that name, once its agent is connected."""
        def online():
            return next((m for m in self.machines() if m["name"] == name and m["online"]), None)
        return wait_until(f"machine {name} is online", online, timeout)

    def open_session(self, machine, reason="a test", wait=True):
        reply = self.request("POST", "/api/sessions", {"machine": machine, "reason": reason})
        assert reply.status in (201, 202), reply
        session = reply.json
        if wait and session["state"] == "requested":
            session = self.wait_session(session["id"], "opened")
        return session

    def session(self, session_id):
        return self.get(f"/api/sessions/{session_id}")

    def wait_session(self, session_id, state, timeout=15.0):
        def reached():
            session = self.session(session_id)
            return session if session["state"] == state else None
        return wait_until(f"session {session_id} is {state}", reached, timeout)

    def end_session(self, session_id):
        return self.call("DELETE", f"/api/sessions/{session_id}", want=204)

    def ticket(self, session_id, service="shell"):
        return self.post(f"/api/sessions/{session_id}/tickets", {"service": service}, want=201)["ticket"]

    def attach(self, session_id, service="shell", ticket=None, **kwargs):
        """The technician's end of a channel."""
        ticket = ticket or self.ticket(session_id, service)
        return WebSocket(self.connect(), self.server, f"/relay/sessions/{session_id}/{service}",
                         protocols=("gatehouse.v1", f"ticket.{ticket}"), **kwargs)

    # -- audit

    def events(self, **query):
        """Events as the audit API gives them, oldest first. `from_` stands for `from`."""
        query = {key.rstrip("_"): value for key, value in query.items()}
        return self.items("/api/audit/events", **query)

    def wait_event(self, timeout=10.0, match=None, **query):
        """The first event that the query finds, once the views have it."""
        def found():
            return next((event for event in self.events(**query) if match is None or match(event)), None)
        return wait_until(f"an event {query}", found, timeout)


class Refused(Exception):
    """The server answered the WebSocket handshake with something else than 101."""

    def __init__(self, reply):
        super().__init__(repr(reply))
        self.reply = reply


class Closed(Exception):
    """The peer closed; code None: without a Close frame."""

    def __init__(self, code, reason=""):
        super().__init__(f"closed with {code} {reason}")
        self.code, self.reason = code, reason


class WebSocket:
    """A WebSocket client that can also misbehave: see send_frame and send_raw (RFC 6455)."""

    CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG = 0, 1, 2, 8, 9, 10

    def __init__(self, sock, server, path, protocols=(), headers=None, origin=None, key=None):
        self.sock, self.buffer, self.pings = sock, b"", 0
        key = key or base64.b64encode(secrets.token_bytes(16)).decode()
        lines = [f"GET {path} HTTP/1.1", f"Host: {server.host}:{server.port}", "Connection: Upgrade",
                 "Upgrade: websocket", "Sec-WebSocket-Version: 13", f"Sec-WebSocket-Key: {key}"]
        if protocols:
            lines.append("Sec-WebSocket-Protocol: " + ", ".join(protocols))
        if origin is not None:
            lines.append(f"Origin: {origin}")
        lines += [f"{name}: {value}" for name, value in (headers or {}).items()]
        sock.sendall("\r\n".join([*lines, "", ""]).encode())
        self.reply = self.read_head()
        if self.reply.status != 101:
            raise Refused(self.reply)
        accept = base64.b64encode(hashlib.sha1((key + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11").encode()).digest())
        assert self.reply.headers["Sec-WebSocket-Accept"] == accept.decode()
        self.protocol = self.reply.headers.get("Sec-WebSocket-Protocol")

    def read_head(self):
        while b"\r\n\r\n" not in self.buffer:
            self.fill()
        head, self.buffer = self.buffer.split(b"\r\n\r\n", 1)
        first, _, fields = head.decode("latin-1").partition("\r\n")
        headers = http.client.HTTPMessage()
        for line in filter(None, fields.split("\r\n")):
            name, _, value = line.partition(":")
            headers[name] = value.strip()
        length = int(headers.get("Content-Length", 0))
        while len(self.buffer) < length:
            self.fill()
        body, self.buffer = self.buffer[:length], self.buffer[length:]
        return Reply(int(first.split()[1]), headers, body)

    def fill(self):
        try:
            data = self.sock.recv(262144)
        except ssl.SSLEOFError:
            data = b""
        except ConnectionResetError:
            data = b""
        if not data:
            raise Closed(None)
        self.buffer += data

    # -- sending

    def send_raw(self, data):
        self.sock.sendall(data)

    @staticmethod
    def frame(opcode, payload=b"", fin=True, rsv=0, mask=True, length_form=None):
        """length_form: None for the shortest, else 7, 16 or 64 bits whatever the length is."""
        n = len(payload)
        form = length_form or (7 if n < 126 else 16 if n < 65536 else 64)
        head = bytes([(0x80 if fin else 0) | rsv << 4 | opcode])
        bit = 0x80 if mask else 0
        head += (bytes([bit | n]) if form == 7 else bytes([bit | 126]) + struct.pack(">H", n) if form == 16
                 else bytes([bit | 127]) + struct.pack(">Q", n))
        if not mask:
            return head + payload
        key = secrets.token_bytes(4)
        wide = (int.from_bytes(payload, "big") ^ int.from_bytes((key * (n // 4 + 1))[:n], "big")).to_bytes(n, "big")
        return head + key + wide

    def send_frame(self, opcode, payload=b"", **how):
        self.send_raw(self.frame(opcode, payload, **how))

    def send(self, data):
        """Bytes as a binary message, a string or a dict (as JSON) as a text message."""
        if isinstance(data, dict):
            data = json.dumps(data)
        if isinstance(data, str):
            self.send_frame(self.TEXT, data.encode())
        else:
            self.send_frame(self.BINARY, bytes(data))

    def send_fragments(self, opcode, *parts):
        for i, part in enumerate(parts):
            self.send_frame(opcode if i == 0 else self.CONTINUATION, part, fin=i == len(parts) - 1)

    # -- receiving

    def take(self, n):
        while len(self.buffer) < n:
            self.fill()
        data, self.buffer = self.buffer[:n], self.buffer[n:]
        return data

    def recv_frame(self):
        """(fin, opcode, payload) of the next frame, whatever it is."""
        first, second = self.take(2)
        assert not first & 0x70, "the server set a reserved bit"
        assert not second & 0x80, "the server masked a frame"
        n = second & 0x7f
        if n == 126:
            n = struct.unpack(">H", self.take(2))[0]
        elif n == 127:
            n = struct.unpack(">Q", self.take(8))[0]
        return bool(first & 0x80), first & 0x0f, self.take(n)

    def recv(self, timeout=10.0):
        """The next message: bytes, or str for text. Answers pings; Closed when the peer closes."""
        self.sock.settimeout(timeout * PATIENCE)
        kind, parts = None, []
        while True:
            fin, opcode, payload = self.recv_frame()
            if opcode == self.PING:
                self.pings += 1
                self.send_frame(self.PONG, payload)
            elif opcode == self.CLOSE:
                with contextlib.suppress(OSError):
                    self.send_frame(self.CLOSE, payload[:2])
                code = struct.unpack(">H", payload[:2])[0] if payload else 1005
                raise Closed(code, payload[2:].decode())
            elif opcode != self.PONG:
                kind = kind if kind is not None else opcode
                parts.append(payload)
                if fin:
                    data = b"".join(parts)
                    return data.decode() if kind == self.TEXT else data

    def recv_until(self, needle, timeout=10.0):
        """Binary data until it contains needle; text messages are collected in self.controls."""
        self.controls = getattr(self, "controls", [])
        data, deadline = b"", time.monotonic() + timeout * PATIENCE
        while needle not in data:
            left = deadline - time.monotonic()
            assert left > 0, f"{needle!r} did not come; got {data[-500:]!r}"
            message = self.recv(left / PATIENCE)
            if isinstance(message, str):
                self.controls.append(json.loads(message))
            else:
                data += message
        return data

    def recv_close(self, timeout=10.0):
        """Reads on until the end; returns the Close frame's code, None when there was none."""
        try:
            while True:
                self.recv(timeout)
        except Closed as closed:
            return closed.code

    def close(self, code=1000):
        with contextlib.suppress(OSError):
            self.send_frame(self.CLOSE, struct.pack(">H", code))
            self.recv_close()
        self.drop()

    def drop(self):
        """Gone without a word."""
        self.sock.close()


class Agent(Process):
    """gatehouse-agent run, by a support code or an API key."""

    def __init__(self, server, folder, name="testbox", code=None, key=None, allow=("shell",), yes=True, ca=None,
                 args=()):
        super().__init__(f"agent-{name}", folder)
        self.server, self.machine_name, self.code, self.key, self.yes = server, name, code, key, yes
        self.allow, self.ca, self.args = allow, ca or server.ca, [str(a) for a in args]
        self.state = self.folder / f"agent-{name}-state"

    def command(self):
        argv = [binary("gatehouse-agent"), "run", "--server", self.server.url, "--state-dir", str(self.state),
                "--name", self.machine_name]
        if self.ca:
            argv += ["--ca", str(self.ca)]
        if self.code:
            argv += ["--code", self.code]
        if self.key:
            argv += ["--key-file", str(self.server.secret_file(f"{self.machine_name}.key", self.key))]
        for service in self.allow:
            argv += ["--allow", service]
        return argv + (["--yes"] if self.yes else []) + self.args

    def start(self, **kwargs):
        self.spawn(self.command(), env=clean_environment(HOME=self.folder), **kwargs)
        return self

    def restart(self):
        self.kill()
        return self.start()


class Terminal(Process):
    """A program on a terminal of its own: what a person would type and see."""

    def __init__(self, name, folder, argv, env=None, rows=24, columns=80):
        super().__init__(name, folder)
        self.master, slave = os.openpty()
        self.resize(rows, columns)
        self.seen, self.mark = b"", 0

        def own_terminal():
            os.setsid()
            fcntl.ioctl(0, termios.TIOCSCTTY, 0)
        try:
            self.child = subprocess.Popen([str(a) for a in argv], env=env or clean_environment(), stdin=slave,
                                          stdout=slave, stderr=slave, preexec_fn=own_terminal)
        finally:
            os.close(slave)

    def resize(self, rows, columns):
        fcntl.ioctl(self.master, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
        if self.running():
            self.signal(signal.SIGWINCH)

    def type(self, text):
        os.write(self.master, text.encode())

    def read(self, timeout):
        """Reads what is there; False when nothing came in time, or the other side is closed."""
        if not select.select([self.master], [], [], timeout)[0]:
            return False
        try:
            data = os.read(self.master, 65536)
        except OSError:  # EIO: the last holder of the terminal is gone
            data = b""
        self.seen += data
        self.out_path.write_bytes(self.seen)
        return bool(data)

    def expect(self, pattern, timeout=15.0):
        """Waits for a regular expression in what came after the last match; returns the match."""
        deadline = time.monotonic() + timeout * PATIENCE
        while True:
            match = re.compile(pattern.encode()).search(self.seen, self.mark)
            if match:
                self.mark = match.end()
                return match
            left = deadline - time.monotonic()
            if left <= 0 or (not self.read(min(left, 0.2)) and not self.running() and not self.read(0)):
                raise AssertionError(f"{self.name} never said {pattern!r}; it said {self.seen[self.mark:]!r}")

    def finish(self, timeout=15.0):
        """Reads to the end; returns the exit status."""
        deadline = time.monotonic() + timeout * PATIENCE
        while self.running() and time.monotonic() < deadline:
            self.read(0.1)
        while self.read(0):
            pass
        return self.wait(1)

    def screen(self):
        return self.seen.decode("utf-8", "replace")


class Profile:
    """A person's command line: an own home with the token that `gatehouse login` keeps there."""

    def __init__(self, server, name, password=PASSWORD, folder=None):
        self.server, self.name = server, name
        self.home = pathlib.Path(folder or server.folder / f"home-{name}-{secrets.token_hex(3)}")
        self.home.mkdir(parents=True)
        self.password_file = server.secret_file(f"{self.home.name}.password", password)

    def env(self, **extra):
        return clean_environment(HOME=self.home, XDG_STATE_HOME=self.home / "state",
                                 XDG_CONFIG_HOME=self.home / "config", TERM="xterm-256color", **extra)

    def login(self, check=0):
        ca = ["--ca", self.server.ca] if self.server.ca else []
        self.run("login", "--server", self.server.url, "--user", self.name,
                 "--password-file", self.password_file, *ca, check=check)
        return self

    def run(self, *args, **kwargs):
        return run(binary("gatehouse"), *args, env=self.env(), **kwargs)

    def json(self, *args, **kwargs):
        return json.loads(self.run(*args, "--json", check=0, **kwargs).stdout)

    def connect_command(self, machine, *args):
        return [binary("gatehouse"), "connect", machine, *args]

    def terminal(self, machine, *args, **size):
        """gatehouse connect on a terminal."""
        return Terminal(f"connect-{secrets.token_hex(2)}", self.home, self.connect_command(machine, *args),
                        env=self.env(), **size)

    def connect(self, machine, *args, **kwargs):
        """gatehouse connect with pipes, or in the background for -L."""
        process = Process(f"connect-{secrets.token_hex(2)}", self.home)
        return process.spawn(self.connect_command(machine, *args), env=self.env(), **kwargs)
