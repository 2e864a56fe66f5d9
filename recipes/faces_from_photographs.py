"""Faces, from the photograph to the name: align, pack, train, verify, enroll.

    python recipes/faces_from_photographs.py
    python recipes/faces_from_photographs.py --faces lfw-112x112.tar \\
        --model mobilefacenet-y1/model,0
    python recipes/faces_from_photographs.py --photographs people \\
        --model mobilefacenet-y1/model,0

--photographs: yours, a folder a person; of each person with three or more the
last one is a new picture, which nothing is trained on. --faces: aligned faces,
LFW's for instance, from which photographs are made: pasted into scenes of
640x480 at random size, angle and place, some with a stranger beside. Without
either, faces are drawn. Without --model a small network is trained first on
aligned faces of other people, which takes a minute.

What is done, and what it says:
  1  the faces are found, turned and cropped (mxft.align_faces)
  2  packed (mxft.pack_faces), and pairs of people who are not trained on
     (mxft.pack_pairs)
  3  the network is fine-tuned on the people, its class centres imprinted
     (mxft.finetune_faces), and verified on those pairs before and after
  4  the people are enrolled, and the faces of new pictures named, by the
     network before and after (mxft.enroll, mxft.identify)
"""
import itertools
import os
import pathlib
import random
import shlex
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))

from mxft.command import run_command
from mxft.commandline.arguments import whole  # noqa: E402
from mxft.commandline.recipes import recipe_parser  # noqa: E402
from mxft.errors import InputError  # noqa: E402

EACH, STRANGERS = 6, 40    # photographs of a person, the last of them new; people seen once
LEAST_PEOPLE = 4


def parser():
    """Return the argument parser."""
    p = recipe_parser("faces_from_photographs", __doc__)
    p.add_argument("--photographs", metavar="DIR", help="your photographs: a folder a person")
    p.add_argument("--faces", metavar="PATH", help="aligned faces to make photographs of: a folder a person, or a .tar")
    p.add_argument("--model", metavar="PREFIX,EPOCH", help="face network, or zoo name (default: one is trained)")
    p.add_argument("--run", default="runs/faces-from-photographs", metavar="DIR",
                   help="folder for all that is made: new or empty (default: runs/faces-from-photographs)")
    p.add_argument("--people", type=whole(LEAST_PEOPLE), default=24, metavar="N",
                   help="enrolled, and as many for verification alone (default: 24)")
    p.add_argument("--epochs", type=whole(1), metavar="N",
                   help="of fine-tuning (default: 3; 12 where the network is trained here)")
    p.add_argument("--seed", type=whole(0), default=0, metavar="N", help="of all choices (default: 0)")
    return p


def people_of(args):
    """Return {name: crops} of people with enough aligned faces, and crops of strangers; drawn where none are given."""
    import cv2

    from mxft.faces.align.scenes import drawn_face
    from mxft.files import archive

    wanted = 2 * args.people
    if not args.faces:
        people = {f"person {n + 1:02d}": [drawn_face(n, i) for i in range(EACH)] for n in range(wanted)}
        return people, [drawn_face(1000 + n, 0) for n in range(STRANGERS)]
    folder = pathlib.Path(archive.folder_of(args.faces, os.path.join(args.run, "unpacked")))
    found = {place.name: sorted(place.glob("*.jpg")) for place in sorted(folder.iterdir()) if place.is_dir()}
    enough = [name for name, paths in found.items() if len(paths) >= EACH]
    once = [name for name, paths in found.items() if len(paths) == 1]
    if len(enough) < wanted:
        raise InputError(f"`people`: expected at most half of the {len(enough)} people of {args.faces} with {EACH} "
                         f"faces, received people={args.people}")
    chosen = random.Random(args.seed)
    people = {name: [cv2.imread(str(path)) for path in found[name][:EACH]] for name in chosen.sample(enough, wanted)}
    return people, [cv2.imread(str(found[name][0])) for name in chosen.sample(once, min(len(once), STRANGERS))]


def make_photographs(args):
    """Write photographs into RUN/photographs and RUN/others, new ones into RUN/new; return who is in the new ones."""
    import cv2
    import numpy as np

    from mxft.data.progress import progress
    from mxft.faces.align.scenes import make_scene

    people, strangers = people_of(args)
    rng, shown, names = np.random.default_rng(args.seed), {}, list(people)
    with progress(len(names) * EACH, "making photographs") as advance:
        for (number, name), i in itertools.product(enumerate(names), range(EACH)):
            enrolled = number < args.people
            is_new = enrolled and i == EACH - 1
            place = "new" if is_new else f"{'photographs' if enrolled else 'others'}/{name}"
            # a stranger in every fourth photograph, smaller than who it is of; beside whom one is new, always
            crops = [people[name][i]] + [strangers[rng.integers(len(strangers))]] * (is_new or rng.random() < 0.25)
            scene, _ = make_scene(crops, rng, sizes=[(140, 220), (80, 120)][:len(crops)])
            path = pathlib.Path(args.run, place, f"{name}.jpg" if is_new else f"{i}.jpg")
            path.parent.mkdir(parents=True, exist_ok=True)
            cv2.imwrite(str(path), scene)
            if is_new:
                shown[str(path)] = name
            advance()
    return shown


def own_photographs(args):
    """Link your photographs into RUN as `make_photographs` lays them out; return who is in the new ones."""
    from mxft.data.picture_folders import pictures_below

    shown, root = {}, pathlib.Path(args.photographs)
    found = {place.name: [place / path for path in pictures_below(str(place))] for place in sorted(root.iterdir())
             if place.is_dir()}
    people = {name: paths for name, paths in found.items() if len(paths) >= 3}
    if len(people) < LEAST_PEOPLE:
        raise InputError(f"`photographs`: expected {LEAST_PEOPLE} people with three photographs at least, received "
                         f"{args.photographs} with {len(people)} of {len(found)}")
    for number, (name, paths) in enumerate(people.items()):
        own = "photographs" if number % 2 == 0 else "others"
        for i, path in enumerate(paths):
            is_new = own == "photographs" and i == len(paths) - 1
            place = pathlib.Path(args.run, "new" if is_new else own + "/" + name, (name + "-") * is_new + path.name)
            place.parent.mkdir(parents=True, exist_ok=True)
            os.symlink(path.resolve(), place)
            if is_new:
                shown[str(place)] = name
    return shown


def trained_here(args):
    """Train a small network on drawn faces of other people; return it as ``prefix,epoch``."""
    import cv2

    import mxft
    from mxft.backbones.faces import face_network
    from mxft.backbones.versions import Versions
    from mxft.compat import mx
    from mxft.faces.align.scenes import drawn_face
    from mxft.faces.data.layout import read_face_set
    from mxft.faces.train import train_faces
    from mxft.faces.training.network import FaceBackbone
    from mxft.faces.training.options import FaceOptions
    from mxft.heads import make_head
    from mxft.heads.options import HeadOptions

    print("\nNo --model: a small network is trained on drawn faces of other people first")
    folder = pathlib.Path(args.run, "first", "people")
    for person, image in itertools.product(range(2000, 2100), range(6)):
        path = folder / str(person) / f"{image}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(path), drawn_face(person, image))
    faces = os.path.join(args.run, "first", "faces")
    mxft.pack_faces(str(folder), faces)
    symbol = face_network("m1", 64, versions=Versions(multiplier=0.125))
    head = make_head("cosface", 100, 64, HeadOptions(margin_m=0.2, margin_s=16.0))
    options = FaceOptions(lr=0.1, lr_steps=(84,), end_epoch=5, per_batch_size=25, frequent=20, seed=args.seed)
    train_faces(FaceBackbone(symbol, "m1", 64), head, read_face_set(faces), os.path.join(args.run, "first", "model"),
                options, [mx.cpu()])
    return os.path.join(args.run, "first", "model") + ",last"


def pack_other_pairs(args):
    """Pack every pair of one person, and as many of two, of the people in RUN/others-aligned; return the result."""
    import mxft

    root = pathlib.Path(args.run, "others-aligned")
    crops = {place.name: sorted(map(str, place.glob("*.jpg"))) for place in sorted(root.iterdir()) if place.is_dir()}
    same = [(*pair, True) for paths in crops.values() for pair in itertools.combinations(paths, 2)]
    chosen, different = random.Random(args.seed), []
    while len(different) < len(same):
        left, right = chosen.sample(sorted(crops), 2)
        different.append((chosen.choice(crops[left]), chosen.choice(crops[right]), False))
    pairs = [pair for both in zip(same, different) for pair in both]
    path = os.path.join(args.run, "others.bin")
    return mxft.pack_pairs(pairs, path)


def named(model, args, shown, pairs):
    """Enrol the people and name the faces of the new pictures; return the rows, and (right, wrong, unknown).

    The threshold comes from pairs of other people: images that the network was trained on make a lower one.
    """
    import mxft
    from mxft.faces.gallery.embedder import least_rate

    gallery = mxft.enroll(os.path.join(args.run, "photographs"), model, os.path.join(args.run, "gallery.npz"),
                          pairs=pairs.path, far=least_rate(pairs.different, 0.01))
    print(f"gallery: {gallery}")
    rows = mxft.identify(gallery, list(shown))
    right = {row.image for row in rows if row.name == shown[row.image]}
    wrong = sum(row.name not in ("unknown", shown[row.image]) for row in rows)
    return rows, (len(right), wrong, sum(row.name == "unknown" for row in rows))


def draw(rows, path):
    """Write the first new picture with two faces, boxes and names drawn into it."""
    import cv2

    counted = [sum(other.image == row.image for other in rows) for row in rows]
    image = rows[counted.index(max(counted))].image
    picture = cv2.imread(image)
    for row in (row for row in rows if row.image == image and row.box):
        left, top, right, bottom = map(int, row.box)
        colour = (90, 90, 90) if row.name == "unknown" else (176, 114, 76)
        cv2.rectangle(picture, (left, top), (right, bottom), colour, 2)
        name, place = row.name.replace("_", " "), (max(left, 2), max(top - 6, 16))
        (width, height), below = cv2.getTextSize(name, cv2.FONT_HERSHEY_SIMPLEX, 0.6, 1)
        cv2.rectangle(picture, (place[0] - 2, place[1] - height - 3), (place[0] + width + 2, place[1] + below),
                      (255, 255, 255), -1)
        cv2.putText(picture, name, place, cv2.FONT_HERSHEY_SIMPLEX, 0.6, (30, 30, 30), 1, cv2.LINE_AA)
    cv2.imwrite(path, picture)


def main(argv=None):
    """Go from photographs to names, and say what each step did."""
    args = parser().parse_args(argv)
    if args.photographs and args.faces:
        raise InputError("`photographs`: expected no `faces` beside it, of which photographs would be made")
    from mxft.training.run import check_run_folder

    check_run_folder(args.run)
    import mxft

    os.makedirs(args.run, exist_ok=True)
    shown = own_photographs(args) if args.photographs else make_photographs(args)
    model = args.model or trained_here(args)

    print("\n1  find and align")
    for place in ("photographs", "others"):
        print(mxft.align_faces(os.path.join(args.run, place), os.path.join(args.run, f"{place}-aligned")))
    print("\n2  pack")
    faces = os.path.join(args.run, "faces")
    mxft.pack_faces(os.path.join(args.run, "photographs-aligned"), faces)
    packed = pack_other_pairs(args)
    pairs = packed.path
    print("\n3  fine-tune and verify")
    before = mxft.verify(model, pairs)
    # a published network, and few images of few people: small steps; one trained here: a small margin
    settings = {"learning_rate": 0.001} if args.model else {
        "loss": "cosface", "margin": 0.2, "scale": 16.0, "learning_rate": 0.02, "batch_size": 16}
    result = mxft.finetune_faces(model, faces, os.path.join(args.run, "model"), pairs=pairs, seed=args.seed,
                                 epochs=args.epochs or (3 if args.model else 12), **settings)
    tuned = result.fit.last
    after = mxft.verify(tuned, pairs)
    print("\n4  enroll and identify")
    first, second = named(model, args, shown, packed), named(tuned, args, shown, packed)
    draw(second[0], os.path.join(args.run, "named.png"))
    tell(args, shown, before, after, first[1], second[1], tuned, result.report)
    return 0


def tell(args, shown, before, after, first, second, tuned, page):
    """Print the table, where everything lies, and what to type next."""
    print(f"\n{'':44}   before    after")
    print(f"{f'verification, {before.pairs} pairs of other people':44} {before.accuracy:8.4f} {after.accuracy:8.4f}")
    for far in (0.1, 0.01):
        if before.tar[far] is not None:
            print(f"{f'  TAR at FAR {far:g}':44} {before.tar[far]:8.4f} {after.tar[far]:8.4f}")
    for label, number in ((f"new pictures whose person is named, of {len(shown)}", 0),
                          ("faces given another's name", 1), ("faces called unknown", 2)):
        print(f"{label:44} {first[number]:8d} {second[number]:8d}")
    run, model = shlex.quote(args.run), shlex.quote(tuned)
    print(f"\nthe page of the training: {page}\na picture with its names: {args.run}/named.png\n\nnext:\n"
          f"  mxft identify {run}/gallery.npz {run}/new --top 3\n"
          f"  mxft serve {run}/gallery.npz\n"
          f"  mxft slim --model {model} --output {run}/slim")


if __name__ == "__main__":
    sys.exit(run_command("faces_from_photographs", main))
