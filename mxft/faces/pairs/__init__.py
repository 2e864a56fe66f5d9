"""Verification sets: pairs lists, .bin files, and the restricted reader of their pickles."""
