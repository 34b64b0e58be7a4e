"""docs/security.md names tests: each must be there, and each check must have its row."""
import pathlib
import re

ROOT = pathlib.Path(__file__).resolve().parents[2]
TEXT = (ROOT / "docs/security.md").read_text()


def test_every_check_has_a_row():
    rows = re.findall(r"^\| (B\d+) \|", TEXT, re.MULTILINE)
    assert rows == [f"B{n}" for n in range(1, 65)]


def test_every_row_names_a_test_or_says_not_yet():
    bad = [row for row in re.findall(r"^\| B\d+ \|.*$", TEXT, re.MULTILINE)
           if not re.search(r"`(e2e|unit|structure|sim)/|`tests/durability`|not yet", row)]
    assert not bad


def test_every_test_named_is_there():
    missing = []
    named = re.findall(r"`((?:e2e|unit|structure|sim)/test_\w+\.(?:py|c)):(\w+)`", TEXT)
    assert len(named) > 60
    for file, function in named:
        path = ROOT / "tests" / file
        if not path.exists() or not re.search(rf"\b{function}\(", path.read_text()):
            missing.append(f"{file}:{function}")
    assert not missing
