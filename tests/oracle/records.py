#!/usr/bin/python3
"""Checks a log's records with nothing of Gatehouse: msgpack, PyNaCl, hashlib; docs/log-format.md as a program.

    records.py FOLDER|FILE [--key VKEY]... [--event-key HEX]

FOLDER holds `checkpoint` and `tile/entries/...` (C2SP bundles); FILE is an exported log
(gatehouse-log-file-v1). --key: the verifier key of root
(named ORIGIN/root: it must have certified the keys in log.opened) or of the log. --event-key: the
event key of epoch 1, where log.opened is not to be asked."""
import argparse
import base64
import hashlib
import pathlib
import sys

import msgpack
import nacl.exceptions
import nacl.signing

LOG_OPENED, KEY_ROTATED, KEY_COMPROMISED = 1, 2, 3
ROOT_KEY, LOG_KEY, EVENT_KEY, ROOT_SIG, KEY_ROLE, EPOCH, NEW_KEY, POSSESSION_SIG, OTHER_SIG = 41, 42, 43, 44, 45, 46, 47, 48, 49
ORIGIN = 57


def sha256(*parts):
    return hashlib.sha256(b"".join(parts)).digest()


def verified(key, text, sig, what):
    try:
        nacl.signing.VerifyKey(key).verify(text, sig)
    except (nacl.exceptions.BadSignatureError, ValueError, TypeError):
        raise SystemExit(f"does not verify: {what}: bad signature") from None


def check(good, what):
    if not good:
        raise SystemExit(f"does not verify: {what}")


def bundle_entries(data, what):
    """Each entry is a big-endian u16 length and its bytes."""
    at = 0
    while at < len(data):
        size = int.from_bytes(data[at:at + 2], "big")
        check(len(data) >= at + 2 + size, f"{what}: cut short")
        yield data[at + 2:at + 2 + size]
        at += 2 + size


def entries(folder):
    """Records in order, out of bundles of 256."""
    def index(path):  # x001/x234/067.p/5 -> 1234067
        name = str(path.relative_to(folder / "tile/entries")).split(".p")[0]
        return int(name.replace("x", "").replace("/", ""))
    bundles = [path for path in (folder / "tile/entries").rglob("*") if path.is_file()]
    for path in sorted(bundles, key=index):
        yield from bundle_entries(path.read_bytes(), path)


class LogFile:
    """An exported log: three header lines, then frames H, K, B, E of tag u8, length u32, bytes."""

    def __init__(self, path):
        data = path.read_bytes()
        check(data.count(b"\n") >= 3, "file: no header")
        magic, origin, size, rest = data.split(b"\n", 3)
        check(magic == b"gatehouse-log-file-v1", "file: not a log file")
        check(size.isdigit() and str(int(size)).encode() == size, "file: size")
        self.origin, self.size, self.heads, self.keys, self.records = origin, int(size), [], {}, []
        order = self.read(rest)
        check(bytes(sorted(order, key=b"HKBE".index)) == order and order.count(b"E") == 1, "file: order of frames")
        check(list(self.keys) == sorted(self.keys), "file: order of key events")
        check(len(self.records) == self.size, f"file: says {self.size} records, has {len(self.records)}")

    def read(self, rest):
        order, at, short = bytearray(), 0, False
        while at < len(rest):
            check(len(rest) >= at + 5, "file: cut short")
            tag, size = rest[at:at + 1], int.from_bytes(rest[at + 1:at + 5], "big")
            body = rest[at + 5:at + 5 + size]
            check(len(body) == size, "file: cut short")
            check(tag in (b"H", b"K", b"B", b"E"), "file: unknown frame")
            self.take(tag, body)
            check(not (tag == b"B" and short), "file: a short bundle in the middle")
            short = len(self.records) % 256 != 0
            order += tag
            at += 5 + size
        check(order.endswith(b"E"), "file: no end")
        return bytes(order)

    def take(self, tag, body):
        if tag == b"H":
            self.heads.append(body)
        elif tag == b"K":
            check(len(body) > 8 and int.from_bytes(body[:8], "big") not in self.keys, "file: key event")
            self.keys[int.from_bytes(body[:8], "big")] = body[8:]
        elif tag == b"B":
            before = len(self.records)
            self.records += bundle_entries(body, "file: bundle")
            check(0 < len(self.records) - before <= 256, "file: bundle")
        else:
            check(body == b"", "file: end")

    def check_keys(self):
        """The list names every key event, as it is, and nothing else."""
        met = {seq: record for seq, record in enumerate(self.records)
               if msgpack.unpackb(record[:-64], strict_map_key=False)[8] in (LOG_OPENED, KEY_ROTATED, KEY_COMPROMISED)}
        check(met == self.keys, "file: list of key events")


def canonical(value, depth=0):
    """msgpack.packb writes the shortest form; this looks at what it would write unasked."""
    if isinstance(value, dict):
        keys = list(value)
        good = all(type(key) is int and key >= 0 for key in keys) and keys == sorted(keys) and None not in value.values()
        return good and all(canonical(item, depth + 1) for item in value.values())
    if isinstance(value, list):
        return depth < 8 and all(canonical(item, depth + 1) for item in value)
    return value is None or type(value) in (bool, int, str, bytes)


def root_of(row):
    while len(row) > 1:  # joins neighbours; an odd one at the end moves up alone
        row = [sha256(b"\x01", *row[i:i + 2]) if i + 1 < len(row) else row[i] for i in range(0, len(row), 2)]
    return row[0] if row else sha256()


def parse_vkey(text):
    name, key_id, key = text.strip().split("+", 2)
    key = base64.b64decode(key, validate=True)
    check(key[0] == 1 and len(key) == 33 and sha256(name.encode(), b"\n", key)[:4].hex() == key_id, f"key {name}")
    return name, key[1:]


def open_head(note):
    text, signatures = note.rsplit(b"\n\n", 1)
    origin, size, root = text.split(b"\n")
    name, sig = signatures.rstrip(b"\n").split(b" ")[1:]
    check(name == origin, "head: signed under another name")
    return text + b"\n", origin, int(size), base64.b64decode(root, validate=True), base64.b64decode(sig, validate=True)


def follow_keys(event, origin, keys, trusted):
    """keys: {"log": [epoch 1, 2, ...], "event": [...]} as log.opened and key.rotated tell."""
    seq, kind, data = event[2], event[8], event[13]
    check((seq == 0) == (kind == LOG_OPENED), f"record {seq}: log.opened comes first, and only there")
    if kind == LOG_OPENED:
        root = trusted.get("root", data[ROOT_KEY])
        check(root == data[ROOT_KEY], "record 0: another root key")
        check(data[ORIGIN] == origin.decode(), "record 0: another origin")
        verified(root, b"gatehouse-keys-v1\n" + origin + b"\n" + data[LOG_KEY] + data[EVENT_KEY], data[ROOT_SIG], "record 0: root")
        keys["log"], keys["event"] = [data[LOG_KEY]], [trusted.get("event", data[EVENT_KEY])]
    elif kind == KEY_ROTATED:
        role, other = data[KEY_ROLE], {"log": "event", "event": "log"}[data[KEY_ROLE]]
        check(data[EPOCH] == len(keys[role]) + 1, f"record {seq}: epoch")
        text = b"gatehouse-rotate-v1\n%s\n%s\n%d\n%s" % (origin, role.encode(), data[EPOCH], data[NEW_KEY])
        verified(data[NEW_KEY], text, data[POSSESSION_SIG], f"record {seq}: possession")
        verified(keys[other][-1], text, data[OTHER_SIG], f"record {seq}: other key")
        return role, data[NEW_KEY]
    return None


def check_records(found, origin, trusted):
    prev, eff, leaves, keys = bytes(32), 0, [], {"log": [], "event": []}
    for seq, record in enumerate(found):
        body, sig = record[:-64], record[-64:]
        event = msgpack.unpackb(body, strict_map_key=False)
        check(msgpack.packb(event) == body and canonical(event), f"record {seq}: not canonical")
        check(len(event) == 16 and event[0] == 1 and event[1] == sha256(origin)[:16], f"record {seq}: format or origin")
        check(event[2] == seq, f"record {seq}: says it is {event[2]}")
        check(event[3] == prev, f"record {seq}: prev does not match")
        check(event[6] >= eff, f"record {seq}: time goes back")
        rotated = follow_keys(event, origin, keys, trusted)
        check(event[4] == len(keys["event"]), f"record {seq}: key epoch {event[4]}")
        verified(keys["event"][-1], b"gatehouse-event-v1\n" + origin + b"\n" + body, sig, f"record {seq}")
        if rotated:
            keys[rotated[0]].append(rotated[1])
        prev, eff = sha256(b"gatehouse-prev-v1\n", body), event[6]
        leaves.append(sha256(b"\x00", record))
    return leaves, keys


def main():
    parser = argparse.ArgumentParser(usage=__doc__)
    parser.add_argument("log", type=pathlib.Path)
    parser.add_argument("--key", action="append", default=[])
    parser.add_argument("--event-key", type=bytes.fromhex)
    args = parser.parse_args()
    if args.log.is_file():
        file = LogFile(args.log)
        heads = [head for head in map(open_head, file.heads) if head[2] == file.size]
        check(heads, "file: no head of its size")
        text, origin, size, root, sig = heads[0]
        check(origin == file.origin, "file: a head of another origin")
        file.check_keys()
        found = file.records
    else:
        text, origin, size, root, sig = open_head((args.log / "checkpoint").read_bytes())
        found = entries(args.log)
    trusted = {"event": args.event_key} if args.event_key else {}
    for name, key in map(parse_vkey, args.key):
        check(name.encode() in (origin, origin + b"/root"), f"key {name} is not of {origin.decode()}")
        trusted["root" if name.endswith("/root") else "log"] = key
    leaves, keys = check_records(found, origin, trusted)
    log_keys = [trusted["log"]] if "log" in trusted else keys["log"]
    check(size == len(leaves), f"head: speaks of {size} records, here are {len(leaves)}")
    check(root == root_of(leaves), "head: another root")
    by_id = {sha256(origin, b"\n\x01", key)[:4]: key for key in log_keys}
    check(sig[:4] in by_id, "head: signed by an unknown key")
    verified(by_id[sig[:4]], text, sig[4:], "head")
    print(f"{size} records verified")


if __name__ == "__main__":
    try:
        main()
    except (ValueError, KeyError, IndexError, TypeError, OSError) as error:  # not even of the right shape
        sys.exit(f"does not verify: {type(error).__name__}: {error}")
