"""A run in the browser: one self-contained page, or one that follows a run as it goes on."""

from wgf.view.document import page
from wgf.view.server import Server

__all__ = ["Server", "page"]
