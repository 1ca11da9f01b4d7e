"""The panels of the window, one file each; all follow `window.panel.Panel`."""
