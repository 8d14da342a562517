"""Our reader of MATLAB version 5 agrees with scipy's, and never fails but by its own error."""

from __future__ import annotations

import struct
from typing import Any

import numpy as np
import pytest
import scipy.io
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from stac.keypoint_files import NAMES, cell
from stac_mjx.keypoints.mat5 import Mat5Error, read_variables

TYPES = ["u1", "i1", "u2", "i2", "u4", "i4", "u8", "i8", "f4", "f8"]


@pytest.mark.parametrize("compressed", [False, True])
@pytest.mark.parametrize("dtype", TYPES)
def test_numbers_equal_scipys(tmp_path, dtype, compressed):
    values = np.random.default_rng(0).uniform(0, 100, (5, 3, 4)).astype(dtype)
    scipy.io.savemat(tmp_path / "a.mat", {"other": np.eye(3), "pred": values}, do_compression=compressed)
    found, inventory = read_variables(tmp_path / "a.mat", {"pred"})
    np.testing.assert_array_equal(found["pred"], scipy.io.loadmat(tmp_path / "a.mat")["pred"])
    assert inventory == [("other", (3, 3)), ("pred", (5, 3, 4))]
    assert list(found) == ["pred"]


def test_text_cells_and_structures(tmp_path):
    content = {"rows": np.array(["ab", "c"]), "names": cell(NAMES), "skeleton": {"joint_names": cell(NAMES), "n": 4.0}}
    scipy.io.savemat(tmp_path / "a.mat", content)
    found, _ = read_variables(tmp_path / "a.mat", set(content))
    assert found["rows"] == ("ab", "c ")
    assert found["names"] == tuple((name,) for name in NAMES)
    skeleton: Any = found["skeleton"]
    assert skeleton["joint_names"] == found["names"]
    np.testing.assert_array_equal(skeleton["n"], [[4.0]])


def test_what_is_no_plain_array_is_listed_and_not_read(tmp_path):
    scipy.io.savemat(tmp_path / "a.mat", {"wave": np.array([[1 + 2j]]), "empty": np.zeros((0, 3))})
    found, inventory = read_variables(tmp_path / "a.mat", {"wave", "empty"})
    assert found["wave"] is None
    empty: Any = found["empty"]
    assert empty.shape == (0, 3)
    assert inventory == [("wave", (1, 1)), ("empty", (0, 3))]


def test_big_endian_file(tmp_path):
    def element(kind: int, content: bytes) -> bytes:
        return struct.pack(">II", kind, len(content)) + content + bytes(-len(content) % 8)

    matrix = (
        element(6, struct.pack(">II", 6, 0))
        + element(5, struct.pack(">ii", 2, 3))
        + struct.pack(">HH4s", 4, 1, b"pred")
        + element(9, struct.pack(">6d", 1, 4, 2, 5, 3, 6))
    )
    header = b"MATLAB 5.0 MAT-file".ljust(124) + b"\x01\x00MI"
    (tmp_path / "a.mat").write_bytes(header + element(14, matrix))
    np.testing.assert_array_equal(read_variables(tmp_path / "a.mat", {"pred"})[0]["pred"], [[1, 2, 3], [4, 5, 6]])


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    compressed=st.booleans(),
    cut=st.integers(0, 2000),
    flips=st.lists(st.tuples(st.integers(0, 1999), st.integers(0, 255)), max_size=6),
)
def test_damaged_bytes_end_in_one_kind_of_error(tmp_path, compressed, cut, flips):
    path = tmp_path / f"{compressed}.mat"
    content = {"pred": np.ones((4, 3, 2)), "names": cell(NAMES), "skeleton": {"joint_names": cell(NAMES)}}
    scipy.io.savemat(path, content, do_compression=compressed)
    data = bytearray(path.read_bytes())
    for position, value in flips:
        data[position % len(data)] = value
    path.write_bytes(data[:cut] if cut < len(data) and cut % 2 else data)
    try:
        found, _ = read_variables(path, set(content))
    except Mat5Error:
        return
    assert set(found) <= set(content)
