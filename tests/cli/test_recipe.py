"""``mxft recipe`` and ``mxft train-softmax``: the pages of recipes/ by their names, and told as they are typed."""
import sys

import pytest

from mxft.cli import main
from mxft.cli.recipe import find_recipes, load_recipe
from mxft.commandline.recipes import as_typed, typed_command


def test_the_list_has_every_recipe_with_the_first_line_of_its_page(repository, capsys):
    assert main(["recipe", "--list"]) == 0
    lines = capsys.readouterr().out.splitlines()
    names = {path.stem for path in (repository / "recipes").glob("*.py")} - {"__init__"}
    assert {line.split()[0] for line in lines[:lines.index("")]} == names == set(find_recipes())
    assert any(line.startswith("digits ") and "Digits 0-4 to 5-9" in line for line in lines)


@pytest.mark.parametrize("name", sorted(find_recipes()))
def test_the_help_of_each_says_how_it_was_typed(name, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    with pytest.raises(SystemExit) as ended:
        main(["recipe", name, "--help"])
    text = capsys.readouterr().out
    assert ended.value.code == 0 and "python recipes/" not in text
    assert text.startswith(f"usage: {typed_command(name)} ")
    assert all(len(line) <= 80 for line in text.splitlines())


def test_a_recipe_runs_with_what_stands_behind_its_name(capsys, monkeypatch, here):
    monkeypatch.setenv("MXFT_TESTDATA", str(here))
    monkeypatch.setenv("MXNET_HOME", str(here))
    assert main(["recipe", "reproduce", "--list", "--only", "digits"]) == 0
    assert capsys.readouterr().out == "digits: can be run\n"


@pytest.mark.parametrize("words, message", [
    (["recipe", "digts"], "mxft recipe: no such recipe: expected one of those mxft recipe --list shows, received "
                          "'digts'; nearest: digits\n"),
    (["recipe"], "mxft recipe: name: expected that of a recipe, received none; mxft recipe --list shows them\n"),
    (["recipe", "train-softmax.py", "--lrr", "1"], "mxft train-softmax: unknown argument: expected an option of mxft "
     "train-softmax, received '--lrr 1'; nearest: --lr, "),
    (["train-softmax", "--lr-steps", "1,0"], "mxft train-softmax: data-dir: expected a folder with property"),
    (["model_slim.py"], "mxft: unknown verb: expected one of those mxft --help lists, received 'model_slim.py'; that "
                        "is mxft slim\n")])
def test_what_is_refused_names_what_to_type(words, message, capsys):
    assert main(words) == 2
    err = capsys.readouterr().err
    assert err.startswith(message) and err.count("\n") == 1


def test_a_script_is_told_by_its_path_and_the_verb_by_its_name(repository, monkeypatch):
    page = "CUDA_VISIBLE_DEVICES=0 python -u recipes/train_softmax.py --lr 1; python recipes/digits.py"
    assert as_typed(page) == "CUDA_VISIBLE_DEVICES=0 mxft train-softmax --lr 1; mxft recipe digits"
    monkeypatch.chdir(repository / "recipes")
    monkeypatch.setattr(sys, "argv", ["train_softmax.py"])
    assert as_typed(page) == "CUDA_VISIBLE_DEVICES=0 python -u train_softmax.py --lr 1; python digits.py"


def test_what_messages_call_a_setting_comes_with_the_recipe(capsys):
    """train_softmax.py's flag is --lr-steps, where mxft finetune's is --lr-step-epochs."""
    assert load_recipe("train-softmax").FLAGS == {"lr_steps": "--lr-steps"}


def test_without_the_package_of_recipes_the_cure_is_told(capsys, monkeypatch, tmp_path):
    monkeypatch.setattr("mxft.cli.recipe.__file__", str(tmp_path / "mxft" / "cli" / "recipe.py"))
    monkeypatch.setattr("mxft.cli.recipe.INSTALLED", "no_such_recipes")
    assert main(["recipe", "--list"]) == 2
    assert "expected the package no_such_recipes beside mxft, received none; install mxft" in capsys.readouterr().err


def test_a_notebook_is_copied_once(here, repository, capsys):
    assert main(["recipe", "--list"]) == 0
    assert "your_own_folder.ipynb" in capsys.readouterr().out
    assert main(["recipe", "faces.ipynb"]) == 0
    assert (here / "faces.ipynb").read_bytes() == (repository / "recipes" / "faces.ipynb").read_bytes()
    assert "jupyter notebook faces.ipynb opens it" in capsys.readouterr().out
    assert main(["recipe", "faces.ipynb"]) == 2
    assert "expected no file called faces.ipynb in" in capsys.readouterr().err


def test_a_notebook_that_is_none(here, capsys):
    assert main(["recipe", "face.ipynb"]) == 2
    assert "received 'face.ipynb'; nearest: faces.ipynb" in capsys.readouterr().err
