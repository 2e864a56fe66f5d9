"""Mined triplets are the semi-hard ones a slow loop finds; bags show every identity, the same ones for a seed."""
import numpy as np
import pytest

from mxft.errors import InputError
from mxft.faces.data.bags import Bags
from mxft.faces.data.mining import mine_triplets
from mxft.heads import HeadOptions, make_head
from tests.reference import triplets as reference

KINDS = {12: reference.squared, 13: reference.angle}


def embedded(seed=0, identities=7, each=4, spread=0.6):
    """Return noisy embeddings around a direction each, and labels out of order."""
    rng = np.random.RandomState(seed)
    labels = rng.permutation(np.repeat(np.arange(identities), each))
    return rng.normal(size=(identities, 6))[labels] + spread * rng.normal(size=(len(labels), 6)), labels


@pytest.mark.parametrize("max_positive", [0.0, 0.4])
@pytest.mark.parametrize("loss_type", KINDS)
@pytest.mark.parametrize("alpha", [0.1, 0.5])
def test_triplets_are_the_semi_hard_ones(alpha, loss_type, max_positive):
    embeddings, labels = embedded()
    head = make_head(loss_type, 7, 6, HeadOptions(triplet_alpha=alpha))
    found, pairs = mine_triplets(embeddings, labels, head.distances, alpha, max_positive)
    expected = reference.candidates(embeddings, labels, alpha, KINDS[loss_type], max_positive)
    assert pairs == len(expected) == 7 * 6  # 4 images make 6 pairs
    assert {(a, p) for a, p, _ in found} == {pair for pair, negatives in expected.items() if negatives}
    assert len(found) == sum(bool(negatives) for negatives in expected.values())
    assert all(n in expected[a, p] for a, p, n in found)


def test_every_semi_hard_negative_is_drawn_in_time():
    embeddings, labels = embedded()
    expected = reference.candidates(embeddings, labels, 0.5, reference.squared)
    drawn = {pair: set() for pair in expected}
    for seed in range(200):
        found, _ = mine_triplets(embeddings, labels, make_head(12, 7, 6).distances, 0.5,
                                 random=np.random.default_rng(seed))
        for a, p, n in found:
            drawn[a, p].add(n)
    several = [pair for pair, negatives in expected.items() if 1 < len(negatives) < 9]
    assert several and all(drawn[pair] == expected[pair] for pair in several)


def test_the_same_random_numbers_give_the_same_triplets():
    embeddings, labels = embedded()
    one, again, other = (mine_triplets(embeddings, labels, make_head(12, 7, 6).distances, 0.5,
                                       random=np.random.default_rng(seed))[0].tolist() for seed in (1, 1, 2))
    assert one == again and one != other and sorted(row[:2] for row in one) == sorted(row[:2] for row in other)


@pytest.mark.parametrize("labels, rows", [
    ([0, 0, 0], [[1, 0], [1, 0.1], [0, 1]]),               # one identity
    ([0, 1, 2], [[1, 0], [1, 0.1], [0, 1]]),               # no pair
    ([0, 0, 1], [[1, 0], [1, 0.1], [-1, 0]]),              # the negative is too far to be semi-hard
    ([0, 0, 1], [[1, 0], [0, 1], [1, 0]]),                 # … and nearer than the positive
    ([0, 0, 1], [[1, 0], [1, 0], [1, 0]])])                # a collapsed embedding
def test_a_bag_may_have_no_triplet(labels, rows):
    found, pairs = mine_triplets(np.array(rows, float), np.array(labels), make_head(12, 3, 2).distances, 0.3)
    assert found.shape == (0, 3) and pairs == sum(a == b for i, a in enumerate(labels) for b in labels[:i])


def test_a_pass_shows_so_many_images_of_every_identity():
    labels = np.random.RandomState(0).permutation(np.repeat(np.arange(5), [1, 2, 3, 8, 9]))
    bags = Bags(labels, images_per_identity=3, size=6, seed=4)
    assert (bags.size, bags.of_a_pass) == (6, 2)  # 1 + 2 + 3 + 3 + 3 = 12
    for passed in (0, 1):
        shown = np.concatenate([bags.draw(2 * passed + place) for place in (0, 1)])
        assert len(set(shown)) == 12
        assert np.bincount(labels[shown]).tolist() == [1, 2, 3, 3, 3]
        assert (np.diff(labels[shown]) != 0).sum() == 4  # identity after identity
    assert bags.draw(0).tolist() != bags.draw(2).tolist()
    assert Bags(labels, 3, 6, 4).draw(2).tolist() == bags.draw(2).tolist()  # whatever was drawn before
    assert Bags(labels, 3, 6, 5).draw(2).tolist() != bags.draw(2).tolist()


def test_what_is_left_of_a_pass_is_no_bag():
    bags = Bags(np.repeat(np.arange(5), 3), images_per_identity=3, size=6, seed=0)
    assert bags.of_a_pass == 2 and [len(bags.draw(number)) for number in range(4)] == [6, 6, 6, 6]


def test_few_images_are_said():
    labels = np.repeat(np.arange(4), [1, 1, 3, 9])
    assert Bags(labels, 5, 3600, 0).notes == [
        "2 of 4 identities have one image: they serve as negatives of others",
        "1 of 4 identities have fewer than 5 images: all of theirs are taken",
        "a bag is all 10 images of a pass over the identities, fewer than the 3600 of `triplet_bag_size`"]
    assert Bags(np.repeat(np.arange(4), 5), 5, 10, 0).notes == []


@pytest.mark.parametrize("labels, received", [([3, 3, 3], "3 images of 1 identity, 3 at most of one"),
                                              ([0, 1, 2], "3 images of 3 identities, 1 at most of one")])
def test_a_set_without_triplets_is_refused(labels, received):
    with pytest.raises(InputError, match="triplets: expected two identities, one of them with two images or more, "
                                         f"received {received}"):
        Bags(np.array(labels), 5, 10, 0)
