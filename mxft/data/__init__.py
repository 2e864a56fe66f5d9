"""Records, lists, packing, splits and iterators: from photographs to batches."""
