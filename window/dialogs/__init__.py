"""The window's dialogs, one file each; `Dialogs` opens them."""

from window.dialogs.dialogs import Dialogs

__all__ = ["Dialogs"]
