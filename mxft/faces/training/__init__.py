"""Training face networks with margin heads: insightface's train_softmax.py."""
