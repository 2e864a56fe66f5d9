"""Recipes are run as scripts and use the library; nothing under mxft imports them."""
