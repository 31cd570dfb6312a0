"""tools/step.py: done once, repeated after a change, and clear about failures."""

import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tools.causes import CAUSES, explain
from tools.step import Progress, Run, Step, StepFailed, digest, take

MakeStep = Callable[..., Step]


@pytest.fixture
def make_step(tmp_path: Path) -> MakeStep:
    """Return a step that writes `made` and records each execution in `times`."""

    def work(run: Run) -> None:
        del run
        with (tmp_path / "times").open("a") as times:
            times.write("x")
        (tmp_path / "made").touch()

    def make(*inputs: str | Path, work: Callable[[Run], None] = work) -> Step:
        return Step("a-step", "A step", inputs, [tmp_path / "made"], work)

    return make


def times_taken(directory: Path) -> int:
    return len((directory / "times").read_text())


def test_a_step_is_taken_once(make_step: MakeStep, tmp_path: Path) -> None:
    assert [take(make_step("a"), tmp_path) for _ in range(3)] == [True, False, False]
    assert times_taken(tmp_path) == 1


def test_other_inputs_take_it_again(make_step: MakeStep, tmp_path: Path) -> None:
    file = tmp_path / "input"
    file.write_text("1")
    assert take(make_step(file), tmp_path)
    file.write_text("2")
    assert take(make_step(file), tmp_path)
    assert not take(make_step(file), tmp_path)


def test_a_lost_output_takes_it_again(make_step: MakeStep, tmp_path: Path) -> None:
    take(make_step("a"), tmp_path)
    (tmp_path / "made").unlink()
    assert take(make_step("a"), tmp_path)


def test_an_interrupted_step_is_taken_again(make_step: MakeStep, tmp_path: Path) -> None:
    def interrupted(run: Run) -> None:
        del run
        raise KeyboardInterrupt

    take(make_step("a"), tmp_path)
    with pytest.raises(KeyboardInterrupt):
        take(make_step("b", work=interrupted), tmp_path)
    assert take(make_step("a"), tmp_path)


def test_a_step_that_makes_nothing_has_failed(make_step: MakeStep, tmp_path: Path) -> None:
    with pytest.raises(StepFailed, match="did not make"):
        take(make_step("a", work=lambda run: None), tmp_path)


def test_a_failure_names_command_output_cause_and_remedy(
    make_step: MakeStep, tmp_path: Path
) -> None:
    script = "import sys; print('getaddrinfo EAI_AGAIN'); sys.exit(3)"

    def failing(run: Run) -> None:
        run([sys.executable, "-c", script], cwd=tmp_path)

    with pytest.raises(StepFailed) as failed:
        take(make_step("a", work=failing), tmp_path)
    text = str(failed.value)
    assert sys.executable in text
    assert "| getaddrinfo EAI_AGAIN" in text
    assert "cause:   PyPI or npm cannot be reached" in text
    assert "remedy:  check the network" in text


def test_a_missing_command_is_a_failure(make_step: MakeStep, tmp_path: Path) -> None:
    def failing(run: Run) -> None:
        run([tmp_path / "nothing-here"], cwd=tmp_path)

    with pytest.raises(StepFailed, match="No such file"):
        take(make_step("a", work=failing), tmp_path)


def test_only_the_end_of_a_long_output_is_shown(make_step: MakeStep, tmp_path: Path) -> None:
    def failing(run: Run) -> None:
        script = "print(*range(1000), sep='\\n'); raise SystemExit(1)"
        run([sys.executable, "-c", script], cwd=tmp_path)

    with pytest.raises(StepFailed) as failed:
        take(make_step("a", work=failing), tmp_path)
    assert "| 999" in str(failed.value)
    assert "| 900" not in str(failed.value)


def test_output_goes_where_it_is_asked_for(make_step: MakeStep, tmp_path: Path) -> None:
    def exporting(run: Run) -> None:
        with (tmp_path / "made").open("w") as made:
            run([sys.executable, "-c", "print('x')"], cwd=tmp_path, stdout=made.fileno())

    take(make_step("a", work=exporting), tmp_path)
    assert (tmp_path / "made").read_text() == "x\n"


def test_signs_of_life_are_plain_lines_without_a_terminal(
    capsys: pytest.CaptureFixture[str],
) -> None:
    progress = Progress("A step")
    progress.tick()
    assert capsys.readouterr().out == ""
    progress._started -= 3
    progress.tick()
    progress.tick()
    progress.finish(3.04)
    printed = capsys.readouterr().out
    assert printed == "  A step … still running after 3 s\n  A step: 3.0 s\n"


def test_signs_of_life_rewrite_one_line_on_a_terminal(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    progress = Progress("A step")
    progress._started -= 3
    progress.tick()
    progress.finish(3.04)
    printed = capsys.readouterr().out
    assert printed.startswith("\r  A step … 3 s\r  A step: 3.0 s")
    assert printed.count("\n") == 1


def test_digest_keeps_inputs_apart(tmp_path: Path) -> None:
    assert digest(["ab", "c"]) != digest(["a", "bc"])
    file = tmp_path / "f"
    file.write_text("a")
    assert digest([file]) == digest(["a"])


@pytest.mark.parametrize(
    ("printed", "cause"),
    [
        ("/usr/bin/python3: No module named pip", "without pip"),
        ("OSError: [Errno 28] No space left on device", "disk is full"),
        ("npm error Missing: a@1 from lock file", "lock file does not fit"),
        ("error: The lockfile at `uv.lock` needs to be updated", "lock file does not fit"),
        ("npm error code EINTEGRITY", "not the one that the lock names"),
        ("ERROR: No matching distribution found for uv==0", "no such package"),
        ("npm error code EACCES", "is not writable"),
        ("error: Failed to fetch: invalid peer certificate: UnknownIssuer", "not trusted"),
        ("npm error code ENOTFOUND", "cannot be reached"),
        ("error: Failed to fetch: `https://…`", "cannot be reached"),
        ("something else", "unknown: see the output"),
    ],
)
def test_causes(printed: str, cause: str) -> None:
    assert cause in explain(printed)[0]


def test_every_cause_has_a_remedy() -> None:
    assert all(remedy for _, _, remedy in CAUSES)
