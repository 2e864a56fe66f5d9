"""Networks: graph, parameters and manifest of a checkpoint, and how they are matched to another symbol."""
