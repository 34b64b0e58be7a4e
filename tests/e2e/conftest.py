"""Fixtures of the end-to-end tests, and what holds for each of them: a deadline, no process left
behind, no finding of a sanitizer, and the programs' logs in the report of a failure."""
import os
import pathlib
import signal
import sys

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).parent))
import harness  # noqa: E402

DEADLINE_S = 120


def pytest_configure(config):
    config.addinivalue_line("markers", "deadline(seconds): how long this test may take on a release build")


def no_findings_in(folder):
    reports = sorted(folder.iterdir())
    text = "\n".join(report.read_text(errors="replace")[:8000] for report in reports)
    for report in reports:
        report.unlink()
    assert not reports, text


@pytest.fixture(scope="session", autouse=True)
def sanitizer_reports(tmp_path_factory):
    """Where the sanitizers write: a finding fails the test, also in a process nobody waits for."""
    folder = tmp_path_factory.mktemp("sanitizers")
    for name in ("ASAN_OPTIONS", "TSAN_OPTIONS", "UBSAN_OPTIONS"):
        os.environ[name] = ":".join(filter(None, (os.environ.get(name), f"log_path={folder}/report")))
    yield folder
    no_findings_in(folder)  # of what ended with the last file


@pytest.fixture(autouse=True)
def no_sanitizer_finding(sanitizer_reports):
    yield
    no_findings_in(sanitizer_reports)


@pytest.fixture(autouse=True)
def shells_start_at_once():
    """A login shell that a test killed while it was starting may leave pyenv's lock behind, where a
    home has pyenv, and every later shell would wait a minute for it."""
    (pathlib.Path.home() / ".pyenv/shims/.pyenv-shim").unlink(missing_ok=True)


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_protocol(item, nextitem):
    marker = item.get_closest_marker("deadline")
    seconds = int((marker.args[0] if marker else DEADLINE_S) * max(1, harness.PATIENCE / 2))

    def too_late(_signal, _frame):
        raise TimeoutError(f"{item.name} took more than {seconds} s")
    before = signal.signal(signal.SIGALRM, too_late)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    report = (yield).get_result()
    if report.failed:
        for process in harness.processes[-6:]:
            for path in (process.log_path, process.out_path):
                if path.exists() and path.stat().st_size:
                    lines = path.read_text(errors="replace").splitlines()[-60:]
                    report.sections.append((str(path), "\n".join(lines)))


def end_processes(since):
    """Whatever a test left running; those it stopped in order are left alone."""
    for process in harness.processes[since:]:
        if process.running():
            process.kill()
    del harness.processes[since:]


@pytest.fixture(autouse=True)
def no_process_left():
    since = len(harness.processes)
    yield
    end_processes(since)


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """A running server, shared by the tests of a file. Its end must be an orderly one."""
    since = len(harness.processes)
    running = harness.Server(tmp_path_factory.mktemp("server")).init().start()
    yield running
    try:
        assert not running.running() or running.stop() == 0
    finally:
        end_processes(since)


@pytest.fixture
def make_server(tmp_path):
    """Servers of the test's own: make_server(*serve_args, start=True, **Server_options)."""
    made = []

    def make(*args, start=True, init=(), **kwargs):
        one = harness.Server(tmp_path / f"server{len(made)}", *args, **kwargs).init(*init)
        made.append(one)
        return one.start() if start else one
    yield make
    for one in made:
        if one.running():
            assert one.stop() == 0


@pytest.fixture
def fresh_server(make_server):
    return make_server()


@pytest.fixture
def admin(server):
    return server.admin()


@pytest.fixture
def technician(server):
    return server.technician()


@pytest.fixture
def make_agent(tmp_path):
    """make_agent(server, ...): started, ended with the test."""
    def make(server, **kwargs):
        return harness.Agent(server, tmp_path, **kwargs).start()
    return make
