"""Digits 0-4 to 5-9: what transfer is worth, in a minute and without a download.

    python recipes/digits.py                (make demo, in a checkout)
    python recipes/digits.py --images 2,10,40 --seeds 8

scikit-learn's handwritten digits (8x8 pixels) are set into pictures of 32x32:
each somewhere, at some size, turned a little, on an uneven and noisy ground. A
small network learns the digits 0-4 from 3,604 such pictures. Then 5-9 are to be
learnt, of which few pictures are given:

  from scratch       every parameter begins at random
  frozen backbone    logistic regression on the features of the network for 0-4
  fine-tuned         every parameter begins where the network for 0-4 ended

Every seed draws other training pictures, the same for all three ways; the rest
of 60 pictures of each digit validates. The arithmetic: 5 classes x 5 images =
25, batch 10, so 3 updates an epoch, 36 in 12 epochs; of 20 images 120. Chance
is 0.200.

Expected (5 seeds, two CPU cores, best epoch of each run, mean and standard
error):

  way                5 images         20 images
  from scratch       0.265 ± 0.014    0.392 ± 0.021
  frozen backbone    0.449 ± 0.022    0.610 ± 0.012
  fine-tuned         0.427 ± 0.019    0.638 ± 0.013
"""
import logging
import os
import pathlib
import shlex
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))

from mxft.command import run_command
from mxft.commandline.arguments import numbers, whole  # noqa: E402
from mxft.commandline.recipes import recipe_parser  # noqa: E402
from mxft.errors import InputError  # noqa: E402
from mxft.machine.packages import require_packages  # noqa: E402
from mxft.machine.programs import mxft_command  # noqa: E402

SIZE, COPIES, OF_EACH = 32, 4, 60  # pixels; pictures of one digit of 0-4; pictures of each of 5-9
WAYS = {"from scratch": ("every parameter begins at random", {"plan": "scratch", "learning_rate": 0.03}),
        "frozen backbone": ("logistic regression on the features of the network for 0-4",
                            {"plan": "head", "solver": "logistic"}),
        "fine-tuned": ("every parameter begins where the network for 0-4 ended", {"plan": "full"})}


def parser():
    """Return the argument parser."""
    p = recipe_parser("digits", __doc__)
    p.add_argument("--images", type=numbers(None, int), default=(5, 20), metavar="N,N",
                   help=f"of each of 5-9 to learn from, 2 to {OF_EACH - 10} (default: 5,20)")
    p.add_argument("--seeds", type=whole(1), default=5, metavar="N", help="runs of each way (default: 5)")
    p.add_argument("--epochs", type=whole(1), default=12, metavar="N", help="of each of them (default: 12)")
    p.add_argument("--run", metavar="DIR", help="folder for everything (default: runs/digits, numbered)")
    return p


def write_pictures(folder):
    """Write the pictures, a folder a digit, below ``0-4`` and ``5-9``; the same at every call."""
    import cv2
    import numpy as np
    from sklearn.datasets import load_digits

    digits, rng = load_digits(), np.random.RandomState(0)
    for number, (image, label) in enumerate(zip(digits.images, digits.target)):
        place = os.path.join(folder, "0-4" if label < 5 else "5-9", str(label))
        os.makedirs(place, exist_ok=True)
        if label >= 5 and len(os.listdir(place)) == OF_EACH:
            continue
        for copy in range(COPIES if label < 5 else 1):
            cv2.imwrite(os.path.join(place, f"{number:04d}-{copy}.png"), picture(image / 16, rng))


def picture(digit, rng):
    """Return a digit, 0 to 1 of 8x8, as a grey picture uint8: 18-26 pixels high, turned by 12 degrees at most."""
    import cv2
    import numpy as np

    height = rng.uniform(18, 26)
    turned = cv2.getRotationMatrix2D((4, 4), rng.uniform(-12, 12), height / 8)
    turned[:, 2] += rng.uniform(height / 2, SIZE - height / 2, 2) - 4
    ink = cv2.warpAffine(digit, turned, (SIZE, SIZE), flags=cv2.INTER_CUBIC).clip(0, 1)
    ground = cv2.resize(rng.uniform(0, 90, (3, 3)), (SIZE, SIZE), interpolation=cv2.INTER_CUBIC)
    return np.uint8((ground * (1 - ink) + rng.uniform(160, 255) * ink + rng.normal(0, 6, ink.shape)).clip(0, 255))


def small_network(num_classes):
    """Return four convolutions with BatchNorm, average pooling, ``flatten0`` and ``fc1``: 62,000 parameters."""
    from mxft.compat import mx

    net = mx.sym.Variable("data")
    for number, channels in enumerate((16, 32, 64, 64)):
        net = mx.sym.Convolution(net, num_filter=channels, kernel=(3, 3), stride=(1 + (number > 0),) * 2, pad=(1, 1),
                                 no_bias=True, name=f"conv{number}")
        net = mx.sym.Activation(mx.sym.BatchNorm(net, fix_gamma=False, name=f"bn{number}"), act_type="relu")
    net = mx.sym.Pooling(net, kernel=(2, 2), stride=(2, 2), pool_type="avg", name="pool")
    net = mx.sym.FullyConnected(mx.sym.Flatten(net, name="flatten0"), num_hidden=num_classes, name="fc1")
    return mx.sym.SoftmaxOutput(net, name="softmax")


def random_checkpoint(num_classes, seed):
    """Return the small network with Xavier weights, as a checkpoint that any verb would take."""
    from mxft.compat import mx
    from mxft.network.checkpoint import Checkpoint
    from mxft.training.fit import seed_everything

    seed_everything(seed)
    module = mx.mod.Module(small_network(num_classes))
    module.bind([("data", (1, 3, SIZE, SIZE))], [("softmax_label", (1,))])
    module.init_params(mx.init.Xavier(rnd_type="gaussian", factor_type="in", magnitude=2))
    return Checkpoint(module.symbol, *module.get_params(), name="small network, random weights")


def train(model, pictures, run, images, seed, epochs, batch_size=10, learning_rate=0.02, **settings):
    """Split, pack, fine-tune and score: the library's own functions, as the other recipes call them."""
    from mxft.data.datasets import prepare_records
    from mxft.network.input_spec import InputSpec
    from mxft.training.fit import FitOptions
    from mxft.training.recipe import Recipe
    from mxft.workflows.finetune import finetune

    records, _ = prepare_records(pictures, f"{os.path.dirname(run)}/records/{os.path.basename(pictures)}-{images}-"
                                 f"seed{seed}/digits", images, seed, encoding=".png", show=False)
    spec = InputSpec((3, SIZE, SIZE), mean=(127.5,) * 3, scale=(1 / 127.5,) * 3)
    if "solver" not in settings:
        settings.update(schedule="cosine", learning_rate=learning_rate,
                        fit=FitOptions(epochs=epochs, momentum=0.9, wd=1e-4))
    return finetune(model, records, run, Recipe(batch_size=batch_size, augment=0, seed=seed, **settings), spec)


def main(argv=None):
    """Train on 0-4, learn 5-9 in three ways by several seeds, and show what came out."""
    args = parser().parse_args(argv)
    if not all(2 <= count <= OF_EACH - 10 for count in args.images):
        raise InputError(f"--images: expected numbers from 2 to {OF_EACH - 10}, received "
                         f"images={','.join(map(str, args.images))}")
    require_packages("sklearn", "matplotlib", "jinja2", what="the digits")
    os.environ["OMP_NUM_THREADS"] = "1"  # before mxnet loads: a network this small gains nothing by more
    from mxft.training.run import check_run_folder, free_folder

    home = args.run or free_folder(os.path.join("runs", "digits"))
    check_run_folder(home)
    pictures = os.path.join(home, "pictures")
    write_pictures(pictures)
    print("a network for the digits 0-4\n")
    base = train(random_checkpoint(5, seed=0), os.path.join(pictures, "0-4"), os.path.join(home, "base"), 600, 0,
                 epochs=3, batch_size=25, learning_rate=0.05, plan="full")
    print(f"\nfrom it to the digits 5-9, validation top-1 (chance 0.200)\n{'':24}{'  '.join(WAYS)}")
    results = {way: {count: [] for count in args.images} for way in WAYS}
    for count in args.images:
        for seed in range(args.seeds):
            for way, (_, settings) in WAYS.items():
                run = os.path.join(home, f"{way.replace(' ', '-')}-{count}-seed{seed}")
                results[way][count].append(quietly(train, base.fit.best, os.path.join(pictures, "5-9"), run, count,
                                                   seed, args.epochs, **settings))
            scores = (f"{results[way][count][-1].score.top1:>{len(way)}.3f}" for way in WAYS)
            print(f"{f'{count} images, seed {seed}':24}{'  '.join(scores)}", flush=True)
    show(results, home, pictures)


def quietly(work, *args, **options):
    """Do some work without the lines the library would tell of it."""
    logger = logging.getLogger("mxft")
    level = logger.level
    logger.setLevel(logging.WARNING)
    try:
        return work(*args, **options)
    finally:
        logger.setLevel(level)


def show(results, home, pictures):
    """Print the table; write it, the figure that shows its numbers, and the page; say what to type next."""
    from mxft.files.whole import whole_file, write_json
    from mxft.report.page import write_run_page
    from mxft.report.ways import Way, markdown, mean_and_error, save_ways, table_of, write_ways_page

    ways = [Way(way, WAYS[way][0], {count: [run.score.top1 for run in runs] for count, runs in by_count.items()})
            for way, by_count in results.items()]
    table = markdown(*table_of(ways))
    with whole_file(os.path.join(home, "table.md"), "w") as f:
        f.write(table + "\n")
    write_json(os.path.join(home, "results.json"), {
        way.name: {count: dict(zip(("mean", "error", "scores"), (*mean_and_error(scores), scores)))
                   for count, scores in way.scores.items()} for way in ways})
    save_ways(ways, os.path.join(home, "ways.png"), chance=0.2)
    shown = results["fine-tuned"][max(results["fine-tuned"])][0]
    run = os.path.join(home, os.path.basename(shown.run))
    quietly(write_run_page, run, shown.score, shown.data.val)
    commands = next_commands(home, run, pictures)
    page = write_ways_page(
        os.path.join(home, "report.html"), "Digits 0-4 to 5-9", "What a network that was trained on the digits 0-4 is "
        "worth for the digits 5-9.", ways, strip(pictures),
        [(os.path.basename(run), f"{os.path.basename(run)}/report.html")], commands, chance=0.2)
    print(f"\nvalidation top-1, mean ± standard error of the seeds\n\n{table}\n\n"
          f"figure: {os.path.join(home, 'ways.png')}\nreport: {os.path.abspath(page)}\n\nnext:")
    for command in commands:
        print(f"  {command}")


def next_commands(home, run, pictures):
    """Return what to type next: name a picture, choose a plan for all of 5-9, and serve what came out."""
    seven, every = os.path.join(pictures, "5-9", "7"), os.path.normpath(home) + "-all"
    lines = (("predict", "--model", run, os.path.join(seven, sorted(os.listdir(seven))[-1])),
             ("finetune", "--model", os.path.join(home, "base"), "--data", os.path.dirname(seven), "--run", every),
             ("serve", every))
    return [f"{mxft_command()} {shlex.join(line)}" for line in lines]


def strip(pictures):
    """Return a row of pictures, two of each digit, as a ``data:`` address."""
    import base64

    import cv2
    import numpy as np

    folders = [os.path.join(pictures, "0-4" if digit < 5 else "5-9", str(digit)) for digit in range(10)]
    rows = [np.concatenate([cv2.imread(os.path.join(folder, sorted(os.listdir(folder))[row])) for folder in folders],
                           axis=1) for row in (0, -1)]
    image = cv2.resize(np.concatenate(rows), None, fx=2, fy=2, interpolation=cv2.INTER_NEAREST)
    return "data:image/png;base64," + base64.b64encode(cv2.imencode(".png", image)[1]).decode()


if __name__ == "__main__":
    sys.exit(run_command("digits", main))
