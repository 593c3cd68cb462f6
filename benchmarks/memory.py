"""Peak memory of scoring, in a process of its own: ``python -m benchmarks.memory MODEL METRICS ROWS``.

The model is fit before, in the process that asks, so that only scoring and its imports count. Prints one line
of JSON.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from tsdiff_monitor.detectors.diffusion.config import DiffusionModelConfig

__all__ = ["main", "peak_memory"]

_FIT_ROWS = 400
_FIT_STEPS = 10
"""Few, since the memory that scoring needs does not depend on what is learned."""


def peak_memory(metrics: int, rows: int, config: DiffusionModelConfig) -> dict[str, float]:
    """Peak resident MiB of a process that scores ``rows`` x ``metrics`` in batch, MiB before it did, and seconds."""
    from benchmarks.timings import fit, synthetic

    with tempfile.TemporaryDirectory() as folder:
        detector, _ = fit(synthetic(_FIT_ROWS, metrics), config.model_copy(update={"fit_steps": _FIT_STEPS}))
        detector.save(Path(folder))
        command = [sys.executable, "-m", "benchmarks.memory", folder, str(metrics), str(rows)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 - this module
    if done.returncode != 0:
        raise RuntimeError(f"scoring {rows} rows of {metrics} metrics failed: {done.stderr.strip()}")
    found: dict[str, float] = json.loads(done.stdout)
    return found


def main(arguments: Sequence[str] | None = None) -> int:
    """Score once and print what it took, as :func:`peak_memory` asks for."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.memory", description="one step of benchmarks.speed")
    parser.add_argument("model", type=Path, help="folder of a model")
    parser.add_argument("metrics", type=int)
    parser.add_argument("rows", type=int)
    given = parser.parse_args(arguments)

    from benchmarks.timings import synthetic
    from tsdiff_monitor.detectors.diffusion.detector import DiffusionDetector

    detector = DiffusionDetector.load(given.model)
    frame = synthetic(given.rows, given.metrics)
    before = _peak_mib()
    began = time.perf_counter()
    detector.score(frame, mode="batch")
    seconds = time.perf_counter() - began
    print(json.dumps({"peak_mib": round(_peak_mib()), "before_mib": round(before), "seconds": round(seconds, 2)}))
    return 0


def _peak_mib() -> float:
    """The most memory this process has held. On Linux, ``ru_maxrss`` also counts the parent's before the exec."""
    status = Path("/proc/self/status")
    if status.exists():
        return next(int(line.split()[1]) for line in status.read_text().splitlines() if line.startswith("VmHWM")) / 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (2**20 if sys.platform == "darwin" else 1024)


if __name__ == "__main__":
    sys.exit(main())
