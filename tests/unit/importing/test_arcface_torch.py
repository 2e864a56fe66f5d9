"""arcface_torch's state dicts on the names of insightface's MXNet networks, against plain NumPy and against PyTorch."""
import json

import numpy as np
import pytest

from mxft.backbones.faces import face_network, identify
from mxft.backbones.versions import Versions
from mxft.errors import InputError
from mxft.faces.evaluation.embedding import embedding_executor
from mxft.faces.training.network import attach_face_head, pretrained_backbone
from mxft.faces.training.transfer import transfer_face
from mxft.heads import make_head
from mxft.importing import arcface_torch, import_weights
from mxft.importing.arcface_torch import ARCHITECTURES, looks_like
from tests.support import numpy_faces

PIXELS = np.random.RandomState(0).randint(0, 256, (1, 3, 112, 112)).astype(np.float32)
EMB_SIZE = 64


def apart(received, wanted):
    return np.abs(received - wanted).max() / np.abs(wanted).max()


def embed(checkpoint, pixels=PIXELS):
    return embedding_executor(checkpoint, len(pixels), rewrite=False).forward(pixels)


@pytest.fixture(scope="module")
def state_dicts(tmp_path_factory):
    """{name: (file, state dict, embedding of PIXELS in float64)}, the file as DataParallel names its arrays."""
    from safetensors.numpy import save_file

    made, folder = {}, tmp_path_factory.mktemp("weights")
    for name in ("r18", "mbf"):
        net = numpy_faces.Plain()
        wanted = (numpy_faces.iresnet(net, PIXELS, numpy_faces.UNITS["r18"], EMB_SIZE) if name == "r18"
                  else numpy_faces.mbf(net, PIXELS, EMB_SIZE))
        path = str(folder / f"{name}.safetensors")
        counted = {"features.num_batches_tracked": np.array(7, np.int64)}
        save_file({f"module.{key}": array for key, array in {**net.state, **counted}.items()}, path)
        made[name] = path, net.state, wanted
    return made


@pytest.mark.parametrize("name", ["r18", "mbf"])
def test_the_embedding_is_that_of_the_formula(state_dicts, name):
    path, _, wanted = state_dicts[name]
    checkpoint = import_weights("arcface-torch", path, name)
    assert apart(embed(checkpoint), wanted) < 1e-5
    assert checkpoint.input_spec.is_raw and checkpoint.input_spec.shape == (3, 112, 112)
    assert checkpoint.anatomy.require_embedding().name == "fc1" == checkpoint.manifest["embedding"]


def test_the_network_that_is_built_by_name_takes_it_whole(state_dicts):
    path, _, wanted = state_dicts["r18"]
    checkpoint = import_weights("arcface-torch", path, "iresnet18")
    assert checkpoint.manifest["network"] == {"name": "r18", "emb_size": EMB_SIZE, "version_output": "I"}
    shapes = {name: value.shape for name, value in checkpoint.arg_params.items()}
    assert identify(shapes) == ["--network r18", "--version-output E", f"--emb-size {EMB_SIZE}"]
    for output in "EI":
        built = face_network("r18", EMB_SIZE, versions=Versions(output=output))
        network = attach_face_head(built, make_head("arcface", 3, EMB_SIZE))
        transfer = transfer_face(network, checkpoint, (3, 112, 112))
        assert {row.name for row in transfer.report.named("new")} == {"fc7_weight"}
        assert not transfer.report.named("dropped")
        checkpoint.symbol = built
        assert apart(embed(checkpoint), wanted) < 1e-5


def test_mbf_is_trained_as_its_own_graph(state_dicts):
    checkpoint = import_weights("arcface-torch", state_dicts["mbf"][0], "mbf")
    backbone = pretrained_backbone(checkpoint)
    transfer = transfer_face(attach_face_head(backbone.symbol, make_head("arcface", 3, EMB_SIZE)), checkpoint,
                             (3, 112, 112))
    assert backbone.emb_size == EMB_SIZE and {row.name for row in transfer.report.named("new")} == {"fc7_weight"}
    fixed = [node["name"] for node in json.loads(checkpoint.symbol.tojson())["nodes"]
             if node["op"] == "BatchNorm" and node["attrs"].get("fix_gamma") != "False"]
    assert fixed == []  # the scale of the embedding is learned there
    other = attach_face_head(face_network("y1", EMB_SIZE, versions=Versions(output="GDC")),
                             make_head("arcface", 3, EMB_SIZE))
    with pytest.raises(InputError, match="another architecture.*network pretrained takes the checkpoint's own graph"):
        transfer_face(other, checkpoint, (3, 112, 112))


def test_a_batch_norm_of_another_epsilon_gives_the_same_even_without_variance():
    rng = np.random.RandomState(0)
    x, variance = rng.randn(6, 5), np.array([0, 1e-9, 1e-5, 0.1, 3])
    gamma, beta, mean = rng.randn(3, 5)
    weight, bias = rng.randn(4, 5), rng.randn(4)
    ours = arcface_torch._convert_iresnet({
        "conv0_weight": np.ones((1, 3, 1, 1)), "bn1_gamma": gamma, "bn1_beta": beta, "bn1_moving_mean": mean,
        "bn1_moving_var": variance, "pre_fc1_weight": weight, "pre_fc1_bias": bias, "fc1_gamma": np.ones(4),
        "fc1_beta": np.zeros(4), "fc1_moving_mean": np.zeros(4), "fc1_moving_var": np.array([0, 1e-9, 0.2, 2])})
    np.testing.assert_allclose(ours["bn1_gamma"] * (x - mean) / np.sqrt(ours["bn1_moving_var"] + 2e-5),
                               gamma * (x - mean) / np.sqrt(variance + 1e-5), rtol=1e-12)
    theirs, mine = x @ weight.T + bias, x @ ours["pre_fc1_weight"].T + ours["pre_fc1_bias"]
    np.testing.assert_allclose(mine / np.sqrt(ours["fc1_moving_var"] + 2e-5),
                               theirs / np.sqrt(np.array([0, 1e-9, 0.2, 2]) + 1e-5), rtol=1e-12)
    # and in training, where the batch's own statistics are taken
    np.testing.assert_allclose((mine - mine.mean(0)) / np.sqrt(mine.var(0) + 2e-5),
                               (theirs - theirs.mean(0)) / np.sqrt(theirs.var(0) + 1e-5), rtol=1e-12)
    np.testing.assert_allclose(ours["conv0_weight"] * (200 - 127.5) / 128, (200 / 255 - 0.5) / 0.5, rtol=1e-12)


def test_a_scale_of_the_embedding_that_was_trained_is_kept_and_told(state_dicts, tmp_path, caplog):
    from safetensors.numpy import save_file

    _, state, wanted = state_dicts["r18"]
    scale = np.linspace(-1, 2, EMB_SIZE).astype(np.float32)
    save_file({**state, "features.weight": scale}, str(tmp_path / "scaled.safetensors"))
    checkpoint = import_weights("arcface-torch", tmp_path / "scaled.safetensors", "r18")
    beta = state["features.bias"]
    assert apart(embed(checkpoint), (wanted - beta) * scale + beta) < 1e-5
    assert "features.weight is not 1 everywhere, as insightface keeps it" in caplog.text


@pytest.mark.parametrize("name", sorted(set(ARCHITECTURES) - {"mbf_large"}))
def test_every_parameter_of_a_network_has_its_array(name):
    architecture = ARCHITECTURES[name]
    entries = {"layers.0.layers.0.weight": np.zeros((128, 3, 3, 3)), **{
        f"layers.{stage}.layers.{number}.layers.2.layers.0.weight": None
        for stage, count in ((3, 4), (5, 6), (7, 2)) for number in range(count)}}
    symbol = architecture.symbol(entries, 512)
    wanted = {*symbol.list_arguments(), *symbol.list_auxiliary_states()} - {"data"}
    ours = {f"{layer}_{kind}" for layer in architecture.layers(entries).values() for kind, _ in arcface_torch._KINDS}
    assert wanted <= ours
    assert len(architecture.layers(entries)) == len(set(architecture.layers(entries).values()))


def test_what_does_not_fit_is_refused(state_dicts, tmp_path):
    from safetensors.numpy import save_file

    r18, state, _ = state_dicts["r18"]
    cases = [(r18, "r100", r"expected the 771 arrays of that network, received 156: 615 missing \(layer1.2.bn1.weight; "
                           r".*\); its layers are those of r18$"),
             (r18, "mbf", "expected the embedding layer's features.layers.2.weight, received .*; its layers are those "
                          "of r18$"),
             (state_dicts["mbf"][0], "r50", "expected the embedding layer's fc.weight, .*; its layers are those of "
                                            "mbf$"),
             (r18, "r2060", "received arch='r2060', a network of 2,060 layers, which is not built"),
             (r18, "iresnet2060", "received arch='iresnet2060', a network of 2,060 layers"),
             (r18, "vit_b", "received arch='vit_b', a vision transformer"),
             (r18, "r51", "expected one of r18, .*, received arch='r51'; nearest: r50")]
    for path, arch, message in cases:
        with pytest.raises(InputError, match=message):
            import_weights("arcface-torch", path, arch)
    with pytest.raises(InputError, match="expected no names of classes, as its output is an embedding, received 2"):
        import_weights("arcface-torch", r18, "r18", ["a", "b"])
    save_file({**state, "fc.weight": np.zeros((EMB_SIZE, 512 * 36), np.float32)}, str(tmp_path / "96.safetensors"))
    with pytest.raises(InputError, match=r"1 of another shape \(fc.weight \(64, 25088\), received \(64, 18432\)\)"):
        import_weights("arcface-torch", tmp_path / "96.safetensors", "r18")
    damaged = {**state, "bn1.running_var": -state["bn1.running_var"]}
    save_file(damaged, str(tmp_path / "negative.safetensors"))
    with pytest.raises(InputError, match="expected finite numbers and variances of at least 0, received others in bn1"):
        import_weights("arcface-torch", tmp_path / "negative.safetensors", "r18")
    save_file({"layers.3.layers.99999999.layers.2.layers.0.weight": np.zeros(1),
               "layers.0.layers.0.weight": np.zeros(()), "features.layers.2.weight": np.zeros((2, 3))},
              str(tmp_path / "hostile.safetensors"))
    with pytest.raises(InputError, match="expected the 130 arrays of that network, received 3: 128 missing"):
        import_weights("arcface-torch", tmp_path / "hostile.safetensors", "mbf")
    save_file({"a": np.zeros(2)}, str(tmp_path / "other.safetensors"))
    with pytest.raises(InputError, match="is it a state_dict of insightface's arcface_torch"):
        import_weights("arcface-torch", tmp_path / "other.safetensors", "r18")


def test_a_network_is_told_by_its_layers(state_dicts):
    assert looks_like(state_dicts["r18"][1]) == "r18" and looks_like(state_dicts["mbf"][1]) == "mbf"
    assert looks_like({"conv1.weight": 0}) is None


@pytest.mark.parametrize("arch", ["mbf", "r18", *(pytest.param(name, marks=pytest.mark.long)
                                                  for name in ("mbf_large", "r34", "r50", "r100", "r200"))])
def test_pytorch_computes_the_same(tmp_path, arch):
    """The networks of tests/support/torch_faces.py, all numbers random: equal to 1e-5 of the largest."""
    torch = pytest.importorskip("torch")
    from tests.support import torch_faces

    net = torch_faces.network(arch)
    pixels = np.random.RandomState(1).randint(0, 256, (2, 3, 112, 112)).astype(np.float32)
    wanted, state = torch_faces.embed(net, pixels), net.state_dict()
    forms = {"backbone.pth": state, "parallel.pt": {f"module.{name}": value for name, value in state.items()},
             "checkpoint_gpu_0.pt": {"epoch": 3, "global_step": 100, "state_dict_backbone": state,
                                     "state_dict_softmax_fc": {"weight": torch.zeros(9, 512)},
                                     "state_optimizer": {"state": {}, "param_groups": [{"lr": 0.1}]}},
             "lightning.pth": {"state_dict": state}}
    for name, content in forms.items():
        torch.save(content, tmp_path / name)
    found = [import_weights("arcface-torch", tmp_path / name, arch) for name in forms]
    assert apart(embed(found[0], pixels), wanted) < 1e-5
    assert all((value == other.arg_params[name]).asnumpy().all() for other in found[1:]
               for name, value in found[0].arg_params.items())
