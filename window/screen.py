"""Whether there is a screen to draw on, found out before Dear PyGui is asked: without one it ends the process."""

from __future__ import annotations

import ctypes
import ctypes.util
import os
import re
import shutil
import subprocess
import sys

_LIMITS = (0.5, 4.0)


def trouble() -> str | None:
    """Why no window can be opened, with what to do; None where one can."""
    if not sys.platform.startswith("linux"):
        return None
    if not os.environ.get("DISPLAY"):
        return (
            "there is no screen: DISPLAY is not set. Start it from a desktop, over ssh with -X, or under "
            "xvfb-run -a -s '-screen 0 1600x1000x24 +extension GLX'; the command bark-lab needs none"
        )
    try:
        x11 = ctypes.CDLL(ctypes.util.find_library("X11") or "libX11.so.6")
    except OSError:
        return "libX11 is missing: apt install libx11-6 (or your system's package of it)"
    x11.XOpenDisplay.restype = ctypes.c_void_p
    x11.XOpenDisplay.argtypes = [ctypes.c_char_p]
    display = x11.XOpenDisplay(None)
    if not display:
        return f"the screen DISPLAY={os.environ['DISPLAY']} does not answer, or refuses this user; see xhost and ssh -X"
    try:
        found = [ctypes.c_int() for _ in range(3)]
        x11.XQueryExtension.argtypes = [ctypes.c_void_p, ctypes.c_char_p, *[ctypes.POINTER(ctypes.c_int)] * 3]
        has_gl = x11.XQueryExtension(display, b"GLX", *map(ctypes.byref, found))
    finally:
        x11.XCloseDisplay.argtypes = [ctypes.c_void_p]
        x11.XCloseDisplay(display)
    if not has_gl:
        return "the screen cannot draw OpenGL: it has no GLX extension; under Xvfb add '+extension GLX'"
    try:
        ctypes.CDLL("libGL.so.1")
    except OSError:
        return "OpenGL is missing: apt install libgl1 libgl1-mesa-dri (or your graphics card's driver)"
    return None


def desktop_scale() -> float:
    """Real pixels per pixel of the design, as the desktop is set; 1 where it does not say."""
    for name in ("GDK_SCALE", "QT_SCALE_FACTOR"):
        scale = _number(os.environ.get(name, ""))
        if scale is not None:
            return _limited(scale)
    windll = getattr(ctypes, "windll", None)  # exists on Windows only
    if windll is not None:
        try:
            windll.user32.SetProcessDPIAware()
            return _limited(windll.user32.GetDpiForSystem() / 96)
        except (AttributeError, OSError):
            return 1.0
    if shutil.which("xrdb"):
        try:
            told = subprocess.run(["xrdb", "-query"], capture_output=True, text=True, timeout=2, check=False).stdout
        except (OSError, subprocess.TimeoutExpired):
            return 1.0
        dpi = re.search(r"^Xft\.dpi:\s*([\d.]+)", told, re.MULTILINE)
        number = _number(dpi[1]) if dpi else None
        return 1.0 if number is None else _limited(number / 96)
    return 1.0


def _number(text: str) -> float | None:
    try:
        number = float(text)
    except ValueError:
        return None
    return number if 0 < number < float("inf") else None


def _limited(scale: float) -> float:
    return min(max(scale, _LIMITS[0]), _LIMITS[1])
