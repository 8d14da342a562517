"""Recordings of 3D keypoints: one module a format, all read into one record."""

from stac_mjx._common.hdf5.info import Source
from stac_mjx.keypoints.keypoints import Keypoints
from stac_mjx.keypoints.loading import load_keypoints, read_file
from stac_mjx.keypoints.selection import select

__all__ = ["Keypoints", "Source", "load_keypoints", "read_file", "select"]
