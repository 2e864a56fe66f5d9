"""signature.json: what goes into a network and what comes out, in numbers and in words."""
from mxft.data.target_spec import MULTI_LABEL, REGRESSION, manifest_target
from mxft.deploy.bundle import FORMAT, ONNX
from mxft.wording import plural

_TOLD = ("val_top1", "val_top5", "val_map", "val_mae", "val_r2")


def signature_of(classifier, export=None):
    """Return the signature of a classifier.

    Parameters
    ----------
    classifier : mxft.evaluation.classifier.Classifier
    export : mxft.deploy.onnx.OnnxExport, optional
        What was written as ``model.onnx``.

    Returns
    -------
    dict
        For JSON: name, classes, input, output (the main one, and what its values are), outputs (all of several),
        preprocessing (in words), training (scores of the manifest), target of a network of several labels or of
        numbers, with the labels' thresholds, the calibration of a network that has one, and of an ONNX file its own
        names.

    Examples
    --------
    >>> signature_of(classifier)["input"]["shape"]               # doctest: +SKIP
    ['N', 3, 224, 224]
    """
    checkpoint, spec, main = classifier.checkpoint, classifier.spec, classifier.outputs[0]
    outputs = [_output_entry(checkpoint, output, len(classifier.names(output))) for output in classifier.outputs]
    found = {
        "format": FORMAT,
        "name": classifier.name,
        "classes": len(classifier.classes),
        "input": {"name": checkpoint.anatomy.image.name, "shape": ["N", *spec.shape], "dtype": "float32",
                  "layout": "NCHW", "channel_order": spec.channel_order if spec.shape[0] == 3 else "grey",
                  "resize": resize_rule(classifier), "crop": "center", "mean": list(spec.mean[:spec.shape[0]]),
                  "scale": list(spec.scale[:spec.shape[0]])},
        "output": outputs[0],
        **({"outputs": outputs} if len(outputs) > 1 else {}),
        "preprocessing": in_words(classifier),
        "training": {key: classifier.metrics[key] for key in _TOLD
                     if isinstance(classifier.metrics.get(key), float)},
    }
    if checkpoint.calibration:
        found["calibration"] = {"temperature": checkpoint.calibration.temperature,
                                "in_graph": checkpoint.calibration.in_graph,
                                "expected_calibration_error": checkpoint.calibration.calibrated_ece}
    target = manifest_target(checkpoint.manifest)
    if target is not None:
        found["target"] = {"kind": target.kind}
        if classifier.thresholds:
            found["target"]["thresholds"] = list(classifier.thresholds)
    if export:
        names = dict(zip((output.position for output in checkpoint.anatomy.served), export.outputs))
        found["onnx"] = {"file": ONNX, "input": export.input, "output": names[main.position], "values": main.kind,
                         "batch": "any" if export.any_batch else 1}
    return found


def counted(signature):
    """Return how many classes, labels or numbers a network gives.

    Examples
    --------
    >>> counted({"classes": 3, "target": {"kind": "multi-label"}}), counted({"classes": 256})
    ('3 labels', '256 classes')
    """
    noun = {MULTI_LABEL: "label", REGRESSION: "number"}.get(signature.get("target", {}).get("kind"))
    return f"{signature['classes']} classes" if noun is None else plural(signature["classes"], noun)


def _output_entry(checkpoint, output, size):
    return {"name": checkpoint.symbol.list_outputs()[output.position], "shape": ["N", size], "dtype": "float32",
            "values": output.kind}


def resize_rule(classifier):
    """Return how a picture is made smaller: ``{"short_side": 256}``, ``{"width": n, "height": n}`` or None."""
    packing, spec = classifier.packing, classifier.spec
    if packing.get("squash") and spec.resize in (None, 0, packing["resize"]):
        return {"width": packing["resize"], "height": packing["resize"]}
    side = spec.resize or packing.get("resize")
    return {"short_side": side} if side else None


def in_words(classifier):
    """Return the preprocessing as sentences, in the order it is done."""
    packing, spec = classifier.packing, classifier.spec
    channels, height, width = spec.shape
    rule = resize_rule(classifier)
    words = ["decode to 8-bit RGB, turned upright as its EXIF data says" if channels == 3 else "decode to 8-bit grey"]
    if packing.get("center_crop"):
        words.append("cut out the middle square")
    if rule:
        words.append(f"resize the shorter side to {rule['short_side']}, keeping the proportions"
                     if "short_side" in rule else f"resize to {rule['width']} x {rule['height']}")
    words += [f"cut {width} x {height} (width x height) out of the centre",
              "subtract mean, multiply by scale, channel by channel" if any(spec.mean) or set(spec.scale) != {1.0}
              else "leave the values as they are, 0 to 255",
              f"order as ({channels}, {height}, {width}): channels, rows, columns; float32"]
    return words
