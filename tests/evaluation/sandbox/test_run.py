"""What a verdict says, and on which machines nothing is run."""

from __future__ import annotations

import gzip
import json
import os
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from outcrop.evaluation.sandbox import run
from outcrop.evaluation.sandbox.run import UNWALLED, Limits, SandboxError, Verdict, _run, run_program, walls

SHARED = Path(os.environ.get("OUTCROP_SHARED") or Path(__file__).resolve().parents[3].parent / "shared")
HUMANEVAL = SHARED / "data" / "benchmarks" / "humaneval" / "data" / "HumanEval.jsonl.gz"
pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="Only Linux has the walls that are tested here.")
BARE = ("namespaces", "landlock", "seccomp", "user", "cgroups")


def outcome(source: str) -> Verdict:
    return run_program(source)


def test_a_program_that_runs_to_its_end_has_passed() -> None:
    verdict = outcome("import sys\nprint('out')\nprint('err', file=sys.stderr)\nassert __name__ == '__main__'")
    assert (verdict.outcome, verdict.exit, verdict.problem) == ("passed", 0, "")
    assert sorted(verdict.output.split()) == ["err", "out"]
    assert 0 < verdict.seconds < 5


@pytest.mark.parametrize(
    ("source", "problem"),
    [
        ("assert 1 == 2, 'not equal'", "AssertionError: not equal"),
        ("def f(:", "SyntaxError: invalid syntax (program.py, line 1)"),
        ("import sys; sys.exit(0)", "It left with sys.exit(0) before its end."),
        ("import os; os._exit(0)", "It left with status 0 before its end."),
        ("import numpy", "ModuleNotFoundError: No module named 'numpy'"),
        ("raise KeyboardInterrupt", "KeyboardInterrupt"),
        ("def f(): f()\nf()", "RecursionError: maximum recursion depth exceeded"),
        ("\0", "SyntaxError: source code string cannot contain null bytes"),
        ("x = '\ud800'\nassert x == '?'", ""),
    ],
)
def test_what_does_not_is_told_why(source: str, problem: str) -> None:
    assert outcome(source).problem.replace("ValueError: source", "SyntaxError: source") == problem


def test_the_traceback_is_in_the_output_and_shows_nothing_of_ours() -> None:
    output = outcome("def f():\n    raise ValueError('here')\nf()").output
    assert output == (
        'Traceback (most recent call last):\n  File "program.py", line 3, in <module>\n'
        '  File "program.py", line 2, in f\nValueError: here\n'
    )


def test_a_signal_is_named() -> None:
    verdict = outcome("import os; os.kill(os.getpid(), 11)")
    assert (verdict.outcome, verdict.exit, verdict.problem) == ("killed", -11, "It was ended by SIGSEGV.")


def test_the_usual_libraries_are_there() -> None:
    names = (
        "asyncio bisect collections csv dataclasses datetime decimal fractions functools hashlib heapq itertools json"
    )
    names += " math multiprocessing random re sqlite3 ssl statistics string threading typing unittest zlib zoneinfo"
    program = "".join(f"import {name}\n" for name in names.split()) + (
        "async def f(): return 1\nassert asyncio.run(f()) == 1\n"
        "t = threading.Thread(target=print, args=('in a thread',)); t.start(); t.join()\n"
        "from dataclasses import dataclass\n@dataclass\nclass A:\n    x: 'int'\nassert A(1).x == 1\n"
        "open('file', 'w').write('text'); assert open('file').read() == 'text'\n"
        "lock = multiprocessing.Lock(); p = multiprocessing.get_context('fork').Process(target=print); p.start(); p.join()\n"
        "assert p.exitcode == 0\n"
    )
    verdict = outcome(program)
    assert verdict.passed, verdict.output
    assert "in a thread" in verdict.output


def test_nothing_is_left_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    assert outcome("import os; os.mkdir('x', 0o700); os.chmod('x', 0); open('y', 'w').write('text')").passed
    assert _run("import os; os.mkdir('x'); open('y', 'w').write('text')", Limits(), unwalled=True, without=BARE).passed
    assert list(tmp_path.iterdir()) == []


def test_without_walls_nothing_is_run(tmp_path: Path) -> None:
    marker = tmp_path / "was run"
    with pytest.raises(SandboxError, match=r"no walls .*network, files") as refused:
        _run(f"open({str(marker)!r}, 'w')", Limits(), unwalled=False, without=BARE)
    assert UNWALLED in str(refused.value)
    assert not marker.exists()


def test_a_system_that_is_not_linux_has_limits_and_the_end_of_a_group_only() -> None:
    with pytest.raises(SandboxError, match="network, files"):
        _run("", Limits(), unwalled=False, without=("linux", *BARE))
    forking = "import os, time\nos.fork()\nos.fork()\nprint(os.getpid(), flush=True)\ntime.sleep(1000)"
    verdict = _run(forking, Limits(seconds=2), unwalled=True, without=("linux", *BARE))
    assert verdict.outcome == "timeout"
    started = [int(one) for one in verdict.output.split()]
    assert len(started) == 4
    deadline = time.monotonic() + 20
    while (running := [one for one in started if state(one) != "Z"]) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert running == []
    assert _run("x = bytearray(1 << 40)", Limits(), unwalled=True, without=("linux", *BARE)).outcome == "failed"


def state(process: int) -> str:
    """Z of one that has ended, whether or not somebody has asked for its status."""
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return "Z"


@pytest.mark.parametrize("one", ["network", "files"])
def test_one_missing_wall_is_one_too_many(one: str) -> None:
    without = {"network": ("namespaces", "seccomp"), "files": ("namespaces", "landlock")}[one]
    with pytest.raises(SandboxError, match=one):
        _run("", Limits(), unwalled=False, without=without)


def test_whoever_takes_it_on_may_run_them_with_limits_only() -> None:
    verdict = _run("print('ran')", Limits(), unwalled=True, without=BARE)
    assert verdict.passed
    assert verdict.output == "ran\n"
    assert (verdict.walls["network"], verdict.walls["files"]) == ("none", "none")
    slow = _run("while True: pass", Limits(seconds=0.3), unwalled=True, without=BARE)
    assert slow.outcome == "timeout"


def test_the_environment_can_take_it_on(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[bool] = []
    monkeypatch.setattr(run, "_run", lambda source, limits, unwalled: asked.append(unwalled))
    run_program("")
    monkeypatch.setenv(UNWALLED, "1")
    run_program("")
    assert asked == [False, True]


def test_the_walls_of_this_machine_have_names() -> None:
    assert set(walls()) == {"network", "files", "user", "processes", "disk", "memory"}


def test_all_reference_solutions_of_humaneval_pass() -> None:
    """164 programs, two at once; what each costs is in the failure's text, if it comes to that."""
    if not HUMANEVAL.exists():
        pytest.skip(f"HumanEval is not at {HUMANEVAL}; set OUTCROP_SHARED to the folder that holds it.")
    rows = [json.loads(line) for line in gzip.decompress(HUMANEVAL.read_bytes()).splitlines()]
    assert len(rows) == 164
    programs = [f"{r['prompt']}{r['canonical_solution']}\n{r['test']}\ncheck({r['entry_point']})\n" for r in rows]
    begun = time.monotonic()
    with ThreadPoolExecutor(2) as two:
        verdicts = list(two.map(lambda one: run_program(one, Limits(seconds=30)), programs))
    spent = (time.monotonic() - begun) / len(rows)
    wrong = {row["task_id"]: verdict.problem for row, verdict in zip(rows, verdicts, strict=True) if not verdict.passed}
    assert not wrong, f"{spent * 1000:.0f} ms each"
    assert not run_program(programs[0].replace("return", "return not")).passed
