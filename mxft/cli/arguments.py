"""Flags that several verbs share, and the values made of them."""
import argparse
import dataclasses

from mxft.errors import InputError


def numbers(count, kind=float):
    """Return an argparse type for `count` comma-separated numbers (any count where None)."""
    def parse(text):
        try:
            values = tuple(kind(word) for word in text.replace(" ", "").split(",") if word)
        except ValueError:
            values = ()
        if not values or (count and len(values) != count):
            what = f"{count} comma-separated numbers" if count else "comma-separated numbers"
            raise argparse.ArgumentTypeError(f"expected {what}, received {text!r}")
        return values
    return parse


def add_input_options(parser):
    """Add the flags that state a network's input where its checkpoint has no manifest."""
    group = parser.add_argument_group("input", "what the network expects; by default what its manifest says")
    group.add_argument("--image-shape", type=numbers(3, int), metavar="C,H,W", help="such as 3,224,224")
    group.add_argument("--rgb-mean", type=numbers(3), metavar="R,G,B", help="subtracted from 0-255 (default: 0,0,0)")
    group.add_argument("--rgb-std", type=numbers(3), metavar="R,G,B", help="divided by afterwards (default: 1,1,1)")


def add_device_options(parser):
    """Add the flags that choose devices."""
    group = parser.add_argument_group("devices")
    group.add_argument("--gpus", default="", metavar="0,1", help="GPU numbers (default: the CPU)")
    group.add_argument("--data-nthreads", type=int, metavar="N", help="decoding threads (default: one a core)")


def input_spec(args, manifest_spec, default=None):
    """Combine flags, manifest and default into an InputSpec.

    Parameters
    ----------
    args : argparse.Namespace
        With the flags of `add_input_options`.
    manifest_spec : InputSpec or None
    default : InputSpec or None
        What holds where there is neither; None refuses.

    Raises
    ------
    InputError
        No manifest, no ``--image-shape`` and no default.
    """
    from mxft.data.normalization import InputSpec

    given = {"shape": args.image_shape, "mean": args.rgb_mean,
             "scale": tuple(1 / s for s in args.rgb_std) if args.rgb_std and all(args.rgb_std) else None}
    if args.rgb_std and not all(args.rgb_std):
        raise InputError(f"--rgb-std: expected numbers other than 0, received rgb-std={args.rgb_std}")
    given = {name: value for name, value in given.items() if value is not None}
    base = manifest_spec or default
    if base is None and "shape" not in given:
        raise InputError(f"input is not known: expected a manifest beside the checkpoint, received model="
                         f"{args.model!r} without one; say --image-shape 3,224,224 (and --rgb-mean, --rgb-std where it "
                         "does not take raw 0-255 pixels)")
    return dataclasses.replace(base or InputSpec(), **given)


def say_assumptions(checkpoint, spec):
    """Tell a user on stderr what is taken for granted of a checkpoint without manifest."""
    import sys

    if not checkpoint.manifest:
        print(f"no manifest beside {checkpoint.name}: reading images as {spec.describe()}", file=sys.stderr)
