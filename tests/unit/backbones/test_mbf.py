"""arcface_torch's MobileFaceNet: y1's layers by name, wider between the blocks."""
from mxft.backbones.faces import face_network
from mxft.backbones.mbf import mbf
from mxft.backbones.versions import Versions


def shapes(symbol):
    args, (output,), states = symbol.infer_shape(data=(2, 3, 112, 112))
    return {**dict(zip(symbol.list_arguments(), args)), **dict(zip(symbol.list_auxiliary_states(), states))}, output


def test_at_y1s_width_it_has_y1s_parameters_but_the_bias_of_the_embedding():
    y1, _ = shapes(face_network("y1", 128, versions=Versions(output="GDC")))
    found, output = shapes(mbf((1, 4, 6, 2), 1, 128))
    y1.pop("pre_fc1_bias")
    assert found == y1 and output == (2, 128)


def test_mbf_is_twice_as_wide_between_blocks_and_not_within():
    found, output = shapes(mbf((1, 4, 6, 2), 2, 512))
    assert output == (2, 512)
    assert found["conv_2_dw_conv2d_weight"] == (128, 2, 3, 3)         # 64 groups, not one a channel
    assert found["res_3_block0_conv_sep_conv2d_weight"] == (128, 128, 1, 1)
    assert found["res_4_block0_conv_dw_conv2d_weight"] == (256, 1, 3, 3)
    assert found["dconv_45_conv_proj_conv2d_weight"] == (256, 512, 1, 1)
    large, _ = shapes(mbf((2, 8, 12, 4), 4, 512))
    assert large["res_2_block1_conv_sep_conv2d_weight"] == (128, 256, 1, 1)
    assert "res_5_block3_conv_proj_conv2d_weight" in large and "conv_2_dw_conv2d_weight" not in large
