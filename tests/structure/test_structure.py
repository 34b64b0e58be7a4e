"""Promises about the tree itself: directions between folders, one home per library, nothing unfinished."""
import pathlib
import re

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
PRODUCT = ("core", "store", "projections", "http", "tools")
MAY_INCLUDE = {
    "core": {"core"},
    "store": {"core", "store"},
    "projections": {"core", "projections"},
    "http": {"core", "projections", "http"},
    "tools": set(PRODUCT),
}
# A library's header, and where it may be included. What is not listed is everybody's.
LIBRARY_HOMES = {
    r"lmdb\.h": r"store/.*",
    r"openssl/.*": r"http/(tls|sha)[a-z0-9_]*\.c",
    r"llhttp(/.*)?\.h": r"http/head\.c",
    r"wslay/.*": r"http/ws[a-z0-9_]*\.c",
    r"jwt\.h": r"http/jwt\.c",
    r"jansson\.h": r"http/json[a-z0-9_]*\.c",
    r"msgpack(/.*|\.h)": r"core/pack\.c",
    r"ini\.h": r"core/config[a-z0-9_]*\.c",
    r"zxcvbn\.h": r"core/password[a-z0-9_]*\.c",
    r"seccomp\.h": r"tools/process/syscalls\.c",
    r"linux/landlock\.h": r"tools/process/files\.c",
    r"uv\.h": r"(http|tools)/.*",
}
# The same for names, which a forward declaration could smuggle past the includes.
LIBRARY_NAMES = {
    r"mdb_[a-z]\w*": r"store/.*",
    r"(SSL|EVP)_\w+": r"http/(tls|sha)[a-z0-9_]*\.c",
    r"llhttp_\w+": r"http/head\.c",
    r"wslay_\w+": r"http/ws[a-z0-9_]*\.c",
    r"msgpack_\w+": r"core/pack\.c",
    r"json_(t|object|array|string|integer)(_\w+)?": r"http/json[a-z0-9_]*\.c",
}
TEXT_SUFFIXES = {".c", ".h", ".py", ".sh", ".md", ".go", ".js", ".css", ".html", ".txt", ".cmake", ""}


def code(folder):
    return [path for path in sorted((ROOT / folder).rglob("*")) if path.suffix in (".c", ".h")]


def relative(path):
    return str(path.relative_to(ROOT))


def strip_comments_and_strings(text):
    return re.sub(r'//[^\n]*|/\*.*?\*/|"(?:\\.|[^"\\\n])*"',
                  lambda match: '""' if match[0].startswith('"') else "\n" * match[0].count("\n"), text, flags=re.DOTALL)


def includes(path, opening):
    return re.findall(r"^\s*#\s*include\s*" + opening, path.read_text(), re.MULTILINE)


def direction_errors(name, included, allowed):
    folder = included.split("/")[0]
    if folder not in PRODUCT:
        return [f'{name} includes "{included}": say which folder it is in']
    return [] if folder in allowed else [f'{name} includes "{included}"']


@pytest.mark.parametrize("folder", PRODUCT)
def test_folders_include_only_in_their_direction(folder):
    errors = []
    for path in code(folder):
        for included in includes(path, r'"([^"]+)"'):
            errors += direction_errors(relative(path), included, MAY_INCLUDE[folder])
    assert not errors


def test_a_wrong_direction_is_seen():
    assert direction_errors("core/x.c", "http/loop.h", MAY_INCLUDE["core"])
    assert direction_errors("core/x.c", "loop.h", MAY_INCLUDE["core"])
    assert not direction_errors("http/x.c", "core/err.h", MAY_INCLUDE["http"])


@pytest.mark.parametrize("header,home", LIBRARY_HOMES.items())
def test_a_library_is_included_in_its_adapter_only(header, home):
    errors = [f"{relative(path)} includes <{included}>"
              for folder in PRODUCT for path in code(folder) for included in includes(path, r"[<\"]([^>\"]+)[>\"]")
              if re.fullmatch(header, included) and not re.fullmatch(home, relative(path))]
    assert not errors


@pytest.mark.parametrize("name,home", LIBRARY_NAMES.items())
def test_a_library_is_named_in_its_adapter_only(name, home):
    errors = []
    for folder in PRODUCT:
        for path in code(folder):
            if not re.fullmatch(home, relative(path)):
                for match in re.finditer(rf"\b{name}\b", strip_comments_and_strings(path.read_text())):
                    errors.append(f"{relative(path)} uses {match[0]}")
    assert not errors


@pytest.mark.parametrize("folder,forbidden", [
    # The key ring of core is shared between threads, and locks; folds know neither threads nor time.
    ("core", r"sys/socket\.h|netdb\.h|sys/epoll\.h"),
    ("projections", r"sys/.*|netinet/.*|netdb\.h|pthread\.h|threads\.h|time\.h|unistd\.h|fcntl\.h"),
])
def test_the_pure_folders_reach_for_nothing(folder, forbidden):
    errors = [f"{relative(path)} includes <{included}>" for path in code(folder)
              for included in includes(path, r"<([^>]+)>") if re.fullmatch(forbidden, included)]
    assert not errors


def test_no_call_with_a_safer_twin():
    calls = re.compile(r"\b(strcpy|strcat|sprintf|vsprintf|gets|strtok|atoi|atol|alloca|rand|mktemp|tmpnam)\s*\(")
    errors = [f"{relative(path)}: {match[1]}" for folder in (*PRODUCT, "tests") for path in code(folder)
              for match in calls.finditer(strip_comments_and_strings(path.read_text()))]
    assert not errors


def texts():
    for top in (*PRODUCT, "tests", "docs", ".ci"):
        for path in sorted((ROOT / top).rglob("*")):
            if (path.is_file() and path.suffix in TEXT_SUFFIXES
                    and not {"corpus", "golden", "__pycache__"} & set(path.parts)):
                yield path
    yield from (path for path in ROOT.iterdir() if path.suffix == ".md")


def test_nothing_is_marked_unfinished():
    marks = re.compile(r"\b(TO" r"DO|FIX" r"ME|XX" r"X|HA" r"CK)\b")
    errors = [f"{relative(path)}:{number}" for path in texts()
              for number, line in enumerate(path.read_text(errors="replace").split("\n"), 1) if marks.search(line)]
    assert not errors


def test_the_root_holds_only_what_people_read_first():
    allowed = {"README.md", "LICENSE", "CHANGELOG.md", "CONTRIBUTING.md", "SECURITY.md"}
    folders = {*PRODUCT, "tests", "docs", "build"}
    found = {entry.name for entry in ROOT.iterdir() if not entry.name.startswith(".")}
    assert allowed <= found
    assert found - allowed - folders == set()


def test_every_fuzz_entry_has_a_corpus():
    fuzz = ROOT / "tests/fuzz"
    entries = {path.stem.removeprefix("fuzz_") for path in fuzz.glob("fuzz_*.c")}
    corpora = {path.name for path in (fuzz / "corpus").glob("*") if any(path.iterdir())}
    assert entries == corpora


def test_every_c_file_opens_with_what_it_is_for():
    errors = [relative(path) for folder in (*PRODUCT, "tests") for path in code(folder)
              if not re.match(rf"/\* {re.escape(path.name)}: \S", path.read_text())]
    assert not errors


def test_every_header_is_guarded_by_its_path():
    errors = []
    for folder in PRODUCT:
        for path in code(folder):
            guard = re.sub(r"\W", "_", relative(path)).upper()
            if path.suffix == ".h" and f"#ifndef {guard}\n#define {guard}\n" not in path.read_text():
                errors.append(f"{relative(path)}: guard is not {guard}")
    assert not errors


def test_decisions_are_numbered_and_listed():
    folder = ROOT / "docs/decisions"
    files = sorted(path.name for path in folder.glob("*.md") if path.name != "README.md")
    index = (folder / "README.md").read_text()
    numbers = [name[:4] for name in files]
    assert len(set(numbers)) == len(numbers)
    for name in files:
        assert re.fullmatch(r"\d{4}-[a-z0-9-]+\.md", name)
        assert f"({name})" in index, f"docs/decisions/README.md does not list {name}"
        text = (folder / name).read_text()
        assert text.startswith(f"# {int(name[:4])}. ")
        for heading in ("## Context", "## Decision", "## Consequences"):
            assert heading in text, f"{name} has no {heading}"


def test_links_in_documents_lead_somewhere():
    errors = []
    for path in [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")]:
        for target in re.findall(r"\]\(([^)#\s]+)(?:#[^)]*)?\)", path.read_text()):
            if not re.match(r"[a-z]+:", target) and not (path.parent / target).exists():
                errors.append(f"{relative(path)} -> {target}")
    assert not errors
