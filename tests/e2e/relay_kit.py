"""What the tests of the relay share: a technician with a machine, services to reach, bytes to move."""
import contextlib
import hashlib
import json
import os
import pathlib
import re
import socket
import threading
import time

import harness


def profile_of(api):
    """A command line that is logged in as `api` is, by a login of its own. Real logins by `gatehouse
    login` all come from 127.0.0.1, which may try five times a minute."""
    server = api.server
    login = server.api().login(api.user["name"])
    profile = harness.Profile(server, api.user["name"])
    folder = profile.home / "state/gatehouse"
    folder.mkdir(parents=True, mode=0o700)
    token = {"server": server.url, "ca": str(server.ca), "user": api.user["name"], "access_token": login.token,
             "refresh_token": login.refresh_token, "refreshed_s": int(time.clock_gettime(time.CLOCK_BOOTTIME)),
             "kernel_boot": pathlib.Path("/proc/sys/kernel/random/boot_id").read_text().strip()}
    (folder / "token.json").touch(0o600)
    (folder / "token.json").write_text(json.dumps(token))
    return profile


class Desk:
    """A technician, by API and by command line, and a machine whose agent is connected."""

    def __init__(self, server, folder, by="code", name="box", start=True, **agent_options):
        self.server, self.folder, self.machine = server, folder, None
        self.api = server.technician()
        self.profile = profile_of(self.api)
        credential = {"code": self.api.new_code()["code"]} if by == "code" else {"key": self.key(name)}
        self.agent = harness.Agent(server, folder, name=name, **credential, **agent_options)
        if start:
            self.agent.start()
            self.machine = self.api.wait_online(name)["id"]

    def key(self, name):
        admin = self.server.admin()
        machine = admin.post("/api/machines", {"name": name}, want=201)["id"]
        return admin.post(f"/api/machines/{machine}/keys", {}, want=201)["key"]

    def session(self):
        return self.api.open_session(self.machine)["id"]

    def attach(self, session, service="shell", **kwargs):
        ticket = self.api.ticket(session, service)
        return self.api.attach(session, service.replace("tcp:", "tcp/"), ticket=ticket, **kwargs)

    def events(self, **query):
        return self.server.admin().events(**query)

    def wait_event(self, kind, match=None, timeout=10.0):
        return self.server.admin().wait_event(type=kind, match=match, timeout=timeout)


class Service:
    """A TCP service of the machine: one function per connection, on a thread."""

    def __init__(self, serve):
        self.serve = serve
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.connections = 0
        threading.Thread(target=self.run, daemon=True).start()

    def run(self):
        with contextlib.suppress(OSError):
            while True:
                sock, _ = self.listener.accept()
                self.connections += 1
                threading.Thread(target=self.one, args=(sock,), daemon=True).start()

    def one(self, sock):
        with sock, contextlib.suppress(OSError):
            self.serve(sock)

    def close(self):
        self.listener.close()


def echo(sock):
    """Sends back what comes, then half-closes as it was half-closed."""
    while data := sock.recv(262144):
        sock.sendall(data)


BLOCK = os.urandom(1 << 20)


def pour(sock, size):
    """Sends `size` bytes, returns their SHA-256. Cheap to make, different in each block."""
    digest, left, number = hashlib.sha256(), size, 0
    while left > 0:
        piece = (number.to_bytes(8, "big") + BLOCK[8:])[:left]
        sock.sendall(piece)
        digest.update(piece)
        left -= len(piece)
        number += 1
    return digest.hexdigest()


def drain(sock):
    """Reads to the end; (size, SHA-256)."""
    digest, size = hashlib.sha256(), 0
    while data := sock.recv(1 << 20):
        digest.update(data)
        size += len(data)
    return size, digest.hexdigest()


def listening(process, timeout=15.0):
    """The port that `gatehouse connect -L` says it listens on."""
    found = harness.wait_until("connect listens", lambda: re.search(r"listening on \S+:(\d+)", process.log()) or
                               (not process.running() and AssertionError(process.log())), timeout)
    if isinstance(found, AssertionError):
        raise found
    return int(found[1])
