"""Published accuracy of the Gluon stores' weights, told apart by the beginning of their sha1 as GluonCV's page does it.

Source: GluonCV's classification page, docs/model_zoo/csv_tables/Classifications (commits 3ac48bf, 4a2e2ae): centre crop
of ImageNet-1k's validation images; for the last four, MXNet's documentation of gluon.model_zoo, 1.4. Weights neither
names have no number here: MobileNetV3 Small (the page has 33c100a7, the store 10430433), ResNet v1s, DLA-34, HRNet, and
the rest of what MXNet's own store has otherwise than GluonCV's.
"""

# sha1[:8]: (top-1, top-5)
IMAGENET = {
    "44335d1f": (.5492, .7803),  # AlexNet
    "2189ea49": (.7856, .9443),  # Darknet-53
    "f27dbf2d": (.7497, .9225),  # DenseNet 121, 161, 169, 201
    "b6c8a957": (.7770, .9380),
    "2603f878": (.7617, .9317),
    "1cdbc116": (.7732, .9362),
    "c7c89366": (.7287, .9117),  # GoogLeNet
    "a5050dbc": (.7877, .9439),  # Inception V3
    "f0046a3d": (.5291, .7694),  # MobileNet 0.25, 0.5, 0.75, 1.0
    "0130d2aa": (.6520, .8634),
    "84c801e2": (.7025, .8949),
    "efbb2ca3": (.7328, .9130),
    "9b1d2cc3": (.5176, .7489),  # MobileNetV2 0.25, 0.5, 0.75, 1.0
    "08038185": (.6443, .8531),
    "b56e3d1c": (.6936, .8850),
    "f9952bcd": (.7204, .9057),
    "eaa44578": (.7532, .9230),  # MobileNetV3 Large
    "54f7742b": (.6720, .8745),  # pruned: ResNet-18 v1b 2.6x
    "a230c33f": (.7802, .9382),  # ResNet-50 v1d 1.8x, 3.6x, 5.9x, 8.8x
    "0d3e69bb": (.7466, .9234),
    "9982ae49": (.7071, .8974),
    "6a25eece": (.6322, .8479),
    "a872796b": (.7946, .9469),  # ResNet-101 v1d 1.9x, 2.2x
    "712fccb1": (.7889, .9448),
    "7e0b0cae": (.7575, .9270),  # ResNeSt 14, 26, 50, 101, 200, 269
    "36459074": (.7868, .9438),
    "bcfefe1d": (.8104, .9542),
    "5da943b3": (.8283, .9642),
    "0c5d117d": (.8386, .9686),
    "11ae7f5d": (.8453, .9698),
    "a0666292": (.7093, .8992),  # ResNet v1 18, 34, 50, 101, 152
    "48216ba9": (.7437, .9187),
    "cc729d95": (.7736, .9357),
    "d988c13d": (.7834, .9401),
    "acfd0970": (.7922, .9464),
    "2d9d980c": (.7094, .8983),  # ResNet v1b 18, 34, 50, 50 with GroupNorm, 101, 152
    "8e16b848": (.7465, .9208),
    "0ecdba34": (.7767, .9382),
    "48ddf358": (.7736, .9359),  # the page repeats 0ecdba34 here
    "a455932a": (.7920, .9461),
    "a5a61ee1": (.7969, .9474),
    "2a4e0708": (.7803, .9409),  # ResNet v1c 50, 101, 152
    "064858f2": (.7960, .9475),
    "75babab6": (.8001, .9496),
    "117a384e": (.7915, .9458),  # ResNet v1d 50, 101, 152
    "1b2b825f": (.8051, .9512),
    "cddbc86f": (.8061, .9534),
    "a81db45f": (.7100, .8992),  # ResNet v2 18, 34, 50, 101, 152
    "9d6b80bb": (.7440, .9208),
    "ecdde353": (.7711, .9343),
    "18e93e4f": (.7853, .9417),
    "f2695542": (.7921, .9431),
    "4ecf62e2": (.7932, .9453),  # ResNeXt 50 32x4d, 101 32x4d, 101 64x4d
    "8654ca5d": (.8037, .9506),
    "2f0d1c9d": (.8069, .9517),
    "7906e0e1": (.7995, .9493),  # SE-ResNeXt, the same three
    "688e2389": (.8091, .9539),
    "11c50114": (.8101, .9532),
    "b5538ef1": (.8126, .9551),  # SENet-154
    "264ba497": (.5611, .7909),  # SqueezeNet 1.0, 1.1
    "33ba0f93": (.5496, .7817),
    "dd221b16": (.6662, .8734),  # VGG 11, 13, 16, 19
    "6bc5de58": (.6774, .8811),
    "e660d456": (.7323, .9131),
    "ad2f660d": (.7411, .9135),
    "ee79a809": (.6859, .8872),  # VGG with BatchNorm 11, 13, 16, 19
    "7d97a06c": (.6884, .8882),
    "7f01cf05": (.7310, .9176),
    "f360b758": (.7433, .9185),
    "37c1c90b": (.7956, .9477),  # Xception
    "ed47ec45": (.7755, .9364),  # MXNet's own Inception V3
    "9f83e440": (.5185, .7608),  # MXNet's own MobileNet 0.25, 0.5, 0.75
    "8e9d539c": (.6307, .8475),
    "529b2c7f": (.6738, .8782),
}

# Of CIFAR-10 the page has two numbers, trained without and with mix-up, and does not say which weights the store has.
CIFAR10 = {
    "cifar_resnet20_v1": (.921, .929), "cifar_resnet56_v1": (.936, .942), "cifar_resnet110_v1": (.930, .952),
    "cifar_resnet20_v2": (.921, .927), "cifar_resnet56_v2": (.937, .946), "cifar_resnet110_v2": (.943, .955),
    "cifar_wideresnet16_10": (.951, .967), "cifar_wideresnet28_10": (.956, .972),
    "cifar_wideresnet40_8": (.959, .973), "cifar_resnext29_16x64d": (.963, .973),
}
