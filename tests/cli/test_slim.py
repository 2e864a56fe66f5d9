"""``mxft slim``: upstream's output name, what it says, and its refusals."""
import os

from mxft.cli import run_verb


def test_it_writes_where_upstream_does_and_says_what_went(make_face_checkpoint, tmp_path, capsys):
    make_face_checkpoint(num_classes=900).save(str(tmp_path / "model"), 3)
    status = run_verb("slim", ["--model", f"{tmp_path}/model, 3", "--image-shape", "3,16,16"])
    said = capsys.readouterr().out
    assert status == 0
    assert sorted(os.listdir(tmp_path)) == ["model-0003.params", "model-symbol.json", "models-0000.params",
                                            "models-manifest.json", "models-symbol.json"]
    assert "kept the network up to fc1; dropped fc7_weight (900, 4); layers: " in said
    assert "largest difference 0\n" in said and f"wrote {tmp_path}/models,0: " in said


def test_a_slim_model_is_said_so_and_left_alone(make_face_checkpoint, tmp_path, capsys):
    make_face_checkpoint().save(str(tmp_path / "model"), 0)
    assert run_verb("slim", ["--model", f"{tmp_path}/model,0"]) == 0
    assert capsys.readouterr().out == f"{tmp_path}/model,0 is slim already: fc1 is its output; nothing was written\n"
    assert len(os.listdir(tmp_path)) == 2


def test_a_second_time_needs_force(make_face_checkpoint, tmp_path, capsys):
    make_face_checkpoint(num_classes=9).save(str(tmp_path / "model"), 0)
    command = ["--model", f"{tmp_path}/model,0", "--image-shape", "3,16,16"]
    assert run_verb("slim", command) == 0
    assert run_verb("slim", command) == 2
    assert capsys.readouterr().err == (
        f"mxft slim: output name: expected one that is free, received '{tmp_path}/models' where "
        f"{tmp_path}/models-symbol.json stands; --force replaces it, --output chooses another\n")
    assert run_verb("slim", [*command, "--force"]) == 0


def test_a_network_without_embedding_names_its_last_layers(tmp_path, capsys):
    from mxft.compat import mx
    from mxft.network.checkpoint import Checkpoint

    net = mx.sym.Activation(mx.sym.Variable("data"), act_type="relu", name="relu9")
    Checkpoint(net, {"w": mx.nd.ones(1)}, {}).save(str(tmp_path / "m"), 0)
    assert run_verb("slim", ["--model", f"{tmp_path}/m,0"]) == 2
    assert "embedding is not found: expected " in (message := capsys.readouterr().err) and "relu9" in message
