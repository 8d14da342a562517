"""The bodies that ship with the package: one YAML file each in conf/body."""

from __future__ import annotations

from importlib import resources
from typing import Any

from stac_mjx.config import BodyConfig
from stac_mjx.errors import ConfigError, unknown


def preset_names() -> list[str]:
    """Names of all body presets, in alphabetical order."""
    folder = resources.files("stac_mjx") / "conf" / "body"
    return sorted(entry.name.removesuffix(".yaml") for entry in folder.iterdir() if entry.name.endswith(".yaml"))


def body_preset(name: str, **changes: Any) -> BodyConfig:
    """Return the settings of a preset, some of them changed: ``body_preset("rat", mjcf="rodent.xml")``.

    Raises:
        ConfigError: when there is no such preset, or a change is no setting of a body.
    """
    from omegaconf import OmegaConf
    from omegaconf.errors import OmegaConfBaseException

    if name not in preset_names():
        raise ConfigError(f"body: {unknown('preset', name, preset_names())}")
    text = (resources.files("stac_mjx") / "conf" / "body" / f"{name}.yaml").read_text(encoding="utf-8")
    try:
        merged = OmegaConf.merge(OmegaConf.structured(BodyConfig), OmegaConf.create(text), changes)
        config = OmegaConf.to_object(merged)
    except OmegaConfBaseException as error:
        raise ConfigError(f"body preset {name!r}: {str(error).splitlines()[0]}") from error
    if not isinstance(config, BodyConfig):
        raise ConfigError(f"body preset {name!r}: expected the settings of a body, got {type(config).__name__}")
    return config
