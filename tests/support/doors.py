"""What a checkpoint's files give through each verb, beside what plain MXNet gives of the very same files.

The pictures are PNG files of the network's own size: every door sees the same bytes as `plain_outputs`.
"""
import contextlib
import io
import json
import os

import numpy as np

from mxft.cli import run_verb
from mxft.compat import mx
from mxft.data.recordio import IRHeader, RecordWriter, pack
from tests.support.images import encoded, noise, write_image

DOORS = ("predict", "score", "export", "bundle", "serve")


class Door:
    """A checkpoint's files with two pictures to show it.

    Parameters
    ----------
    folder : str
        For pictures and what is written.
    prefix : str
        Of the checkpoint, of epoch 0.
    shape : tuple of int
        ``(C, H, W)`` of its input.
    std : float
        What pixels are divided by first.
    """

    def __init__(self, folder, prefix, shape, std=1.0):
        self.folder, self.prefix, self.shape = str(folder), str(prefix), tuple(shape)
        self.images = [noise(seed, shape[1:]) for seed in (1, 2)]
        if shape[0] == 1:
            self.images = [image[:, :, 0] for image in self.images]
        self.pictures = [os.path.join(self.folder, f"{number}.png") for number in range(2)]
        for path, image in zip(self.pictures, self.images):
            write_image(path, image)
        self.std, self.input = std, ["--image-shape", ",".join(map(str, shape))]
        if std != 1:
            self.input += ["--rgb-std", ",".join([str(std)] * 3)]
        self.how = [*self.input, "--resize", str(min(shape[1:]))]

    @property
    def pixels(self):
        """Float32 ``(2, C, H, W)``, RGB, divided by `std`."""
        images = [image[:, :, ::-1].transpose(2, 0, 1) if image.ndim == 3 else image[np.newaxis]
                  for image in self.images]
        return np.float32(images) * np.float32(1 / self.std)

    def plain(self, opened=None):
        """Return ``{output name: (2, …) array}`` of Module.predict, the symbol read by MXNet itself, unaltered.

        Of a network MXNet itself cannot compute: of the `opened` Checkpoint, which is in today's terms.
        """
        if opened is None:
            symbol = mx.sym.load(f"{self.prefix}-symbol.json")
            entries = mx.nd.load(f"{self.prefix}-0000.params")
            values = {name.split(":", 1)[-1]: value for name, value in entries.items()}
        else:
            symbol, values = opened.symbol, {**opened.arg_params, **opened.aux_params}
        states = set(symbol.list_auxiliary_states())
        given = [name for name in symbol.list_inputs() if name not in values and not name.endswith("label")]
        module = _bound(symbol, given, self.pixels.shape)
        labels = {name for name in symbol.list_arguments() if name.endswith("label")}
        module.set_params({name: value for name, value in values.items() if name not in states | labels},
                          {name: value for name, value in values.items() if name in states}, allow_missing=True,
                          allow_extra=True)
        batches = mx.io.NDArrayIter(self.pixels, batch_size=2, data_name=given[0])
        outputs = module.predict(batches, always_output_list=True)
        return dict(zip((name[:-len("_output")] if name.endswith("_output") else name
                         for name in symbol.list_outputs()), (output.asnumpy() for output in outputs)))

    def run(self, verb, *words):
        """Return what a verb printed; Refused with its message where it ended with 2."""
        out, err = io.StringIO(), io.StringIO()
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            status = run_verb(verb, [*words])
        if status:
            raise Refused(status, err.getvalue().strip().splitlines()[-1])
        return out.getvalue()

    def predict(self):
        """Return {output: (2, K) numbers as people see them} of ``mxft predict``."""
        said = self.run("predict", "--model", f"{self.prefix},0", *self.how, "--json", "--top", "100000",
                        *self.pictures)
        found = {}
        for row in map(json.loads, said.splitlines()):
            for output in row.get("outputs") or [{"output": None, "top": row["top"]}]:
                found.setdefault(output["output"], []).append(_in_order(output["top"]))
        return {name: np.array(rows) for name, rows in found.items()}

    def score(self):
        """Return {None: (top-1, loss)} of ``mxft score`` on records of the pictures, labels 0 and 1."""
        records = os.path.join(self.folder, "two.rec")
        with RecordWriter(records) as writer:
            for label, image in enumerate(self.images):
                writer.write(pack(IRHeader(0, float(label), label, 0), encoded(image)))
        said = json.loads(self.run("score", records, "--model", f"{self.prefix},0", *self.input, "--json"))
        return {None: np.array([said["top1"], np.nan if said["loss"] is None else said["loss"]])}

    def export(self):
        """Return {output: (2, …) array} of ONNX Runtime on what ``mxft export`` wrote."""
        import onnxruntime

        path = os.path.join(self.folder, "net.onnx")
        self.run("export", "--to", "onnx", "--model", f"{self.prefix},0", *self.input, "--output", path, "--force")
        session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
        pixels, name = self.pixels, session.get_inputs()[0].name
        batches = [pixels] if session.get_inputs()[0].shape[0] == "N" else [pixels[:1], pixels[1:]]
        found = [session.run(None, {name: batch}) for batch in batches]
        return {output.name: np.concatenate(parts) for output, parts in zip(session.get_outputs(), zip(*found))}

    def bundle(self):
        """Return {output: (2, K) numbers as people see them} of what ``mxft bundle`` wrote, read back."""
        from mxft.deploy.bundle.checking import check_bundle

        bound = check_bundle(self._bundle()).classifier.bind()
        found = {}
        for picture in self.pictures:
            with open(picture, "rb") as f:
                answers, _ = bound.answers(f.read())
            for answer in answers:
                found.setdefault(answer.output.name, []).append(answer.shown)
        return {name: np.array(rows) for name, rows in found.items()}

    def serve(self):
        """Return {output: [{class: number}, …]} of the service's answers to both pictures, the five it shows."""
        from mxft.deploy.bundle.checking import check_bundle
        from mxft.deploy.serving.application import create_app
        from mxft.deploy.serving.classifying import ClassifierWorker
        from tests.support.serving import front_of

        worker = ClassifierWorker(check_bundle(self._bundle()).classifier)
        client = create_app(front_of(worker), worker.facts).test_client()
        found = {}
        for picture in self.pictures:
            with open(picture, "rb") as f:
                answer = client.post("/predict", data=f.read()).get_json()
            for output in answer.get("outputs") or [{"output": None, "classes": answer["classes"]}]:
                found.setdefault(output["output"], []).append(
                    {row["name"]: row.get("probability", row.get("value")) for row in output["classes"]})
        return found

    def _bundle(self):
        path = os.path.join(self.folder, "bundle")
        if not os.path.isdir(path):
            main = self.run("predict", "--model", f"{self.prefix},0", *self.how, "--json", "--top", "100000",
                            self.pictures[0])
            count = len(json.loads(main)["top"])
            with open(os.path.join(self.folder, "synset.txt"), "w", encoding="utf-8") as f:
                f.writelines(f"class {number}\n" for number in range(count))
            self.run("bundle", "--model", f"{self.prefix},0", *self.how, "--image", self.pictures[0], "--synset",
                     os.path.join(self.folder, "synset.txt"), "--output", path, "--no-onnx")
        return path


def _bound(symbol, given, shape):
    """Return the symbol bound as MXNet's own Module, its labels named where their shapes cannot be told.

    Bound as for training: bound for inference, MXNet fuses layers, and in some networks loses an activation by it.
    """
    try:
        module = mx.mod.Module(symbol, data_names=given, label_names=None)
        module.bind([(given[0], shape)], for_training=True)
    except (RuntimeError, mx.base.MXNetError):
        labels = [name for name in symbol.list_arguments() if name.endswith("label")]
        module = mx.mod.Module(symbol, data_names=given, label_names=labels)
        module.bind([(given[0], shape)], [(name, shape[:1]) for name in labels], for_training=True)
    return module


class Refused(Exception):
    """A verb ended with another status than 0."""

    def __init__(self, status, message):
        super().__init__(f"exit {status}: {message}")
        self.status, self.message = status, message


def _in_order(top):
    rows = sorted(top, key=lambda row: row["label"])
    assert [row["label"] for row in rows] == list(range(len(rows)))
    return [row.get("probability", row.get("value")) for row in rows]


def shown(kind, values):
    """Return what people are shown of an output's own ``(N, …)`` numbers: of logits their softmax."""
    rows = np.float64(values).reshape(len(values), -1)
    if kind == "logits":
        powers = np.exp(rows - rows.max(axis=1, keepdims=True))
        return powers / powers.sum(axis=1, keepdims=True)
    return np.exp(rows) if kind == "log-probabilities" else rows


def apart(door, kinds, found, plain):
    """Return how far a door's numbers are from plain MXNet's, at most: absolute, or as a part of the largest above 1.

    Parameters
    ----------
    door : str
    kinds : dict of str to str
        What each output is, the main one first.
    found, plain : dict
    """
    main = next(iter(kinds))
    if door == "score":
        return _score_apart(kinds[main], found[None], plain[main])
    worst = 0.0
    for name, numbers in found.items():
        name = name or main
        wanted = np.float64(plain[name]) if door == "export" else shown(kinds[name], plain[name])
        if door == "serve":
            numbers = [[row.get(key, value) for key, value in _named(row, own, name)]
                       for row, own in zip(numbers, wanted)]
        apart = abs(np.reshape(numbers, wanted.shape) - wanted).max() / max(1, abs(wanted).max())
        worst = np.maximum(worst, apart)  # NaN where one of them is
    return float(worst)


def _named(row, wanted, name):
    """Return (name, number) for each number of an output, under the names the service gave them."""
    first = next(iter(row))
    words = [name] if len(wanted) == 1 and first == name else [
        f"{first.rpartition(' ')[0]} {number}" for number in range(len(wanted))]
    assert set(row) <= set(words), (row, words)
    return list(zip(words, wanted))


def _score_apart(kind, found, plain):
    rows = shown(kind, plain)
    if rows.shape[1] == 1:
        rows = np.concatenate([1 - rows, rows], axis=1)
    top1 = np.mean(rows.argmax(axis=1) == [0, 1])
    one_of_n = kind in ("probabilities", "logits", "log-probabilities") or np.size(plain) == len(plain)
    picked = rows[[0, 1], [0, 1]]  # of a float32 near 0 the logarithm is another than the logits'
    loss = -np.mean(np.log(picked)) if one_of_n and picked.min() > 1e-6 else np.nan
    return float(abs(found[0] - top1) + (0 if np.isnan(loss) else abs(found[1] - loss) / max(1, loss)))
