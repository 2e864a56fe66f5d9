"""``kill -9`` at the n-th file event of a command: what stands then is whole, and the same command again succeeds.

A file event is what Python announces before it opens a file for writing, renames, removes, makes a folder, cuts or
changes permissions (``sys.addaudithook``), and each ``mx.nd.save``, which may be left half-written. Only events in the
working folder and its temporary folder count. `run_case` does one case; a case is reproduced by its number.
"""
import csv
import dataclasses
import json
import os
import pathlib
import random
import re
import shutil
import subprocess
import sys
import tarfile
import zipfile

from mxft.data.lists import read_list
from mxft.data.recordio import RecordReader, read_index
from mxft.errors import MxftError
from mxft.network.checkpoint import load_checkpoint, saved_epochs
from mxft.network.params_file import check_params_file

REPOSITORY = pathlib.Path(__file__).resolve().parents[2]
SECONDS = 300
OTHERS = {".ses"}  # in the temporary folder: ONNX Runtime's
HOME, SCRATCH = ".home", ".tmp"  # of the command, beside its files
CHILD = """
import os, signal, sys
after, log, words = int(sys.argv[1]), sys.argv[2], sys.argv[3:]
here, seen = os.getcwd(), 0
FLAGS = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC
NAMED = {"os.rename", "os.remove", "os.mkdir", "os.rmdir", "os.truncate", "os.chmod"}

def counts(path):
    try:
        path = os.path.abspath(os.fsdecode(path))
    except TypeError:
        return False
    inside = path.startswith(here + os.sep) and not path.startswith(os.path.join(here, ".home"))
    return inside and path != log

def event():
    global seen
    seen += 1
    if seen == after:
        os.kill(os.getpid(), signal.SIGKILL)

def hook(name, args):
    if name == "open" and isinstance(args[2], int) and args[2] & FLAGS and not isinstance(args[0], int):
        if counts(args[0]):
            event()
    elif name in NAMED and not isinstance(args[0], int) and counts(args[0]):
        event()

def half(save):
    def saved(path, data):
        save(path, data)
        if counts(path) and seen + 1 == after:
            os.truncate(path, os.path.getsize(path) // 2)
        if counts(path):
            event()
    return saved

from mxft.cli import main
sys.addaudithook(hook)
if words[0] not in ("split", "im2rec", "face-pack", "pairs-pack", "unpack"):
    from mxft.compat import mx
    mx.nd.save = half(mx.nd.save)
status = main(words)
after = -1
with open(log, "w") as f:
    f.write(str(seen))
sys.exit(status)
"""


@dataclasses.dataclass(frozen=True)
class Verb:
    """A command that writes.

    Parameters
    ----------
    command : str
    needs : tuple of str
        Files and folders of the specimens that it reads.
    """

    command: str
    needs: tuple

    @property
    def name(self):
        """Its first words."""
        return " ".join(self.command.split()[:1])


NET, FACE = ("tiny-symbol.json", "tiny-0000.params", "tiny-manifest.json"), ("face-symbol.json", "face-0000.params")
RECORDS, ONE = ("t.rec", "t.idx", "t.lst"), " --data-nthreads 1"
TRAIN = f"--model tiny,0 --train t.rec --val t.rec --batch-size 5{ONE}"
VERBS = (
    Verb("split --num-thread 1 photos out/p", ("photos",)),
    Verb("im2rec --list --recursive out photos", ("photos",)),
    Verb("im2rec --num-thread 1 t photos", ("photos", "t.lst")),
    Verb("im2rec --num-thread 1 t photos", ("photos", *RECORDS)),
    Verb("face-pack people out --num-thread 1 --size 16,16", ("people",)),
    Verb("face-pack people faces --num-thread 1 --size 16,16 --force", ("people", "faces")),
    Verb("pairs-pack pairs.txt pairs-people out.bin", ("pairs.txt", "pairs-people")),
    Verb("unpack t.rec out", RECORDS),
    Verb("unpack faces out", ("faces",)),
    Verb(f"finetune --plan head --solver logistic --run out --resume auto {TRAIN}", (*NET, *RECORDS)),
    Verb(f"finetune --plan full --epochs 2 --run out --resume auto --save-batches 1 {TRAIN}", (*NET, *RECORDS)),
    Verb(f"finetune --plan head --epochs 2 --run out --resume auto --cache disk {TRAIN}", (*NET, *RECORDS)),
    Verb(f"score --model tiny,0 --per-class out.csv --confusion matrix.csv --batch-size 5 t.rec{ONE}",
         (*NET, *RECORDS)),
    Verb(f"predict --model tiny,0 --csv out.csv photos{ONE}", (*NET, "photos")),
    Verb(f"extract-features --model tiny,0 t.rec out.npz{ONE}", (*NET, *RECORDS)),
    Verb(f"extract-features --model tiny,0 photos out.npy{ONE}", (*NET, "photos")),
    Verb("slim --model face,0 --layer pre_fc1 --output out/slim --image-shape 3,16,16 --force", FACE),
    Verb("import --from onnx --weights net.onnx --prefix out/net --force", ("net.onnx",)),
    Verb("export --to onnx --model tiny,0 --output out.onnx --force", NET),
    Verb("bundle --model tiny,0 --image photos/a/0.jpg --no-onnx --output out.tar", (*NET, "photos")),
    Verb("bundle --model tiny,0 --image photos/a/0.jpg --no-onnx --output out", (*NET, "photos")),
    Verb(f"embed people out.npz --model face,0 --images aligned --image-size 16,16{ONE}", (*FACE, "people")),
    Verb(f"enroll people out.npz --model face,0 --images aligned --image-size 16,16 --force{ONE}", (*FACE, "people")),
    Verb(f"lr-find --run out --batches 20 --plan full {TRAIN.replace('--val t.rec ', '')}", (*NET, *RECORDS)),
    Verb(f"report run{ONE}", ("run", *NET, *RECORDS)),
    Verb("face-sets merge faces faces --out out", ("faces",)),
    Verb("zoo get caltech-256-60-val.rec", RECORDS),
    Verb("accept tiny,0", NET),
)
QUICK = (1, 4)  # need no MXNet


@dataclasses.dataclass
class Case:
    """One kill.

    Parameters
    ----------
    number : int
    verb : Verb
    at : int
        The event, from 1.
    wrong : str
        What was found; empty where all is as it should be.
    """

    number: int
    verb: Verb
    at: int
    wrong: str = ""

    def __str__(self):
        return f"case {self.number}: mxft {self.verb.command}, killed at event {self.at}: {self.wrong or 'good'}"


class Bench:
    """Folders in which commands are killed, and what each command does when it is not.

    Parameters
    ----------
    specimens : str
        See `tests.torture.specimens.make_specimens`.
    folder : pathlib.Path
        For the cases.
    """

    def __init__(self, specimens, folder):
        self._specimens, self._folder, self._whole = pathlib.Path(specimens), pathlib.Path(folder), {}

    def run_case(self, seed, number, verbs=VERBS):
        """Kill one command, chosen by the numbers, look at what stands, run it again, look again; return the Case."""
        rng = random.Random(f"{seed} {number}")
        verb = verbs[number % len(verbs)]
        events, whole = self._reference(verb)
        case = Case(number, verb, rng.randint(1, events))
        here = self._prepared(f"{seed}-{number}", verb)
        before = _contents(here)
        status, said = self._run(here, verb, case.at)
        if status not in (-9, 0):
            case.wrong = f"ended with status {status}: {said}"
        else:
            case.wrong = _half_written(here, before, whole) or self._retried(here, verb, whole)
        if not case.wrong:
            shutil.rmtree(here)
        return case

    def _retried(self, here, verb, whole):
        had_ended = _final(_contents(here)) == _final(whole)
        status, said = self._run(here, verb)
        if status and not (status == 2 and had_ended):  # a name that is taken, by all that was to be written
            return f"the same command again ended with status {status}: {said}"
        left = sorted(set(_contents(here)) ^ set(whole))
        if left:
            return f"after the same command again files differ: {', '.join(left)}"
        leftover = sorted({*os.listdir(here / SCRATCH)} - OTHERS)
        return f"left in the temporary folder: {', '.join(leftover)}" if leftover else _half_written(here, {}, whole)

    def _reference(self, verb):
        """Return how many events a command has, and the contents of its folder afterwards."""
        if verb not in self._whole:
            here = self._prepared(f"whole-{len(self._whole)}", verb)
            status, said = self._run(here, verb)
            if status:
                raise RuntimeError(f"mxft {verb.command} ended with status {status}: {said}")
            self._whole[verb] = int((here / HOME / "events").read_text()), _contents(here)
            shutil.rmtree(here)
        return self._whole[verb]

    def _prepared(self, name, verb):
        here = self._folder / name
        shutil.rmtree(here, ignore_errors=True)
        for folder in (HOME, SCRATCH, "mirror/data/caltech-256"):
            (here / folder).mkdir(parents=True)
        for need in verb.needs:
            source = self._specimens / need
            shutil.copytree(source, here / need) if source.is_dir() else shutil.copy(source, here / need)
        if verb.name == "zoo":
            shutil.copy(self._specimens / "t.rec", here / "mirror/data/caltech-256/caltech-256-60-val.rec")
        return here

    @staticmethod
    def _run(here, verb, after=0):
        home = str(here / HOME)
        environment = {**os.environ, "PYTHONPATH": str(REPOSITORY), "TMPDIR": str(here / SCRATCH), "HOME": home,
                       "MXNET_HOME": str(here / "zoo"), "MPLCONFIGDIR": home, "MXFT_MIRRORS": str(here / "mirror"),
                       "OMP_NUM_THREADS": "1", "PYTHONDONTWRITEBYTECODE": "1", "MPLBACKEND": "Agg"}
        done = subprocess.run([sys.executable, "-c", CHILD, str(after), str(here / HOME / "events"),
                               *verb.command.split()], cwd=here, env=environment, capture_output=True, text=True,
                              timeout=SECONDS)
        return done.returncode, done.stderr.strip()[-600:]


def _contents(here):
    """Return {path: bytes} of all files below a folder but the command's own home, and of leftover folders too."""
    return {str(path.relative_to(here)): path.read_bytes() if path.is_file() else b""
            for path in sorted(here.rglob("*"))
            if (path.is_file() or path.suffix == ".part") and path.relative_to(here).parts[0] not in (HOME, SCRATCH)}


def _final(contents):
    """Return the names that are no leftovers."""
    return {name for name in contents if not re.search(r"\.part(\.json|\.lock)?$|(^|/)\.?lock$|\.lock$", name)
            and not any(part.endswith(".part") for part in pathlib.PurePath(name).parts)}


def _half_written(here, before, whole):
    """Return which file stands under its final name without being whole; empty where none does."""
    contents = _contents(here)
    for name in sorted(_final(contents)):
        if contents[name] in (before.get(name), whole.get(name)):
            continue
        try:
            _read(here / name)
        except (MxftError, ValueError, OSError, KeyError, EOFError, zipfile.BadZipFile, tarfile.TarError,
                AssertionError) as error:
            return f"{name} is not whole: {type(error).__name__}: {error}"
    return ""


def _read(path):
    """Read a file as its reader does, or raise."""
    if path.name.endswith("-symbol.json") and (epochs := saved_epochs(str(path)[:-len("-symbol.json")])):
        for epoch in epochs:
            load_checkpoint(f"{str(path)[:-len('-symbol.json')]},{epoch}")
    elif path.suffix == ".json":
        json.loads(path.read_text())
    elif path.suffix in (".params", ".nd"):
        check_params_file(str(path))
    elif path.suffix == ".rec":
        with RecordReader(str(path)) as reader:
            assert sum(1 for _ in reader.walk()) > 0
            if path.with_suffix(".idx").exists():
                assert set(read_index(str(path.with_suffix(".idx"))).values()) <= {at for _, at, _ in reader.walk()}
    elif path.suffix == ".lst":
        assert list(read_list(str(path)))
    elif path.suffix == ".csv":
        with open(path, newline="") as f:
            assert len({len(row) for row in csv.reader(f)}) == 1
    elif path.suffix == ".npz":
        with zipfile.ZipFile(path) as archive:
            assert archive.testzip() is None
    elif path.suffix == ".tar":
        with tarfile.open(path) as archive:
            assert archive.getmembers()
    elif path.suffix == ".html":
        assert path.read_text().rstrip().endswith("</html>")
    elif path.suffix != ".jsonl":  # grows line by line
        assert path.stat().st_size


def kill(folder, specimens, seed, numbers, verbs=VERBS, tell=print):
    """Run cases and return them.

    Parameters
    ----------
    folder, specimens : str
    seed : int
    numbers : iterable of int
    verbs : sequence of Verb
    tell : callable of str
        Told each case that is wrong.
    """
    bench, cases = Bench(specimens, folder), []
    for number in numbers:
        cases.append(bench.run_case(seed, number, verbs))
        if cases[-1].wrong:
            tell(str(cases[-1]))
    return cases
