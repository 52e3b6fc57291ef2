"""Recipes: how each family of operating systems is recognised and booted. Data, and who reads it.

A recipe is a TOML file in this folder, or one of the operator's own.
"""
