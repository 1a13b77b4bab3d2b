"""motet"""
from motet._core import *  # noqa
