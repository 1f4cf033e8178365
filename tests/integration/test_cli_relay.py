"""``spore relay`` as a person meets it: in a process of its own."""

import signal
import socket
import subprocess
import sys

import pytest
from tests.integration.relay_processes import PATIENCE_S, processes_in

SPORE = [sys.executable, "-m", "spore", "relay"]


@pytest.fixture
def processes(tmp_path):
    with processes_in(tmp_path) as processes:
        yield processes


def run(*arguments, env=None):
    done = subprocess.run(
        [*SPORE, *arguments], capture_output=True, text=True, check=False, env=env, timeout=PATIENCE_S
    )
    assert "Traceback" not in done.stderr
    return done


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "nowhere to listen: give --socket PATH, --tcp HOST:PORT, or both"),
        (["--tcp", "localhost:99999"], "--tcp localhost:99999 is no place to listen; write --tcp HOST:PORT"),
        (["--tcp", "7777"], "--tcp 7777 is no place to listen; write --tcp HOST:PORT"),
        (
            ["--tcp", "0.0.0.0:0"],
            "--tcp 0.0.0.0:0 can be reached from other machines: give --tls-cert, --tls-key and --tls-ca, or --plain-tcp",
        ),
        (["--socket", "/nowhere/r"], "cannot listen at unix:/nowhere/r: No such file or directory"),
        (["--socket", "/tmp/" + "x" * 110], "a socket's path has at most 107 bytes, and this one 115"),
        (["--socket", "r", "--token-file", "/nowhere/token"], "/nowhere/token: No such file or directory"),
        (["--socket", "r", "--token-file", "/dev/null"], "/dev/null: there is no token in it"),
        (["--tcp", "0.0.0.0:0", "--tls-cert", "c"], "TLS needs all of --tls-cert, --tls-key and --tls-ca"),
        (
            ["--tcp", "0.0.0.0:0", "--tls-cert", "/nowhere/c", "--tls-key", "/nowhere/k", "--tls-ca", "/nowhere/a"],
            "the TLS files /nowhere/c, /nowhere/k, /nowhere/a cannot be used: [Errno 2] No such file or directory",
        ),
        (["--socket", "r", "--max-frame-mib", "17"], "--max-frame-mib is 1 to 16, not 17"),
        (["--socket", "r", "--heartbeat-s", "0"], "--heartbeat-s is 0.01 to 3600, not 0"),
        (["--socket", "r", "--heartbeat-s", "nan"], "--heartbeat-s is 0.01 to 3600, not nan"),
        (["--sokket", "r"], "Unknown option"),
    ],
)
def test_a_mistake_is_one_clear_error_and_exit_code_2(arguments, said, tmp_path, monkeypatch):
    """No traceback, the reason on stderr with what would be right, nothing on stdout, and no socket left."""
    monkeypatch.chdir(tmp_path)
    done = run(*arguments)
    assert (done.returncode, done.stdout) == (2, "")
    assert said in done.stderr
    assert not list(tmp_path.iterdir())


def test_help_teaches():
    """What it does, each option, and what becomes of clients when it is restarted."""
    done = run("--help")
    text = " ".join(done.stdout.replace("│", " ").split())
    assert done.returncode == 0
    for words in ("nothing is lost or repeated", "--socket", "--tcp", "--token-file", "--tls-cert", "--heartbeat-s"):
        assert words in text
    assert "Off the loopback this needs certificates" in text


def test_a_socket_in_use_is_left_to_its_relay(processes):
    """The second relay says who is there, and the first goes on."""
    processes.relay()
    done = run("--socket", str(processes.socket))
    assert done.returncode == 2
    assert done.stderr == f"spore: a relay listens at {processes.socket} already\n"
    receiver = processes.receiver()
    sender = processes.peer("sender")
    sender.do("send", to="sink", count=50)
    receiver.event("handled", 50)


def test_a_port_in_use():
    """The address and the reason."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        done = run("--tcp", f"127.0.0.1:{port}")
        assert (done.returncode, done.stderr) == (
            2,
            f"spore: cannot listen at tcp:127.0.0.1:{port}: Address already in use\n",
        )


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 0)])
def test_it_ends_when_told_to(processes, number, code):
    """Ctrl-C is an interrupt, SIGTERM is none; either way in silence, and the socket is gone."""
    relay = processes.relay()
    peer = processes.receiver()
    assert processes.socket.exists()
    relay.signal(number)
    assert relay.wait() == code
    assert relay.errors == ""
    assert not processes.socket.exists()
    peer.do("statistics")
    assert peer.event("statistics")["name"] == "receiver"


def test_it_says_where_it_listens(processes):
    """The port that the system chose stands in the line, so that a program can read it."""
    relay = processes.relay("--tcp", "127.0.0.1:0")
    line = relay.line(lambda line: "tcp" in line)
    host, port = line.removeprefix("listening at tcp:").split(":")
    with socket.create_connection((host, int(port)), timeout=PATIENCE_S):
        pass


def test_the_token_is_read_from_a_file(processes, tmp_path):
    """White space around it does not count; a client without it is refused."""
    token = tmp_path / "token"
    token.write_text(" secret \n")
    relay = processes.relay("--token-file", str(token))
    processes.receiver(token="secret")
    stranger = processes.peer("stranger")
    assert "the token is wrong" in stranger.event("error")
    assert "secret" not in relay.errors
