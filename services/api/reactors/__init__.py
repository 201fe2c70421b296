"""Reactors: what time, silence or the log itself makes due becomes a command.

Each is a pure bookkeeper of states (`garbage.py`, `recordings.py`, `nodes.py`, `membership.py`);
`runner.py` asks them what is due and sends it. They keep nothing of their own that the state does
not tell, so a restart loses nothing, and two api processes doing the same are harmless: the second
command is refused, or has nothing to do.
"""

from .runner import Reactors

__all__ = ["Reactors"]
