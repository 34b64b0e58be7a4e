"""docs/getting-started.md, run as it stands there: every `sh` block, in its order, by the one it is for.

The document installs for the whole machine, so this happens in namespaces of its own (mounts, network,
processes, host names) with a copy of /etc: nothing of it reaches the machine that runs the test. The
people are shells with homes of their own; `stays` marks what keeps a terminal for itself. What people
carry from one output into the next command (codes, ids, keys) is carried the same way here. systemd
is not there: a stand-in reads the unit of the document and starts and stops what it names.
"""
import json
import os
import pathlib
import re
import shlex
import subprocess

import harness
import pytest

NAMESPACES = ("unshare", "--mount", "--net", "--pid", "--fork")
pytestmark = [pytest.mark.release, pytest.mark.skipif(
    os.geteuid() != 0 or subprocess.run([*NAMESPACES, "true"], check=False).returncode != 0,
    reason="needs root, and the right to make namespaces")]
ROOT = pathlib.Path(__file__).resolve().parents[2]
DOCUMENT = ROOT / "docs/getting-started.md"
PEOPLE = {"server": "help", "alice": "alice", "tina": "tina", "anne": "annes-laptop", "web1": "web1"}

WORLD = r"""
set -eu
world=$1
mount --make-rprivate /
mkdir -p "$world"/{local,media/stick,home} "$world"/var/{lib/dpkg,backups,log,tmp,run}
cp -a /etc "$world/etc"
echo "127.0.0.1 localhost help.example" > "$world/etc/hosts"
mount --bind /var/lib/dpkg "$world/var/lib/dpkg"
mount --rbind "$world/var" /var
mount --bind "$world/etc" /etc
mount --bind "$world/media" /media
mount --bind "$world/local" /usr/local/bin
mount -t tmpfs none /run
mkdir /run/sshd
ip link set lo up
touch "$world/made"
while :; do sleep 60 & wait $!; done # a shell, so that it reaps
"""

SYSTEMCTL = r"""#!/bin/bash
# Stands in for systemd: starts, stops and reloads what the unit says, as the user it says.
set -euo pipefail
unit=/etc/systemd/system/gatehouse.service pid=/run/gatehouse.pid
value() { sed -n "s/^$1=//p" "$unit"; }
as_user=(setpriv --reuid "$(value User)" --regid "$(value User)" --init-groups)
start() {
    "${as_user[@]}" setsid $(value ExecStart) >>/var/log/gatehouse.log 2>&1 </dev/null &
    echo $! >"$pid"
    eval "set -- $(value ExecStartPost)"
    "${as_user[@]}" timeout 60 "$@" >/dev/null 2>&1 || { cat /var/log/gatehouse.log >&2; exit 1; }
}
stop() { kill "$(<"$pid")"; while kill -0 "$(<"$pid")" 2>/dev/null; do sleep 0.1; done; }
case "$1" in
daemon-reload) ! command -v systemd-analyze >/dev/null || systemd-analyze verify --man=no "$unit" ;;
enable | start) start ;;
stop) stop ;;
restart) stop; start ;;
reload) MAINPID=$(<"$pid"); eval "$(value ExecReload)" ;;
*) exit 2 ;;
esac
"""


def blocks():
    """(language, words behind it, text, line) of each fenced block."""
    text = DOCUMENT.read_text()
    for match in re.finditer(r"^```(\w+)([^\n]*)\n(.*?)^```$", text, re.MULTILINE | re.DOTALL):
        yield match[1], match[2].split(), match[3], text.count("\n", 0, match.start()) + 1


class World:
    def __init__(self, folder):
        self.folder, self.said, self.terminals = folder, "", {}
        self.unshare = subprocess.Popen(
            [*NAMESPACES, "--mount-proc", "--kill-child", "bash", "-c", WORLD, "world", str(folder)],
            stdin=subprocess.DEVNULL)
        try:
            harness.wait_until("the world is made", lambda: (folder / "made").exists() or self.unshare.poll())
            children = pathlib.Path(f"/proc/{self.unshare.pid}/task/{self.unshare.pid}/children").read_text()
            self.init = children.split()[0]
        except BaseException:
            self.close()
            raise
        (folder / "local/systemctl").write_text(SYSTEMCTL)
        (folder / "local/systemctl").chmod(0o755)
        for name in PEOPLE:
            self.home(name).mkdir()

    def close(self):
        for terminal in self.terminals.values():
            terminal.kill()
        self.unshare.kill()
        self.unshare.wait()

    def home(self, who):
        return self.folder / "home" / who

    def env(self, who):
        return {"HOME": str(self.home(who)), "XDG_STATE_HOME": str(self.home(who) / ".local/state"), "LANG": "C.UTF-8",
                "TERM": "xterm-256color", "PATH": "/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "PS1": "$ "}

    def argv(self, who, script):
        name = shlex.quote(PEOPLE[who])
        inside = f"hostname {name}; cd {shlex.quote(str(ROOT if who == 'server' else self.home(who)))}; exec bash -euo " \
                 f"pipefail -c {shlex.quote(script)}"
        return ["nsenter", "-t", self.init, "-m", "-n", "-p", "unshare", "--uts", "bash", "-c", inside]

    def run(self, who, script, check=0):
        done = harness.run(*self.argv(who, script), env=self.env(who), timeout=300)
        assert done.returncode == check, f"{who}: {script}\nexit status {done.returncode}\n{done.stdout}\n{done.stderr}"
        return done.stdout

    def terminal(self, who, key, script):
        self.terminals[key] = harness.Terminal(f"{who}-{len(self.terminals)}", self.folder, self.argv(who, script),
                                               env=self.env(who))
        return self.terminals[key]

    def give(self, path, who):
        (self.home(who) / path.name).write_bytes(path.read_bytes())

    def carried(self, pattern):
        """The last of these that anybody has been shown."""
        found = re.findall(pattern, self.said, re.MULTILINE)
        assert found, f"nobody was shown {pattern}: {self.said[-2000:]}"
        return found[-1]


def the_last_session(world):
    """Lists follow the log a moment later: right after a connect its session may not be in them."""
    sessions = json.loads(world.run("alice", "gatehouse session list --json"))["items"]
    return next((s["id"] for s in sessions if s.get("reason") == "looking for a leak"), None)


def fill_in(world, text):
    """What people read in one place and type in another."""
    if "123 456 789" in text:
        code = world.carried(r"^code\s+(\d{9})$")
        text = text.replace("123 456 789", f"{code[:3]} {code[3:6]} {code[6:]}")
    if "ses_..." in text:
        text = text.replace("ses_...", harness.wait_until("the session is listed", lambda: the_last_session(world)))
    for hole, pattern in (("inv_...", r"^invitation\s+(inv_\S+)"), ("mch_...", r"^id\s+(mch_\w+)"), ("gh_...", r"^key\s+(gh_\S+)")):
        if hole in text:
            text = text.replace(hole, world.carried(pattern))
    return text if harness.BIN == ROOT / "build/release" else text.replace("build/release", str(harness.BIN))


def start_services(world):
    """What web1 is to be reached for: an sshd with throw-away keys, and a page."""
    keys = world.folder / "ssh"
    keys.mkdir(mode=0o700)
    for name in ("host", "user"):
        harness.run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", keys / name, check=0)
    (keys / "sshd_config").write_text(
        f"Port 22\nListenAddress 127.0.0.1\nHostKey {keys}/host\nAuthorizedKeysFile {keys}/user.pub\nStrictModes no\n"
        "UsePAM no\nPidFile none\n")
    (world.folder / "etc/ssh/ssh_config.d").mkdir(exist_ok=True)
    (world.folder / "etc/ssh/ssh_config.d/test.conf").write_text(
        f"IdentityFile {keys}/user\nUserKnownHostsFile {keys}/known\nStrictHostKeyChecking accept-new\n")
    page = world.folder / "page"
    page.mkdir()
    (page / "index.html").write_text("the intranet of web1\n")
    world.terminal("web1", "sshd", f"exec /usr/sbin/sshd -D -e -f {keys}/sshd_config").expect("listening")
    world.terminal("web1", "page", f"exec python3 -u -m http.server -b 127.0.0.1 -d {page} 8080").expect("Serving")


def anne_is_asked(world, shown):
    """shown: the question, as the document shows it."""
    anne, tina = world.terminals["gatehouse-agent run"], world.terminals["gatehouse connect annes-laptop"]
    question = re.escape(shown.rstrip()).replace("WORD\\ WORD", r"(\w+ \w+)").replace("\\\n", r"\s+").replace("120", r"\d+")
    words = anne.expect(r"two words: (\w+ \w+)")[1]
    assert anne.expect(question)[1] == words
    anne.type("yes\n")
    anne.expect("Allowed")
    tina.expect(r"[$#] ")
    tina.type("hostname; exit 0\r")
    tina.expect("annes-laptop")
    assert tina.finish() == 0 and anne.finish() == 0, tina.screen() + anne.screen()


AFTER = {  # what happens once a block has begun, or has ended
    "gatehouse-agent run": lambda world, terminal: terminal.expect("connected to"),
    "gatehouse connect annes-laptop": lambda world, terminal: terminal.expect("waiting for consent"),
    "gatehouse connect web1 --service tcp:intranet": lambda world, terminal: terminal.expect("listening on"),
    "gatehouse connect web1 --reason": lambda world, terminal: terminal.expect(r"[$#] "),
}


@pytest.fixture
def world(tmp_path):
    one = World(tmp_path)
    yield one
    one.close()


def test_every_command_does_what_the_document_says(world):
    start_services(world)
    ran = 0
    for language, words, text, line in blocks():
        if language == "text":
            anne_is_asked(world, text)
        if language != "sh":
            continue
        assert words and words[0] in PEOPLE, f"line {line}: who runs this?"
        who, script = words[0], fill_in(world, text)
        ran += 1
        if "stays" in words:
            key = next(key for key in AFTER if text.startswith(key))
            AFTER[key](world, world.terminal(who, key, script))
            continue
        if "gatehouse me" in text:
            world.give(world.home("server") / "alice.password", "alice")
            for name in ("alice", "tina", "anne", "web1"):
                world.give(world.folder / "var/lib/gatehouse/tls.crt", name)
        if "~/head" in text:
            world.give(world.home("alice") / "head", "server")
        out = world.run(who, script)
        world.said += out
        for command, expected in (("gatehouse me", "alice"), ("machine list", "annes-laptop"), ("-- uptime", "load average"),
                                  ("curl -s http:", "the intranet of web1"), ("id -un", "root"),
                                  ("audit timeline", "session.ended"), ("audit verify", "events verify"),
                                  ("--checkpoint", "extends the older checkpoint")):
            if command in text:
                assert expected in out, f"line {line}: {out}"
        if "session end" in text:
            leak = world.terminals["gatehouse connect web1 --reason"]
            assert leak.finish() == 255, leak.screen()
    assert ran >= 20
    assert "clean=true" in (world.folder / "var/log/gatehouse.log").read_text()
    assert not (world.folder / "var/lib/gatehouse/keys/root.key").exists()
