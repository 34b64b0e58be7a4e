"""What can be read off the built programs: no secret in them, and every hardening that the compiler
and the linker offer (B64)."""
import pathlib
import platform
import re
import subprocess
import sys

import pytest

import harness

sys.path.insert(0, str(pathlib.Path(__file__).parents[1] / "structure"))
import test_secrets as tree  # noqa: E402

PROGRAMS = [path.name for path in sorted(harness.BIN.glob("gatehouse*")) if path.is_file() and path.stat().st_mode & 0o100]


def readelf(name, *args):
    return subprocess.run(["readelf", "-W", *args, harness.binary(name)], text=True, capture_output=True,
                          check=True).stdout


def test_the_programs_are_there():
    assert {"gatehouse", "gatehouse-agent"} <= set(PROGRAMS)


@pytest.mark.parametrize("name", PROGRAMS)
def test_no_secret_is_built_in(name):
    data = pathlib.Path(harness.binary(name)).read_bytes()
    for sample in tree.SAMPLES:
        assert sample.encode() not in data, sample
    assert not re.search(rb"-----BEGIN [A-Z ]*PRIVATE KEY-----\n[A-Za-z0-9+/]{20}", data)
    assert not re.search(rb"ey[JK][A-Za-z0-9_-]{12,}\.[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{16,}", data)
    # Strings of the program itself: what a compiler puts between them are names, and alphabets.
    runs = [run.decode() for run in re.findall(rb"(?<=\0)(?!_Z)[A-Za-z0-9+/_=-]{40,}(?=\0)", data)]
    found = [run for run in runs if tree.secret_shaped(run) and sorted(run.rstrip("=")) != sorted(set(run.rstrip("=")))]
    assert not found


@pytest.mark.parametrize("name", PROGRAMS)
def test_hardening(name):
    head, segments, dynamic = readelf(name, "-h"), readelf(name, "-l"), readelf(name, "-d")
    assert re.search(r"Type:\s+DYN", head) and "FLAGS_1" in dynamic and "PIE" in dynamic  # position-independent
    assert "GNU_RELRO" in segments and "BIND_NOW" in dynamic  # full RELRO
    stack = re.search(r"GNU_STACK.*", segments)[0]
    assert " RW " in stack and "RWE" not in segments  # nothing is both writable and executable
    assert "RPATH" not in dynamic and "RUNPATH" not in dynamic and "TEXTREL" not in dynamic
    assert not pathlib.Path(harness.binary(name)).stat().st_mode & 0o6000  # no setuid, no setgid
    symbols = readelf(name, "--dyn-syms")
    assert "__stack_chk_fail" in symbols
    if harness.KIND == "release":
        assert re.search(r"__\w+_chk@", symbols.replace("__stack_chk_fail", "")), "no fortified function"


@pytest.mark.skipif(platform.machine() != "x86_64", reason="a feature of x86")
@pytest.mark.parametrize("name", PROGRAMS)
def test_indirect_jumps_have_landing_pads(name):
    """Debian's own start-up files have none, so the linker drops the mark of the whole; ours have."""
    code = pathlib.Path(harness.binary(name)).read_bytes()
    functions = len(re.findall(r" FUNC .* (?:LOCAL|GLOBAL)\s+DEFAULT +\d+ [a-z]", readelf(name, "-s")))
    assert functions > 300
    assert code.count(b"\xf3\x0f\x1e\xfa") > functions / 4  # static ones that are only called need none


@pytest.mark.release
@pytest.mark.parametrize("unit", ["core/note.c", "http/conn.c", "store/journal.c", "tools/gatehouse/serve.c",
                                  "tools/agent/link.c"])
def test_every_unit_is_compiled_so(unit):
    """The linker can only show that some of it was: the flags of each file say the rest."""
    commands = (harness.BIN / "compile_commands.json").read_text()
    line = next(line for line in commands.splitlines() if '"command"' in line and line.rstrip('",').endswith(unit))
    for flag in ("-fstack-protector-strong", "-fcf-protection", "-D_FORTIFY_SOURCE=3", "-Werror"):
        assert flag in line
