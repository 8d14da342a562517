# MuJoCo's package ships no types for its compiled parts: every name of it is Any for the type checker.
from typing import Any

def __getattr__(name: str) -> Any: ...
