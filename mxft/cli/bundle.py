"""``mxft bundle``: a checkpoint as one folder or .tar that another program, or another person, can use at once."""
import contextlib
import re
import shlex

from mxft.cli.classifier_options import add_classifier_options
from mxft.commandline.arguments import Parser
from mxft.errors import DependencyError, InputError

EXAMPLES = """\
examples:
  mxft bundle --model runs/photos --output photos.tar
  mxft bundle --model runs/photos --output photos-bundle --image cat.jpg
  mxft bundle --model mobilenet,0 --image-shape 3,224,224 --resize 256 \\
      --synset imagenet-synset.txt --image cat.jpg --output mobilenet.tar

A bundle holds the network, its class names, its signature (input, output and
preprocessing), model.onnx, a self-test picture with what it gets, a
README and the hashes of them all. It is read back and tested, with MXNet and
with ONNX Runtime, before it appears. The folder is a checkpoint too: any verb
takes it as --model. The picture is kept as a JPEG of at most 512 pixels on its
shorter side, without its metadata; without --image a validation
picture of the run is taken.
"""


def parser():
    """Return the argument parser."""
    p = Parser(prog="mxft bundle", description="Write a checkpoint as a tested bundle for serving.", epilog=EXAMPLES)
    p.add_argument("--model", required=True, metavar="PREFIX,EPOCH", help="checkpoint, folder of a run, or zoo name")
    p.add_argument("--output", required=True, metavar="PATH", help="a new folder, or a file NAME.tar")
    p.add_argument("--image", metavar="IMAGE",
                   help="self-test picture, or what mxft predict takes, of which the first that can be read (default: "
                        "one of the run's validation records)")
    p.add_argument("--no-onnx", dest="onnx", action="store_false", help="leave model.onnx out")
    p.add_argument("--name", metavar="NAME", help="what it is called on the page and inside the .tar "
                                                  "(default: the model's)")
    add_classifier_options(p)
    return p


def main(argv=None):
    """Run ``mxft bundle``."""
    args = parser().parse_args(argv)
    from mxft.cli.classifier_options import classifier_from, model_name
    from mxft.commandline.image_sources import opened_images
    from mxft.commandline.models import open_model
    from mxft.deploy.bundle.writing import require_free_output, write_bundle

    require_free_output(args.output)
    if args.onnx:
        _require_onnx()
    checkpoint = open_model(args)
    classifier = classifier_from(args, checkpoint, _name(args.name, model_name(checkpoint)))
    if not args.synset and not checkpoint.classes:
        raise InputError(f"class names: expected them in the manifest of {checkpoint.name}, received none; --synset "
                         "FILE gives them, one a line")
    with opened_images([args.image] if args.image else []) as images:
        _say(write_bundle(classifier, args.output, _first_readable(images), args.onnx, args.rewrite))


def _first_readable(images):
    """Return the path of the first image that can be read, or of the first one, whose fault is then told; or None."""
    from mxft.data.images import BadImage
    from mxft.data.packing import read_image
    from mxft.deploy.bundle.selftest import selftest_picture

    for image in images:
        with contextlib.suppress(BadImage):
            selftest_picture(read_image(image.path))
            return image.path
    return images[0].path if images else None


def _name(given, default):
    from mxft.deploy.bundle import NAME

    if given is None:
        return re.sub(r"[^\w.-]+", "-", default).strip(".-") or "model"
    if not re.fullmatch(NAME, given):
        raise InputError(f"--name: expected letters, digits, '.', '-' and '_', received name={given!r}")
    return given


def _require_onnx():
    from mxft.machine.packages import require_packages

    try:
        require_packages("onnx", "onnxruntime", what="writing model.onnx")
    except DependencyError as error:
        raise DependencyError(f"{error.message}; or --no-onnx for a bundle without model.onnx") from None


def _say(bundle):
    from mxft.deploy.bundle.selftest import number_of
    from mxft.deploy.bundle.signature import counted

    check = bundle.check
    print("self-test picture:")
    for entry in check.expected["top"]:
        print(f"  {number_of(entry):.4f}  {entry['class']}")
    same = "the same five" if "factor" in check.expected else "the same values"
    print(f"read back, MXNet: {same}, largest difference {check.mxnet:.1e}")
    if check.onnx is not None:
        print(f"read back, ONNX Runtime: {same}, largest difference {check.onnx:.1e}")
    print(f"wrote {bundle.path}: {check.signature['name']}, {counted(check.signature)}, "
          f"{len(bundle.files)} files, {sum(bundle.files.values()) / 1e6:.1f} MB\n"
          f"next: mxft serve {shlex.quote(bundle.path)}")
