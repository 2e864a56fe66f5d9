"""What messages tell people to type, typed: every command and flag that mxft prints works as it stands.

`PRINTED` provokes a message, takes what it tells from it, and runs that. `test_every_place_is_tried` reads the sources:
a message with a command, or with flags to say, that is in no row fails there.
"""
import contextlib
import importlib
import io
import os
import pathlib
import re
import shlex
import shutil

import pytest

from mxft.cli import VERBS, main, module_name
from mxft.compat import mx
from mxft.data.recordio import IRHeader, RecordWriter, pack
from mxft.errors import RunError
from mxft.faces.data.packing import pack_faces
from mxft.faces.pairs.bin_file import write_pairs
from mxft.network.checkpoint import Checkpoint
from tests.support.images import encoded, levelled, noise, write_classes, write_image
from tests.support.printed import FIELD, commands, matches, places

TRAIN = "finetune --model net,0 --image-shape 3,16,16 --train train.rec --run run --plan full"
DATA = "finetune --model net,0 --image-shape 3,16,16 --run run --epochs 1 --batch-size 4"
MADE = {"PICTURES": "photos", "FOLDER": "photos", "ROOT": "photos", "TABLE": "tags.csv", "PREFIX": "made",
        "NAME": "cat"}  # in place of what a message cannot know

ONLY_LEAVES_OUT = ("leave", "lower", "without", "choose a smaller", "give --classes", "use --kv")
# what is typed; what the answer tells, word for word; a pattern of words to leave out of the first where that is told
PRINTED = [
    ("predict --model net,0 cat.png", "--image-shape 3,224,224", ""),
    ("predict --model net,0 --image-shape 3,16,16 cat.png", "--resize 18", ""),
    ("score --model net,0 --image-shape 3,16,16 --crops 10 val.rec", "--resize 256", ""),
    (f"{TRAIN} --lr-schedule step", "--lr-step-epochs 5", ""),
    (f"{TRAIN.replace('net,0', 'deep,0')} --plan gradual --epochs 1", "--epochs 2", ""),
    (f"{TRAIN.replace('--run run', '--run used')}", "--run used-2", ""),
    (f"{TRAIN} --tensorboard events", "--tensorboard events/run-2", ""),
    (f"{TRAIN} --kv-store nccl", "--kv-store device", ""),
    (f"{TRAIN.replace('train.rec', 'stray.rec')}", "--num-classes 100", ""),
    (f"{TRAIN} --num-classes 2", "--num-classes 3", ""),
    (f"{TRAIN} --num-classes 2", "mxft im2rec --list --recursive --exclude NAME PREFIX ROOT", ""),
    (f"{TRAIN.replace('train.rec', 'halves.rec')}", "mxft im2rec --list --recursive PREFIX ROOT", ""),
    (f"{TRAIN} --require-head --num-classes 4", "leave --require-head out", " --require-head"),
    (f"{TRAIN} --multi-label", "without --multi-label", " --multi-label"),
    (f"{TRAIN} --multi-label --num-classes 4", "mxft split --labels TABLE --multi-label PICTURES PREFIX", ""),
    (f"{TRAIN} --multi-label --num-classes 4", "mxft im2rec --pack-label PREFIX ROOT", ""),
    (f"{TRAIN} --plan auto --freeze conv0_*", "mxft finetune --help", ""),
    (f"{TRAIN} --layer flaten0", "mxft layers", ""),
    (f"{TRAIN.replace('net,0', 'slim,0')} --require-head", "leave --require-head out", " --require-head"),
    (f"{TRAIN} --fp16", "leave --fp16 out", " --fp16"),
    (f"{TRAIN} --gpus 0", "leave --gpus out", " --gpus 0"),
    (f"{TRAIN} --kv-store dist_sync", "use --kv-store device", " --kv-store dist_sync"),
    (f"{TRAIN} --classes two.txt --num-classes 3", "give --classes with one a line", " --classes two.txt"),
    (f"{TRAIN.replace('finetune', 'lr-find')} --plan head --solver ridge", "mxft finetune --plan head --solver ridge",
     ""),
    (f"{DATA} --records photos", "mxft split photos photos-split", ""),
    (f"{DATA} --records gone", "mxft split PICTURES gone", ""),
    (f"{DATA} --records train.rec", "--train train.rec", " --records train.rec"),
    (f"{DATA.replace('3,16,16', '3,32,32')} --records packed", "choose a smaller --image-shape", "32,32"),
    (f"{DATA} --records packed --multi-label", "mxft split --labels TABLE --multi-label PICTURES PREFIX", ""),
    (f"{DATA} --data photos/cat", "give photos", "/cat"),
    (f"{DATA} --data flat", "give --labels TABLE", ""),
    (f"{DATA} --data one", "give --labels TABLE", ""),
    (f"{DATA} --data tags.csv", "--multi-label", ""),
    (f"{DATA} --data ages.csv", "--regression", ""),
    (f"{DATA} --data columns.csv", "--label-columns width", ""),
    (f"{DATA} --data pairs.bin", "mxft verify", ""),
    (f"{DATA.replace('net,0', 'resnet-50')} --data photos", "mxft zoo get resnet-50", ""),
    (f"{DATA.replace('net,0', 'weights.onnx')} --data photos",
     "mxft import --from onnx --weights weights.onnx --prefix weights", ""),
    (f"{DATA} --data photos --resume", "--resume auto", " --resume"),
    (f"{DATA} --data photos --per-class 9", "--per-class 4", ""),
    ("im2rec lost photos", "mxft im2rec --list --recursive lost photos", ""),
    ("im2rec empty photos", "mxft im2rec --list --recursive PREFIX ROOT", ""),
    ("split --labels tags.csv photos out", "--multi-label", ""),
    ("split flat out", "give --labels TABLE", ""),
    ("split --per-class 4 photos out", "lower --per-class", " --per-class 4"),
    ("zoo list nothing-of-it", "mxft zoo list", ""),
    ("zoo where nothing-of-it", "mxft zoo list", ""),
    ("predict --model slim,0 cat.png", "mxft extract-features --model slim,0 FOLDER embeddings.npz", ""),
    ("predict --model face,0 cat.png", "mxft slim --model face,0", ""),
    ("serve face,0 --resize 16",
     "mxft export --to onnx --model face,0 --output embedding.onnx", ""),
    ("predict --model map,0 --resize 16 cat.png", "mxft export --to onnx --model map,0", ""),
    ("bundle --model told,0 --image cat.png --output again.tar --no-onnx", "mxft serve again.tar", ""),
    ("predict --model edited,0 cat.png", "mxft accept edited,0", ""),
    ("serve told.tar --mean-image mean.bin", "mxft bundle", ""),
    ("import --weights weights.onnx", "mxft import --list", ""),
    ("launch -n 2", "mxft launch --help", ""),
    ("launch -n 2 -H here,there true", "--launcher ssh", ""),
    ("face-pack broken elsewhere", "mxft inspect broken", ""),
    ("extract-features --model slim,0 broken codes.npz", "mxft inspect broken", ""),
    ("unpack faces/train.rec people", "mxft face-pack people/train.lst OUT_DIR --root people", ""),
    ("unpack train.rec images", "mxft im2rec --pass-through images/train images", ""),
    ("advise --data pairs --model told,0", "--similar yes", ""),
    ("export --to onnx --model told,0 --output net.onnx", "--force", ""),
    ("slim --model face,0 --output told", "--force", ""),
    ("extract-features --model loud,0 photos loud.npz --float16", "leave --float16 out", " --float16"),
    ("advise --images 500 --classes 10 --similar no", "mxft advise --data", ""),
]


# places that another test provokes, or that no test can: what stands in the text, and where it is tried, or why not
ELSEWHERE = {
    "received leftovers of mxnet": "needs an import of mxnet that failed half-way, in a Python of its own",
    "expected target multi-label or regression": "said to programs alone: no verb reads a table of labels as classes",
    "synset.txt                             class names": "tests/unit/deploy/bundle/test_bundle.py",
    "mxnet-cu112 holds …": "tests/unit/machine/test_cards.py",
    "expected an mxnet with DIST_KVSTORE": "tests/unit/test_devices.py",
    "mxft launch -n WORKERS -s SERVERS COMMAND": "tests/cli/test_launch.py",
    "expected a free port at an address": "needs a port that is taken between two looks at it",
    "under a launcher with … workers": "tests/unit/distributed/test_workers.py",
    "stopped at the image with key": "tests/unit/faces/data/test_iterators.py",
    "give `image_size` {},{}": "tests/unit/faces/data/test_iterators.py",
    "images that can be decoded, received at key": "tests/unit/faces/data/test_packing.py",
    "which has no cross-entropy; leave `ce_loss` out": "tests/unit/faces/training/test_triplets.py",
    "… done; best ……, last …": "tests/recipes/test_train_softmax.py",
    "mxft recipe": "tests/cli/test_recipe.py", "name: expected that of a recipe": "tests/cli/test_recipe.py",
    "and nothing ends the run before; say": "tests/unit/training/test_sanity.py",
    "expected one without checkpoints": "tests/unit/faces/training/test_checkpoints.py",
    "expected a folder and the beginning of the files' names": "tests/unit/faces/training/test_checkpoints.py",
    "pretrained embedding to imprint from": "tests/unit/faces/training/test_fit.py",
    "try `per_batch_size` …": "tests/unit/faces/training/test_fit.py",
    "say `emb_size` …": "tests/unit/faces/training/test_transfer.py",
    "continues with it, or leave": "tests/unit/workflows/test_finetune_targets.py",
    "expected a head that gives": "tests/unit/workflows/test_finetune_targets.py",
    "a worker that skips an update": "tests/unit/training/test_precision.py",
    "momenta are on the servers": "tests/unit/training/resume/test_following.py",
    "expected label smoothing to be asked for once": "tests/unit/training/test_targets.py",
    "expected a quantized checkpoint": "tests/unit/inference/test_precision.py",
    "report: not written": "tests/cli/test_report.py",
    "expected one beside `engine='torch'`": "tests/unit/torch/test_training_engine.py",
    "mxft finetune --device": "tests/unit/doctor/test_doctor.py",
    "mxft.to_torch, mxft export --to torch": "says who needs the extra",
    "expected --to onnx beside int8": "tests/cli/test_export.py",
}


@pytest.fixture(scope="module")
def made(tmp_path_factory, make_checkpoint, random_parameters):
    """A folder with a checkpoint, pictures, tables, records and sets of every kind that the messages are about."""
    here = tmp_path_factory.mktemp("printed")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(here)
        save_networks(make_checkpoint, random_parameters)
        save_pictures()
        save_records()
        save_tables()
        for name in ("used", "events"):
            os.makedirs(name)
        for path in ("used/mine", "events/x.tfevents.1", "net.onnx", "empty.lst", "weights.onnx"):
            pathlib.Path(path).write_text("")
    return here


def save_networks(make_checkpoint, random_parameters):
    net, loud = make_checkpoint(3), make_checkpoint(3)
    net.save("net", 0)
    loud.arg_params["conv0_weight"][:] *= 1e6
    for checkpoint, name in ((net, "told"), (loud, "loud"), (net, "edited")):
        checkpoint.manifest = {"input": {"size": 16}, "packing": {"resize": 18}, "classes": ["cat", "dog", "emu"]}
        checkpoint.save(name, 0)
    manifest = pathlib.Path("edited-manifest.json")
    manifest.write_text(manifest.read_text().replace("emu", "owl"))
    embedding = mx.sym.FullyConnected(mx.sym.Flatten(mx.sym.Variable("data") * 0.01), num_hidden=4, name="pre_fc1")
    embedding = mx.sym.BatchNorm(embedding, fix_gamma=True, name="fc1")
    logits = mx.sym.FullyConnected(mx.sym.L2Normalization(embedding) * 8, num_hidden=3, no_bias=True, name="fc7")
    label = mx.sym.Variable("softmax_label")
    face = mx.sym.Group([mx.sym.BlockGrad(embedding), mx.sym.SoftmaxOutput(
        logits - mx.sym.one_hot(label, depth=3), label, name="softmax")])
    pixels = mx.sym.Convolution(mx.sym.Variable("data"), kernel=(3, 3), num_filter=2, name="map0")
    deep = mx.sym.Convolution(pixels, kernel=(3, 3), stride=(2, 2), num_filter=2, name="conv1")
    deep = mx.sym.FullyConnected(mx.sym.Flatten(deep, name="flatten0"), num_hidden=3, name="fc1")
    deep = mx.sym.SoftmaxOutput(deep, name="softmax")
    for symbol, name in ((face, "face"), (embedding, "slim"), (pixels, "map"), (deep, "deep")):
        Checkpoint(symbol, *random_parameters(symbol, (3, 16, 16)), {"input": {"size": 16}}).save(name, 0)


def save_pictures():
    write_classes("photos", ("cat", "dog", "emu"), 4, levelled)
    write_classes("one", ("cat",), 2, levelled)
    write_classes("pairs", ("cat", "dog"), 2, levelled)
    write_classes("people", ("Ada", "Bob"), 2, lambda number, label: noise(number, (16, 16)))
    pack_faces("people", "faces", size=(16, 16), exts=[".png"], show=False)
    shutil.copytree("faces", "broken")
    pathlib.Path("broken/property").write_text("1,16,16")
    shutil.rmtree("people")
    for number in range(4):
        write_image(f"flat/{number}.png", levelled(number, number % 2))
    write_image("cat.png", levelled(0, 0))


def save_records():
    image = encoded(levelled(0, 1))
    write_pairs("pairs.bin", [image, image], [True])
    for name, labels in (("train", [0, 1, 2] * 4), ("val", [0, 1, 2] * 2), ("stray", [0, 1, 99]),
                         ("halves", [0, 0.5, 1])):
        with RecordWriter(f"{name}.rec") as writer:
            for number, label in enumerate(labels):
                writer.write(pack(IRHeader(0, float(label), number, 0), encoded(levelled(number, int(label) % 3))))


def save_tables():
    rows = [f"photos/{name}/{number}.png" for name in ("cat", "dog", "emu") for number in range(4)]
    for name, head, cell in (("tags", "image,labels", "{0}|pet"), ("ages", "image,age", "{1}.5"),
                             ("columns", "image,width,height", "2{1},3{1}")):
        lines = [f"{row},{cell.format(row.split('/')[1], number % 4)}" for number, row in enumerate(rows)]
        pathlib.Path(f"{name}.csv").write_text("\n".join([head, *lines, ""]))
    pathlib.Path("two.txt").write_text("cat\ndog\n")
    assert answer("split --resize 18 photos packed")[0] == 0
    assert answer("im2rec --list --labels tags.csv --multi-label made .")[0] == 0
    assert answer("bundle --model told,0 --image cat.png --output told.tar --no-onnx")[0] == 0


def answer(words):
    """Run a command line; return its exit status and all it says."""
    said = io.StringIO()
    with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
        try:
            status = main(shlex.split(words))
        except SystemExit as end:  # of --help
            status = end.code
    return status, said.getvalue()


@pytest.fixture
def here(made, tmp_path, monkeypatch, mirror):
    """A copy of the folder, the working directory; no training begins, nothing is served, no address is asked."""
    def reached(*_, **__):
        raise RunError("reached")

    shutil.copytree(made, tmp_path / "here")
    monkeypatch.chdir(tmp_path / "here")
    monkeypatch.setattr("mxft.training.staged.StagedTraining.run", reached)
    monkeypatch.setattr("mxft.deploy.serving.server.serve", lambda *_: None)
    return tmp_path / "here"


def next_words(words, told, left_out):
    """Return the command line that a message's words make of the one that was typed."""
    filled = re.sub("[A-Z]{4,}", lambda found: MADE.get(found.group(), found.group()), told)
    if told.startswith("mxft "):
        return filled[len("mxft "):]
    if words.startswith("launch "):  # what stands behind the command is the command's
        return words.replace("launch", f"launch {told}", 1)
    flags = re.search("--.*", filled)
    more = flags.group() if flags and not told.startswith(ONLY_LEAVES_OUT) else ""
    return f"{words.replace(left_out, '', 1) if left_out else words} {more}"


def reason(said):
    """Return what a refusal says is wrong, up to what it received and whatever the numbers."""
    last = said.strip().splitlines()[-1] if said.strip() else ""
    return re.sub(r"\d+", "#", last.partition(": ")[2].partition(", received")[0])


def rows():
    """Return `PRINTED` to parametrize by, what prepares a training left to `make test-long` but for every eighth."""
    return [pytest.param(*row, id=f"{row[1]} <- {row[0]}", marks=[pytest.mark.long] * (
        row[0].startswith(("finetune", "lr-find", "advise --data")) and number % 8 > 0))
        for number, row in enumerate(PRINTED)]


@pytest.mark.parametrize("words, told, left_out", rows())
def test_what_is_told_works_as_it_stands(words, told, left_out, here):
    status, said = answer(words)
    assert told in said, said
    after, then = answer(next_words(words, told, left_out))
    assert after != 2 or reason(then) != reason(said), then


def test_the_command_of_the_advice_runs_as_it_is_printed(here):
    os.makedirs("runs/mine")
    pathlib.Path("runs/mine/notes").write_text("mine")
    status, said = answer("advise --data photos --model net,0 --image-shape 3,16,16 --rgb-mean 9,9,9 --exclude emu")
    command = said.partition("command:\n")[2]
    assert status == 0 and all(f" {flag} " in command for flag in (
        "--run runs/mine-2", "--rgb-mean 9,9,9", "--image-shape 3,16,16", "--exclude emu"))
    after, then = answer(command.replace("\\\n", " ").strip()[len("mxft "):])
    assert after == 3 and then.endswith("reached\n"), then


def test_every_place_is_tried(here):
    """Where a message tells a command with its arguments, or flags to say, a row above provokes it."""
    said = [answer(words)[1] for words in dict.fromkeys(words for words, *_ in PRINTED)]
    untried = [(file, text.replace(FIELD, "…")) for file, text in places()
               if not any(matches(text, one) for one in said)
               and not any(fragment in text.replace(FIELD, "…") for fragment in ELSEWHERE)
               and not only_points(text)]
    assert untried == [], "\n".join(map(str, untried))


def test_what_is_tried_elsewhere_is_there(repository):
    assert [path for path in ELSEWHERE.values() if path.startswith("tests/") and not (repository / path).exists()] == []
    texts = [text.replace(FIELD, "…") for _, text in places()]
    assert [fragment for fragment in ELSEWHERE if not any(fragment in text for text in texts)] == []


def only_points(text):
    """Whether a text names verbs without arguments, as "mxft doctor tells more": `test_flags_are_those_of_their_verb`.
    """
    found = commands(text)
    return bool(found) and not any(words for _, words in found)


def test_flags_are_those_of_their_verb():
    """Every flag that stands behind a verb in any message is one of that verb."""
    wrong = []
    for file, text in places():
        for verb, words in commands(text):
            known = flags_of(verb)
            wrong += [(file, verb, word) for word in words if word.startswith("--") and FIELD not in word
                      and word.rstrip(".") not in known]
    assert wrong == []


def flags_of(verb):
    parser = importlib.import_module("mxft.cli." + module_name(verb)).parser()
    inner = [each for action in parser._actions if hasattr(action, "choices") and isinstance(action.choices, dict)
             for each in action.choices.values()]
    return {flag for each in (parser, *inner) for action in each._actions for flag in action.option_strings}


def test_settings_are_flags_of_some_verb(load_recipe):
    """Every setting a message names, as `lr_steps`, is a flag where a command says it."""
    from mxft.command.flags import flag_of
    from mxft.errors import SETTING

    known = set().union(*map(flags_of, VERBS))
    known |= {flag for action in load_recipe("train_softmax").parser()._actions for flag in action.option_strings}
    named = {found.group(1) for _, text in places() for found in SETTING.finditer(text)}
    assert {name for name in named if flag_of(name) not in known} == set()
