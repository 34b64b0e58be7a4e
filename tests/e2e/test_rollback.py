"""A log that was rolled back is refused, and the refusal destroys nothing: putting the right log back
must be enough. The keys and the password verifiers of the events that went missing are the only copies."""
import hashlib
import shutil

from harness import Server


def contents(state):
    files = sorted((state / "keys").iterdir()) + [state / "keystore"]
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def test_refusing_a_rolled_back_log_destroys_no_key_and_no_verifier(tmp_path):
    server = Server(tmp_path)
    server.init()
    server.start()
    server.stop()
    shutil.copytree(server.state / "log", tmp_path / "old-log")

    server.start()
    server.cli("key", "rotate", "event")
    server.technician("carol")  # a verifier that only the newer events name
    server.stop()
    shutil.copytree(server.state / "log", tmp_path / "new-log")
    before = contents(server.state)

    shutil.rmtree(server.state / "log")
    shutil.copytree(tmp_path / "old-log", server.state / "log")
    server.start(wait=False)
    assert server.wait() == 1, server.log()
    assert "anchor" in server.log()
    assert contents(server.state) == before

    shutil.rmtree(server.state / "log")
    shutil.copytree(tmp_path / "new-log", server.state / "log")
    server.start()
    api = server.api()
    api.login("carol")
    server.stop()
