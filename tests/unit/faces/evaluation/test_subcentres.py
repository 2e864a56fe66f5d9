"""The dominant sub-centre and the angles to it, against plain loops."""
import math

import numpy as np

from mxft.faces.evaluation.subcentres import angles_to_dominant


def slow(embeddings, labels, centres):
    """``drop.py`` of recognition/subcenter_arcface, image by image."""
    dominant, angles = [], np.zeros(len(labels))
    for c, subcentres in enumerate(centres):
        unit = [w / math.sqrt(w @ w) for w in subcentres]
        own = [(n, x / math.sqrt(x @ x)) for n, x in enumerate(embeddings) if labels[n] == c]
        votes = [0] * len(unit)
        for _, x in own:
            votes[max(range(len(unit)), key=lambda k, x=x: x @ unit[k])] += 1
        dominant.append(votes.index(max(votes)))
        for n, x in own:
            angles[n] = math.degrees(math.acos(x @ unit[dominant[-1]]))
    return angles, dominant


def test_angles_and_votes_are_the_loops():
    rng = np.random.RandomState(0)
    embeddings, labels, centres = rng.normal(size=(40, 5)), rng.randint(0, 6, 40), rng.normal(size=(7, 3, 5))
    angles, dominant = angles_to_dominant(embeddings.astype(np.float32), labels, centres.astype(np.float32))
    expected = slow(embeddings, labels, centres)
    np.testing.assert_allclose(angles, expected[0], rtol=0, atol=1e-4)
    assert dominant.tolist() == expected[1] and dominant[6] == 0 and set(dominant) == {0, 1, 2}


def test_of_one_centre_the_angle_is_to_the_class():
    angles, dominant = angles_to_dominant(np.eye(2), np.array([0, 0]), np.array([[[1.0, 0.0]]]))
    np.testing.assert_allclose(angles, [0, 90], atol=1e-5)
    assert dominant.tolist() == [0]
