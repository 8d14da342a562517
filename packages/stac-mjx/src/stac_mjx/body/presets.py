"""The bodies that ship with the package, one YAML file each in conf/body. Needs no MuJoCo, for ``--help``."""

from __future__ import annotations

from importlib import resources
from typing import Any

from stac_mjx._common import cli
from stac_mjx._common.errors import ConfigError, unknown
from stac_mjx._common.settings import configure
from stac_mjx.config import BodyConfig


def preset_names() -> list[str]:
    """Return the names of all body presets in alphabetical order."""
    return cli.preset_names("body")


def body_preset(name: str, **changes: Any) -> BodyConfig:
    """Return the settings of a preset with changes: ``body_preset("rat", mjcf="rodent.xml")``."""
    from omegaconf import OmegaConf

    if name not in preset_names():
        raise ConfigError(f"body: {unknown('preset', name, preset_names())}")
    text = (resources.files("stac_mjx") / "conf" / "body" / f"{name}.yaml").read_text(encoding="utf-8")
    loaded = OmegaConf.to_object(OmegaConf.create(text))
    assert isinstance(loaded, dict), f"conf/body/{name}.yaml: expected settings by name"
    preset = {str(key): value for key, value in loaded.items()}
    where = f"body preset {name!r}"
    return configure(configure(BodyConfig(), preset, where), changes, where)
