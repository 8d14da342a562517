"""Recordings of 3D keypoints: all formats are read into one record."""

from stac_mjx._common.hdf5.info import Source
from stac_mjx.keypoints.keypoints import Keypoints, select
from stac_mjx.keypoints.loading import load_keypoints, read_file

__all__ = ["Keypoints", "Source", "load_keypoints", "read_file", "select"]
