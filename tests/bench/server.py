#!/usr/bin/env python3
"""What the whole server takes and gives: memory at start and with idle agents, durable events over HTTP.

    tests/bench/server.py BUILD_DIR [--agents 9000] [--rounds 3] [--seconds 3] [--realtime]

Memory: a fresh state folder, TLS, one loop; then that many real agents (idle_bench), each enrolled with an API key
of its own and a device key, over TLS 1.3. Events: http_bench with 8, 64 and 256 kept connections."""
import argparse
import concurrent.futures
import http.client
import json
import os
import pathlib
import re
import resource
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time

sys.dont_write_bytecode = True
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "e2e"))
options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
options.add_argument("build", type=pathlib.Path)
options.add_argument("--agents", type=int, default=9000)
options.add_argument("--rounds", type=int, default=3)
options.add_argument("--seconds", default="3")
options.add_argument("--realtime", action="store_true", help="root: all under SCHED_FIFO, on a machine others use")
options = options.parse_args()
os.environ |= {"GATEHOUSE_BIN": str(options.build), "GATEHOUSE_KIND": "release"}
import harness  # noqa: E402: reads its environment when it is imported

BENCH = options.build.resolve() / "bench"
WRAPPER = ["chrt", "-f", "10"] if options.realtime else []
local = threading.local()


def run(*argv, **kwargs):
    return subprocess.run([*WRAPPER, *map(str, argv)], check=True, capture_output=True, text=True, **kwargs).stdout


def admin(server, method, path, body):
    """Over admin.sock, one kept connection per thread: no token, no limit on requests."""
    if getattr(local, "server", None) is not server:
        local.server, local.http = server, http.client.HTTPConnection("localhost")
        local.http.sock = socket.socket(socket.AF_UNIX)
        local.http.sock.connect(str(server.state / "admin.sock"))
    local.http.request(method, path, json.dumps(body), {"Content-Type": "application/json"})
    answer = local.http.getresponse()
    text = answer.read()
    assert answer.status == 201, text
    return json.loads(text)


def enrol(server, number):
    machine = admin(server, "POST", "/api/machines", {"name": f"idle{number}"})["id"]
    return admin(server, "POST", f"/api/machines/{machine}/keys", {})["key"]


def memory(folder):
    server = harness.Server(folder, "--loops", "1").init()
    server.start(wrapper=WRAPPER)
    time.sleep(2)
    print(f"memory at start on a fresh state folder: {server.rss_kib() / 1024:.1f} MiB resident", flush=True)
    with concurrent.futures.ThreadPoolExecutor(32) as pool:
        keys = list(pool.map(lambda number: enrol(server, number), range(options.agents)))
    print(f"memory with {options.agents} machines known, none connected: {server.rss_kib() / 1024:.1f} MiB", flush=True)
    assert server.restart() is server
    time.sleep(2)
    said = run(BENCH / "idle_bench", "--port", server.port, "--ca", server.ca, "--server", server.pid,
               input="\n".join(keys) + "\n")
    before, after = ({k: int(v) for k, v in re.findall(r"(\w+) (\d+)", line)} for line in said.splitlines())
    for what, meaning in (("rss_KiB", "resident in all"), ("anon_KiB", "its own memory"),
                          ("file_KiB", "of it pages of files: the log, the views")):
        print(f"{after['agents']} idle agents: {(after[what] - before[what]) / after['agents']:.2f} KiB each "
              f"({before[what] / 1024:.1f} -> {after[what] / 1024:.1f} MiB), {meaning}")
    server.stop(60)


def events(folder):
    server = harness.Server(folder, "--loops", "1").init()
    server.start(wrapper=WRAPPER)
    print("| connections | events/s | p50 ms | p99 ms |\n|---|---|---|---|")
    for connections in (8, 64, 256):
        rows = []
        for _ in range(options.rounds):
            said = run(BENCH / "http_bench", "--socket", server.state / "admin.sock", "--connections", connections,
                       "--seconds", options.seconds)
            rows.append([float(v) for v in re.findall(r"(?:events_s|p50_ms|p99_ms) ([\d.]+)", said)])
        rate, p50, p99 = (statistics.median(column) for column in zip(*rows))
        print(f"| {connections} | {rate:.0f} | {p50:.2f} | {p99:.2f} |", flush=True)
    server.stop()


hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 65536), hard))
top = pathlib.Path(tempfile.mkdtemp(prefix="server-bench-"))
try:
    print(f"# {os.cpu_count()} cores, {os.uname().release}, load {os.getloadavg()}"
          f"{', SCHED_FIFO' * options.realtime}", flush=True)
    events(top / "http")
    if options.agents > 0:
        memory(top / "idle")
finally:
    shutil.rmtree(top, ignore_errors=True)
