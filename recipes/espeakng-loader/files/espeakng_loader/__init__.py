"""Where espeak-ng's library and data are: those of the environment that this interpreter belongs to."""
import ctypes
import os
import sys


def get_library_path():
    return os.path.join(sys.base_prefix, "lib", "libespeak-ng.so.1")


def get_data_path():
    path = os.path.join(sys.base_prefix, "share", "espeak-ng-data")
    if not os.path.isdir(path):
        raise RuntimeError(f"espeak-ng's data isn't at {path}")
    return path


def load_library():
    return ctypes.CDLL(get_library_path())


def make_library_available():
    """For what looks for the library by its name alone: once loaded, that finds it."""
    ctypes.CDLL(get_library_path(), mode=ctypes.RTLD_GLOBAL)
