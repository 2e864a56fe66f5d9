"""Formulas once more, slowly: plain NumPy and loops, written from the papers, that the tests compare mxft with."""
