"""The face page of ``mxft serve``: two pictures compared, or the faces of one named by a gallery."""
