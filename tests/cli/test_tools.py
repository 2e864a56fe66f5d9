"""tools/*.py: each is its verb, from any folder and from a checkout that cannot be written to."""
import os
import re
import shutil
import subprocess
import sys

import pytest

from mxft.cli import VERBS

TOOLS = {"im2rec": "im2rec", "split": "split", "finetune": "finetune", "score": "score", "predict": "predict",
         "show_layers": "layers", "face_pack": "face-pack", "pairs_pack": "pairs-pack", "verification": "verify",
         "model_slim": "slim", "advise": "advise", "lr_find": "lr-find", "extract_features": "extract-features",
         "launch": "launch"}


def test_every_tool_is_known_here(repository):
    assert {path.stem for path in (repository / "tools").glob("*.py")} == set(TOOLS)
    assert set(TOOLS.values()) <= set(VERBS)


@pytest.mark.parametrize("tool", sorted(TOOLS))
def test_a_tool_calls_its_verb_and_nothing_else(tool, repository):
    text = (repository / "tools" / f"{tool}.py").read_text(encoding="utf-8")
    assert re.findall(r'run_verb\("([\w-]+)"\)', text) == [TOOLS[tool]]
    code = [line for line in text.splitlines() if line and not line.startswith(("#", '"""', "import", "from"))]
    assert len(code) == 2
    assert os.access(repository / "tools" / f"{tool}.py", os.X_OK)


def test_help_from_a_read_only_checkout_and_another_folder(repository, tmp_path):
    checkout = tmp_path / "checkout"
    shutil.copytree(repository / "mxft", checkout / "mxft", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copytree(repository / "tools", checkout / "tools", ignore=shutil.ignore_patterns("__pycache__"))
    for folder, _, _ in os.walk(checkout):
        os.chmod(folder, 0o555)
    (tmp_path / "elsewhere").mkdir()
    environment = {name: value for name, value in os.environ.items() if name not in ("HOME", "PYTHONPATH")}
    try:
        for tool, verb in TOOLS.items():
            done = subprocess.run([sys.executable, "-B", str(checkout / "tools" / f"{tool}.py"), "--help"],
                                  cwd=tmp_path / "elsewhere", env=environment, capture_output=True, text=True)
            assert (done.returncode, done.stderr) == (0, "")
            assert done.stdout.startswith(f"usage: mxft {verb} ")
    finally:
        for folder, _, _ in os.walk(checkout):
            os.chmod(folder, 0o755)
    assert os.listdir(tmp_path / "elsewhere") == []
