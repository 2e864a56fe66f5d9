"""One door for networks: graph, parameters and manifest of a checkpoint, and what becomes of them in another symbol."""
