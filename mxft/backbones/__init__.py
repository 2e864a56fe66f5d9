"""Networks mxft can build or convert: each module turns a description into a Checkpoint."""
