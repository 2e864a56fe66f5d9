"""What is damaged, how, and the commands a user would give it to."""
import dataclasses

from tests.torture import hostile
from tests.torture.damage import damage
from tests.torture.generated_params import params
from tests.torture.generated_symbols import symbol
from tests.torture.generated_weights import keras_file, onnx_file, safetensors_file
from tests.torture.json_damage import damage_json
from tests.torture.specimens import CACHED

MODEL = ("tiny-symbol.json", "tiny-0000.params", "tiny-manifest.json")
FACE = ("face-symbol.json", "face-0000.params")
SCORE = ("score", "--model", "tiny,0", "--data-nthreads", "1", "--batch-size", "4")
TRAIN = ("finetune", "--plan", "full", "--model", "tiny,0", "--run", "out", "--epochs", "1", "--batch-size", "4",
         "--data-nthreads", "1")
RESUME = ("finetune", "--plan", "full", "--model", "tiny,0", "--train", "t.rec", "--val", "t.rec", "--run", "run",
          "--epochs", "2", "--batch-size", "5", "--data-nthreads", "1", "--resume")
PREDICT = ("predict", "--model", "tiny,0", "--data-nthreads", "1", "photos/a/0.jpg")
FACES = ("train_softmax", "--network", "pretrained", "--pretrained", "face,0", "--data-dir", "faces", "--prefix",
         "out/f",
         "--per-batch-size", "4", "--end-epoch", "1", "--emb-size", "4", "--image-size", "16,16", "--data-nthreads",
         "1",
         "--target", "")


@dataclasses.dataclass(frozen=True)
class Kind:
    """A kind of input.

    Parameters
    ----------
    name : str
    target : str
        The file that is damaged, or a pattern of its name.
    needs : tuple of str
        Files and folders the commands need beside it.
    commands : tuple of tuple of str
        One of them is run on each damaged input.
    ways : tuple of callable
        ``(rng, bytes) -> (name, bytes)``.
    weight : int
        Its share of the cases.
    most_memory : int
        Bytes that may be resident; the largest picture that is decoded, 2**28 pixels, takes a quarter of it.
    """

    name: str
    target: str
    needs: tuple
    commands: tuple
    ways: tuple = (damage,)
    weight: int = 1
    most_memory: int = 3 << 30


def _many(choices):
    return (damage, damage, hostile.pick(choices))


REC = (SCORE + ("--resize", "20", "t.rec"), SCORE + ("t.rec",), SCORE + ("t.rec", "--check", "full"), ("inspect",
                                                                                                       "t.rec"),
       ("unpack", "t.rec", "out"), ("extract-features", "--model", "tiny,0", "t.rec", "codes.npz", "--resize", "18"),
       TRAIN + ("--train", "t.rec"), TRAIN + ("--train", "t.rec", "--val", "t.rec", "--plan", "head", "--cache",
                                              "memory"))
FACE_SET = (("inspect", "faces"), ("inspect", "faces", "--decode"), ("unpack", "faces", "out"), FACES)

KINDS = (
    Kind(".rec", "t.rec", ("t.idx", "t.lst", *MODEL), REC, _many(hostile.RECORDS), 5),
    Kind(".rec, faces", "faces/train.rec", ("faces", *FACE), FACE_SET, _many(hostile.RECORDS), 3),
    Kind(".idx", "faces/train.idx", ("faces", *FACE), FACE_SET + (("inspect", "faces/train.rec"),),
         _many(hostile.INDEX), 3),
    Kind("property", "faces/property", ("faces", *FACE), FACE_SET, _many(hostile.PROPERTY), 1),
    Kind(".bin", "lfw.bin", FACE, (("verify", "--model", "face,0", "--bin", "lfw.bin", "--image-size", "16,16"),
                                   ("inspect", "lfw.bin"), ("unpack", "lfw.bin", "out")), _many(hostile.PICKLE), 3),
    Kind(".params", "tiny-0000.params", ("t.rec", "photos", *MODEL),
         (SCORE + ("t.rec",), ("layers", "tiny,0"), PREDICT, TRAIN + ("--train", "t.rec"),
          ("slim", "--model", "tiny,0", "--layer", "flatten0", "--output", "out/s"),
          ("export", "--to", "onnx", "--model", "tiny,0", "--output", "out.onnx")), _many(hostile.PARAMS), 4),
    Kind("-symbol.json", "tiny-symbol.json", ("t.rec", "photos", *MODEL),
         (SCORE + ("t.rec",), ("layers", "tiny,0"), ("layers", "tiny-symbol.json", "--image-shape", "3,16,16"), PREDICT,
          TRAIN + ("--train", "t.rec"), ("slim", "--model", "tiny,0", "--layer", "flatten0", "--output", "out/s")),
         (damage, damage_json, damage_json), 4),
    Kind("-manifest.json", "tiny-manifest.json", ("t.rec", "photos", *MODEL),
         (SCORE + ("t.rec",), PREDICT, ("layers", "tiny,0"), TRAIN + ("--train", "t.rec"),
          ("slim", "--model", "tiny,0", "--layer", "flatten0", "--output", "out/s"),
          ("bundle", "--model", "tiny,0", "--no-onnx", "--image", "photos/a/0.jpg", "--output", "out.tar")),
         (damage, damage_json, damage_json), 4),
    Kind("run: log.jsonl", "run/log.jsonl", ("run", "t.rec"), (("report", "run"), ("report", "run", "run")),
         (damage, damage_json, damage_json), 2),
    Kind("run: freeze.json", "run/freeze.json", ("run", "t.rec"), (("report", "run"),), (damage, damage_json), 1),
    Kind("run: transfer.json", "run/transfer.json", ("run", "t.rec"), (("report", "run"),), (damage, damage_json), 1),
    Kind("run: manifest", "run/model-manifest.json", ("run", "t.rec"), (("report", "run"), ("report", "run", "run")),
         (damage, damage_json), 1),
    Kind("run: state", "run/state/state.json", ("run", "t.rec", *MODEL), (RESUME,), (damage, damage_json, damage_json),
         2),
    Kind("run: state, arrays", "run/state/1.params", ("run", "t.rec", *MODEL), (RESUME,), _many(hostile.PARAMS), 1),
    Kind(".lst", "t.lst", ("photos",), (("im2rec", "--num-thread", "1", "t", "photos"),
                                        ("im2rec", "--num-thread", "1", "--strict", "t", "photos"),
                                        ("im2rec", "--num-thread", "1", "--pack-label", "t", "photos")),
                                        _many(hostile.LIST), 3),
    Kind(".lst, faces", "faces/train.lst", ("faces", "people"), (
        ("face-pack", "faces/train.lst", "out", "--num-thread", "1", "--root", "people"),), _many(hostile.LIST), 2),
    Kind("pairs.txt", "pairs.txt", ("pairs-people",), (("pairs-pack", "pairs.txt", "pairs-people", "out.bin"),),
         _many(hostile.LIST), 1),
    Kind(".jpg", "photos/a/0.jpg", ("photos", *MODEL),
         (PREDICT, PREDICT + ("photos/b/1.jpg",), ("split", "photos", "out/s", "--per-class", "3", "--num-thread", "1"),
          ("split", "photos", "out/s", "--per-class", "3", "--num-thread", "1", "--resize", "16"),
          ("extract-features", "--model", "tiny,0", "photos", "codes.npz")), _many(hostile.IMAGE), 4),
    Kind(".png", "photos/a/3.png", ("photos", *MODEL), (
        PREDICT[:-1] + ("photos/a/3.png",), ("split", "photos", "out/s", "--per-class", "3", "--num-thread", "1")),
         _many(hostile.IMAGE), 2),
    Kind(".jpg, faces", "people/a/0.jpg", ("people", "pairs.txt", "pairs-people"), (
        ("face-pack", "people", "out", "--num-thread", "1"),), _many(hostile.IMAGE), 1),
    Kind(".tar", "photos.tar", (), (("extract_tar", "photos.tar", "out/photos"),), _many(hostile.TAR), 4),
    Kind("features cache", "data-cache/features/*.features", ("data-cache", "t.rec", *MODEL), (CACHED,)),
)

# Made from nothing, not by damage: networks and weights, through the verbs people use on such files. "filled" gives the
# network random parameters of the shapes it asks for, so that what loads is bound and run.
NETWORK = (("layers", "tiny,0"), ("layers", "tiny-symbol.json", "--image-shape", "3,16,16"), ("filled", *PREDICT),
           ("filled", *PREDICT), ("filled", *SCORE, "t.rec"), ("filled", "layers", "tiny,0"),
           ("filled", "slim", "--model", "tiny,0", "--layer", "flatten0", "--output", "out/s"),
           ("filled", "export", "--to", "onnx", "--model", "tiny,0", "--output", "out.onnx"))
PARAMETERS = (("layers", "tiny,0"), PREDICT, PREDICT, SCORE + ("t.rec",), TRAIN + ("--train", "t.rec"),
              ("slim", "--model", "tiny,0", "--layer", "flatten0", "--output", "out/s"))


def _import(source, weights, *more):
    return ("import", "--from", source, "--weights", weights, "--prefix", "out/net", *more)


GENERATED = (
    Kind("symbol", "tiny-symbol.json", ("t.rec", "photos", *MODEL), NETWORK, (symbol,), 5, 2 << 30),
    Kind("params", "tiny-0000.params", ("t.rec", "photos", *MODEL), PARAMETERS, (params,), 4, 2 << 30),
    Kind("onnx", "net.onnx", (), (_import("onnx", "net.onnx"), _import("onnx", "net.onnx", "--image-shape", "3,16,16")),
         (onnx_file,), 5, 2 << 30),
    Kind("safetensors", "net.safetensors", (), (_import("torchvision", "net.safetensors", "--arch", "mobilenet_v2"),),
         (safetensors_file,), 3, 2 << 30),
    Kind("h5", "net.h5", (), (_import("keras", "net.h5", "--arch", "mobilenetv2"),), (keras_file,), 3, 2 << 30),
)
