"""The feature files that MegaFace's development kit reads, written by a face network; and without the noises."""
