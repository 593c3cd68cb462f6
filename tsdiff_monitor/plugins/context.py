"""The host's services for a plug-in, given when it is built."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import httpx

__all__ = ["Context"]


@dataclass(frozen=True)
class Context:
    """The host's services for a plug-in, injected so that tests need no patching.

    ``now`` returns Unix seconds; ``transport`` replaces the network under httpx (None: the real one); ``random``
    is for jitter; ``name`` is the name the user gave this instance; ``storage`` is a folder of its own for what must
    outlive the process (it need not exist yet; None: nothing is kept).
    """

    name: str = "test"
    now: Callable[[], float] = time.time
    transport: httpx.BaseTransport | None = None
    random: random.Random = field(default_factory=random.Random)
    storage: Path | None = None
