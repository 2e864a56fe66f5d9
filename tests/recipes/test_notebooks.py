"""The notebooks: every cell runs, on made-up data here and on the real data in `make test-long`; outputs are kept."""
import ast
import json
import tarfile

import pytest

import mxft
from mxft.network.input_spec import InputSpec
from tests.support.images import levelled, noise, write_classes, write_image
from tests.support.notebooks import NAMES, RECIPES, cells_of, run_notebook, source_of

MOST_BYTES = 400_000
MOST_SHOWN = {"text": 2000, "html": 100_000}  # characters of a displayed value


def outputs_of(cell):
    """Return what a cell has put out: (kind, text) of streams and of displayed values."""
    for output in cell["outputs"]:
        if output["output_type"] == "stream":
            yield output["name"], "".join(output["text"])
        for kind, data in output.get("data", {}).items():
            yield kind, "".join(data) if isinstance(data, list) else str(data)


def displayed(value):
    """Return a value's text and its HTML, empty where it has none."""
    return repr(value), value._repr_html_() if hasattr(value, "_repr_html_") else ""


@pytest.mark.parametrize("name", NAMES)
def test_outputs_are_kept_and_small_and_tell_nothing_of_a_machine(name):
    path = RECIPES / f"{name}.ipynb"
    assert path.stat().st_size < MOST_BYTES
    told = [(kind, text) for cell in cells_of(name) for kind, text in outputs_of(cell)]
    assert sum(kind == "text/html" for kind, _ in told) >= 5 and any("<svg" in text for _, text in told)
    assert all(output["output_type"] != "error" for cell in cells_of(name) for output in cell["outputs"])
    for kind, text in told:
        assert kind in ("stdout", "stderr", "text/plain", "text/html"), kind
        assert len(text) < (MOST_SHOWN["text"] * 2 if kind != "text/html" else MOST_SHOWN["html"]), text[:300]
        if "base64," not in text:
            assert not [word for word in ("Traceback", "/tmp", "/home", "/root", "/work", "/Users") if word in text]
    notebook = json.loads(path.read_text(encoding="utf-8"))
    assert notebook["nbformat"] == 4 and notebook["metadata"]["kernelspec"]["name"] == "python3"
    assert [cell["execution_count"] for cell in cells_of(name)] == list(range(1, len(cells_of(name)) + 1))


@pytest.mark.parametrize("name", NAMES)
def test_cells_use_public_names_alone_and_begin_with_what_is_needed(name):
    for cell in cells_of(name):
        for node in ast.walk(ast.parse(source_of(cell))):
            if isinstance(node, ast.Attribute) and getattr(node.value, "id", None) == "mxft":
                assert node.attr in mxft.__all__
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            assert not [module for module in names if module.startswith("mxft.")]
            assert not (isinstance(node, ast.ImportFrom) and node.module.startswith("mxft"))
    opening = source_of(cells_of(name, "markdown")[0])
    assert opening.startswith("# ") and "**You need**" in opening and "pip install" in opening
    assert "os.environ.get" in source_of(cells_of(name)[0])


@pytest.fixture
def classes(here, make_checkpoint):
    """A working directory with a checkpoint ``net,0`` of 16 pixels, and 9 pictures of each of 3 classes in photos."""
    checkpoint = make_checkpoint(3)
    checkpoint.manifest = {"format": 1, "input": InputSpec((3, 16, 16), (90, 90, 90), (1 / 60,) * 3).to_dict()}
    checkpoint.save("net", 0)
    write_classes("photos", ["high", "low", "middle"], 9, levelled)
    for number in range(3):
        write_image(f"new-pictures/{number}.png", levelled(number, number))
    return here


@pytest.fixture
def people(here, make_face_checkpoint, random_parameters):
    """A working directory with a face network ``face,0`` and 3 people of 9 pictures in people."""
    checkpoint = make_face_checkpoint()
    checkpoint.arg_params, checkpoint.aux_params = random_parameters(checkpoint.symbol, (3, 112, 112))
    checkpoint.arg_params["fc1_gamma"][:] = 1
    checkpoint.save("face", 0)
    write_classes("people", ["Ann", "Bob", "Cleo"], 9, lambda number, label: noise(label, (112, 112)), ".jpg")
    return here


def assert_short(values):
    for value in values:
        text, html = displayed(value)
        assert len(text) < MOST_SHOWN["text"] and len(html) < MOST_SHOWN["html"], type(value)


@pytest.mark.usefixtures("quick_figures")
@pytest.mark.parametrize("name, settings", [
    ("your_own_folder", {"PHOTOS": "photos", "NEW": "new-pictures", "MODEL": "net,0", "EPOCHS": "2"}),
    ("caltech256", {"CALTECH256": "photos.tar", "MODEL": "net,0", "PER_CLASS": "6", "PLAN": "head", "EPOCHS": "2",
                    "BATCH": "8", "FEW": "2"}),
])
def test_cells_run_on_made_up_pictures(name, settings, classes, monkeypatch):
    with tarfile.open("photos.tar", "w") as tar:
        tar.add("photos")
    for variable, value in {**settings, "MXNET_HOME": str(classes / "home")}.items():
        monkeypatch.setenv(variable, value)
    names, shown = run_notebook(name)
    assert_short(shown)
    assert len(shown) >= 8 and names["result"].score.records == (3 if name == "your_own_folder" else 9)


@pytest.mark.usefixtures("quick_figures")
def test_cells_run_on_made_up_faces(people, monkeypatch):
    for variable, value in {"PEOPLE": "people", "MODEL": "face,0", "MIN_IMAGES": "6", "EPOCHS": "1"}.items():
        monkeypatch.setenv(variable, value)
    names, shown = run_notebook("faces")
    assert_short(shown)
    assert names["before"].pairs == 12 and names["result"].model.endswith(",best")


@pytest.mark.data
@pytest.mark.long
@pytest.mark.parametrize("name, settings", [
    ("your_own_folder", {"PHOTOS": "few", "NEW": "few", "EPOCHS": "2"}),
    ("caltech256", {"PER_CLASS": "12", "PLAN": "head", "EPOCHS": "6", "BATCH": "32", "FEW": "4"}),
])
def test_cells_run_on_photographs(name, settings, testdata, here, monkeypatch):
    photographs = testdata / "data" / "caltech256-subset.tar"
    with tarfile.open(photographs) as tar:
        tar.extractall(here / "few", [member for member in tar if "/03" in member.name])
    given = {"CALTECH256": str(photographs), "MODEL": f"{testdata}/models/mobilenet-v2-1.0,0", **settings}
    for variable, value in given.items():
        monkeypatch.setenv(variable, value)
    names, shown = run_notebook(name)
    assert_short(shown)
    assert names["result"].score.top1 > (0.64 if name == "caltech256" else 0.8)


@pytest.mark.data
@pytest.mark.long
def test_cells_run_on_faces(testdata, here, monkeypatch):
    with tarfile.open(testdata / "data" / "lfw-112x112.tar") as tar:
        tar.extractall(here)
    monkeypatch.setenv("MODEL", f"{testdata}/models/mobilefacenet-y1/model,0")
    names, shown = run_notebook("faces")
    assert_short(shown)
    assert names["identified"](names["result"].model) > names["identified"](names["checkpoint"])
