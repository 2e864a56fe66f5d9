"""The calls that carry a whole job, above training and report."""
