"""What ails this machine: every check by itself, none able to bring the others down, with mxnet or without it."""
