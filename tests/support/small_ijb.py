"""Lists as IJB's of faces that lie turned and scaled in larger pictures, and a face network that tells them apart."""
import os

import cv2
import numpy as np

from mxft.compat import mx
from mxft.faces.align.similarity import reference_points
from mxft.network.checkpoint import Checkpoint
from mxft.network.input_spec import InputSpec

SIZE = (16, 16)


def scene(face, seed, edge=2.0):
    """Return a uint8 picture with the face in it, turned and scaled, and float32 landmarks ``(5, 2)``."""
    rng = np.random.RandomState(seed)
    height, width = face.shape[:2]
    size = int(edge * 1.6 * max(height, width))
    matrix = cv2.getRotationMatrix2D((width / 2, height / 2), rng.uniform(-20, 20), edge)
    matrix[:, 2] += size / 2 - np.array([width, height]) / 2
    picture = cv2.warpAffine(face, matrix, (size, size), flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REFLECT)
    return picture, (reference_points((height, width)) @ matrix[:, :2].T + matrix[:, 2]).astype(np.float32)


def write_scenes(folder, faces):
    """Write ``0.png`` … of faces (uint8 RGB) and return the rows of the list of landmarks, scores from 0.5 to 1."""
    os.makedirs(folder, exist_ok=True)
    rows = []
    for number, face in enumerate(faces):
        picture, landmarks = scene(face, number)
        cv2.imwrite(os.path.join(folder, f"{number}.png"), picture[:, :, ::-1])
        numbers = " ".join(f"{value:.3f}" for value in landmarks.ravel())
        rows.append(f"{number}.png {numbers} {0.5 + number % 6 / 10:.1f}")
    return rows


def write_lists(meta, points, templates, media, pairs=(), galleries=None, probes=(), name="ijbc"):
    """Write the lists of a data set; `galleries` are {end of the name: rows of (template, subject)}."""
    os.makedirs(meta, exist_ok=True)
    files = {"face_tid_mid.txt": [f"{row.split()[0]} {t} {m}" for row, t, m in zip(points, templates, media)],
             "name_5pts_score.txt": points, "template_pair_label.txt": [" ".join(map(str, pair)) for pair in pairs]}
    files.update({f"1N_gallery_{end}.csv": rows for end, rows in _csv(galleries or {})})
    files.update({f"1N_probe_{end}.csv": rows for end, rows in _csv({"mixed": probes} if probes else {})})
    for end, rows in files.items():
        if rows:
            with open(os.path.join(meta, f"{name}_{end}"), "w", encoding="utf-8") as f:
                f.write("\n".join(rows) + "\n")


def _csv(lists):
    return [(end, ["TEMPLATE_ID,SUBJECT_ID,FILENAME"] + [f"{t},{s},img/{t}.png" for t, s in rows])
            for end, rows in lists.items()]


def face_checkpoint(random_parameters, prefix="face", size=SIZE, embedding=12):
    """Save a small network with a manifest as ``PREFIX,0`` and return the Checkpoint."""
    net = (mx.sym.Variable("data") - 127.5) * 0.0078125
    net = mx.sym.Convolution(net, kernel=(4, 4), stride=(4, 4), num_filter=8, name="conv0")
    net = mx.sym.BatchNorm(mx.sym.FullyConnected(net, num_hidden=embedding, name="pre_fc1"), name="fc1")
    args, auxs = random_parameters(net, (3, *size))
    args["fc1_gamma"][:] = 1  # as training leaves it where gamma is fixed
    checkpoint = Checkpoint(net, args, auxs, {"format": 1, "input": InputSpec((3, *size)).to_dict()})
    checkpoint.save(prefix, 0)
    return checkpoint


def made_faces(people, images, size=SIZE, noise=25):
    """Return uint8 RGB faces, `images` a person one after the other, and whose they are."""
    rng = np.random.RandomState(5)
    faces = []
    for _ in range(people):
        own = cv2.resize(rng.randint(0, 255, (4, 4, 3)).astype(np.uint8), size[::-1], interpolation=cv2.INTER_CUBIC)
        faces += [np.clip(own + rng.randint(-noise, noise + 1, own.shape), 0, 255).astype(np.uint8)
                  for _ in range(images)]
    return faces, np.repeat(np.arange(people), images)
