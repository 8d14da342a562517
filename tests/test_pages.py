"""What the pages of both studios share: the gate for other machines, and pages that need no server."""

from __future__ import annotations

import http.client
import re
import socket
from pathlib import Path

import mujoco
import numpy as np
import pytest
from stac_mjx._common.render import web
from stac_mjx._common.render.page import listen
from stac_mjx._common.render.settings import PageConfig
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect

SHAPES = """
<mujoco>
  <asset><mesh name="cone" vertex="0 0 0  1 0 0  0 1 0  0 0 1"/></asset>
  <worldbody>
    <body name="a" pos="0 0 1" euler="20 30 40"><freejoint/>
      <geom type="capsule" size="0.1 0.3" pos="0.1 0 0" euler="0 50 0" rgba="1 0 0 1"/>
      <geom type="ellipsoid" size="0.1 0.2 0.3" pos="0 0.2 0"/>
      <body name="b" pos="0.2 0 0"><joint axis="0 1 0"/>
        <geom type="mesh" mesh="cone" pos="0 0 0.3" euler="10 0 0"/>
        <geom type="box" size="0.1 0.2 0.3" group="4"/>
      </body>
    </body>
  </worldbody>
</mujoco>
"""


def test_copies_of_meshes_are_where_mujoco_has_the_geoms() -> None:
    model = mujoco.MjModel.from_xml_string(SHAPES)
    data = mujoco.MjData(model)
    data.qpos[-1] = 0.7
    mujoco.mj_kinematics(model, data)
    server = web.Server()
    try:
        copies = web.body_copies(model)
        view = web.BodyView(server, "/body", copies, 2.0)
        view.pose(2.0 * data.xpos, data.xquat)
        places = np.concatenate([node.batched_positions for node in view.nodes]) / 2.0
        half = 0.3 * data.geom_xmat[0].reshape(3, 3)[:, 2]
        for place in (*data.geom_xpos[:3], data.geom_xpos[0] - half, data.geom_xpos[0] + half):  # ends of the capsule
            assert np.linalg.norm(places - place, axis=1).min() < 1e-6
        assert sum(len(one.body) for one in copies) == 5  # a geom of a hidden group is not drawn
        assert sum(len(one.body) for one in web.body_copies(model, {1})) == 1
    finally:
        server.stop()


def test_other_machines_need_the_token() -> None:
    host = "127.0.0.2"
    server, address = listen(PageConfig(host=host, port=0), "test")
    try:
        match = re.fullmatch(rf"http://{re.escape(host)}:(\d+)/\?token=([\w-]+)", address)
        assert match
        port, token = int(match[1]), match[2]

        def get(path: str, cookie: str = "") -> tuple[int, http.client.HTTPMessage, bytes]:
            connection = http.client.HTTPConnection(host, port, timeout=10)
            connection.request("GET", path, headers={"Cookie": cookie} if cookie else {})
            answer = connection.getresponse()
            content = answer.read()
            connection.close()
            return answer.status, answer.headers, content

        assert get("/")[0] == get("/?token=wrong")[0] == get("/", "mimic_token=wrong")[0] == 403
        status, headers, _ = get(f"/?token={token}")
        assert (status, headers["Location"]) == (303, "/")
        cookie = str(headers["Set-Cookie"]).partition(";")[0]
        assert b"viser" in get("/", cookie)[2].lower()
        with pytest.raises(InvalidStatus):
            connect(f"ws://{host}:{port}")
        connect(f"ws://{host}:{port}", additional_headers={"Cookie": cookie}).close()
        assert server.get_host() == "127.0.0.1"
    finally:
        server.stop()


def test_a_port_in_use_is_left_alone() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        server, address = listen(PageConfig(port=port), "test")
        server.stop()
    assert int(address.rpartition(":")[2]) > port


def test_a_page_holds_its_movement(tmp_path: Path) -> None:
    server = web.Server()
    balls = web.Balls(server, "/ball", 2, 0.1, (1.0, 0.0, 0.0))
    shown = []

    def draw(frame: int) -> None:
        shown.append(frame)
        balls.show(np.array([[0.1 * frame, 0.0, 0.0], [np.nan] * 3]))

    web.write_page(tmp_path / "page.html", server, draw, 200, 200.0)
    server.stop()
    assert shown == list(range(0, 200, 7))  # 200 Hz at up to 30 pictures a second
    np.testing.assert_array_equal(balls.node.batched_scales, [1.0, 0.0])
    text = (tmp_path / "page.html").read_text()
    assert "__VISER_EMBED_DATA__" in text
    assert len(text) < 2e6
