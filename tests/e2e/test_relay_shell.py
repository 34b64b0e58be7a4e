"""A shell on a real machine, through code, agent, consent and relay, as the two people see it."""
import os
import pathlib
import re
import subprocess
import time

import harness
import pytest
import relay_kit


@pytest.fixture
def desk(server, tmp_path):
    return relay_kit.Desk(server, tmp_path)


@pytest.fixture
def key_desk(server, tmp_path):
    """A machine without a person: sessions open at once, and end without ending the machine."""
    return relay_kit.Desk(server, tmp_path, by="key", name=f"unattended-{tmp_path.name[-12:]}")


def test_from_code_to_verified_log(server, tmp_path):
    """The whole walk: code, agent, consent asked and given, a shell, its end, timeline, verify."""
    api = server.technician()
    profile = server.profile(api.user["name"])
    code = api.new_code()["code"]
    agent = harness.Agent(server, tmp_path, name="ada", code=f"{code[:3]} {code[3:6]}-{code[6:]}", yes=False)
    person = harness.Terminal("person", tmp_path, agent.command(), env=harness.clean_environment(HOME=tmp_path))
    words = person.expect(r"two words: (\w+ \w+)")[1].decode()
    api.wait_online("ada")
    shell = profile.terminal("ada", "--reason", "disk is full")
    shell.expect("waiting for consent at ada ")
    assert shell.expect(r"the two words: (\w+ \w+) \(")[1].decode() == words, "the technician sees other words"
    assert api.wait_online("ada")["words"] == words
    question = person.expect(r"(?s)asks for a session.*Allow it\?")[0].decode()
    assert "disk is full" in question and words in question and "shell" in question
    person.type("maybe\n")
    person.expect("Type yes or no")
    person.type("yes\n")
    person.expect("Allowed")
    shell.expect(r"[$#] ")
    shell.type("stty -echo; echo $((6*7)) $TERM $(stty size)\r")
    shell.expect(r"42 xterm-256color 24 80")
    shell.resize(40, 132)
    shell.type("until [ \"$(stty size)\" = '40 132' ]; do sleep 0.1; done; echo resi''zed\r")
    shell.expect("resized")
    shell.type("exit 7\r")
    assert shell.finish() == 7
    person.expect("has ended")
    assert person.finish() == 0
    session = server.admin().wait_event(type="session.ended")["subject"]["session"]
    kinds = [event["type"] for event in server.admin().events(session=session)]
    assert kinds == ["session.requested", "session.consented", "session.opened", "session.attached",
                     "channel.opened", "channel.closed", "session.ended"]
    timeline = server.cli("audit", "timeline", "--session", session, check=0).stdout
    assert "disk is full" in timeline and "exit=7" in timeline
    assert server.verify().returncode == 0


@pytest.mark.parametrize("answer,why", [("no\n", "refused"), (None, "ended")])
def test_without_a_yes_there_is_no_session(server, tmp_path, answer, why):
    api = server.technician()
    profile = relay_kit.profile_of(api)
    name = f"shy-{why}"
    agent = harness.Agent(server, tmp_path, name=name, code=api.new_code()["code"], yes=False)
    person = harness.Terminal("person", tmp_path, agent.command(), env=harness.clean_environment(HOME=tmp_path))
    machine = api.wait_online(name)["id"]
    shell = profile.terminal(name)
    person.expect("Allow it")
    if answer:
        person.type(answer)
        shell.expect("the person at the machine refused")
        assert shell.finish() == 255
        server.admin().wait_event(type="session.denied")
    else:  # the technician thinks better of it: the question goes away
        shell.expect("waiting for consent")
        shell.signal(2)
        assert shell.finish() == 255
        person.expect("withdrawn")
    asked = {e["subject"]["session"] for e in server.admin().events(type="session.requested")
             if e["subject"]["machine"] == machine}
    assert asked and asked.isdisjoint(e["subject"]["session"] for e in server.admin().events(type="session.opened"))


def test_what_was_typed_before_the_question_is_no_answer(server, tmp_path):
    api = server.technician()
    profile = relay_kit.profile_of(api)
    agent = harness.Agent(server, tmp_path, name="hasty", code=api.new_code()["code"], yes=False)
    person = harness.Terminal("person", tmp_path, agent.command(), env=harness.clean_environment(HOME=tmp_path))
    api.wait_online("hasty")
    person.type("yes\n" * 5)
    time.sleep(0.3)
    shell = profile.terminal("hasty")
    person.expect("Allow it")
    with pytest.raises(AssertionError):
        person.expect("Allowed", timeout=1)
    person.type("no\n")
    shell.expect("refused")
    assert shell.finish() == 255


def test_names_and_reasons_cannot_draw_on_the_persons_screen(server, tmp_path):
    api = server.technician()
    agent = harness.Agent(server, tmp_path, name="calm", code=api.new_code()["code"], yes=False)
    person = harness.Terminal("person", tmp_path, agent.command(), env=harness.clean_environment(HOME=tmp_path))
    machine = api.wait_online("calm")["id"]
    api.open_session(machine, reason="caf\u00e9 \\x1b[2J is only text", wait=False)
    person.expect("Allow it")
    assert b"\x1b[2J" not in person.seen and "caf\u00e9 \\\\x1b[2J".encode() in person.seen


def test_commands_by_pipe_and_exit_status(key_desk):
    done = key_desk.profile.connect(key_desk.machine, stdin=subprocess.PIPE)
    done.child.communicate(b"echo one $((1+1)); cat /proc/$$/comm; exit 3\n", timeout=60)
    assert done.child.returncode == 3
    assert "one 2" in done.out()


def test_a_pipe_that_ends_ends_the_shell(key_desk):
    done = key_desk.profile.connect(key_desk.machine, stdin=subprocess.PIPE)
    done.child.communicate(b"echo last words", timeout=60)  # no newline, no exit
    assert "last words" in done.out()
    assert done.child.returncode == 0


def test_a_command_behind_two_dashes(key_desk):
    done = key_desk.profile.run("connect", key_desk.machine, "--", "echo", "$((40+2))", ";", "false")
    assert "42" in done.stdout
    assert done.returncode == 1


def test_the_shell_is_alone_and_clean(server, tmp_path):
    """Nothing of the agent is in the shell: no variable, no descriptor, no signal disposition."""
    os.environ["LEAKED_SECRET"] = "hunter2"
    try:
        desk = relay_kit.Desk(server, tmp_path, by="key", name="clean")
    finally:
        del os.environ["LEAKED_SECRET"]
    done = desk.profile.run("connect", desk.machine, "--", "env; ls -l /proc/$$/fd; grep Sig /proc/$$/status; umask; "
                            "ps -o pid=,sid=,tty= -p $$; echo $$; true")
    assert "LEAKED_SECRET" not in done.stdout and "hunter2" not in done.stdout
    assert "TERM=xterm-256color" in done.stdout and re.search(r"GATEHOUSE_SESSION=ses_\w{26}", done.stdout)
    assert not re.search(r"socket:|anon_inode|pipe:", done.stdout)
    assert re.search(r"\n0?022\r?\n", done.stdout)
    ignored = int(re.search(r"SigIgn:\s+([0-9a-f]+)", done.stdout)[1], 16)
    assert not ignored & (1 << 12)  # SIGPIPE, which the agent ignores; a shell has others of its own


def test_the_keyboard_interrupts(key_desk):
    shell = key_desk.profile.terminal(key_desk.machine)
    shell.expect(r"[$#] ")
    shell.type("sleep 1000\r")
    time.sleep(0.5)
    shell.type("\x03")
    shell.expect(r"[$#] ")
    shell.type("echo status $?\r")
    shell.expect(r"status 130")
    shell.type("exit 0\r")
    assert shell.finish() == 0


def test_signals_resize_and_exit_travel_as_text(key_desk):
    session = key_desk.session()
    ws = key_desk.attach(session)
    ws.send(b"bash -c \"trap 'echo got-usr1' USR1; echo rea''dy; while :; do sleep 0.1; done\"\r")
    ws.recv_until(b"ready")
    ws.send({"signal": "USR1"})
    ws.recv_until(b"got-usr1")
    ws.send({"resize": [101, 33]})
    ws.send({"signal": "INT"})
    ws.send(b"stty size; exit 9\r")
    ws.recv_until(b"33 101")
    texts = []
    with pytest.raises(harness.Closed) as closed:
        while True:
            message = ws.recv()
            texts += [message] if isinstance(message, str) else []
    assert texts == ['{"exit":9}'] and closed.value.code == 1000
    event = key_desk.wait_event("channel.closed", lambda e: e["subject"]["session"] == session)
    assert event["data"]["exit_status"] == 9
    key_desk.api.end_session(session)


@pytest.mark.parametrize("text", ["not json", '{"what":1}', '{"exit":0}', '{"resize":[0,0]}',
                                  '{"eof":true,"exit":1}', '{"signal":"NOPE"}'])
def test_a_technician_who_talks_nonsense_is_cut(key_desk, text):
    session = key_desk.session()
    ws = key_desk.attach(session)
    ws.recv()
    ws.send(text)
    assert ws.recv_close() in (1007, 1008)
    key_desk.wait_event("channel.closed", lambda e: e["subject"]["session"] == session)
    key_desk.api.end_session(session)
    assert key_desk.agent.running()


def test_a_hostile_machine_cannot_reach_the_local_terminal(key_desk):
    shell = key_desk.profile.terminal(key_desk.machine)
    shell.expect(r"[$#] ")
    shell.type(r"printf 'A\033]52;c;ZXZpbA==\007B\033[6nC\033P$qm\033\\D\033[31mE\033[0mF\n'" "\r")
    shell.expect(r"ABCD\x1b\[31mE\x1b\[0mF")
    assert b"\x1b]52" not in shell.seen.split(b"ABCD")[-1] and b"\x1b[6n" not in shell.seen
    shell.type("exit\r")
    assert shell.finish() == 0


def test_tilde_dot_disconnects_and_the_shell_goes_with_it(key_desk):
    shell = key_desk.profile.terminal(key_desk.machine)
    shell.expect(r"[$#] ")
    shell.type("echo pid=$$\r")
    pid = int(shell.expect(r"pid=(\d+)")[1])
    shell.type("trap '' HUP; sleep 4242\r")
    time.sleep(0.5)
    shell.type("\r~.")
    shell.expect("disconnected")
    assert shell.finish() == 0
    harness.wait_until("the shell is gone", lambda: not pathlib.Path(f"/proc/{pid}").exists(), timeout=10)
    assert key_desk.agent.running()


def test_much_output_arrives_whole(key_desk):
    """More than any buffer holds, and the last line before the exit."""
    done = key_desk.profile.run("connect", key_desk.machine, "--", "seq 1 400000; echo the-end", timeout=120)
    lines = done.stdout.replace("\r", "").split("\n")
    numbers = [line for line in lines if line.isdigit()]
    assert numbers == [str(n) for n in range(1, 400001)]
    assert "the-end" in lines[-6:]
    assert done.returncode == 0


def test_a_terminal_of_its_own_for_each_channel(key_desk):
    session = key_desk.session()
    sockets = [key_desk.attach(session, headers={"Gatehouse-Terminal": f"{70 + i}x{20 + i} vt100"}) for i in range(4)]
    for i, ws in enumerate(sockets):
        ws.send(f"echo $TERM-$(stty size | tr ' ' x)-{i}\r".encode())
    for i, ws in enumerate(sockets):
        ws.recv_until(f"vt100-{20 + i}x{70 + i}-{i}".encode())
    key_desk.api.end_session(session)
    assert {ws.recv_close() for ws in sockets} == {1008}


def test_a_machine_without_services_offers_none(server, tmp_path):
    desk = relay_kit.Desk(server, tmp_path, by="key", name="closed", allow=())
    assert "no service is allowed" in desk.agent.log()
    done = desk.profile.run("connect", desk.machine)
    assert done.returncode == 255
    assert "service_off" in done.stderr or "turned" in done.stderr
