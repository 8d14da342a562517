"""List outdated words in comments, strings and pages: ``python scripts/check_words.py`` (CI step `words`)."""

from __future__ import annotations

import re
import subprocess
import sys
import tokenize
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
WORDS = re.compile(
    r"\b(mend(s|ed|ing)?|beside|anew|strangers?|owed|(?<!there )is no(?! longer| different)|turned round|"
    r"stands(?! for)|lies(?! within| outside| along| on an? )|(told|tells?)(?! apart)|for ever|go(es)? on)\b"
)
ALLOWED = re.compile(r"scripts/check_words\.py")  # places, as file:line, where a word is right
PAGES = {".md", ".yaml", ".yml", ".toml", ".json", ".html", ".cff"}
PROSE = {"COMMENT", "STRING", "FSTRING_MIDDLE"}


def texts(path: Path) -> Iterator[tuple[int, str]]:
    """Yield numbered lines: comments and strings of a Python file, all lines of others."""
    if path.suffix == ".py":
        with path.open("rb") as file:
            for token in tokenize.tokenize(file.readline):
                if tokenize.tok_name[token.type] in PROSE:
                    yield from enumerate(token.string.splitlines(), token.start[0])
    elif path.suffix in PAGES:
        yield from enumerate(path.read_text(encoding="utf-8").splitlines(), 1)


names = subprocess.check_output(["git", "ls-files"], cwd=ROOT, text=True).splitlines()
lines = [(f"{name}:{i}", text) for name in names if (ROOT / name).is_file() for i, text in texts(ROOT / name)]
hits = [f"{place}: {hit[0]}" for place, text in lines if not ALLOWED.match(place) for hit in WORDS.finditer(text)]
print("\n".join(hits) or "none of the words found")
sys.exit(bool(hits))
