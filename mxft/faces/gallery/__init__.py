"""Faces of pictures to embeddings, two faces compared, and a gallery of people in which a face is looked up."""
