"""What is wrong with this machine: separate checks, none of which can stop the others, with mxnet or without it."""
