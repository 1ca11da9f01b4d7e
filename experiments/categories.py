"""What a prompt belongs to, where a map of elites has categories for axes instead of measures."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Callable, Mapping
from types import MappingProxyType

NONE = "none"


def tag_of(prompt: str) -> str:
    """Its first tag or note, such as ``[laughs]``; `NONE` without."""
    found = re.search(r"\[[^\[\]]+\]|♪", prompt)
    return found.group() if found else NONE


def script_of_most(prompt: str) -> str:
    """The writing system of most letters: the first word of their Unicode names, such as ``latin`` or ``hangul``."""
    names = Counter(unicodedata.name(char, "?").split()[0].lower() for char in prompt if char.isalpha())
    return names.most_common(1)[0][0] if names else NONE


CATEGORIES: Mapping[str, Callable[[str], str]] = MappingProxyType({"tag": tag_of, "script": script_of_most})
"""By the name that a recipe gives them."""
