"""One Hydra application a verb: settings from presets and the command line, mistakes as one message and exit code 2."""

from __future__ import annotations

import logging
import os
import re
import sys
from collections.abc import Callable, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

from stac_mjx import config as schemas
from stac_mjx._common.errors import ConfigError, UserError, raise_all, unknown
from stac_mjx._common.settings import settings_of

SCHEMAS: dict[str, type] = {
    "fit": schemas.FitConfig,
    "ik": schemas.FitConfig,
    "check": schemas.CheckConfig,
    "report": schemas.ReportConfig,
    "render": schemas.RenderConfig,
    "convert": schemas.ConvertConfig,
    "bench": schemas.BenchConfig,
}
RESULTS = "stac_results"
"""Folder of the jobs of a multirun where none is given."""
_QUIET = (
    "hydra.run.dir=.",
    "hydra.output_subdir=null",
    "hydra.sweep.subdir=.",
    "hydra/job_logging=none",
    "hydra/hydra_logging=none",
)
_OPTIONS = {
    "--cfg": True,
    "--config-dir": True,
    "--multirun": False,
    "--resolve": False,
    "--info": True,
    "--hydra-help": False,
    "--package": True,
    "--shell-completion": False,
    "-c": True,
    "-cd": True,
    "-m": False,
    "-p": True,
    "-sc": False,
}
"""Hydra's options, and whether a value follows."""
_log = logging.getLogger(__name__)


def run(verb: str, arguments: Sequence[str], command: Callable[[Any], int | None]) -> int:
    """Compose the settings of `verb` from `arguments`, run `command` on them, and return the exit code.

    With ``--multirun`` the command runs once for every combination, each in a folder of its own below ``out``.
    """
    import hydra
    from hydra.core.config_store import ConfigStore
    from hydra.errors import HydraException
    from omegaconf import OmegaConf
    from omegaconf.errors import OmegaConfBaseException

    ConfigStore.instance().store(name=f"{verb}_schema", node=SCHEMAS[verb])
    # Hydra would print its own words and leave with code 1; this makes it hand its errors on
    os.environ["HYDRA_FULL_ERROR"] = "1"
    codes: list[int] = []

    def task(composed: Any) -> None:
        settings = OmegaConf.to_object(composed)
        _own_folder(settings, [argument for argument in arguments if "=" in argument and argument[0] != "-"])
        try:
            codes.append(command(settings) or 0)
        except UserError as error:  # caught here, because Hydra would announce it in words of its own
            codes.append(_complain(verb, str(error)))

    old = sys.argv
    try:
        sys.argv = [f"stac-mjx {verb}", *_in_order(verb, arguments)]
        hydra.main(version_base="1.3", config_path="pkg://stac_mjx.conf", config_name=verb)(task)()
    except UserError as error:
        return _complain(verb, str(error))
    except (HydraException, OmegaConfBaseException) as error:
        return _complain(verb, explain(error))
    except KeyboardInterrupt:
        return _complain(verb, "interrupted; files written so far are whole", 130)
    finally:
        sys.argv = old
    return max(codes, default=0)


def _in_order(verb: str, arguments: Sequence[str]) -> list[str]:
    """Options first, then all settings, because Hydra cannot read settings on both sides of an option.

    Raises:
        ConfigError: when an option does not exist.
    """
    options: list[str] = []
    overrides: list[str] = []
    waiting = False
    for argument in arguments:
        if waiting or argument.startswith("-"):
            name = argument.split("=", 1)[0]
            if not waiting and name not in _OPTIONS:
                raise ConfigError(f"{unknown('option', name, list(_OPTIONS))}; settings are given as name=value")
            waiting = not waiting and _OPTIONS[name] and "=" not in argument
            options.append(argument)
        else:
            overrides.append(_addable(verb, argument))
    groups = _own_groups(options)
    faults = [fault for override in overrides for fault in _key_faults(verb, override, groups)]
    raise_all(ConfigError, "settings", faults)
    sweep = [_sweep_folder(overrides)] * any(option in ("-m", "--multirun") for option in options)
    return [*options, *_QUIET, *sweep, *overrides]


def _sweep_folder(overrides: Sequence[str]) -> str:
    """Where Hydra notes what a multirun was, and its launchers keep their files: the folder above those of the jobs."""
    out = next((o.split("=", 1)[1] for o in overrides if o.lstrip("+").startswith("out=")), RESULTS)
    return f"hydra.sweep.dir={out}"


def _own_groups(options: Sequence[str]) -> list[str]:
    """Groups of settings in the user's folders: ``--config-dir DIR +study=x`` reads ``DIR/study/x.yaml``."""
    given = [after for here, after in pairwise(options) if here in ("--config-dir", "-cd")]
    given += [option.split("=", 1)[1] for option in options if option.startswith("--config-dir=")]
    folders = [Path(folder) for folder in given]
    return [str(path.relative_to(folder)) for folder in folders for path in folder.rglob("*") if path.is_dir()]


def _key_faults(verb: str, override: str, groups: Sequence[str]) -> list[str]:
    """What is wrong with the name of a setting; Hydra would accept any after a plus."""
    if "=" not in override and not override.startswith("~"):
        return [f"{override!r}: settings are given as name=value"]
    name = override.lstrip("+~").split("=", 1)[0]
    settings = list(settings_of(SCHEMAS[verb]))
    known = any(name == s.key or s.key.startswith(f"{name}.") for s in settings)
    inside = any(name.startswith(f"{s.key}.") for s in settings if isinstance(s.default, dict))
    if known or inside or name.split("@")[0] in groups or re.match(r"hydra[./]", name):
        return []
    return [unknown("setting", name, [s.key for s in settings])]


def _addable(verb: str, argument: str) -> str:
    """Let ``keypoints.rename={a:b}`` and ``+body.markers.NAME.body=BODY`` add names, which Hydra alone refuses."""
    marker = re.match(r"\++body\.markers\.([^.=]+)(?:\.([^.=]+))?=(.*)", argument)
    if marker:
        name, field, value = marker.groups()
        return f"++body.markers={{{name}: {f'{{{field}: {value}}}' if field else value}}}"
    maps = [setting.key for setting in settings_of(SCHEMAS[verb]) if setting.maps_names]
    key = argument.split("=", 1)[0]
    return f"++{argument}" if any(key == name or key.startswith(f"{name}.") for name in maps) else argument


def _complain(verb: str, message: str, code: int = 2) -> int:
    _log.debug("failed", exc_info=True)
    sys.stderr.write(f"stac-mjx {verb}: {message}\n")
    return code


def _own_folder(settings: Any, overrides: list[str]) -> None:
    """Give each job of a multirun a folder named after what distinguishes it."""
    from hydra.core.hydra_config import HydraConfig
    from hydra.core.override_parser.overrides_parser import OverridesParser
    from hydra.types import RunMode

    current = HydraConfig.get()
    if current.mode == RunMode.MULTIRUN and hasattr(settings, "out"):
        swept = {o.key_or_group for o in OverridesParser.create().parse_overrides(overrides) if o.is_sweep_override()}
        swept |= {str(key).lstrip("+") for key in current.sweeper.get("params") or {}}  # named in a study's file
        given = [item.lstrip("+") for item in current.overrides.task]
        differing = [item for item in given if item.split("=", 1)[0] in swept]
        name = re.sub(r"[^\w.,=+-]+", "_", ",".join(differing))[:120] or "job"
        settings.out = str(Path(settings.out or RESULTS) / f"{current.job.num:03d}_{name}")


def explain(error: Exception) -> str:
    """Say in one sentence what Hydra found wrong with the settings."""
    text = str(error)
    group = re.search(r"Could not find '(\w+)/([^']+)'", text)
    if group:
        there = re.search(rf"Available options in '{group[1]}':\n((?:\t.*\n?)*)", text)
        names = there[1].split() if there else []
        return f"{group[1]}: {unknown('preset', group[2], names)}"
    override = getattr(error, "override", None)
    if override and not re.fullmatch(r"[\w.@/+~:-]*", override.split("=", 1)[0], re.ASCII):
        return (
            f"{override}: names with spaces, or letters other than a to z, cannot stand in a setting on the command "
            "line; write them in a YAML file (DIR/body/NAME.yaml) and add --config-dir DIR"
        )
    if override:
        return (
            f"{override}: cannot be read ({_first_sentence(text)}); put values with brackets, commas, spaces or equals "
            "signs into two pairs of quotes: \"name='value'\""
        )
    # what Hydra wraps is more telling than the wrapping
    cause = error.__cause__
    reason = f": {_first_sentence(str(cause))}" if cause is not None and "Error merging override" in text else ""
    return _first_sentence(text).replace("Error merging override ", "") + reason


def _first_sentence(text: str) -> str:
    return re.split(r"\s+(?:full_key:|See https|reference_type|object_type)", " ".join(text.split()))[0].strip()


def require(value: Any, key: str, example: str) -> Any:
    """Return a setting that must be given.

    Raises:
        ConfigError: when it is empty.
    """
    if value in (None, "", []):
        raise ConfigError(f"{key} is not set; for example {key}={example}")
    return value
