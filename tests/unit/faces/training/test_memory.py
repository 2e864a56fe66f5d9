"""The memory estimate: the numbers of needs and papers, the largest batch, and the refusal."""
import pytest

from mxft.backbones.faces import face_network
from mxft.compat import mx
from mxft.errors import InputError
from mxft.faces.training.memory import Division, MemoryEstimate, available_memory, estimate_memory, require_memory

GB = 10**9


def test_the_head_is_five_copies_of_the_class_centres_and_the_logits_four_rows():
    net = mx.sym.FullyConnected(mx.sym.Variable("data"), num_hidden=16, no_bias=True, name="pre_fc1")
    estimate = estimate_memory(net, 1000, 16, (3, 4, 4))
    assert estimate.head == 1000 * 16 * 4 * 5
    assert estimate.backbone == 16 * 48 * 4 * 5
    assert estimate.per_image == 4 * (16 + 3 * 1000)  # the embedding, and logits, their gradient and one more
    two = estimate_memory(net, 1000, 16, (3, 4, 4), devices=2)
    assert two.head == 1000 * 16 * 4 * 13 and two.total(10) == two.head + two.backbone + 2 * 10 * two.per_image


def test_the_estimate_is_close_to_what_mxnet_plans():
    symbol, images = face_network("r18"), 8
    args = {name: "null" if name == "data" else "write" for name in symbol.list_arguments()}
    executor = symbol.simple_bind(mx.cpu(), grad_req=args, data=(images, 3, 112, 112))
    planned = int(executor.debug_str().split("Total ")[1].split(" MB")[0]) * (1 << 20)
    estimate = estimate_memory(symbol, 1, 512, (3, 112, 112))
    assert 0.9 * planned < estimate.per_image * images < 1.2 * planned
    assert estimate.backbone == 24_025_600 * 4 * 5  # r18's arguments, counted from upstream's shapes


def test_the_largest_batch_that_fits_does_and_one_more_is_to_be_divided():
    estimate = MemoryEstimate(head=2 * GB, backbone=GB, per_image=10**7, devices=2)
    largest = estimate.largest_batch(5 * GB)
    assert largest == 100 and estimate.total(largest) <= 5 * GB < estimate.total(largest + 1)
    require_memory(estimate, largest, 5 * GB)
    with pytest.raises(InputError, match=rf"expected a run within 5.0 GB, received per-batch-size={largest + 1} with "
                                         rf"about 5.0 GB: fc7 2.0 GB, .*; per_batch_size 51 accumulate 2 fits, "
                                         "for an update of 102 images on each device"):
        require_memory(estimate, largest + 1, 5 * GB)
    with pytest.raises(InputError, match="per_batch_size 100 accumulate 8 fits"):
        require_memory(estimate, 2 * largest, 5 * GB, accumulate=4)


def test_where_no_batch_fits_that_is_said():
    with pytest.raises(InputError, match="no batch does: fewer identities"):
        require_memory(MemoryEstimate(20 * GB, GB, 10**7), 1, 5 * GB)


def test_a_system_that_does_not_tell_refuses_nothing():
    require_memory(MemoryEstimate(20 * GB, GB, 10**7), 1, None)
    assert available_memory(mx.cpu()) > 10**6


def test_more_centres_than_an_array_can_have_are_refused_before_any_memory_is():
    from mxft.faces.training.network import FaceBackbone
    from mxft.faces.training.options import FaceOptions
    from mxft.faces.training.preparation import prepare_faces
    from mxft.heads import make_head

    backbone = FaceBackbone(face_network("y1", 512), "y1", 512)
    with pytest.raises(InputError, match=r"fc7: expected at most 2,147,483,647 numbers, .* received 10,000,000 centres "
                                         r"x 512 = 5,120,000,000; emb_size 214, or fewer identities"):
        prepare_faces(backbone, make_head(4, 10**7, 512), None, FaceOptions(shard_fc7=True), [mx.cpu(0), mx.cpu(1)])


def test_a_divided_head_takes_a_part_on_each_device_and_is_joined_once_on_the_host():
    net = mx.sym.FullyConnected(mx.sym.Variable("data"), num_hidden=16, no_bias=True, name="pre_fc1")
    whole = estimate_memory(net, 1000, 16, (3, 4, 4))
    card = estimate_memory(net, 1000, 16, (3, 4, 4), 1, Division(4, joined=False))
    assert card.head == whole.head / 4 and card.backbone == whole.backbone and card.per_image == whole.per_image
    uneven = estimate_memory(net, 1001, 16, (3, 4, 4), 1, Division(4, joined=False))
    assert uneven.head == 251 * 16 * 4 * 5
    host = estimate_memory(net, 1000, 16, (3, 4, 4), 4, Division(4))
    assert host.head == 1000 * 16 * 4 * (5 + 1)
    sampled = estimate_memory(net, 1000, 16, (3, 4, 4), 1, Division(4, 0.1, joined=False))
    assert sampled.head == 250 * 16 * 4 * 2.5 and sampled.per_image == 4 * (16 + 3 * 100)
