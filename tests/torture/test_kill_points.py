"""Commands killed in the middle of writing: nothing half-written under a final name, and the retry leaves no trace.

    SEED=0 COUNT=200 ONLY=finetune python -m pytest -m torture tests/torture/test_kill_points.py

ONLY chooses commands by a part of them, CASE=17 repeats one case of a seed.
"""
import os
import shutil

import pytest

from tests.support.images import noise, write_classes
from tests.torture.kill_points import QUICK, VERBS, kill
from tests.torture.specimens import make_specimens


@pytest.fixture(scope="module")
def specimens(tmp_path_factory):
    folder = tmp_path_factory.mktemp("good") / "specimens"
    make_specimens(str(folder))
    return folder


def test_a_few_commands_survive_being_killed(tmp_path):
    for name in ("photos", "people"):
        write_classes(tmp_path / "good" / name, ("Ada", "Bob"), 2, lambda number, label: noise(number, (16, 16)))
    cases = kill(tmp_path, tmp_path / "good", 5, range(len(QUICK)), [VERBS[number] for number in QUICK])
    assert [str(case) for case in cases if case.wrong] == []


@pytest.mark.torture
def test_every_command_survives_being_killed_anywhere(specimens, capsys):
    seed, count = (int(os.environ.get(name, default)) for name, default in (("SEED", 0), ("COUNT", 200)))
    only = os.environ.get("ONLY", "")
    numbers = [int(os.environ["CASE"])] if "CASE" in os.environ else range(count)
    numbers = [number for number in numbers if only in VERBS[number % len(VERBS)].command]
    folder = os.path.abspath(os.path.join(os.environ.get("TORTURE_FOLDER", os.path.join("runs", "torture")), "killed"))
    shutil.rmtree(folder, ignore_errors=True)
    with capsys.disabled():
        cases = kill(folder, specimens, seed, numbers, tell=lambda text: print(text, flush=True))
        print(f"seed {seed}: {len(cases)} kills, {sum(not case.wrong for case in cases)} good", flush=True)
    assert [str(case) for case in cases if case.wrong] == []
