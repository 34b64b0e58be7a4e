"""judge.py: has logs that writelog wrote judged by the oracles: good ones of every edge size must pass,
each kind of damage must be refused for its own reason."""
import argparse
import base64
import hashlib
import http.server
import pathlib
import subprocess
import sys
import tempfile
import threading

import msgpack
import nacl.signing

HERE = pathlib.Path(__file__).parent
SIZES = (0, 1, 2, 255, 256, 257, 65535, 65536, 65537)
SMALL = 300  # leaves of the log that gets damaged: two levels, one key rotation
ORIGIN = b"gatehouse.oracle"


class Judge:
    def __init__(self, args, work):
        self.args, self.work = args, work

    def write(self, size):
        folder = self.work / f"log-{size}"
        subprocess.run([self.args.writelog, folder, str(size)], check=True)
        return folder

    def go(self, folder):
        return subprocess.run([self.args.go, "--dir", folder], capture_output=True, text=True, check=False)

    def records(self, folder, *keys):
        keys = keys or ("--key", (folder / "root").read_text().strip(), "--key", (folder / "vkey").read_text().strip())
        return subprocess.run(["/usr/bin/python3", HERE / "records.py", folder, *keys],
                              capture_output=True, text=True, check=False)


    def file(self, folder):
        """The exported file, by the oracle that knows the format from its description."""
        keys = ("--key", (folder / "root").read_text().strip(), "--key", (folder / "vkey").read_text().strip())
        return subprocess.run(["/usr/bin/python3", HERE / "records.py", folder / "export", *keys],
                              capture_output=True, text=True, check=False)

    def verify(self, folder, *options, key="root"):
        return subprocess.run([self.args.verify, "log", folder / "export", "--key-file", folder / key, *options],
                              capture_output=True, text=True, check=False)


def expect_good(result, what):
    print(what, (result.stdout + result.stderr).strip())
    if result.returncode != 0:
        sys.exit(f"{what}: refused")


def expect_bad(result, what, reason):
    said = result.stderr.strip()
    print(f"{what}: {said}")
    if result.returncode == 0 or "does not verify" not in said or reason not in said:
        sys.exit(f"{what}: exit {result.returncode}, expected a refusal with {reason!r}")


def flip(path, at):
    data = bytearray(path.read_bytes())
    data[at] ^= 1
    path.write_bytes(data)


def replace_text(path, old, new):
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))


def damage_to_tree(folder):
    """name -> (how to damage, what the refusal says)."""
    root = (folder / "checkpoint").read_text().split("\n")[2]
    other_key = "gatehouse.oracle+" + hashlib.sha256(ORIGIN + b"\n\x01" + bytes(32)).digest()[:4].hex() + "+AQ" + "A" * 42
    return {
        "leaf hash in a full tile": (lambda: flip(folder / "tile/0/000", 33), "leaf hashes do not give the root"),
        "leaf hash in a partial tile": (lambda: flip(folder / "tile/0/001.p/44", 0), "inconsistent tile"),
        "hash in level 1": (lambda: flip(folder / "tile/1/000.p/1", 31), "inconsistent tile"),
        "tile cut": (lambda: (folder / "tile/0/000").write_bytes(bytes(32)), "bytes"),
        "tile missing": (lambda: (folder / "tile/1/000.p/1").unlink(), "no such file"),
        "tile too many": (lambda: (folder / "tile/1/001").write_bytes(bytes(8192)), "should not be there"),
        "bundle missing": (lambda: (folder / "tile/entries/000").unlink(), "is missing"),
        "leaves file": (lambda: flip(folder / "leaves", 5), "leaves file"),
        "head of another size": (lambda: replace_text(folder / "checkpoint", "\n300\n", "\n301\n"), "invalid signature"),
        "head of another root": (lambda: replace_text(folder / "checkpoint", root, "A" * 43 + "="), "invalid signature"),
        "head by nobody we know": (lambda: (folder / "vkey").write_text(other_key), "no verifiable signatures"),
        "head without signature": (lambda: replace_text(folder / "checkpoint", "\n\n", "\n"), "malformed note"),
        "inclusion proof": (lambda: (folder / "proofs/inclusion-100.tlog-proof").write_text(
            (folder / "proofs/inclusion-150.tlog-proof").read_text().replace("index 150", "index 151")), "invalid"),
        "consistency proof": (lambda: replace_text(folder / "proofs/consistency-127", "\n127\n"[1:], "126\n"), "root"),
    }


def entry_list(path):
    data, at, found = path.read_bytes(), 0, []
    while at < len(data):
        size = int.from_bytes(data[at:at + 2], "big")
        found.append(data[at + 2:at + 2 + size])
        at += 2 + size
    return found


def put_entries(path, found):
    path.write_bytes(b"".join(len(record).to_bytes(2, "big") + record for record in found))


def edit(folder, change):
    path = folder / "tile/entries/000"
    found = entry_list(path)
    change(found)
    put_entries(path, found)


def forge(record, change):
    """The record changed and signed again by the right event key: only rules can refuse it."""
    event = msgpack.unpackb(record[:-64], strict_map_key=False)
    body = change(event)
    body = body if isinstance(body, bytes) else msgpack.packb(event)
    key = nacl.signing.SigningKey(bytes([3 if event[2] <= 100 else 4]) * 32)
    return body + key.sign(b"gatehouse-event-v1\n" + ORIGIN + b"\n" + body).signature


def damage_to_records(folder):
    def at(index, change):
        return lambda: edit(folder, lambda found: found.__setitem__(index, change(found[index])))

    def forged(index, change):
        return at(index, lambda record: forge(record, change))

    def wide_seq(event):  # 7 as uint8 where a fixint will do
        body = msgpack.packb(event)
        place = body.index(b"\x07", 19)
        return body[:place] + b"\xcc\x07" + body[place + 1:]

    def other_bits(place):
        return lambda record: record[:place] + bytes([record[place] ^ 1]) + record[len(record) + place + 1:]
    return {
        "body bit": (at(7, other_bits(-80)), "record 7"),
        "signature bit": (at(7, other_bits(-1)), "record 7: bad signature"),
        "two swapped": (lambda: edit(folder, lambda f: f.__setitem__(slice(7, 9), [f[8], f[7]])), "record 7: says it is 8"),
        "one dropped": (lambda: edit(folder, lambda f: f.pop(7)), "record 7: says it is 8"),
        "one twice": (lambda: edit(folder, lambda f: f.insert(7, f[7])), "record 8: says it is 7"),
        "tail dropped": (lambda: (folder / "tile/entries/001.p/44").unlink(), "speaks of 300"),
        "bundle cut": (lambda: (folder / "tile/entries/000").write_bytes((folder / "tile/entries/000").read_bytes()[:-1]), "cut short"),
        "rewritten, signed again": (forged(7, lambda event: event.__setitem__(5, 1)), "record 8: prev"),
        "last rewritten, signed again": (lambda: put_entries(folder / "tile/entries/001.p/44", [
            *(last := entry_list(folder / "tile/entries/001.p/44"))[:-1],
            forge(last[-1], lambda event: event.__setitem__(5, 1))]), "another root"),
        "not the shortest form": (forged(7, wide_seq), "record 7: not canonical"),
        "nil in a map": (forged(7, lambda event: event[13].__setitem__(60, None)), "record 7: not canonical"),
        "keys out of order": (forged(7, lambda event: event[13].__setitem__(1, 1)), "record 7: not canonical"),
        "float": (forged(7, lambda event: event.__setitem__(5, 1.5)), "record 7: not canonical"),
        "time goes back": (forged(7, lambda event: event.__setitem__(6, 0)), "record 7: time"),
        "other origin": (forged(7, lambda event: event.__setitem__(1, bytes(16))), "record 7: format or origin"),
        "epoch not in force": (forged(7, lambda event: event.__setitem__(4, 2)), "record 7: key epoch"),
        "opened twice": (forged(7, lambda event: event.__setitem__(8, 1)), "record 7: log.opened"),
        "old key after its rotation": (at(101, lambda record: record[:-64] + nacl.signing.SigningKey(b"\3" * 32).sign(
            b"gatehouse-event-v1\n" + ORIGIN + b"\n" + record[:-64]).signature), "record 101: bad signature"),
        "rotation without possession": (forged(100, lambda event: event[13].__setitem__(48, bytes(64))), "record 100: possession"),
        "rotation without the log key": (forged(100, lambda event: event[13].__setitem__(49, bytes(64))), "record 100: other key"),
        "root did not sign": (forged(0, lambda event: event[13].__setitem__(44, bytes(64))), "record 0: root"),
        "head of another root": (lambda: replace_text(folder / "checkpoint", (folder / "checkpoint").read_text().split("\n")[2],
                                                      "A" * 43 + "="), "head: another root"),
        "head signature": (lambda: flip(folder / "checkpoint", -20), "head: "),
        "head with more lines": (lambda: replace_text(folder / "checkpoint", "\n\n", "\nmore\n\n"), "ValueError"),
    }


def serve(folder):
    """The folder as a log's server shows it: partial tiles of older sizes are cut from later ones."""
    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            data = self.find(self.path.removeprefix("/log/")) if self.path.startswith("/log/") else None
            self.send_response(404 if data is None else 200)
            self.send_header("Content-Length", str(len(data or b"")))
            self.end_headers()
            self.wfile.write(data or b"")

        def find(self, name):
            if (folder / name).is_file():
                return (folder / name).read_bytes()
            tile, partial, width = name.partition(".p/")
            later = [folder / tile, *folder.glob(tile + ".p/*")] if partial else []
            for path in filter(pathlib.Path.is_file, later):
                data = path.read_bytes()
                return data[:32 * int(width)] if len(data) >= 32 * int(width) else None
            return None

        def log_message(self, *_):
            pass
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server


def frames(path):
    """[header, (tag, bytes)...] of an exported log."""
    data = path.read_bytes()
    at = [i for i, byte in enumerate(data[:300]) if byte == 10][2] + 1
    found = [data[:at]]
    while at < len(data):
        size = int.from_bytes(data[at + 1:at + 5], "big")
        found.append((data[at:at + 1], data[at + 5:at + 5 + size]))
        at += 5 + size
    return found


def damage_to_file(folder):
    path = folder / "export"

    def edit_frames(change):
        def run():
            found = frames(path)
            change(found)
            path.write_bytes(found[0] + b"".join(tag + len(body).to_bytes(4, "big") + body for tag, body in found[1:]))
        return run
    return {  # of SMALL records: H, K 0, K 100, B, B, E
        "header": (lambda: flip(path, 3), "not a log file"),
        "a size of one less": (lambda: path.write_bytes(path.read_bytes().replace(b"\n300\n", b"\n299\n", 1)), "says 299 records"),
        "a record's bit": (lambda: flip(path, path.stat().st_size // 2), ""),
        "a frame gone": (edit_frames(lambda f: f.pop(4)), ""),
        "bundles swapped": (edit_frames(lambda f: f.insert(4, f.pop(5))), "short bundle"),
        "a key event gone": (edit_frames(lambda f: f.pop(3)), "list of key events"),
        "key events swapped": (edit_frames(lambda f: f.insert(2, f.pop(3))), "order of key events"),
        "a key event too many": (edit_frames(lambda f: f.insert(3, (b"K", (7).to_bytes(8, "big") + entry_of(f, 7)))), "list of key events"),
        "no head": (edit_frames(lambda f: f.pop(1)), "no head"),
        "head behind the keys": (edit_frames(lambda f: f.insert(2, f.pop(1))), "order of frames"),
        "no end": (edit_frames(lambda f: f.pop()), "no end"),
        "two ends": (edit_frames(lambda f: f.append(f[-1])), "order of frames"),
        "cut": (lambda: path.write_bytes(path.read_bytes()[:-9]), "cut short"),
        "an unknown frame": (edit_frames(lambda f: f.insert(4, (b"X", b""))), "unknown frame"),
    }


def entry_of(found, seq):
    body, at = found[4][1], 0
    for _ in range(seq):
        at += 2 + int.from_bytes(body[at:at + 2], "big")
    return body[at + 2:at + 2 + int.from_bytes(body[at:at + 2], "big")]


def judge_files(judge, rejects):
    """The exported file: by the oracle and by our own program, which must always agree."""
    if not rejects:
        for size in SIZES:
            folder = judge.write(size)
            expect_good(judge.file(folder), f"file of {size}:")
            expect_good(judge.verify(folder, key="vkey"), f"gatehouse-verify by the log key, file of {size}:")
            if size == 0:  # no event certifies the log key yet
                continue
            expect_good(judge.verify(folder), f"gatehouse-verify, file of {size}:")
            expect_good(judge.verify(folder, "--fast"), f"gatehouse-verify --fast, file of {size}:")
        return
    for what, (damage, reason) in damage_to_file(judge.write(SMALL)).items():
        folder = judge.write(SMALL)
        damage()
        expect_bad(judge.file(folder), what, reason)
        ours = judge.verify(folder)
        print(f"  gatehouse-verify: {ours.stderr.strip()}")
        if ours.returncode != 5:
            sys.exit(f"{what}: gatehouse-verify ended with {ours.returncode}")
    folder = judge.write(SMALL)
    expect_good(judge.file(folder), "undamaged:")
    expect_good(judge.verify(folder), "undamaged, gatehouse-verify:")


def signed_head(size, root):
    key = nacl.signing.SigningKey(b"\2" * 32)
    text = ORIGIN + b"\n%d\n" % size + base64.b64encode(root) + b"\n"
    key_id = hashlib.sha256(ORIGIN + b"\n\x01" + bytes(key.verify_key)).digest()[:4]
    return text + b"\n\xe2\x80\x94 " + ORIGIN + b" " + base64.b64encode(key_id + key.sign(text).signature) + b"\n"


def judge_live(judge):
    folder, earlier, saved, forked = judge.write(SMALL), judge.write(257), judge.work / "saved", judge.work / "forked"
    forked.write_bytes(signed_head(257, bytes(32)))
    server = serve(folder)

    def go(*options):
        return subprocess.run([judge.args.go, "--url", f"http://127.0.0.1:{server.server_port}",
                               "--vkey", (folder / "vkey").read_text(), *options], capture_output=True, text=True, check=False)
    expect_good(go("--at-least", "300", "--old", earlier / "checkpoint", "--save", saved), "live:")
    expect_good(go("--old", saved), "live, with the head kept:")
    expect_bad(go("--at-least", "301"), "live, too small", "expected at least 301")
    expect_bad(go("--old", forked), "live, forked", "does not extend")
    expect_bad(go("--old", judge.write(301) / "checkpoint"), "live, rolled back", "shrank")
    expect_bad(go("--vkey", (folder / "root").read_text()), "live, another key", "no verifiable signatures")
    flip(folder / "tile/0/000", 100)
    expect_bad(go(), "live, damaged", "leaf hashes do not give the root")
    server.shutdown()


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("what", choices=("go-sizes", "go-rejects", "go-live", "records-sizes", "records-rejects",
                                         "file-sizes", "file-rejects"))
    parser.add_argument("--writelog", required=True)
    parser.add_argument("--go", required=True)
    parser.add_argument("--verify", required=True)
    args = parser.parse_args()
    oracle = "go" if args.what.startswith("go") else "records"
    with tempfile.TemporaryDirectory() as name:
        judge = Judge(args, pathlib.Path(name))
        if args.what == "go-live":
            judge_live(judge)
            return
        if args.what.startswith("file"):
            judge_files(judge, args.what.endswith("rejects"))
            return
        if args.what.endswith("sizes"):
            for size in SIZES:
                expect_good(getattr(judge, oracle)(judge.write(size)), f"size {size}:")
            return
        folder = judge.write(SMALL)
        damages = (damage_to_tree if oracle == "go" else damage_to_records)(folder)
        for what, (damage, reason) in damages.items():
            folder = judge.write(SMALL)
            damage()
            expect_bad(getattr(judge, oracle)(folder), what, reason)
            subprocess.run(["rm", "-r", folder], check=True)
        folder = judge.write(SMALL)
        expect_good(getattr(judge, oracle)(folder), "undamaged:")
        if oracle == "records":
            expect_bad(judge.records(folder, "--event-key", "00" * 32), "another event key", "record 0: bad signature")


if __name__ == "__main__":
    main()
