"""The frozen backbone: where it ends, its outputs computed at inference speed and kept, and heads trained on them."""
