"""``mxft quantize``: a checkpoint computed in int8, calibrated on images and compared with float32."""
from mxft.commandline.arguments import (
    Parser,
    add_input_options,
    add_setting,
    given_settings,
    input_spec,
    say_assumptions,
    whole,
)
from mxft.network.quantization import METHODS
from mxft.workflows.quantize_options import QuantizeOptions

EXAMPLES = """\
examples:
  mxft quantize --model runs/photos --images photos \\
      --output runs/photos-int8/model
  mxft quantize --model resnet-50,0 --images imagenet-val.rec \\
      --output r50-int8 --image-shape 3,224,224
  mxft quantize --model mobilefacenet-y1/model,0 --images faces --output y1-int8
  mxft score --model runs/photos-int8/model,0 more-photos

For CPUs with AVX-512 VNNI. --images are pictures or records such as the network
will see; where they have labels it knows, top-1 is what is compared, else the
cosine between the outputs. Layers that cost accuracy are found by bisection and
stay in float32; each is printed. What is written is the same symbol and the
same parameters; the manifest says how they are computed, and every verb
computes it so on such a CPU. --precision fp32 of those verbs computes it in
float32.
"""


def parser():
    """Return the argument parser."""
    p = Parser(prog="mxft quantize", description="Calibrate a checkpoint for int8.", epilog=EXAMPLES)
    p.add_argument("--model", required=True, metavar="PREFIX,EPOCH", help="checkpoint, folder of a run, or zoo name")
    p.add_argument("--images", required=True, metavar="REC|PICTURES",
                   help="to calibrate on and to compare on: a .rec file, a face set, or pictures")
    p.add_argument("--labels", metavar="TABLE", help="of pictures: the table of their labels")
    p.add_argument("--output", required=True, metavar="PREFIX", help="of the files to write")
    add_setting(p, QuantizeOptions, "method", "how the range of a map is chosen", choices=METHODS, metavar=None)
    add_setting(p, QuantizeOptions, "calibration_images", "the ranges are measured on N images", metavar="N")
    add_setting(p, QuantizeOptions, "check_images", "compare on N other images at most", metavar="N")
    add_setting(p, QuantizeOptions, "max_drop", "points of top-1 that may be lost, of images with labels",
                metavar="POINTS")
    add_setting(p, QuantizeOptions, "min_cosine", "between the outputs, of images without", metavar="C")
    add_setting(p, QuantizeOptions, "seed", "of the choice of images")
    p.add_argument("--force", action="store_true",
                   help="keep all layers in int8, whatever it costs, and replace a checkpoint of that name")
    add_input_options(p)
    p.add_argument("--data-nthreads", type=whole(1), metavar="N", help="decoding threads (default: one a core)")
    return p


def main(argv=None):
    """Run ``mxft quantize``."""
    args = parser().parse_args(argv)
    options = QuantizeOptions(**given_settings(args, "method", "calibration_images", "check_images", "max_drop",
                                               "min_cosine", "seed", "force"))
    from mxft.commandline.models import open_model
    from mxft.network.checkpoint import require_free_prefix
    from mxft.network.input_spec import InputSpec
    from mxft.network.transfer import check_fits
    from mxft.workflows.quantizing import quantize, save_quantized

    require_free_prefix(args.output, 0, args.force, "output")
    checkpoint = open_model(args)
    spec = input_spec(args, checkpoint.input_spec, checkpoint.assumed_spec(InputSpec()), checkpoint.proposed_shape)
    check_fits(checkpoint, spec)
    say_assumptions(checkpoint, spec)
    result = quantize(checkpoint, args.images, spec, options, args.labels, args.data_nthreads)
    name = save_quantized(result, args.output, args.force)
    print(f"{result.quantization.describe()}: {result.judged}")
    print(f"{result.speed:.1f} times as fast as float32 on this machine, batches of 32")
    if result.speed < 1.1:
        print("warning: int8 gains next to nothing here; --precision bf16 may be faster")
    print(f"wrote {name}: {args.output}-symbol.json, {args.output}-0000.params, {args.output}-manifest.json")
