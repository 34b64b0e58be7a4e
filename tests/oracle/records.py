#!/usr/bin/python3
"""Checks a log's records with nothing of Gatehouse: msgpack, PyNaCl, hashlib; docs/log-format.md as a program.

    records.py FOLDER [--key VKEY]... [--event-key HEX]

FOLDER holds `checkpoint` and `tile/entries/...` (C2SP bundles). --key: the verifier key of root
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

LOG_OPENED, KEY_ROTATED = 1, 2
ROOT_KEY, LOG_KEY, EVENT_KEY, ROOT_SIG, KEY_ROLE, EPOCH, NEW_KEY, POSSESSION_SIG, OTHER_SIG = 41, 42, 43, 44, 45, 46, 47, 48, 49


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


def entries(folder):
    """Records in order: bundles of 256, each entry a big-endian u16 length and its bytes."""
    def index(path):  # x001/x234/067.p/5 -> 1234067
        name = str(path.relative_to(folder / "tile/entries")).split(".p")[0]
        return int(name.replace("x", "").replace("/", ""))
    bundles = [path for path in (folder / "tile/entries").rglob("*") if path.is_file()]
    for path in sorted(bundles, key=index):
        data, at = path.read_bytes(), 0
        while at < len(data):
            size = int.from_bytes(data[at:at + 2], "big")
            check(len(data) >= at + 2 + size, f"{path}: cut short")
            yield data[at + 2:at + 2 + size]
            at += 2 + size


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


def open_head(folder):
    text, signatures = (folder / "checkpoint").read_bytes().rsplit(b"\n\n", 1)
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


def check_records(folder, origin, trusted):
    prev, eff, leaves, keys = bytes(32), 0, [], {"log": [], "event": []}
    for seq, record in enumerate(entries(folder)):
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
    parser.add_argument("folder", type=pathlib.Path)
    parser.add_argument("--key", action="append", default=[])
    parser.add_argument("--event-key", type=bytes.fromhex)
    args = parser.parse_args()
    text, origin, size, root, sig = open_head(args.folder)
    trusted = {"event": args.event_key} if args.event_key else {}
    for name, key in map(parse_vkey, args.key):
        check(name.encode() in (origin, origin + b"/root"), f"key {name} is not of {origin.decode()}")
        trusted["root" if name.endswith("/root") else "log"] = key
    leaves, keys = check_records(args.folder, origin, trusted)
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
