"""What a PyTorch user writes for `bench_end_to_end`: features of a frozen network, then scikit-learn's classifier.

    python tests/bench/peer_torch.py TWIN.pt PHOTOGRAPHS TRAIN.lst VAL.lst [--bf16] [--compile] [--decode opencv]

The network is a saved `torch_twin.Twin` that ends in its features, and no MXNet is imported. Photographs are read by a
DataLoader with two workers: by Pillow, resized and cropped as torchvision's transforms do it (``draft`` included, which
lets libjpeg shrink), or by OpenCV. The classifier has one fit at settings that were found to be good, without a search.
"""
import argparse
import contextlib
import json
import os

import numpy as np
import torch

SHORT_SIDE, CROP, BATCH, WORKERS = 256, 224, 64, 2


class Photographs(torch.utils.data.Dataset):
    """The pictures of an image list, uint8 ``(3, 224, 224)``, and their labels."""

    def __init__(self, root, list_path, decode):
        with open(list_path, encoding="utf-8") as f:
            rows = [line.rstrip("\n").split("\t") for line in f]
        self.paths, self.labels = [os.path.join(root, row[-1]) for row in rows], [int(float(row[1])) for row in rows]
        self.decode = decode

    def __len__(self):
        return len(self.paths)

    def __getitem__(self, number):
        pixels = {"pillow": _pillow, "opencv": _opencv}[self.decode](self.paths[number])
        top, left = ((length - CROP) // 2 for length in pixels.shape[:2])
        crop = pixels[top:top + CROP, left:left + CROP].transpose(2, 0, 1)
        return torch.from_numpy(np.ascontiguousarray(crop)), self.labels[number]


def _pillow(path):
    from PIL import Image

    with Image.open(path) as image:
        image.draft("RGB", (SHORT_SIDE, SHORT_SIDE))
        image = image.convert("RGB")
        return np.asarray(image.resize(_size(*image.size), Image.Resampling.BILINEAR))


def _opencv(path):
    import cv2

    cv2.setNumThreads(1)
    image = cv2.imread(path)
    return cv2.resize(image, _size(*image.shape[1::-1]), interpolation=cv2.INTER_LINEAR)[:, :, ::-1]


def _size(width, height):
    return (SHORT_SIDE, max(SHORT_SIDE, height * SHORT_SIDE // width)) if width < height else (
        max(SHORT_SIDE, width * SHORT_SIDE // height), SHORT_SIDE)


def features(network, photographs, bf16):
    """Return features ``(N, D)`` and labels of all photographs."""
    loader = torch.utils.data.DataLoader(photographs, BATCH, num_workers=WORKERS)
    precision = torch.autocast("cpu", torch.bfloat16) if bf16 else contextlib.nullcontext()
    found, labels = [], []
    with torch.inference_mode(), precision:
        for images, of in loader:
            images = images.float().contiguous(memory_format=torch.channels_last)
            found.append(network(images).float().flatten(1).numpy())
            labels.append(of.numpy())
    return np.concatenate(found), np.concatenate(labels)


def main():
    """Print ``{"top1": …}``."""
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in ("twin", "photographs", "train", "val"):
        p.add_argument(name)
    p.add_argument("--bf16", action="store_true")
    p.add_argument("--compile", action="store_true")
    p.add_argument("--decode", default="pillow", choices=("pillow", "opencv"))
    args = p.parse_args()
    from sklearn.linear_model import LogisticRegression
    from sklearn.preprocessing import StandardScaler

    network = torch.load(args.twin, weights_only=False).eval().to(memory_format=torch.channels_last)
    network = torch.compile(network, dynamic=True) if args.compile else network
    (train, labels), (val, truth) = (features(network, Photographs(args.photographs, path, args.decode), args.bf16)
                                     for path in (args.train, args.val))
    scaler, length = StandardScaler().fit(train), np.float32(np.sqrt(train.shape[1]))
    model = LogisticRegression(C=10, tol=1e-5, max_iter=30).fit(scaler.transform(train) / length, labels)
    print(json.dumps({"top1": float(model.score(scaler.transform(val) / length, truth))}))


if __name__ == "__main__":
    main()
