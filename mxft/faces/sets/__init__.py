"""Sets of faces held against each other: the same people, the same images, wrong labels; what is merged and cleaned."""
