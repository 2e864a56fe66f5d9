"""Images trained a second: MobileNetV2 through MXNet's Module as it is and as mxft binds it, and through PyTorch.

mxft has a row of each engine, MXNet and PyTorch, both in float32.

    python tests/bench/bench_training.py [--model PREFIX,EPOCH] [--batch-size 32] [--batches 2] [--runs 5]

Without a model it takes the ImageNet MobileNetV2 of ../shared or $MXFT_TESTDATA; where there is neither it says so and
ends. PyTorch trains the same network from random weights, eager, in both of its memory layouts; where it is not
installed its rows are left out. All take the same steps in turn: one batch of random pixels, SGD with momentum.
"""
import argparse
import os

from turns import rates, shared, show, take_turns

CLASSES, SIZE = 1000, 224
OURS = "mxft"
LAYERS = ((1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1), (6, 160, 3, 2), (6, 320, 1, 1))


def random_batch(batch_size):
    """Return pixels (N, 3, 224, 224) and labels (N,), the same at every call."""
    import numpy as np

    rng = np.random.RandomState(0)
    pixels = rng.uniform(0, 255, (batch_size, 3, SIZE, SIZE)).astype(np.float32)
    return pixels, rng.randint(0, CLASSES, batch_size)


def mxnet_trainer(symbol, checkpoint, batch_size, batches, device=None):
    """Bind `symbol`, or give it to a device of PyTorch's; return a function that trains that many batches.

    The function returns the last loss.
    """
    import numpy as np

    from mxft.compat import mx
    from mxft.distributed.workers import Workers
    from mxft.training.torch_module import TorchTrainingModule

    pixels, labels = random_batch(batch_size)
    module = TorchTrainingModule(symbol, 1, batches, Workers("local"), device) if device else mx.mod.Module(symbol)
    module.bind([("data", pixels.shape)], [("softmax_label", labels.shape)])
    module.init_params(mx.init.Zero(), checkpoint.arg_params, checkpoint.aux_params)
    module.init_optimizer(kvstore=None, optimizer_params={"learning_rate": .001, "momentum": .9, "wd": 1e-4})
    batch = mx.io.DataBatch([mx.nd.array(pixels)], [mx.nd.array(labels)])

    def train():
        for _ in range(batches):
            module.forward_backward(batch)
            module.update()
        mx.nd.waitall()
        return float(-np.log(module.get_outputs()[0].asnumpy()[np.arange(batch_size), labels] + 1e-30).mean())
    return train


def torch_mobilenet_v2(nn):
    """Return MobileNetV2 1.0 (arXiv:1801.04381, table 2) in PyTorch's own modules."""
    def block(channels_in, channels_out, kernel=1, stride=1, groups=1, relu=True):
        conv = nn.Conv2d(channels_in, channels_out, kernel, stride, kernel // 2, groups=groups, bias=False)
        return [conv, nn.BatchNorm2d(channels_out, eps=1e-3)] + [nn.ReLU6(inplace=True)] * relu

    class Bottleneck(nn.Module):
        def __init__(self, channels_in, channels_out, stride, expansion):
            super().__init__()
            wide = channels_in * expansion
            self.residual = stride == 1 and channels_in == channels_out
            self.body = nn.Sequential(*(block(channels_in, wide) if expansion > 1 else []),
                                      *block(wide, wide, 3, stride, wide), *block(wide, channels_out, relu=False))

        def forward(self, x):
            return x + self.body(x) if self.residual else self.body(x)

    layers, channels = block(3, 32, 3, 2), 32
    for expansion, given, repeats, stride in LAYERS:
        for number in range(repeats):
            layers.append(Bottleneck(channels, given, stride if number == 0 else 1, expansion))
            channels = given
    return nn.Sequential(*layers, *block(channels, 1280), nn.AdaptiveAvgPool2d(1), nn.Flatten(),
                         nn.Linear(1280, CLASSES))


def torch_trainer(torch, memory_format, batch_size, batches):
    """Return a function that trains that many batches in PyTorch, eager, and returns the last loss."""
    torch.manual_seed(0)
    net = torch_mobilenet_v2(torch.nn).to(memory_format=memory_format).train()
    optimizer = torch.optim.SGD(net.parameters(), lr=.001, momentum=.9, weight_decay=1e-4)
    pixels, labels = (torch.from_numpy(array) for array in random_batch(batch_size))
    pixels = ((pixels - 127.5) / 127.5).contiguous(memory_format=memory_format)

    def train():
        for _ in range(batches):
            optimizer.zero_grad()
            loss = torch.nn.functional.cross_entropy(net(pixels), labels.long())
            loss.backward()
            optimizer.step()
        return loss.item()
    return train


def contenders(model, batch_size, batches):
    """Return {name: function that trains, bound and ready}; PyTorch's where it is installed."""
    from mxft.machine.threads import physical_cores
    from mxft.network.checkpoint import load_checkpoint
    from mxft.rewrite import rewrite_for_training
    from mxft.torch.device import TorchDevice

    checkpoint = load_checkpoint(model)
    rewritten, applied = rewrite_for_training(checkpoint.symbol)
    print(f"passes: {', '.join(applied) or 'none'}", flush=True)
    found = {"MXNet, as it is": mxnet_trainer(checkpoint.symbol, checkpoint, batch_size, batches),
             OURS: mxnet_trainer(rewritten, checkpoint, batch_size, batches)}
    try:
        import torch
    except ImportError:
        print("PyTorch is not installed: its rows are left out (pip install torch)")
        return found
    torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS") or physical_cores() or torch.get_num_threads()))
    found["mxft, PyTorch's engine"] = mxnet_trainer(checkpoint.symbol, checkpoint, batch_size, batches, TorchDevice())
    for name, layout in {"eager": torch.contiguous_format, "channels_last": torch.channels_last}.items():
        found[f"PyTorch {torch.__version__}, {name}"] = torch_trainer(torch, layout, batch_size, batches)
    return found


def main():
    """Print the table."""
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--model", metavar="PREFIX,EPOCH", help="another network for images of 224 and 1000 classes")
    p.add_argument("--batch-size", type=int, default=32)
    p.add_argument("--batches", type=int, default=2, help="of one run")
    p.add_argument("--runs", type=int, default=5)
    args = p.parse_args()
    model = args.model or shared("models", "mobilenet-v2-1.0,0")
    seconds, _ = take_turns(contenders(model, args.batch_size, args.batches), args.runs)
    show(f"training {os.path.basename(model)}, batch {args.batch_size}", "images/s",
         rates(args.batch_size * args.batches, seconds), OURS)


if __name__ == "__main__":
    main()
