"""Floods: what strangers send beyond their limits is refused and counted, exactly, and neither fills
the disk nor the memory. The client is a program of its own (tests/bench/flood_client.c); behind a
trusted proxy, X-Forwarded-For makes it come from as many addresses as it likes."""
import json
import os
import subprocess
import time

import pytest

from harness import KIND, PATIENCE, binary, clean_environment, run, wait_until

MANY = 100_000 if KIND == "release" else 20_000


@pytest.fixture
def server(make_server):
    return make_server("--trusted-proxies", "127.0.0.1/32,127.0.0.0/8", plain=True)


def flood_argv(server, requests, sources, *args):
    return [binary("bench/flood_client"), "--port", server.port, "--requests", requests, "--connections", 32,
            "--sources", sources, *args]


def flood(server, requests, sources, *args):
    """What the client saw: {"answered", "unanswered", "status": {"429": n, ...}}."""
    return json.loads(run(*flood_argv(server, requests, sources, *args), timeout=240, check=0).stdout)


def counted(server):
    """(sum over all refusals.counted, their rows), as an auditor reads it."""
    events = server.admin().events(type="refusals.counted")
    for event in events:
        assert sum(row[3] for row in event["data"]["rows"]) == event["data"]["total"], event
    return sum(event["data"]["total"] for event in events), [row for event in events for row in event["data"]["rows"]]


def log_bytes(server):
    return sum(path.stat().st_blocks * 512 for path in (server.state / "log").iterdir())


def test_every_refusal_is_counted_once(server):
    server.admin()
    before, rss = log_bytes(server), server.rss_kib()
    one = flood(server, MANY, 1)
    assert one["status"] == {"401": 5, "429": MANY - 5}
    many = flood(server, MANY, 10_000, "--path", "/api/codes/validate", "--body", '{"code":"000000000"}')
    networks = flood(server, MANY, 100_000, "--ipv6", "--path", "/api/auth/refresh", "--body",
                     '{"refresh_token":"not one of ours"}')
    refused = sum(seen["status"].get("429", 0) + seen["status"].get("503", 0) for seen in (one, many, networks))
    assert sum(seen["answered"] for seen in (one, many, networks)) == 3 * MANY
    assert server.stop() == 0
    grown = log_bytes(server) - before
    server.start()
    total, rows = counted(server)
    assert total == refused
    assert {row[2] for row in rows} >= {"login_net", "budget"}
    assert all(len(row) == 6 and row[4] <= row[5] for row in rows)
    assert grown < 1 << 20, f"the log grew by {grown} bytes for {refused} refusals"
    assert server.rss_kib() < rss + 8 * 1024 * (4 if KIND != "release" else 1)
    assert server.verify().returncode == 0


def test_a_flood_is_written_every_ten_seconds(server):
    server.admin()
    refused = flood(server, 500, 1)["status"]["429"]
    server.admin().wait_event(type="refusals.counted", timeout=15)
    assert counted(server)[0] == refused


def test_a_kill_loses_no_count(server):
    """At whatever moment: while counting, while the event is under way, right after it."""
    server.admin()
    refused = unsure = 0
    for nap in (0.7, 10.1, 10.6, 3):
        client = subprocess.Popen([str(a) for a in flood_argv(server, 10_000_000, 1000)], stdout=subprocess.PIPE,
                                  text=True, env=clean_environment())
        time.sleep(nap)
        server.kill()
        seen = json.loads(client.communicate(timeout=30 * PATIENCE)[0])
        refused += seen["status"].get("429", 0) + seen["status"].get("503", 0)
        unsure += seen["unanswered"]
        server.start()
        assert server.admin().wait_event(type="server.started", match=lambda event: event["data"].get(
            "refusal_counts") == "kept")
    # The last counts are written when they are due, at once for those of a life before.
    wait_until("all refusals are in the log", lambda: counted(server)[0] >= refused, timeout=15)
    time.sleep(0.5)
    assert refused <= counted(server)[0] <= refused + unsure
    assert refused > 1000


def test_counts_of_a_known_account_name_it(server):
    admin = server.admin()
    flood(server, 50, 1, "--body", json.dumps({"name": server.admin_name, "password": "wrong wrong wrong"}))
    flood(server, 50, 1, "--body", json.dumps({"name": "nobody-at-all", "password": "wrong wrong wrong"}))
    server.restart()
    accounts = {row[1] for row in counted(server)[1]}
    assert len(accounts) == 2 and "" in accounts, accounts
    assert admin.user["id"].startswith("usr_")


@pytest.mark.parametrize("spoil, said", [
    (lambda path: path.unlink(), "new"),
    (lambda path: path.write_bytes(os.urandom(path.stat().st_size)), "damaged"),
    (lambda path: os.truncate(path, 100), "damaged"),
    (lambda path: None, "kept"),
])
def test_what_became_of_the_counts_is_said(server, spoil, said):
    server.admin()
    flood(server, 100, 1)
    server.kill()
    spoil(server.state / "refusals")
    server.start()
    started = server.admin().events(type="server.started")
    assert started[-1]["data"]["refusal_counts"] == said
    assert flood(server, 100, 1)["answered"] == 100  # it counts on


def test_logins_leave_room_for_codes(server):
    """A flood of logins cannot use up what strangers may write: whoever was given a code comes in."""
    digits = server.admin().new_code()["code"]
    seen = flood(server, 3000, 3000, "--path", "/api/auth/refresh", "--body", '{"refresh_token":"not one of ours"}')
    assert seen["status"]["429"] > 3000 / 4, seen  # each from a network that had asked for nothing yet
    assert server.api().request("POST", "/api/codes/validate", {"code": digits}, token=False).status == 200
