"""Settings that came with somebody's file: YAML read as plain values.

Nothing in it is run or looked up: no tags that build objects, no ``_target_``, no ``${...}``. Aliases are refused,
because a few lines of them unfold into more values than fit in memory.
"""

from __future__ import annotations

from typing import Any

MAX_CHARACTERS = 1 << 22
"""Longest text that is read."""


def plain_yaml(text: str) -> Any:
    """Read lists, maps, numbers and texts.

    Raises:
        ValueError: saying on one line why the text cannot be read.
    """
    import yaml
    from omegaconf import OmegaConf
    from omegaconf.errors import OmegaConfBaseException

    if len(text) > MAX_CHARACTERS:
        raise ValueError(f"has {len(text)} characters; at most {MAX_CHARACTERS} are read")
    try:
        last = None
        for event in yaml.parse(text, Loader=yaml.SafeLoader):
            if isinstance(event, yaml.AliasEvent):
                raise ValueError("uses aliases (*name), which settings have no use for")
            if isinstance(event, yaml.ScalarEvent) and isinstance(last, yaml.DocumentStartEvent):
                raise ValueError(f"holds the single value {event.value[:40]!r}, neither a map nor a list")
            last = event
        return OmegaConf.to_container(OmegaConf.create(text), resolve=False)
    except (yaml.YAMLError, OmegaConfBaseException, RecursionError, ValueError, TypeError, KeyError) as error:
        raise ValueError(" ".join(str(error).split())[:400] or type(error).__name__) from error
