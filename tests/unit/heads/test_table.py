"""Loss types by number and name, the published margins, and what is refused before anything is built."""
import math
import subprocess
import sys

import pytest

from mxft.errors import InputError
from mxft.heads import LOSS_TYPES, PRESETS, HeadOptions, find_loss_type, make_head, preset

NAMES = [(0, "softmax"), (1, "sphereface"), (2, "cosface"), (4, "arcface"), (5, "combined"), (6, "arcface-intra"),
         (7, "arcface-inter"), (12, "triplet"), (13, "triplet-angular")]


@pytest.mark.parametrize("number, name", NAMES)
def test_a_head_by_number_text_and_name(number, name):
    for asked in (number, str(number), name, name.upper(), f" {name}", name.replace("-", "_")):
        head = make_head(asked, 10, 4)
        assert (head.loss_type, head.name, head.num_classes, head.emb_size) == (number, name, 10, 4)
    assert [row.name for row in LOSS_TYPES if row.number is not None] == [name for _, name in NAMES]


def test_subcenter_arcface_has_a_name_and_no_number():
    for asked in ("subcenter-arcface", "Subcenter_ArcFace", "subcenter"):
        head = make_head(asked, 10, 4)
        assert (head.loss_type, head.name) == (None, "subcenter-arcface")
    with pytest.raises(InputError, match="13 triplet-angular, subcenter-arcface, received loss_type='none'"):
        make_head("none", 10, 4)


@pytest.mark.parametrize("alias, number", [("am-softmax", 2), ("a-softmax", 1), ("Sphere", 1), ("lmcl", 2), ("cos", 2),
                                           ("combine", 5), ("intra", 6), ("inter", 7), ("atriplet", 13)])
def test_aliases(alias, number):
    assert find_loss_type(alias).number == number


@pytest.mark.parametrize("asked, near", [
    (3, ""), ("arcfase", "; nearest: arcface, arcface-intra, arcface-inter"), ("", ""), (True, ""), (4.0, "")])
def test_unknown_lists_numbers_and_names(asked, near):
    with pytest.raises(InputError) as error:
        make_head(asked, 10, 4)
    message = str(error.value)
    assert "0 softmax, 1 sphereface, 2 cosface, 4 arcface, 5 combined, 6 arcface-intra, 7 arcface-inter" in message
    assert f"received loss_type={asked!r}{near}" in message and message.endswith(near or repr(asked))


def test_defaults_are_upstreams():
    o = HeadOptions()
    assert (o.margin_m, o.margin_s, o.margin_a, o.margin_b, o.easy_margin, o.margin) == (0.5, 64, 1, 0, False, 4)
    assert (o.beta, o.beta_min, o.beta_freeze, o.gamma, o.power, o.scale) == (1000, 5, 0, 0.12, 1, 0.9993)
    assert (o.fc7_no_bias, o.fc7_lr_mult, o.fc7_wd_mult) == (False, 1, 1)
    assert (o.subcenters, o.triplet_alpha) == (3, 0.3)  # of subcenter_arcface and of train_triplet.py


@pytest.mark.parametrize("options, words", [
    ({"margin_s": 0}, "scale above 0 (64 is usual), received margin_s=0; give --margin-s"),
    ({"margin_s": -1.0}, "margin_s=-1.0"),
    ({"margin_s": math.nan}, "finite number, received margin_s=nan"),
    ({"margin_m": math.inf}, "margin_m=inf"),
    ({"margin_m": -0.1}, "at least 0, received margin_m=-0.1"),
    ({"margin_m": "0.5"}, "margin_m='0.5'"),
    ({"margin_a": 0.0}, "margin_a=0.0"),
    ({"margin_b": -1}, "margin_b=-1"),
    ({"margin": 0}, "whole number from 1 to 10 (SphereFace: 4), received margin=0"),
    ({"margin": 2.5}, "margin=2.5"),
    ({"margin": True}, "margin=True"),
    ({"beta_min": 2000.0}, "at most beta=1000, received beta_min=2000.0"),
    ({"beta_freeze": -1}, "beta_freeze=-1"),
    ({"gamma": -0.1}, "gamma=-0.1"),
    ({"fc7_lr_mult": -1.0}, "received fc7_lr_mult=-1.0; give --fc7-lr-mult another value"),
    ({"fc7_wd_mult": math.nan}, "fc7_wd_mult=nan"),
    ({"subcenters": 0}, "whole number from 1 to 64 (Sub-center ArcFace: 3), received subcenters=0; give --subcenters"),
    ({"subcenters": 2.0}, "subcenters=2.0"),
    ({"triplet_alpha": math.nan}, "finite number, received triplet_alpha=nan"),
])
def test_options_no_head_could_use(options, words):
    with pytest.raises(InputError) as error:
        HeadOptions(**options)
    assert words in str(error.value)


@pytest.mark.parametrize("loss_type, options, words", [
    (4, {"margin_m": math.pi / 2}, "ArcFace: expected radians, at least 0 and below pi/2 = 1.5708, received "
     "margin_m=1.57"),
    (4, {"margin_m": 28.6}, "28.6 degrees are 0.499 radians"),
    (6, {"margin_m": 1.6}, "ArcFace"),
    (2, {"margin_m": 2.0}, "CosFace: expected a difference of cosines"),
    (5, {"margin_m": 3.15}, "combined margin: expected radians, at least 0 and below pi = 3.1416"),
    (5, {"margin_b": 2.0}, "received margin_b=2.0"),
])
def test_options_a_formula_forbids(loss_type, options, words):
    with pytest.raises(InputError) as error:
        make_head(loss_type, 10, 4, HeadOptions(**options))
    assert words in str(error.value)
    make_head(0, 10, 4, HeadOptions(**options))  # which plain softmax does not read


@pytest.mark.parametrize("sizes", [{"num_classes": 1}, {"num_classes": 2 ** 24 + 1}, {"num_classes": 2.0},
                                   {"emb_size": 0}, {"emb_size": True}])
def test_sizes_out_of_range(sizes):
    with pytest.raises(InputError, match="head: expected a whole number from .* received " + next(iter(sizes))):
        make_head(4, **{"num_classes": 10, "emb_size": 4, **sizes})


# (m1, m2, m3) as arXiv:1801.07698 Table 2 and the margins table of insightface's README name them.
PUBLISHED = {"norm-softmax": (1, 0, 0), "sphereface": (4, 0, 0), "sphereface-1.35": (1.35, 0, 0),
             "cosface": (1, 0, 0.35), "arcface": (1, 0.5, 0), "cm1": (1, 0.3, 0.2), "cm2": (0.9, 0.4, 0.15),
             "softmax": (1, 0, 0), "subcenter-arcface": (1, 0.5, 0)}


def test_presets_are_the_published_margins():
    assert set(PRESETS) == {*PUBLISHED, "facenet"} and make_head(12, 10, 4, preset("facenet")[1]).describe().endswith(
        "α 0.2")  # FaceNet has no target logit
    for name, margins in PUBLISHED.items():
        loss_type, options = preset(name)
        head = make_head(loss_type, 10, 4, options)
        assert head.margins[:3] == margins
        assert head.margins[3] == {"softmax": "|x||W|", "sphereface": "|x|"}.get(name, 64)
        assert ", ".join(f"{m:g}" for m in margins) in head.describe() and "\n" not in head.describe()
    assert preset("cm1", margin_s=30.0)[1].margin_s == 30
    with pytest.raises(InputError, match="expected one of softmax, .*, received preset='cm3'; nearest: cm"):
        preset("cm3")


def test_describe_names_number_margins_and_formula():
    assert make_head(5, 10, 4, HeadOptions(margin_m=0.3, margin_b=0.2)).describe() == (
        "combined (loss type 5): (m1, m2, m3, s) = (1, 0.3, 0.2, 64); target logit s(cos(m1·θ + m2) - m3)")
    assert make_head(0, 10, 4, HeadOptions(fc7_no_bias=True)).describe().endswith("target logit x·W")


def test_the_table_needs_no_mxnet():
    code = ("import sys; from mxft.heads import LOSS_TYPES, PRESETS, HeadOptions, find_loss_type, preset; "
            "HeadOptions(); find_loss_type(4); preset('cm2'); sys.exit(not {'mxnet', 'numpy'}.isdisjoint(sys.modules))")
    assert subprocess.run([sys.executable, "-c", code], timeout=60).returncode == 0
