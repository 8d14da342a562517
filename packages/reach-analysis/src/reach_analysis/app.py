"""One Hydra application a verb: settings from defaults and command line; mistakes as one message, exit code 2."""

from __future__ import annotations

import logging
import os
import re
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from reach_analysis import config as schemas
from reach_analysis.errors import ConfigError, ReachError, unknown
from reach_analysis.settings import settings_of

SCHEMAS: dict[str, type] = {
    "emg": schemas.EmgConfig,
    "pca": schemas.PcaConfig,
    "forecast": schemas.ForecastConfig,
    "similarity": schemas.SimilarityConfig,
    "synergies": schemas.SynergiesConfig,
    "spectra": schemas.SpectraConfig,
    "errors": schemas.ErrorsConfig,
    "survival": schemas.SurvivalConfig,
    "gait": schemas.GaitConfig,
    "sweep": schemas.SweepConfig,
    "check": schemas.CheckConfig,
    "bench": schemas.BenchConfig,
}
_QUIET = (
    "hydra.run.dir=.",
    "hydra.output_subdir=null",
    "hydra.sweep.dir=.",
    "hydra.sweep.subdir=.",
    "hydra/job_logging=none",
    "hydra/hydra_logging=none",
)
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
        _own_folder(settings)
        try:
            codes.append(command(settings) or 0)
        except ReachError as error:  # caught here, because Hydra would announce it in words of its own
            codes.append(_complain(verb, str(error)))

    old = sys.argv
    sys.argv = [f"reach-analysis {verb}", *_QUIET, *arguments]
    try:
        hydra.main(version_base="1.3", config_path="pkg://reach_analysis.conf", config_name=verb)(task)()
    except (HydraException, OmegaConfBaseException) as error:
        return _complain(verb, explain(verb, arguments, error))
    except KeyboardInterrupt:
        return _complain(verb, "interrupted; files written so far are whole", 130)
    finally:
        sys.argv = old
    return max(codes, default=0)


def _complain(verb: str, message: str, code: int = 2) -> int:
    _log.debug("failed", exc_info=True)
    sys.stderr.write(f"reach-analysis {verb}: {message}\n")
    return code


def _own_folder(settings: Any) -> None:
    """Give each job of a multirun a folder named after what distinguishes it."""
    from hydra.core.hydra_config import HydraConfig
    from hydra.types import RunMode

    current = HydraConfig.get()
    if current.mode == RunMode.MULTIRUN and getattr(settings, "out", None):
        differing = [item for item in current.overrides.task if not item.startswith("out=")]
        name = re.sub(r"[^\w.,=+-]+", "_", ",".join(differing))[:120] or "job"
        settings.out = str(Path(settings.out) / f"{current.job.num:03d}_{name}")


def explain(verb: str, arguments: Sequence[str], error: Exception) -> str:
    """Say what is wrong with the settings, with the nearest valid names."""
    keys = [setting.key for setting in settings_of(SCHEMAS[verb])]
    text = " ".join(str(error).split())
    for argument in arguments:
        key = argument.lstrip("+~").split("=", 1)[0]
        if argument.startswith("-") or "=" not in argument or not _is_blamed(key, str(error)):
            continue
        if key not in keys and not key.startswith("hydra"):
            return unknown("setting", key, keys)
        return f"{argument}: {_first_sentence(text)}"
    return _first_sentence(text)


def _is_blamed(key: str, message: str) -> bool:
    return bool(re.search(rf"(?<![\w.]){re.escape(key)}(?![\w])", message)) or key.rsplit(".", 1)[-1] in message


def _first_sentence(text: str) -> str:
    return re.split(r"\s+(?:full_key:|See https|reference_type)", text)[0].strip()


def require(value: Any, key: str, example: str) -> Any:
    """Return a setting that must be given.

    Raises:
        ConfigError: when it is empty.
    """
    if value in (None, "", []):
        raise ConfigError(f"{key} is not set; for example {key}={example}")
    return value
