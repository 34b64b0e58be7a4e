"""No secret in the tree: nothing that looks like one, and none of the samples that the world knows.
What tests and tutorials need by way of keys is made when they run; vectors that must be fixed are
listed here, file by file, so that another one is somebody's decision."""
import math
import os
import pathlib
import re
import subprocess

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
# Secrets of examples that were copied into real servers so often that crackers try them first.
SAMPLES = ("your-256-bit-secret", "your-384-bit-secret", "your-512-bit-secret", "a-string-secret-at-least-256-bits-long",
           "gtrekjs9gJsjM34fsd98", "shhhhh", "ilovescotchyscotch", "S3cr3tK3y", "my_super_secret_key",
           "AllYourBase", "hmacSampleSecret", "super-secret-jwt-token-with-at-least-32-characters-long")
# Where a sample stands because it is refused, or a fixed value because a format's vector needs it.
KNOWN = {
    "http/jwt_secret.c": "the list of what is refused",
    "tests/structure/test_secrets.py": "this list",
    "tests/e2e/test_token_secret.py": "samples that are refused",
    "tests/unit/test_jwt_secret.c": "fixed secrets of unit tests, and samples that are refused",
    "tests/unit/test_jwt.c": "fixed secrets of unit tests",
    "core/password.c": "a verifier that nothing matches",
    "tests/unit/test_password.c": "the same",
    "tests/unit/test_checkpoint.c": "public vectors of signed notes",
    "tests/unit/test_note.c": "public vectors of signed notes, their keys included",
    "tests/unit/test_proof.c": "public vectors of the tree",
    "tests/fuzz/fuzz_checkpoint.c": "a public key of a vector",
    "tests/fuzz/fuzz_note.c": "a public key of a vector",
    "tests/fuzz/fuzz_proof.c": "a public key of a vector",
    "tests/fuzz/fuzz_jwt.c": "a fixed secret, so that a finding can be replayed",
}
FOLDERS = ("core", "store", "projections", "http", "tools", "tests", "docs", ".ci")
VECTORS = {"corpus", "golden", "__pycache__"}  # bytes of formats: signatures, hashes, ids


def texts():
    for top in FOLDERS:
        for path in sorted((ROOT / top).rglob("*")):
            if path.is_file() and not VECTORS & set(path.parts):
                yield path
    yield from (path for path in sorted(ROOT.iterdir()) if path.is_file())


def entropy(text):
    return -sum(n / len(text) * math.log2(n / len(text)) for n in map(text.count, set(text)))


def secret_shaped(text):
    """Runs of characters that only chance or a tool writes."""
    found = re.findall(r"-----BEGIN [A-Z ]*PRIVATE KEY-----[\s\S]{40}", text)
    found += re.findall(r"\bey[JK][A-Za-z0-9_-]{12,}\.[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{16,}", text)  # a JWT
    found += re.findall(r"\bgh_[0-9a-z]{26}_[A-Za-z0-9_-]{20,}", text)  # an API key of ours
    for run in re.findall(r"[A-Za-z0-9+/_=-]{40,}", text):
        mixed = re.search(r"[a-z]", run) and re.search(r"[A-Z]", run) and re.search(r"[0-9]", run)
        words = re.search(r"[A-Za-z]{2,}[-_/=][A-Za-z]{2,}[-_/=]|([A-Z_]{12,})", run)
        if mixed and not words and entropy(run) >= 4.6:
            found.append(run)
    return found


def findings(name, text):
    if name in KNOWN:
        return []
    return [f"{name}: {sample}" for sample in SAMPLES if sample in text] + [
        f"{name}: {run[:24]}..." for run in secret_shaped(text)]


def test_nothing_in_the_tree_looks_like_a_secret():
    found = []
    for path in texts():
        found += findings(str(path.relative_to(ROOT)), path.read_text(errors="replace"))
    assert not found


def test_every_exception_is_still_needed():
    for name in KNOWN:
        if (ROOT / name).exists():
            text = (ROOT / name).read_text()
            assert secret_shaped(text) or re.search("|".join(SAMPLES), text) or "changeme" in text, name


@pytest.mark.parametrize("bad", [
    'secret = "4pQmZ7vL2xRk9sTnW3bHc8YdJf6GaEu1oXiVrKq5NyMwPzBtUgSjDhClFeA0"',
    "JWT_SECRET=your-256-bit-secret", "token: eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2lnbmF0dXJlLXRoYXQtaXMtbG9uZw",
    "gh_0123456789abcdefghjkmnpqrs_Zm9vYmFyYmF6cXV4cXV1eA",
    "-----BEGIN PRIVATE " "KEY-----\nMC4CAQAwBQYDK2VwBCIEIJ+DYvh6SEqVTm50DFtMDoQikTmiCqirVv9mWG9qfSnF"])
def test_a_secret_would_be_seen(bad):
    assert findings("core/x.c", bad)


@pytest.mark.parametrize("name", [".env.example"])
def test_examples_assign_no_secret(name):
    for line in (ROOT / name).read_text().splitlines():
        assert not re.match(r"#?\w*(SECRET|PASSWORD|TOKEN|PREVIOUS)=.", line), line


def test_no_secret_was_ever_committed():
    """A secret that was taken out again is still in every clone."""
    if not (ROOT / ".git").exists():
        pytest.skip("not a clone")
    names = subprocess.run(["git", "log", "--all", "--diff-filter=A", "--name-only", "--format="], cwd=ROOT, text=True,
                           capture_output=True, env={**os.environ, "GIT_OPTIONAL_LOCKS": "0"}, check=True).stdout.split()
    bad = [name for name in names
           if re.search(r"(^|/)(\.env|jwt\.env|id_(rsa|ed25519)|.*\.(pem|p12|pfx|key))$", name)]
    assert not bad
