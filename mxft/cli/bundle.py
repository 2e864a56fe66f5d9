"""``mxft bundle``: a checkpoint as one folder or .tar that another program, or another person, can use at once."""
import contextlib
import re
import shlex

from mxft.cli.classifier_options import add_classifier_options
from mxft.commandline.arguments import Parser, refuse_flags
from mxft.errors import DependencyError, InputError

EXAMPLES = """\
examples:
  mxft bundle --model runs/photos --output photos.tar
  mxft bundle --model runs/photos --output photos-bundle --image cat.jpg
  mxft bundle --model mobilenet,0 --image-shape 3,224,224 --resize 256 \\
      --synset imagenet-synset.txt --image cat.jpg --output mobilenet.tar
  mxft bundle --model runs/photos --output photos.tar --sign bundle.key
  mxft bundle --check photos.tar --trust bundle.pub

A bundle holds the network, its class names, its signature (input, output and
preprocessing), model.onnx, a self-test picture with what it gets, a
README and the hashes of them all. It is read back and tested, with MXNet and
with ONNX Runtime, before it appears. The folder is a checkpoint too: any verb
takes it as --model. The picture is kept as a JPEG of at most 512 pixels on its
shorter side, without its metadata; without --image a validation
picture of the run is taken.

A key and its public half:
  openssl genpkey -algorithm ed25519 -out bundle.key
  openssl pkey -in bundle.key -pubout -out bundle.pub
"""


def parser():
    """Return the argument parser."""
    p = Parser(prog="mxft bundle", description="Write a checkpoint as a tested bundle for serving.", epilog=EXAMPLES)
    p.add_argument("--model", metavar="PREFIX,EPOCH", help="checkpoint, folder of a run, or zoo name")
    p.add_argument("--output", metavar="PATH", help="a new folder, or a file NAME.tar")
    p.add_argument("--image", metavar="IMAGE",
                   help="self-test picture, or what mxft predict takes, of which the first that can be read (default: "
                        "one of the run's validation records)")
    p.add_argument("--no-onnx", dest="onnx", action="store_false", help="leave model.onnx out")
    p.add_argument("--name", metavar="NAME", help="what it is called on the page and inside the .tar "
                                                  "(default: the model's)")
    add_classifier_options(p)
    group = p.add_argument_group("signing and checking")
    group.add_argument("--sign", metavar="KEY", help="sign it with this Ed25519 private key (PEM)")
    group.add_argument("--check", metavar="BUNDLE", help="check a bundle instead of writing one: its hashes, its "
                                                         "self-test with MXNet, and with ONNX Runtime its model.onnx")
    group.add_argument("--trust", metavar="PUBLIC_KEY",
                       help="with --check: it has to be signed by the owner of this key (PEM)")
    return p


def main(argv=None):
    """Run ``mxft bundle``."""
    args = parser().parse_args(argv)
    if args.check:
        return _check(args)
    refuse_flags(args, ("trust",), "`check` BUNDLE beside it", "alone; `sign` KEY signs a bundle that is written")
    missing = [flag for flag in ("--model", "--output") if not getattr(args, flag[2:])]
    if missing:
        parser().error(f"the following arguments are required: {', '.join(missing)}")
    from mxft.cli.classifier_options import classifier_from, model_name
    from mxft.commandline.image_sources import opened_images
    from mxft.commandline.models import open_model
    from mxft.deploy.bundle.signing import load_private_key
    from mxft.deploy.bundle.writing import require_free_output, write_bundle

    require_free_output(args.output)
    key = load_private_key(args.sign) if args.sign else None
    if args.onnx:
        _require_onnx()
    checkpoint = open_model(args)
    classifier = classifier_from(args, checkpoint, _name(args.name, model_name(checkpoint)))
    if not args.synset and not checkpoint.classes:
        raise InputError(f"class names: expected them in the manifest of {checkpoint.name}, received none; --synset "
                         "FILE gives them, one a line")
    with opened_images([args.image] if args.image else []) as images:
        _say(write_bundle(classifier, args.output, _first_readable(images), args.onnx, args.rewrite, key))
    return 0


def _check(args):
    """Check the bundle of ``--check``; return the exit status."""
    from mxft.deploy.bundle.checking import check_bundle
    from mxft.deploy.bundle.opening import is_bundle, opened_bundle
    from mxft.deploy.bundle.signing import load_public_key

    refuse_flags(args, ("model", "output", "image", "name", "sign", "synset"), "`check` BUNDLE alone, or with `trust`",
                 "beside it")
    if not is_bundle(args.check):
        raise InputError(f"check: expected a bundle, a folder with SHA256SUMS or a .tar of one, received "
                         f"check={args.check!r}")
    key = load_public_key(args.trust) if args.trust else None
    with opened_bundle(args.check) as folder:
        check = check_bundle(folder, args.rewrite, args.onnx, key)
    signed = f", signed by the owner of {args.trust}" if key else ""
    print(f"{args.check}: {check.signature['name']}, {check.files} files as SHA256SUMS says{signed}")
    _say_computed(check, "self-test")
    return 0


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
    _say_computed(check, "read back")
    print(f"wrote {bundle.path}: {check.signature['name']}, {counted(check.signature)}, "
          f"{len(bundle.files)} files, {sum(bundle.files.values()) / 1e6:.1f} MB\n"
          f"next: mxft serve {shlex.quote(bundle.path)}")


def _say_computed(check, when):
    """Print what each runtime made of the self-test."""
    same = "the same five" if "factor" in check.expected else "the same values"
    print(f"{when}, MXNet: {same}, largest difference {check.mxnet:.1e}")
    if check.onnx is not None:
        print(f"{when}, ONNX Runtime: {same}, largest difference {check.onnx:.1e}")
