"""Face training sets: packed into insightface's layout, inspected, unpacked, read for training."""
