"""The whole server under load, with more than one loop: everything that happens to it, at once. Under
TSan this is what looks for races; in every build the counts must add up, and the log must verify."""
import collections
import os
import secrets
import time

import harness
import load_kit
import pytest
import relay_kit

LOAD_S = float(os.environ.get("GATEHOUSE_LOAD_S", {"tsan": 60}.get(harness.KIND, 8)))
# Of these the log must hold as many as were granted, and no other.
COUNTED = ["login.succeeded", "token.refreshed", "user.registered", "user.disabled", "code.issued", "code.validated",
           "code.redeemed", "machine.added", "machine.changed", "machine.removed", "key.rotated", "session.opened"]
DONE = ["audits", "tiles", "hang-ups", "reloads", "polls", "channels", *(end.__name__ for end in load_kit.ENDS)]


@pytest.fixture
def services():
    made = {"echo": relay_kit.Service(relay_kit.echo)}
    yield made
    for service in made.values():
        service.close()


def cast(server):
    """Everybody who takes part beside the sessions: (what he does over and over, with what, rest)."""
    names = [server.technician().user["name"] for _ in range(5)]
    return [
        *[(load_kit.come_and_go, (name,), 0.3) for name in names[1:]],
        (load_kit.mistype, (names[0],), 12),
        (load_kit.be_hired_and_fired, (), 4),
        *[(load_kit.issue_codes, (server.technician(),), 0.3) for _ in range(2)],
        (load_kit.keep_machines, (server.person("admin"),), 0.5),
        *[(load_kit.read_audit, (server.auditor(),), 1) for _ in range(2)],
        (load_kit.read_log, (server.auditor(),), 0.5),
        (load_kit.hang_up, (server.auditor(),), 0.3),
        (load_kit.reload_certificates, (), 1),
        (load_kit.rotate_keys, (), 4),
    ]


def subjects(events, kind):
    """How often each session or channel has such an event."""
    member = {"session.attached": "channel", "session.detached": "channel", "channel.opened": "channel",
              "channel.closed": "channel"}.get(kind)
    return collections.Counter(event["data"][member] if member else event["subject"]["session"]
                               for event in events if event["type"] == kind)


def check_sessions(events, posts):
    opened, ended = subjects(events, "session.opened"), subjects(events, "session.ended")
    assert opened and opened == ended and set(opened.values()) == {1}
    for post in posts:
        assert post.sessions <= set(opened)
    attached, detached = subjects(events, "session.attached"), subjects(events, "session.detached")
    opened, closed = subjects(events, "channel.opened"), subjects(events, "channel.closed")
    assert set(attached.values()) == {1} and opened == closed
    assert attached == opened + detached  # each one way or the other, never both
    bytes_of = {event["subject"]["session"]: event["data"] for event in events if event["type"] == "session.ended"}
    for post in posts:
        for session, sent in post.clean.items():
            told = bytes_of[session]
            assert told["to_technician_bytes"] > sent  # the echo, and what the shell said
            assert told["to_agent_bytes"] == sent + len(load_kit.TYPED)


def check_agents(events):
    """Whoever connects goes, and goes once; those who stay are sent away by the stop."""
    here = collections.Counter()
    for event in events:
        if event["type"] == "agent.connected":
            here[event["subject"]["machine"]] += 1
        elif event["type"] == "agent.disconnected":
            here[event["subject"]["machine"]] -= 1
        elif event["type"] == "server.stopped":
            assert sum(here.values()) in (0, len(load_kit.ENDS))
            here.clear()
        assert set(here.values()) <= {0, 1}, event


def check_counts(events, load):
    seen = collections.Counter(event["type"] for event in events)
    told = {kind: load.tally[kind] for kind in COUNTED}
    assert {kind: seen[kind] for kind in COUNTED} == told
    assert all(told.values()) and all(load.tally[what] for what in DONE), load.tally


def stop_in_transfer(server, load, posts):
    """SIGTERM while bytes pour through every machine; then the agents', who are looking for their server.
    Returns the sessions."""
    readers, sessions = [], []
    for post in posts:
        sessions.append(post.open(load))
        sockets = [post.desk.attach(sessions[-1], "tcp:echo") for _ in range(2)]
        for ws in sockets:
            load_kit.echo(ws, load.random)
        readers += load_kit.pouring(sockets)
    time.sleep(0.5)
    assert server.stop(30) == 0
    load_kit.join(readers)
    for post in posts:
        assert post.desk.agent.stop() == 0, post.desk.agent.log()
    return sessions


def check_stop(events, sessions):
    """What was cut by the stop is closed with its bytes, both sides' word on it, and the true reason."""
    closed = [event for event in events if event["type"] == "channel.closed" and event["subject"]["session"] in sessions]
    assert len(closed) == 2 * len(sessions)
    assert {event["data"]["why"] for event in closed} == {"server_stopping"}
    assert all(event["data"]["to_agent_bytes"] > 0 and "cosigned" in event["data"] for event in closed)
    ended = [event for event in events if event["type"] == "session.ended" and event["subject"]["session"] in sessions]
    assert {event["data"]["why"] for event in ended} == {"server_stopped"}
    assert all(event["data"]["to_agent_bytes"] > 0 for event in ended)


@pytest.mark.threads
@pytest.mark.deadline(240)
def test_everything_at_once(make_server, tmp_path, services):
    server = make_server("--loops", "2")
    load = load_kit.Load(server, os.environ.get("GATEHOUSE_LOAD_SEED") or secrets.token_hex(4))
    print(f"seed {load.seed}, {LOAD_S:.0f} s")
    posts = [load_kit.Post(server, tmp_path, f"box{n}", services, end) for n, end in enumerate(load_kit.ENDS)]
    for post in posts:
        post.online()
    helper, others = server.technician(), cast(server)
    before = server.admin().events()[-1]["seq"]
    for post in posts:
        load.start(load_kit.work_on_a_machine, post)
    load.start(load_kit.help_somebody, helper, tmp_path, rest=6)
    for worker, args, rest in others:
        load.start(worker, *args, rest=rest)
    load.run_for(LOAD_S)
    cut = stop_in_transfer(server, load, posts)

    server.start()
    events = server.api().login(server.admin_name).events()
    assert [event["seq"] for event in events] == list(range(len(events)))
    stopped = max(event["seq"] for event in events if event["type"] == "server.stopped")
    check_counts([event for event in events if before < event["seq"] < stopped], load)
    check_sessions(events, posts)
    check_agents(events)
    check_stop(events, cut)
    assert server.stop() == 0
    verified = server.verify()
    assert verified.returncode == 0, verified.stdout + verified.stderr
    print(dict(load.tally), len(events), "events")
