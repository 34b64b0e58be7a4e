#!/usr/bin/env python3
"""Throughput, CPU and round trips of a TCP service through gatehouse's relay, beside haproxy in TCP mode and
nginx's WebSocket proxy (Debian's packages, their defaults, one thread each), plain and with TLS on both ends.

    tests/bench/relay.py BUILD_DIR [--rounds 5] [--seconds 1] [--only gatehouse,haproxy] [--realtime]

The same driver (relay_bench) is both ends of all of them; gatehouse is the real server, and the driver is a real
agent and a real technician to it: enrolment, session, tickets, statements. The middle runs on the first
processor, the driver on the second. Each round measures all in turn: ratios are taken within a round, and the
table shows medians. --realtime (root): all run under SCHED_FIFO, against the noise of a machine that others use."""
import argparse
import contextlib
import os
import pathlib
import re
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time

sys.dont_write_bytecode = True
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "e2e"))
options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
options.add_argument("build", type=pathlib.Path)
options.add_argument("--rounds", type=int, default=5)
options.add_argument("--seconds", default="1")
options.add_argument("--only", default="gatehouse,haproxy,nginx,direct")
options.add_argument("--realtime", action="store_true")
options = options.parse_args()
os.environ |= {"GATEHOUSE_BIN": str(options.build), "GATEHOUSE_KIND": "release"}
import harness  # noqa: E402: reads its environment when it is imported

DRIVER = str(options.build.resolve() / "bench/relay_bench")
PAIRS = (1, 100)
HAPROXY = """global
    nbthread 1
    maxconn 4096
defaults
    mode tcp
    timeout connect 5s
    timeout client 60s
    timeout server 60s
frontend near
    bind 127.0.0.1:{port} {near_tls}
    default_backend far
backend far
    server far 127.0.0.1:{far} {far_tls}
"""
NGINX = """daemon off;
master_process off;
worker_processes 1;
pid {folder}/nginx.pid;
error_log {folder}/nginx.err;
events {{ worker_connections 4096; }}
http {{
    access_log off;
    server {{
        listen 127.0.0.1:{port} {near_tls};
        location / {{
            proxy_pass {scheme}://127.0.0.1:{far};
            proxy_http_version 1.1;
            proxy_set_header Upgrade $http_upgrade;
            proxy_set_header Connection upgrade;
        }}
    }}
}}
"""


def pinned(processor):
    return (["chrt", "-f", "10"] if options.realtime else []) + ["taskset", "-c", str(processor % os.cpu_count())]


class Middle:
    """One relay that runs, and how the driver is to use it."""

    def __init__(self, folder, tls):
        self.folder, self.tls = folder, tls
        self.port, self.far = harness.free_port(), harness.free_port()
        self.child = None

    def certificate(self):
        return [] if not self.tls else ["--ca", CERT, "--cert", CERT, "--key", KEY]

    def arguments(self, pairs):
        return ["--port", str(self.port), "--listen", str(self.far), *self.certificate()]

    def spawn(self, *argv):
        with (self.folder / "middle.log").open("ab") as log:
            self.child = subprocess.Popen([*pinned(0), *argv], stdout=log, stderr=log)
        def up():
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port), 1):
                return True
        harness.wait_until(f"{argv[0]} listens", up)

    def pid(self):
        return self.child.pid

    def feed(self, driver, pairs):
        pass

    def stop(self):
        if self.child:
            self.child.terminate()
            self.child.wait()


class Direct(Middle):
    def arguments(self, pairs):
        return ["--port", "0", *self.certificate()]

    def pid(self):
        return 0


class Haproxy(Middle):
    def __init__(self, folder, tls):
        super().__init__(folder, tls)
        path = folder / "haproxy.cfg"
        path.write_text(HAPROXY.format(port=self.port, far=self.far, near_tls=f"ssl crt {BOTH}" if tls else "",
                                       far_tls="ssl verify none" if tls else ""))
        self.spawn("haproxy", "-db", "-f", str(path))


class Nginx(Middle):
    def __init__(self, folder, tls):
        super().__init__(folder, tls)
        path = folder / "nginx.conf"
        text = NGINX.format(folder=folder, port=self.port, far=self.far, near_tls="ssl" if tls else "",
                            scheme="https" if tls else "http")
        if tls:
            text = text.replace("location /", f"ssl_certificate {CERT}; ssl_certificate_key {KEY};\n        location /")
        path.write_text(text)
        self.spawn("nginx", "-p", str(folder), "-c", str(path))

    def arguments(self, pairs):
        return ["--websocket", *super().arguments(pairs)]


class Gatehouse(Middle):
    def __init__(self, folder, tls):
        super().__init__(folder, tls)
        self.server = harness.Server(folder, "--loops", "1", plain=not tls).init()
        self.server.start(wrapper=pinned(0))
        self.port, self.technician, self.count = self.server.port, self.server.technician(), 0

    def pid(self):
        return self.server.pid

    def arguments(self, pairs):
        self.count += 1
        admin = self.server.admin()
        self.machine = admin.post("/api/machines", {"name": f"bench{self.count}"}, want=201)["id"]
        key = admin.post(f"/api/machines/{self.machine}/keys", {}, want=201)["key"]
        if pairs > 1:
            self.technician = self.server.technician()  # a token may ask 600 times a minute
        return ["--agent", key, "--source", self.technician.source, "--port", str(self.port), *(["--ca", str(self.server.ca)] if self.tls else [])]

    def feed(self, driver, pairs):
        assert driver.stdout.readline().startswith("agent ")
        harness.wait_until("online", lambda: self.technician.get(f"/api/machines/{self.machine}")["online"])
        session = self.technician.open_session(self.machine)["id"]
        for _ in range(pairs):
            driver.stdin.write(f"{session} {self.technician.ticket(session, 'tcp:bench')}\n")
        driver.stdin.flush()

    def stop(self):
        assert self.server.stop() == 0


MIDDLES = {"gatehouse": Gatehouse, "haproxy": Haproxy, "nginx": Nginx, "direct": Direct}


def measure(middle, pairs, mode):
    argv = [*pinned(1), DRIVER, *middle.arguments(pairs), "--pairs", str(pairs), "--seconds", options.seconds,
            "--middle", str(middle.pid()), mode]
    driver = subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    middle.feed(driver, pairs)
    said = driver.communicate(timeout=120)[0]
    assert driver.returncode == 0, (argv, said)
    return {k: float(v) for k, v in re.findall(r"(\w+) ([\d.]+)", said.splitlines()[-1].split(" ", 1)[1])}


def median(rows, name, figure, over=None):
    values = [row[name][figure] / (row[over][figure] if over else 1) for row in rows]
    return statistics.median(values)


def report(results, names):
    for (tls, pairs, mode), rows in results.items():
        how = "TLS on both ends" if tls else "plain"
        if mode == "flow":
            print(f"\n{how}, 16 KiB messages, {pairs} pair{'s' * (pairs > 1)}; medians of {len(rows)} rounds\n"
                  "| middle | MB/s | x haproxy | cpu-s/GB | middle's CPU | driver's CPU |\n|---|---|---|---|---|---|")
            for name in names:
                ratio = median(rows, name, "MB_s", "haproxy") if "haproxy" in names else 0
                print(f"| {name} | {median(rows, name, 'MB_s'):.0f} | {ratio:.2f} | {median(rows, name, 'cpu_s_GB'):.2f}"
                      f" | {median(rows, name, 'middle_cpu'):.2f} | {median(rows, name, 'driver_cpu'):.2f} |")
        else:
            print(f"\n{how}, round trips of 128 bytes; medians of {len(rows)} rounds\n"
                  "| middle | p50 us | p99 us | added p50 us |\n|---|---|---|---|")
            for name in names:
                added = statistics.median(row[name]["p50_us"] - row["direct"]["p50_us"] for row in rows) \
                    if "direct" in names else 0
                print(f"| {name} | {median(rows, name, 'p50_us'):.1f} | {median(rows, name, 'p99_us'):.1f} | {added:.1f} |")


def main():
    names = options.only.split(",")
    results = {}
    print(f"# {os.cpu_count()} cores, {os.uname().release}, load {os.getloadavg()}, {options.rounds} rounds of "
          f"{options.seconds} s{', SCHED_FIFO' * options.realtime}", flush=True)
    for tls in (False, True):
        with contextlib.ExitStack() as stack:
            middles = {}
            for name in names:
                folder = FOLDER / f"{name}-{'tls' if tls else 'plain'}"
                folder.mkdir()
                middles[name] = MIDDLES[name](folder, tls)
                stack.callback(middles[name].stop)
            for pairs, mode in [(n, "flow") for n in PAIRS] + [(1, "rtt")]:
                rows = results.setdefault((tls, pairs, mode), [])
                for _ in range(options.rounds):
                    rows.append({name: measure(middle, pairs, mode) for name, middle in middles.items()})
    report(results, names)


FOLDER = pathlib.Path(tempfile.mkdtemp(prefix="relay-bench-"))
CERT, KEY, BOTH = (str(FOLDER / name) for name in ("tls.crt", "tls.key", "tls.both"))
try:
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
                    "-keyout", KEY, "-out", CERT, "-days", "2", "-subj", "/CN=localhost",
                    "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"], check=True, capture_output=True)
    os.chmod(KEY, 0o600)
    pathlib.Path(BOTH).write_text(pathlib.Path(CERT).read_text() + pathlib.Path(KEY).read_text())
    started = time.monotonic()
    main()
    print(f"\n# took {time.monotonic() - started:.0f} s, load at the end {os.getloadavg()}")
finally:
    shutil.rmtree(FOLDER, ignore_errors=True)
