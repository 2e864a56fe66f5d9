"""Thousands of damaged inputs: no crash, no hang, no traceback, and a message with status 2 or 3 where one is refused.

    make torture SEED=0 COUNT=2000 ONLY=.rec

makes so many networks and weights nobody would save, and damages so many good files; it prints seed and table. What
failed is kept in runs/torture/*/failures with the file and the command.
"""
import os
import shutil
import time

import pytest

from tests.torture import hostile
from tests.torture.damage import damage, generator
from tests.torture.generated_params import params
from tests.torture.generated_symbols import symbol
from tests.torture.generated_weights import onnx_file, small_onnx
from tests.torture.json_damage import damage_json
from tests.torture.kinds import GENERATED, KINDS
from tests.torture.supervisor import GOOD, plan, table, torture

FOLDER = os.environ.get("TORTURE_FOLDER", os.path.join("runs", "torture"))


def test_the_same_seed_gives_the_same_damage():
    document = b'{"a": [1, 2, {"b": "c"}], "d": null}'
    for way in (damage, damage_json, *(hostile.pick(choices) for choices in (hostile.PARAMS, hostile.LIST))):
        one, two, other = ([way(generator(*numbers, case), document) for case in range(20)]
                           for numbers in ((7, 3), (7, 3), (8, 3)))
        assert one == two != other
        assert all(name and data != document for name, data in one) or way is damage_json
    assert [case[1:] for case in plan(7, 50)] == [case[1:] for case in plan(8, 80)][:50]


def test_the_same_seed_makes_the_same_networks_and_weights():
    good = small_onnx()
    assert good == small_onnx()
    for way in (symbol, params, onnx_file):
        one, two, other = ([way(generator(*numbers, case), good) for case in range(40)]
                           for numbers in ((7, 3), (7, 3), (8, 3)))
        assert one == two != other and len({name for name, _ in one}) > 15


@pytest.mark.torture
@pytest.mark.parametrize("kinds", [GENERATED, KINDS], ids=["generated", "damaged"])
def test_no_input_does_harm(kinds, request, capsys):
    seed, count = (int(os.environ.get(name, default)) for name, default in (("SEED", 0), ("COUNT", 2000)))
    only, made = os.environ.get("ONLY", ""), request.node.callspec.id
    if not any(only in kind.name for kind in kinds):
        pytest.skip(f"no {made} kind has {only!r} in its name")
    folder = os.path.join(FOLDER, made)
    shutil.rmtree(folder, ignore_errors=True)
    with capsys.disabled():
        print(f"\nseed {seed}, {count} {made} inputs", flush=True)
        began = time.monotonic()
        outcomes = torture(os.path.abspath(folder), seed, count, only, kinds=kinds)
        print(f"\n{table(outcomes)}\nseed {seed}, {time.monotonic() - began:.0f} s", flush=True)
    failed = [outcome for outcome in outcomes if outcome.verdict not in GOOD]
    assert not failed, f"{len(failed)} of {count} inputs did harm; see {folder}/failures"
