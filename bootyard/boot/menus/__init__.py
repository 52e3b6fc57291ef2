"""Menus and scripts in the languages of boot loaders. Pure text from a plan."""
