"""insightface's PyTorch backbones written anew from their facts, with random weights and BatchNorm statistics.

The facts (``recognition/arcface_torch/backbones``): names of the state dict, kernels, strides, groups, epsilon 1e-5.
Importing this needs torch.
"""
import torch
from torch import nn

UNITS = {"r18": (2, 2, 2, 2), "r34": (3, 4, 6, 3), "r50": (3, 4, 14, 3), "r100": (3, 13, 30, 3),
         "r200": (6, 26, 60, 6)}


class Unit(nn.Module):
    """BatchNorm, 3x3, BatchNorm, PReLU, 3x3 that strides, BatchNorm; a 1x1 shortcut where the size changes."""

    def __init__(self, channels, width, stride):
        super().__init__()
        self.bn1, self.bn2, self.bn3 = nn.BatchNorm2d(channels), nn.BatchNorm2d(width), nn.BatchNorm2d(width)
        self.conv1 = nn.Conv2d(channels, width, 3, 1, 1, bias=False)
        self.conv2 = nn.Conv2d(width, width, 3, stride, 1, bias=False)
        self.prelu = nn.PReLU(width)
        self.downsample = nn.Sequential(nn.Conv2d(channels, width, 1, stride, bias=False),
                                        nn.BatchNorm2d(width)) if stride != 1 else None

    def forward(self, x):
        body = self.bn3(self.conv2(self.prelu(self.bn2(self.conv1(self.bn1(x))))))
        return body + (x if self.downsample is None else self.downsample(x))


class IResNet(nn.Module):
    def __init__(self, units, emb_size=512):
        super().__init__()
        self.conv1, self.bn1, self.prelu = nn.Conv2d(3, 64, 3, 1, 1, bias=False), nn.BatchNorm2d(64), nn.PReLU(64)
        channels = 64
        for stage, (count, width) in enumerate(zip(units, (64, 128, 256, 512)), 1):
            blocks = [Unit(channels if n == 0 else width, width, 2 if n == 0 else 1) for n in range(count)]
            setattr(self, f"layer{stage}", nn.Sequential(*blocks))
            channels = width
        self.bn2, self.fc, self.features = nn.BatchNorm2d(512), nn.Linear(512 * 49, emb_size), nn.BatchNorm1d(emb_size)

    def forward(self, x):
        x = self.prelu(self.bn1(self.conv1(x)))
        x = self.bn2(self.layer4(self.layer3(self.layer2(self.layer1(x)))))
        return self.features(self.fc(torch.flatten(x, 1)))


class Layers(nn.Module):
    """Layers in turn under the name ``layers``, and what went in added where `residual`."""

    def __init__(self, *layers, residual=False):
        super().__init__()
        self.layers, self.residual = nn.Sequential(*layers), residual

    def forward(self, x):
        return self.layers(x) + x if self.residual else self.layers(x)


class Flat(nn.Module):
    def forward(self, x):
        return x.view(x.size(0), -1)


def conv(channels, width, kernel=1, stride=1, pad=0, groups=1, act=True):
    body = [nn.Conv2d(channels, width, kernel, stride, pad, groups=groups, bias=False), nn.BatchNorm2d(width)]
    return Layers(*body, *([nn.PReLU(width)] if act else []))


def bottleneck(channels, width, stride, expanded, residual=False):
    return Layers(conv(channels, expanded), conv(expanded, expanded, 3, stride, 1, expanded),
                  conv(expanded, width, act=False), residual=residual)


def residuals(width, count, expanded):
    return Layers(*(bottleneck(width, width, 1, expanded, True) for _ in range(count)))


class MobileFaceNet(nn.Module):
    def __init__(self, emb_size=512, blocks=(1, 4, 6, 2), multiplier=2):
        super().__init__()
        narrow, wide = 64 * multiplier, 128 * multiplier
        first = conv(narrow, narrow, 3, 1, 1, 64) if blocks[0] == 1 else residuals(narrow, blocks[0], 128)
        self.layers = nn.ModuleList([
            conv(3, narrow, 3, 2, 1), first, bottleneck(narrow, narrow, 2, 128), residuals(narrow, blocks[1], 128),
            bottleneck(narrow, wide, 2, 256), residuals(wide, blocks[2], 256), bottleneck(wide, wide, 2, 512),
            residuals(wide, blocks[3], 256)])
        self.conv_sep = conv(wide, 512)
        self.features = Layers(conv(512, 512, 7, groups=512, act=False), Flat(), nn.Linear(512, emb_size, bias=False),
                               nn.BatchNorm1d(emb_size))

    def forward(self, x):
        for layer in self.layers:
            x = layer(x)
        return self.features(self.conv_sep(x))


def network(arch, emb_size=512, seed=0):
    """Return a network in evaluation mode whose every number is random, BatchNorm's statistics too.

    The statistics are those of noise, each made wrong by up to half: random ones alone let no image through to the end.
    """
    torch.manual_seed(seed)
    net = (MobileFaceNet(emb_size) if arch == "mbf" else
           MobileFaceNet(emb_size, (2, 8, 12, 4), 4) if arch == "mbf_large" else IResNet(UNITS[arch], emb_size))
    norms = [module for module in net.modules() if isinstance(module, (nn.BatchNorm1d, nn.BatchNorm2d))]
    for norm in norms:
        nn.init.uniform_(norm.weight, 0.5, 1.5)
        nn.init.normal_(norm.bias, 0, 0.2)
        norm.momentum = 1.0
    for module in net.modules():
        if isinstance(module, nn.PReLU):
            nn.init.uniform_(module.weight, -0.2, 0.5)
    if isinstance(net, IResNet):
        nn.init.ones_(net.features.weight)  # which insightface keeps at 1
    with torch.no_grad():
        net.train()(torch.rand(4, 3, 112, 112) * 2 - 1)
        for norm in norms:
            norm.running_mean += torch.randn_like(norm.running_mean) * 0.2 * norm.running_var.sqrt()
            norm.running_var *= torch.empty_like(norm.running_var).uniform_(0.5, 1.5)
    return net.eval()


def embed(net, pixels):
    """Return the float32 embeddings ``(N, D)`` of raw pixels ``(N, 3, 112, 112)``, as arcface_torch feeds them."""
    with torch.no_grad():
        return net(torch.from_numpy(pixels).float().div(255).sub(0.5).div(0.5)).numpy()


def export(net, path, exporter, free):
    """Write a network as ONNX by PyTorch's ``legacy`` or ``dynamo`` exporter, its batch open or of one image."""
    images = torch.zeros(2 if free else 1, 3, 112, 112)
    if exporter == "legacy":
        axes = {"dynamic_axes": {"data": {0: "N"}}} if free else {}
        torch.onnx.export(net, images, path, dynamo=False, input_names=["data"], opset_version=11, **axes)
        return
    shapes = {"dynamic_shapes": ({0: torch.export.Dim("N")},)} if free else {}
    torch.onnx.export(net, images, path, dynamo=True, input_names=["data"], external_data=False, verbose=False,
                      **shapes)
