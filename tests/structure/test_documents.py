"""Tables in the documents say what the code says: limits, policy, fields and events."""
import pathlib
import re

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]


def table_rows(document):
    """The cells of every row of every table, backticks off."""
    for line in (ROOT / "docs" / document).read_text().split("\n"):
        if line.startswith("|") and not set(line) <= set("|-: "):
            yield [cell.strip().strip("`") for cell in line.strip().strip("|").split("|")]


def defines(text):
    """NAME -> value of each `#define` with a value."""
    found = {}
    for name, value in re.findall(r"^#define (\w+)\s+([^/\n]+?)\s*(?:/\*.*)?$", text, re.MULTILINE):
        expression = re.sub(r"\(uint64_t\)|(?<=\d)[uUlL]+\b", "", value)
        assert re.fullmatch(r"[\d\s()*+<-]+|\w+", expression), f"{name}: {value} is not understood here"
        found[name] = found[expression] if expression in found else eval(expression)  # digits and operators only
    return found


def number(shown):
    power = re.fullmatch(r"2\^(\d+)", shown)
    return 1 << int(power[1]) if power else int(shown.replace(",", ""))


def test_every_limit_is_listed_with_its_value():
    limits = defines((ROOT / "core/limits.h").read_text())
    assert len(limits) > 60
    listed = {row[0]: number(row[1]) for row in table_rows("limits.md") if re.fullmatch(r"[A-Z][A-Z0-9_]+", row[0])}
    assert listed == limits


def test_a_value_that_moved_is_seen():
    assert defines("#define A_MAX (60 * 1024) /* why */\n#define B 8\n#define C A_MAX\n") == \
        {"A_MAX": 61440, "B": 8, "C": 61440}
    assert number("2^62") == 1 << 62 and number("61,440") == 61440


def catalogue(kind):
    """The X rows of FIELDS or EVENTS in core/catalogue.h, as lists of texts."""
    text = (ROOT / "core/catalogue.h").read_text()
    start = text.index(f"#define {kind}(X)")
    end = re.compile(r"[^\\]\n").search(text, start).end()
    body = re.sub(r"\\\n|/\*.*?\*/", " ", text[start:end], flags=re.DOTALL)
    return [[cell.strip().strip('"') for cell in row.split(",")] for row in re.findall(r"\bX\((\d[^)]*)\)", body)]


FIELD_FORMS = {
    "KIND_U64": "unsigned int", "KIND_I64": "int", "KIND_US": "unsigned int", "KIND_BOOL": "bool", "KIND_STR": "str",
    "KIND_BIN": "bin", "KIND_HASH": "bin 32", "KIND_TAG": "bin 16", "KIND_STRS": "array of str",
    "KIND_COSIGNED": "[", "KIND_ROWS": "array",
}


@pytest.fixture(scope="module")
def documented():
    """number -> row, of the two tables of docs/log-format.md that begin with a number."""
    rows = [row for row in table_rows("log-format.md") if re.fullmatch(r"\d+", row[0])]
    return {"FIELDS": {row[0]: row for row in rows if len(row) == 5}, "EVENTS": {row[0]: row for row in rows if len(row) == 6}}


def test_every_event_is_in_the_formats_table(documented):
    ours = {row[0]: [row[0], row[2], row[3], f"{row[4]} / {row[5]}", row[6], row[7]] for row in catalogue("EVENTS")}
    assert len(ours) > 60
    assert documented["EVENTS"] == ours


def test_every_field_is_in_the_formats_table(documented):
    ours = catalogue("FIELDS")
    assert len(ours) > 80
    assert {row[0] for row in ours} == set(documented["FIELDS"])
    for no, _, name, kind, personal in ours:
        shown = documented["FIELDS"][no]
        assert shown[1] == name and (shown[4] == "yes") == (personal == "true"), shown
        assert shown[2].startswith(FIELD_FORMS.get(kind, "bin 16")), f"{shown} is {kind}"


def test_every_number_of_the_policy_is_listed():
    """Names, defaults and ranges, as core/policy.c has them."""
    text = (ROOT / "core/policy.c").read_text()
    rows = {row[0]: [cell.replace(",", "") for cell in row] for row in table_rows("limits.md")}
    rules = re.findall(r'\[RULE_\w+\] = \{"(\w+)", \{(\d+), (\d+)\}\}', text)
    members = re.findall(r"^    ROW\((\w+), ([^,]+), ([^,]+), ([^,]+), [A-Z]+\)", text, re.MULTILINE)
    assert len(rules) > 10 and len(members) > 10, "core/policy.c has another form now"
    for name, slots, seconds in rules[1:]:
        assert rows[name][2] == f"{slots} in {seconds} s"
    for name, *values in members:
        values = [str(eval(value.replace("DAY_S", "86400"))) for value in values]  # products of numbers
        assert rows[name][1:4] == values


def test_sources_named_in_documents_are_there():
    """`core/event.h`, `http/walk`, `core/decide*.c`, `tests/oracle/records.py`."""
    errors = []
    named = re.compile(r"`((?:core|store|projections|http|tools|tests|docs)/[\w*./-]*?)`")
    for path in [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")]:
        for name in named.findall(path.read_text()):
            found = any(any(ROOT.glob(name.rstrip("/") + suffix)) for suffix in ("", ".c", ".h"))
            if not found and "NAME" not in name:
                errors.append(f"{path.relative_to(ROOT)}: {name}")
    assert not errors
