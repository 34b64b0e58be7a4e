"""What the tests of the HTTP API share: the local socket, raw requests, tokens made by hand."""
import base64
import hashlib
import hmac
import http.client
import json
import re
import secrets
import socket

import harness

SECRET = secrets.token_urlsafe(64)  # JWT_SECRET of a server whose tokens a test forges


class Local:
    """The API by admin.sock, as the local command line speaks to it."""

    def __init__(self, server):
        self.path = str(server.state / "admin.sock")

    def request(self, method, path, body=None, headers=None):
        connection = http.client.HTTPConnection("localhost")
        connection.sock = socket.socket(socket.AF_UNIX)
        connection.sock.settimeout(30 * harness.PATIENCE)
        connection.sock.connect(self.path)
        headers = dict(headers or {})
        if body is not None:
            body = json.dumps(body).encode()
            headers.setdefault("Content-Type", "application/json")
        try:
            connection.request(method, path, body=body, headers=headers)
            response = connection.getresponse()
            return harness.Reply(response.status, response.headers, response.read())
        finally:
            connection.close()

    def call(self, method, path, body=None, want=200, **kwargs):
        reply = self.request(method, path, body, **kwargs)
        assert reply.status == want, f"{method} {path}: expected {want}, got {reply}"
        return reply.json if reply.body else None


def raw(api, request, timeout=20):
    """Sends bytes, returns everything up to the end of the connection."""
    sock = api.connect()
    sock.settimeout(timeout * harness.PATIENCE)
    sock.sendall(request)
    data = b""
    try:
        while True:
            chunk = sock.recv(65536)
            if not chunk:
                return data
            data += chunk
    except OSError:
        return data
    finally:
        sock.close()


def b64(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def unb64(text):
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def token_parts(token):
    header, claims, mac = token.split(".")
    return json.loads(unb64(header)), json.loads(unb64(claims)), unb64(mac)


def sign(header, claims, secret=SECRET, digest=hashlib.sha256):
    """header, claims: a dict, or the very text."""
    text = ".".join(b64((part if isinstance(part, str) else json.dumps(part, separators=(",", ":"))).encode())
                    for part in (header, claims))
    return f"{text}.{b64(hmac.new(secret.encode(), text.encode(), digest).digest())}"


def cookie_of(reply):
    """(value, attributes) of the one Set-Cookie with a refresh token."""
    lines = [line for line in reply.headers.get_all("Set-Cookie") or [] if not line.startswith("__Host-")]
    assert len(lines) == 1, lines
    pair, *attributes = [part.strip() for part in lines[0].split(";")]
    name, _, value = pair.partition("=")
    assert name == "__Secure-gatehouse-refresh"
    return value, attributes


def rows():
    """(method, path) of every door in the table of routes."""
    source = (harness.pathlib.Path(__file__).parents[2] / "http" / "routes.c").read_text()
    return re.findall(r'\{METHOD_([A-Z]+),\s*"([^"]+)"', source)


def some_path(path):
    """A path that fits the row, of things that are not there."""
    zeros = "0" * 26
    prefix = {"codes": "cod_", "machines": "mch_", "sessions": "ses_", "users": "usr_", "invites": "inv_",
              "tokens": "tok_"}
    parts = path.split("/")
    for i, part in enumerate(parts):
        if part == "{id}":
            parts[i] = prefix[parts[i - 1]] + zeros
        elif part == "{kid}":
            parts[i] = "key_" + zeros
        elif part == "{seq}":
            parts[i] = "999999999"
        elif part == "{alert}":
            parts[i] = "999999999-refresh_reused"
        elif part == "{path*}":
            parts[i] = "000" if "entries" in path else "0/000"
        elif part == "{service*}":
            parts[i] = "shell"
    return "/".join(parts)


