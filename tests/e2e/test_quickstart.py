"""The README's first command, run for real: what it says, that it can be run again, how it fails."""
import os
import re
import signal
import socket
import stat
import subprocess

import harness
import pytest

pytestmark = pytest.mark.release
QUICKSTART = harness.pathlib.Path(__file__).resolve().parents[2] / "tools/quickstart"


def command(folder, *args, programs=harness.BIN):
    return [str(QUICKSTART), "--bin", str(programs), "--dir", str(folder), *args]


def once(folder, *args, **kwargs):
    return harness.run(*command(folder, "--once", *args, **kwargs), timeout=120)


def processes_of(folder):
    """Programs that were started from within the folder, whoever their parent is now."""
    found = []
    for entry in harness.pathlib.Path("/proc").glob("[0-9]*"):
        try:
            if (entry / "cwd").resolve() == folder and (entry / "exe").resolve().name.startswith("gatehouse"):
                found.append((entry / "cmdline").read_bytes())
        except OSError:
            continue
    return found


def broken_programs(folder, name, script):
    """The real programs, but one."""
    folder.mkdir()
    for program in ("gatehouse", "gatehouse-agent", "gatehouse-verify"):
        if (harness.BIN / program).exists():
            (folder / program).symlink_to(harness.BIN / program)
    (folder / name).unlink()
    (folder / name).write_text(f"#!/bin/sh\n{script}\n")
    (folder / name).chmod(0o755)
    return folder


def test_it_walks_from_nothing_to_a_verified_log_twice(tmp_path):
    folder = tmp_path / "quickstart"
    keys = set()
    for _ in range(2):
        done = once(folder)
        assert done.returncode == 0, done.stdout + done.stderr
        for said in ("Registered tina (technician)", "the two words:", "machine$ id -un", "/dev/pts/", "session.consented",
                     "consent=yes-flag", "session.ended", "events verify (every signature, chain, tree and head)",
                     "auditor$ gatehouse-verify log quickstart.log", "What happened"):
            assert said in done.stdout, said
        assert "FAILED" not in done.stderr
        keys.add(re.search(r"root verifier key +(\S+)", done.stdout)[1])
        assert not processes_of(folder)
    assert len(keys) == 2, "the second run used the state of the first"
    log = harness.run(harness.binary("gatehouse"), "audit", "verify", "--state-dir", folder / "state", check=0)
    assert "events verify" in log.stdout


def test_its_secrets_are_for_nobody_else(tmp_path):
    folder = tmp_path / "quickstart"
    done = once(folder)
    assert done.returncode == 0, done.stdout + done.stderr
    secret = (folder / "tina.password").read_text().strip()
    assert len(secret) >= 20 and secret in done.stdout
    assert stat.S_IMODE((folder / "tina.password").stat().st_mode) == 0o600
    typed = [line for line in done.stdout.split("\n") if re.match(r" +\w+\$ ", line)]
    assert len(typed) > 8 and not any(secret in line for line in typed), "a password was in an argument"


def test_a_second_one_beside_it_and_its_end(tmp_path):
    folder = tmp_path / "quickstart"
    first = harness.Process("first", tmp_path).spawn(command(folder), start_new_session=True)
    harness.wait_until("the first one serves", lambda: "Serving until Ctrl-C" in first.out() or
                       not first.running(), timeout=60)
    assert first.running(), first.out() + first.log()
    second = once(folder)
    assert second.returncode == 0, second.stdout + second.stderr
    assert "belongs to a quickstart that still runs" in second.stdout and "is taken" in second.stdout
    assert first.running() and processes_of(folder)
    url = re.search(r"server +(https://\S+)", first.out())[1]
    harness.run(harness.binary("gatehouse"), "login", "--server", url, "--ca", folder / "state/tls.crt", "--user", "tina",
                "--password-file", folder / "tina.password", env=harness.clean_environment(XDG_STATE_HOME=tmp_path),
                check=0)
    os.killpg(first.pid, signal.SIGINT)  # as Ctrl-C in a terminal: to all of them
    assert first.wait(20) == 0, first.log()
    harness.wait_until("its server has ended", lambda: not processes_of(folder))
    assert "clean=true" in (folder / "serve.log").read_text()


@pytest.mark.parametrize("name,script,step", [
    ("gatehouse-agent", "echo broken on purpose >&2; exit 7", "starts the agent"),
    ("gatehouse", 'case "$1" in serve) echo broken on purpose >&2; exit 7 ;; esac; exec {real} "$@"', "The server"),
    ("gatehouse", 'case "$1$2" in auditverify) echo broken on purpose >&2; exit 5 ;; esac; exec {real} "$@"',
     "Whether the log is whole"),
    ("gatehouse-verify", 'case "$*" in *forged*) echo broken on purpose >&2; exit 0 ;; esac; exec {real} "$@"',
     "An auditor gets the log"),
])
def test_a_step_that_fails_is_named_and_fails_all(tmp_path, name, script, step):
    programs = broken_programs(tmp_path / "bin", name, script.format(real=harness.binary(name)))
    done = once(tmp_path / "quickstart", programs=programs)
    assert done.returncode != 0
    assert re.search(f"FAILED at the step \"[^\"]*{step}", done.stderr), done.stderr
    assert "broken on purpose" in done.stderr and "What happened" not in done.stdout
    assert not processes_of(tmp_path / "quickstart")


def test_a_port_that_is_taken_is_said(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        done = once(tmp_path / "quickstart", "--port", str(taken.getsockname()[1]))
    assert done.returncode == 1 and "is taken" in done.stderr and "free port" in done.stderr


@pytest.mark.parametrize("args", [["--bogus"], ["--port"], ["--port", "x1"]])
def test_a_wrong_option_is_usage(tmp_path, args):
    done = subprocess.run(command(tmp_path / "quickstart", *args), capture_output=True, text=True, timeout=30,
                          check=False, env=harness.clean_environment())
    assert done.returncode == 2 and "--once" in done.stderr
