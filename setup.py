"""The one part that is compiled; everything else about the package is in pyproject.toml.

Without a C compiler or Python's headers the package is built all the same, without it.
"""

import runpy

from setuptools import Extension, setup


def make_mmsg() -> list[Extension]:
    """Make the extension of services/tftp/mmsg_build.py, or none."""
    try:
        builder = runpy.run_path("services/tftp/mmsg_build.py")["ffi"]
    except ImportError as error:
        print(f"built without services.tftp._mmsg: {error}")
        return []
    extension = builder.distutils_extension(tmpdir="build/cffi")
    extension.optional = True
    return [extension]


setup(ext_modules=make_mmsg())
