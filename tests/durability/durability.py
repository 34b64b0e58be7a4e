#!/usr/bin/env python3
"""Kills, unplugs and starves a program that writes through the store, and looks at what is left.

    durability.py PART --writer store_writer --shim libpowercut.so [--rounds N] [--seed N]

PART: kill9 | powercut | powercut_is_seen | failing_disk | full_disk. What must hold after each: every event that
was acknowledged is there, once, in its place; the log verifies; keys, secrets, anchor and views fit to it; and the
store takes up its work again. A failure prints the seed, which repeats the run.
"""
import argparse
import os
import pathlib
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import uuid

FAILSTOP = 74


class Failed(Exception):
    pass


class Store:
    """A state folder, and all that was acknowledged in it."""

    def __init__(self, args, top, name):
        self.args, self.top = args, pathlib.Path(top) / name
        self.top.mkdir()
        self.dir, self.acks, self.boot = self.top / "state", self.top / "acks", self.top / "boot"
        self.acks.touch()
        self.reboot()
        subprocess.run([args.writer, "create", self.dir], check=True)

    def reboot(self):
        self.boot.write_text(str(uuid.uuid4()) + "\n")

    def environment(self, **more):
        return {**os.environ, "LD_PRELOAD": self.args.shim, "POWERCUT_BOOT": str(self.boot), **more}

    def start(self, seed, events, *options, wrapper=(), env=None):
        with self.acks.open("ab") as acks:
            return subprocess.Popen([*wrapper, self.args.writer, "run", self.dir, str(seed), str(events), *options],
                                    stdout=acks, stderr=subprocess.PIPE, env=env or self.environment())

    def check(self, *options):
        done = subprocess.run([self.args.writer, "check", self.dir, self.acks, *options], stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, text=True, env=self.environment(), errors="replace")
        return done.returncode, done.stdout.strip()

    def must_be_right(self, *options):
        status, output = self.check(*options)
        if status != 0:
            raise Failed(f"check ended with {status}: {output}")
        return output

    def acknowledged(self):
        lines = self.acks.read_text().splitlines()
        return int(lines[-1].split()[0]) if lines else 0

    def remove(self):
        shutil.rmtree(self.top)


def wait_for_first_ack(store, process, before):
    deadline = time.monotonic() + 30
    while store.acks.stat().st_size == before and process.poll() is None:
        if time.monotonic() > deadline:
            process.kill()
            raise Failed("nothing was acknowledged in 30 s")
        time.sleep(0.002)


def kill9(args, top, rng):
    """SIGKILL at a random moment under load."""
    store, kills = None, 0
    for number in range(args.rounds or 100):
        if number % 10 == 0:
            if store:
                store.remove()
            store = Store(args, top, f"kill{number}")
        before = store.acks.stat().st_size
        process = store.start(rng.getrandbits(32), 10_000_000, "views", "anchor")
        wait_for_first_ack(store, process, before)
        time.sleep(rng.uniform(0, 0.12))
        process.send_signal(signal.SIGKILL)
        _, errors = process.communicate()
        if process.returncode != -signal.SIGKILL:
            raise Failed(f"round {number}: the writer ended by itself with {process.returncode}: {errors.decode()}")
        kills += 1
        said = store.must_be_right()
        if number % 10 == 9:
            print(f"after {kills} kills: {said}", flush=True)


def cut(store, rng, *options, **env):
    """One run that ends in a power cut; the machine then boots anew."""
    process = store.start(rng.getrandbits(32), 10_000_000, *options, env=store.environment(
        POWERCUT_DIR=str(store.dir), POWERCUT_AFTER=str(rng.randrange(5, 2500)), POWERCUT_SEED=str(rng.getrandbits(32)),
        **env))
    _, errors = process.communicate(timeout=120)
    if process.returncode >= 0:
        raise Failed(f"the writer ended by itself with {process.returncode}: {errors.decode()}")
    for aside in store.top.glob("powercut.*"):
        aside.unlink()
    store.reboot()


def powercut(args, top, rng):
    """The power goes at a random moment: unsynced sectors, lengths and names are lost in part."""
    store = None
    for number in range(args.rounds or 40):
        if number % 10 == 0:
            if store:
                store.remove()
            store = Store(args, top, f"cut{number}")
        try:
            cut(store, rng, "views", "anchor")
            said = store.must_be_right()
        except Failed as failure:
            raise Failed(f"round {number}: {failure}") from failure
        if number % 10 == 9:
            print(f"after {number + 1} cuts: {said}", flush=True)


def powercut_is_seen(args, top, rng):
    """The same test, on stores that forget a sync: it must notice, or it proves nothing."""
    cases = (("a log that never syncs", ("nosync",), {}),
             ("a log that does not sync its meta page", ("nometasync",), {}),
             ("syncs of the log that do nothing", (), {"POWERCUT_DEAF": "data.mdb"}),
             ("syncs of the keystore that do nothing", (), {"POWERCUT_DEAF": "keystore"}))
    for what, options, env in cases:
        for number in range(args.rounds or 40):
            store = Store(args, top, f"bad{number}")
            status = 0
            try:
                for _ in range(3):
                    cut(store, rng, *options, **env)
                    status, output = store.check()
                    if status != 0:
                        break
            except Failed as failure: # it could not even start again
                status, output = 1, str(failure)
            store.remove()
            if status != 0:
                print(f"{what}: seen in round {number}: {output.splitlines()[0] if output else status}", flush=True)
                break
        else:
            raise Failed(f"{what}: not noticed")


def injected(store, call, error, when, path, rng):
    """Runs the writer with one system call on one file failing; returns how it ended and what strace saw."""
    trace = store.top / "trace"
    process = store.start(rng.getrandbits(32), 3000, env=dict(os.environ), wrapper=(
        "strace", "-f", "-qq", "-o", str(trace), "-e", f"trace=write,{call}",
        "-e", f"inject={call}:error={error}:when={when}", "-P", str(path), "-P", str(store.acks)))
    _, errors = process.communicate(timeout=300)
    return process.returncode, errors.decode(errors="replace"), trace.read_text(errors="replace").splitlines()


def reached(trace, strict):
    """Was the failure injected? Then no acknowledgement may follow it. (Not strict: secrets are synced beside the
    commit of the batch before, whose acknowledgement may still be on its way, and true.)"""
    failed = next((i for i, line in enumerate(trace) if "INJECTED" in line), None)
    if failed is None:
        return False
    for line in trace[failed + 1:] if strict else ():
        if " write(1" in line and "= -1" not in line:
            raise Failed(f"acknowledged after the failure: {line}")
    return True


def refuses_then_recovers(store):
    """A restart is refused until doctor has looked; then everything is right."""
    status, output = store.check()
    if status == 0 or "gatehouse doctor" not in output:
        raise Failed(f"a restart after a failure was not refused: {status}: {output}")
    store.must_be_right("doctor")
    return store.must_be_right()


def failing_disk(args, top, rng):
    """EIO, ENOSPC, EROFS from the calls that make events durable."""
    if not shutil.which("strace") or subprocess.run(
            ["strace", "-qq", "-o", "/dev/null", "true"], stderr=subprocess.DEVNULL).returncode != 0:
        print("strace cannot run here")
        sys.exit(77)
    calls = (("fdatasync", "log/data.mdb"), ("pwrite64", "log/data.mdb"), ("writev", "log/data.mdb"),
             ("fdatasync", "keystore"), ("pwrite64", "keystore"))
    count = 0
    for call, name in calls:
        hit = 0
        for error in ("EIO", "ENOSPC", "EROFS"):
            for when in (1, 2, 3, rng.randrange(4, 40)):
                store = Store(args, top, f"disk{count}")
                path = store.dir / name
                status, errors, trace = injected(store, call, error, when, path, rng)
                if reached(trace, name != "keystore"):
                    hit += 1
                    at_start = store.acknowledged() == 0 and status != FAILSTOP
                    if at_start and status == 0:
                        raise Failed(f"{call} of {name} failed with {error} ({when}) and nobody noticed")
                    if not at_start:
                        if status != FAILSTOP or "FATAL" not in errors or errors.count("FATAL") != 1:
                            raise Failed(f"{call} of {name}, {error} ({when}): ended with {status}: {errors}")
                        refuses_then_recovers(store)
                    else:
                        store.must_be_right()
                elif status != 0:
                    raise Failed(f"{call} of {name} ({when}): not injected, and ended with {status}: {errors}")
                count += 1
                store.remove()
        print(f"{call} of {name}: {hit} failures", flush=True)
        if hit == 0:
            raise Failed(f"{call} of {name} was never reached")


def full_disk(args, top, rng):
    """A map that is full, and a file system that is."""
    store = Store(args, top, "map")
    process = store.start(rng.getrandbits(32), 1_000_000, "map=2000000")
    _, errors = process.communicate(timeout=120)
    if process.returncode != FAILSTOP or b"MDB_MAP_FULL" not in errors or b"Make room" not in errors:
        raise Failed(f"a full map ended with {process.returncode}: {errors.decode()}")
    print("map full:", refuses_then_recovers(store), flush=True)
    mount = pathlib.Path(top) / "small"
    mount.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4m,mode=0700", "tmpfs", mount],
                      stderr=subprocess.DEVNULL).returncode != 0:
        print("no tmpfs can be mounted here: the full file system is left out", flush=True)
        return
    try:
        store = Store(args, mount, "store")
        process = store.start(rng.getrandbits(32), 1_000_000)
        _, errors = process.communicate(timeout=120)
        if process.returncode != FAILSTOP or errors.count(b"FATAL") != 1:
            raise Failed(f"a full disk ended with {process.returncode}: {errors.decode()}")
        subprocess.run(["mount", "-o", "remount,size=40m", mount], check=True)
        # the marker itself may not have found room; what was acknowledged is there all the same
        print("disk full:", store.must_be_right("doctor"), flush=True)
    finally:
        subprocess.run(["umount", mount], check=False)


def main():
    parts = {part.__name__: part for part in (kill9, powercut, powercut_is_seen, failing_disk, full_disk)}
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("part", choices=parts)
    parser.add_argument("--writer", required=True)
    parser.add_argument("--shim", required=True)
    parser.add_argument("--rounds", type=int)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().getrandbits(32))
    args = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="gatehouse-durability-") as top:
        try:
            parts[args.part](args, os.path.realpath(top), random.Random(args.seed))
        except Failed as failure:
            print(f"FAILED: {failure}\nrepeat with: {args.part} --seed {args.seed}")
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
