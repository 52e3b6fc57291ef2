"""Discs (ISO files) read where they lie: which files are in one, and where in it their bytes are.

`index` has the shapes. Nothing here extracts anything.
"""
