"""Damaged and hostile inputs by the thousand: what mxft must refuse, or read, and never die of."""
