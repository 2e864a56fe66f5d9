"""The table of recipes/faces_from_photographs.md: LFW's crops in scenes of 640x480, packed as they are or aligned.

    python tests/reference/aligned_scenes.py LFW_FOLDER lfw-pairs.txt mobilefacenet-y1/model,0 WORK_FOLDER [COUNT]

People of LFW's same pairs, one crop a scene. TAR at FAR over all pairs of the images, flip-augmented embeddings.
"""
import os
import sys
import time

import cv2
import numpy as np

import mxft
from mxft.faces.align.scenes import make_scene
from mxft.faces.align.similarity import REFERENCE, similarity_transform
from mxft.faces.pairs.lists import read_named_pairs


def scenes(lfw, pairs, work, count):
    """Write the scenes and their squeezed copies; return {name: landmarks of the crop in its scene}."""
    rng, places = np.random.default_rng(7), {}
    same = [row.files for row in read_named_pairs(pairs) if row.same]
    rng.shuffle(same)
    names = sorted({name for files in same[:count // 2 + 5] for name in files})[:count]
    for name in names:
        scene, (face,) = make_scene([cv2.imread(f"{lfw}/{name}.jpg")], rng, sizes=(60, 240))
        for kind, image in (("scenes", scene), ("squeezed", cv2.resize(scene, (112, 112),
                                                                       interpolation=cv2.INTER_AREA))):
            path = f"{work}/{kind}/{name}.jpg"
            os.makedirs(os.path.dirname(path), exist_ok=True)
            cv2.imwrite(path, image)
        places[name] = face
    return places


def landmark_errors(work, places):
    """Return how far landmarks lie beside where the crops' own points went, (N, 5) in pixels of 112, and the shift."""
    import json

    with open(f"{work}/aligned/aligned.jsonl", encoding="utf-8") as f:
        rows = [json.loads(line) for line in f][1:]
    found = []
    for row in rows:
        if row["faces"]:
            matrix = similarity_transform(places[os.path.splitext(row["path"])[0]].landmarks, REFERENCE)
            points = np.array(row["faces"][0]["landmarks"])
            found.append(points @ matrix[:, :2].T + matrix[:, 2] - REFERENCE)
    shift = np.median(np.array(found).reshape(-1, 2), axis=0)  # the archive's crops lie beside insightface's points
    own = np.median(found, axis=0)
    return np.linalg.norm(np.array(found) - own, axis=2), shift


def main(lfw, pairs, model, work, count="500"):
    """Print the table."""
    places = scenes(lfw, pairs, work, int(count))
    began = time.perf_counter()
    print(mxft.align_faces(f"{work}/scenes", f"{work}/aligned"), f"{time.perf_counter() - began:.1f} s")
    errors, shift = landmark_errors(work, places)
    print(f"landmarks: shift {shift.round(1).tolist()}, beside it median {np.median(errors):.1f}, 95 % "
          f"{np.percentile(errors, 95):.1f} pixels of 112")
    names = [name for name in places if os.path.exists(f"{work}/aligned/{name}.jpg")]
    people = np.array([name.split("/")[0] for name in names])
    left, right = np.triu_indices(len(names), 1)
    same = people[left] == people[right]
    print(f"{len(names)} images, {same.sum()} pairs of one person, {(~same).sum()} of two")
    for kind, folder in (("original crops", lfw), ("aligned", f"{work}/aligned"), ("as they are", f"{work}/squeezed")):
        vectors = mxft.embed(model, [f"{folder}/{name}.jpg" for name in names], flip=True, normalise=True).vectors
        distances = 1 - (vectors @ vectors.T)[left, right]
        strangers = np.sort(distances[~same])
        print(kind, *(f"TAR at FAR {far:g}: {(distances[same] < strangers[int(far * len(strangers))]).mean():.4f}"
                      for far in (1e-2, 1e-3)))


if __name__ == "__main__":
    main(*sys.argv[1:])
