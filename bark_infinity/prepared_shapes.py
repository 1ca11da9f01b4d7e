"""How many shapes torch keeps what it prepared for: few enough that hours of rendering do not fill the memory.

On CPU, torch's products and convolutions are oneDNN's, which prepares for every shape of its inputs and keeps that for
the last 1,024 shapes. Every clip has another length, so nearly all of it is never used again. oneDNN reads its limit
from the environment when it is first used. So each of our programs calls `keep_few` before it renders, and what they
start inherits it; importing the library sets nothing, for the process is its user's. Light module: nothing but the
standard library.
"""

from __future__ import annotations

import os
from collections.abc import MutableMapping

VARIABLE = "ONEDNN_PRIMITIVE_CACHE_CAPACITY"
OLD_VARIABLE = "DNNL_PRIMITIVE_CACHE_CAPACITY"  # from before oneDNN was renamed; read where the new one is unset
SHAPES = 64


def keep_few(environ: MutableMapping[str, str] | None = None) -> None:
    """Limits it to `SHAPES`, unless the user has said otherwise.

    Args:
        environ: None sets it for this process and those that it starts.
    """
    variables = os.environ if environ is None else environ
    if OLD_VARIABLE not in variables:
        variables.setdefault(VARIABLE, str(SHAPES))
