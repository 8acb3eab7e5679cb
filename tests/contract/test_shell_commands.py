"""What holds for every shell command, on every way to a shell, as a probe and as a durable job."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from drctl.engine.ports import CommandResult, Ending
from tests.contract.conftest import Way, new_name
from tests.contract.ear import Ear
from tests.contract.sshd import children_of

Run = Callable[..., CommandResult]


@pytest.fixture(params=["probe", "job"])
def run(request: pytest.FixtureRequest, way: Way) -> Run:
    """The two ways to run one."""
    return way.probe if request.param == "probe" else way.job


@pytest.mark.parametrize("code", [0, 1, 3, 126, 127, 128, 130, 137, 255])
def test_the_exit_code_is_exact(run: Run, code: int) -> None:
    assert run(f"exit {code}").exit_code == code


def test_a_script_that_kills_itself_has_the_code_that_shells_give(run: Run) -> None:
    result = run("kill -9 $$")
    assert (result.ending, result.exit_code) == (Ending.FINISHED, 137)


def test_the_two_streams_are_told_apart_and_complete(run: Run) -> None:
    ear = Ear()
    run("i=0; while [ $i -lt 300 ]; do echo out$i; echo err$i >&2; i=$((i + 1)); done; printf end", ear)
    assert ear.out == b"".join(b"out%d\n" % i for i in range(300)) + b"end"
    assert ear.err == b"".join(b"err%d\n" % i for i in range(300))


def test_any_bytes_come_through_unchanged(run: Run, tmp_path: Path) -> None:
    wild = bytes(range(256)) * 4000 + os.urandom(300_000) + b"\xff\xfe no newline \x00\xc3"
    (tmp_path / "wild").write_bytes(wild)
    (tmp_path / "wild").chmod(0o644)
    ear = Ear()
    result = run('cat "$f"; cat "$f" >&2; exit 7', ear, variables={"f": str(tmp_path / "wild")})
    assert result.exit_code == 7
    assert ear.out == wild
    assert ear.err == wild


def test_output_comes_while_the_script_runs(way: Way, run: Run, tmp_path: Path) -> None:
    ear = Ear()
    go = tmp_path / "go"
    script = 'echo early; echo early >&2; while [ ! -e "$go" ]; do sleep 0.05; done; echo late'
    running = way.later(run, script, ear, variables={"go": str(go)})
    ear.wait_for(b"early\n")
    ear.wait_for(b"early\n", "stderr")
    assert not running.done()
    go.touch()
    assert running.result().exit_code == 0
    assert ear.out == b"early\nlate\n"


HOSTILE = [
    "$(touch pwned)",
    "`touch pwned`",
    "'; touch pwned; '",
    '"; touch pwned; "',
    "a\nb\n\n",
    "\\",
    "\\'",
    "${HOME}",
    "* ~ ! # & | < > ( ) { } [ ]",
    "-n",
    "  blanks  ",
    "\t",
    "é — 日本 \U0001f600",
    "\udcff\udc81\udc88",
    "''''",
    "drctl\nDRCTL_FEED\nDRCTL_SCRIPT\nEOF\n",
    "%s%n\\n\\c",
    "",
]


@pytest.mark.parametrize("value", HOSTILE, ids=range(len(HOSTILE)))
def test_a_value_is_never_code(run: Run, way: Way, value: str, tmp_path: Path) -> None:
    ear = Ear()
    way.environ["THE_SECRET"] = f"{value}secret"
    result = run(
        'cd "$where"; printf "%s|%s|%s|%s" "$v" "$1" "$#" "${#s}"; ls >&2',
        ear,
        variables={"v": value, "where": str(tmp_path / "sub")} if (tmp_path / "sub").mkdir() is None else {},
        words=(value, "two"),
        secrets={"s": "env:THE_SECRET"},
    )
    raw = value.encode("utf-8", "surrogateescape")
    assert result.exit_code == 0
    assert ear.out.startswith(raw + b"|" + raw + b"|2|")
    assert ear.err == b""


def test_a_secret_with_anything_in_it_arrives_as_it_is(run: Run, way: Way, tmp_path: Path) -> None:
    awkward = "it's $(x) `y` \"z\" \\ \n\n two\tlines \udcfe é'"
    way.environ["S"] = awkward
    target = tmp_path / "arrived"
    assert run('printf %s "$s" >"$to"', variables={"to": str(target)}, secrets={"s": "env:S"}).exit_code == 0
    assert target.read_bytes() == awkward.encode("utf-8", "surrogateescape")


def test_a_secret_does_not_get_into_the_environment_by_its_name(run: Run, way: Way) -> None:
    way.environ["S"] = "the-secret-value"
    ear = Ear()
    result = run('env; [ "$HOME" = the-secret-value ]', ear, secrets={"HOME": "env:S"})
    assert result.exit_code == 0
    assert b"PATH=" in ear.out
    assert b"the-secret-value" not in ear.out


@pytest.mark.parametrize("name", ["a b", "1a", "", "a-b", "a;b", "é", "a\n"])
def test_a_name_that_is_no_variable_is_refused(run: Run, name: str, tmp_path: Path) -> None:
    mark = tmp_path / "ran"
    result = run(f"touch {mark}", variables={name: "x"})
    assert result.ending is Ending.REFUSED
    assert not mark.exists()


def test_a_nul_byte_is_refused(run: Run) -> None:
    result = run("true", variables={"v": "a\0b"})
    assert result.ending is Ending.REFUSED
    assert "NUL" in result.detail


def test_a_secret_that_is_not_there_is_refused(run: Run, tmp_path: Path) -> None:
    mark = tmp_path / "ran"
    result = run(f"touch {mark}", secrets={"s": "env:NOT_THERE"})
    assert result.ending is Ending.REFUSED
    assert "env:NOT_THERE" in result.detail
    assert "nothing was run" in result.detail
    assert not mark.exists()


def test_the_script_reads_an_empty_input_and_not_itself(run: Run) -> None:
    ear = Ear()
    result = run("cat\nread -r line || echo none\necho after", ear)
    assert (result.exit_code, ear.out) == (0, b"none\nafter\n")


def test_exec_of_the_words_needs_no_shell(run: Run) -> None:
    ear = Ear()
    assert run('exec "$@"', ear, words=("printf", "%s|", "a b", "$(c)")).exit_code == 0
    assert ear.out == b"a b|$(c)|"


def test_an_error_of_syntax_is_a_failed_script(run: Run) -> None:
    ear = Ear()
    result = run("if true; then\n  echo no\n", ear)
    assert result.ending is Ending.FINISHED
    assert result.exit_code not in (0, None)
    assert ear.err


def test_signals_have_their_usual_meaning(run: Run) -> None:
    ear = Ear()
    run("trap 'echo int' INT; trap 'echo term' TERM; kill -INT $$; kill -TERM $$; echo end", ear)
    assert ear.out == b"int\nterm\nend\n"


def test_the_shell_is_in_the_users_home_and_has_no_terminal(run: Run) -> None:
    ear = Ear()
    run('[ "$PWD" = "$(cd && pwd)" ] && echo home; [ -t 0 ] || [ -t 1 ] || [ -t 2 ] || echo none; (: </dev/tty)', ear)
    assert ear.out == b"home\nnone\n"


@pytest.mark.parametrize("ignores", [False, True], ids=["ends on TERM", "ignores TERM"])
def test_a_timeout_ends_the_whole_process_group(run: Run, ignores: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("drctl.adapters.job.KILL_GRACE_S", 1)
    ear = Ear()
    ignore = "trap '' TERM;" if ignores else ""
    result = run(f"{ignore} sleep 1000 & echo $!; sh -c 'echo $$; sleep 1000; :' & echo $$; wait", ear, timeout_s=2.0)
    assert result.ending is Ending.TIMED_OUT
    assert result.exit_code is None
    assert "longer than 2 s" in result.detail
    pids = ear.out.split()
    assert len(pids) == 3
    for pid in pids:
        assert not _runs(int(pid))


def test_what_a_script_leaves_running_does_not_hold_us(run: Run) -> None:
    ear = Ear()
    result = run("sleep 1000 & echo $!; exit 3", ear)
    left = int(ear.out)
    try:
        assert result.exit_code == 3
        assert _runs(left)
    finally:
        os.kill(left, 9)


def test_a_large_output_is_never_held_in_memory(run: Run) -> None:
    size = 0
    peak = 0

    def count(stream: str, data: bytes) -> None:
        nonlocal size, peak
        size += len(data)
        peak = max(peak, len(data))

    import tracemalloc

    tracemalloc.start()
    try:
        result = run("head -c 100000000 /dev/zero; echo end >&2", count)
        most = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert result.exit_code == 0
    assert size == 100_000_000 + len("end\n")
    assert most < 24_000_000


def test_a_probe_leaves_nothing_on_the_host(way: Way) -> None:
    before = children_of(os.getpid())
    way.probe("echo hello")
    assert not way.jobs.exists()
    if way.endpoint is None:
        assert children_of(os.getpid()) == before


def test_several_threads_may_use_one_runner(way: Way) -> None:
    ears = [Ear() for _ in range(8)]
    running = [
        way.later(way.probe if i % 2 else way.job, f"echo {i}; sleep 0.1; exit {i}", ear) for i, ear in enumerate(ears)
    ]
    assert [each.result().exit_code for each in running] == list(range(8))
    assert [ear.out for ear in ears] == [b"%d\n" % i for i in range(8)]


def test_a_runner_can_be_used_again_after_close(way: Way) -> None:
    name = new_name()
    assert way.job("exit 4", name=name).exit_code == 4
    way.commands.close()
    again = way.job("exit 4", name=name)
    assert (again.exit_code, again.attached) == (4, True)


def _runs(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False
