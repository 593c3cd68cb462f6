"""Models scored by ONNX Runtime against the same models scored by torch."""

from __future__ import annotations

import logging
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import jaxtyping
import numpy as np
import pandas as pd
import pytest

pytest.importorskip("onnxscript", reason="the exporter is not installed: pip install 'tsdiff-monitor[onnx]'")

from tsdiff_monitor.detectors.diffusion.config import DiffusionModelConfig
from tsdiff_monitor.detectors.diffusion.detector import DiffusionDetector
from tsdiff_monitor.detectors.protocol import Mode
from tsdiff_monitor.detectors.registry import load_detector
from tsdiff_monitor.diffusion.onnx_denoiser import OnnxDenoiser
from tsdiff_monitor.errors import DamagedModelError, ModelError
from tsdiff_monitor.testing import example_frame
from tsdiff_monitor.timeseries.frame import Frame

TORCH = DiffusionModelConfig(window=8, width=32, layers=1, fit_steps=30, samples=8)
FP32 = TORCH.model_copy(update={"runtime": "onnx"})
INT8 = FP32.model_copy(update={"precision": "int8"})
MODES: tuple[Mode, ...] = ("stream", "batch")
NAMES = ("cpu", "memory", "requests", "errors")


def frame(rows: int, missing: float = 0.0) -> Frame:
    """Rows after those of the fit, with an excursion."""
    whole = example_frame(300 + rows, NAMES, missing=missing)
    values = whole.values[300:].copy()
    values[20:24, 1] *= 3
    return Frame(whole.times[300], whole.step, values, whole.series)


@pytest.fixture(scope="module", autouse=True)
def unchecked_shapes() -> Iterator[None]:
    """Checks of shapes would be traced by the exporter, which then takes the number of windows as fixed."""
    jaxtyping.config.update("jaxtyping_disable", True)
    yield
    jaxtyping.config.update("jaxtyping_disable", False)


@pytest.fixture(scope="module")
def by_torch() -> DiffusionDetector:
    return DiffusionDetector.fit(example_frame(300, NAMES), TORCH)


@pytest.fixture(scope="module")
def by_onnx() -> DiffusionDetector:
    return DiffusionDetector.fit(example_frame(300, NAMES), FP32)


@pytest.fixture(scope="module")
def by_int8() -> DiffusionDetector:
    return DiffusionDetector.fit(example_frame(300, NAMES), INT8)


@pytest.fixture(scope="module")
def folder(by_int8: DiffusionDetector, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("model")
    by_int8.save(folder)
    return folder


def python(code: str, *arguments: object) -> subprocess.CompletedProcess[str]:
    """Run code in a process of its own."""
    return subprocess.run(
        [sys.executable, "-c", code, *map(str, arguments)], capture_output=True, text=True, timeout=120, check=False
    )


# --- the same scores ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("missing", [0.0, 0.2])
def test_scores_are_those_of_torch(
    by_torch: DiffusionDetector, by_onnx: DiffusionDetector, mode: Mode, missing: float
) -> None:
    """Fit alike, both runtimes give the same scores and attributions to 1e-4, with gaps and without."""
    rows = frame(60, missing)
    expected, found = by_torch.score(rows, mode=mode), by_onnx.score(rows, mode=mode)
    assert found.score == pytest.approx(expected.score, rel=1e-4, nan_ok=True)
    assert found.attribution == pytest.approx(expected.attribution, abs=1e-4)


def test_bands_are_those_of_torch(by_torch: DiffusionDetector, by_onnx: DiffusionDetector) -> None:
    """The expected values do not depend on the runtime either, to 1e-4."""
    for detector in (by_onnx, by_torch):
        expected = detector.expected(frame(30), ["requests", "cpu"], first=16)
        assert expected.yhat.shape == (14, 2)
        if detector is by_onnx:
            first = expected
    assert first.yhat == pytest.approx(expected.yhat, rel=1e-4)
    assert first.yhat_lower == pytest.approx(expected.yhat_lower, rel=1e-4)
    assert first.yhat_upper == pytest.approx(expected.yhat_upper, rel=1e-4)


def test_the_two_way_network_is_exported_too() -> None:
    """Its attention leaves out metrics that are missing from a window, by ONNX Runtime as by torch."""
    whole = example_frame(330, NAMES)
    values = whole.values[300:].copy()
    values[:, 2] = np.nan
    rows = Frame(whole.times[300], whole.step, values, whole.series)
    scores = [
        DiffusionDetector.fit(example_frame(300, NAMES), config.model_copy(update={"network": "two_way"})).score(rows)
        for config in (TORCH, FP32)
    ]
    assert scores[1].score == pytest.approx(scores[0].score, rel=1e-4)


@pytest.mark.parametrize("mode", MODES)
def test_int8_ranks_rows_as_fp32_does(by_onnx: DiffusionDetector, by_int8: DiffusionDetector, mode: Mode) -> None:
    """Quantised scores are close (2 % in the median) and order rows almost alike (rank correlation above 0.99)."""
    rows = frame(200)
    exact, near = by_onnx.score(rows, mode=mode).score, by_int8.score(rows, mode=mode).score
    assert not np.array_equal(exact, near)
    assert np.median(np.abs(near / exact - 1)) < 0.02
    assert pd.Series(near).corr(pd.Series(exact), method="spearman") > 0.99
    assert near.argmax() == exact.argmax()


def test_an_excursion_does_not_blind_the_quantised_network(
    by_onnx: DiffusionDetector, by_int8: DiffusionDetector
) -> None:
    """With one value a million deviations out, what is said of the other metrics stays exact to 0.1 deviations."""
    rng = np.random.default_rng(0)
    windows = rng.normal(size=(2, 8, 4)).astype(np.float32)
    windows[:, 2, 1] = 1e6
    target = np.zeros(windows.shape, dtype=bool)
    target[:, -2:, [0, 2]] = True
    exact, near = (
        detector.imputer.denoise_arrays(windows.copy(), 2.0, windows, target) for detector in (by_onnx, by_int8)
    )
    assert np.abs(near - exact)[target].max() < 0.1


@pytest.mark.parametrize("precision", ["fp32", "int8"])
def test_streaming_equals_batch(by_onnx: DiffusionDetector, by_int8: DiffusionDetector, precision: str) -> None:
    """A row's score does not depend on the rows it is scored with, quantised or not."""
    detector = by_int8 if precision == "int8" else by_onnx
    rows = frame(30)
    at_once = detector.score(rows, first=16).score
    one_by_one = [
        detector.score(
            Frame(rows.times[t - 15], rows.step, rows.values[t - 15 : t + 1], rows.series), first=15
        ).score[0]
        for t in range(16, 30)
    ]  # fmt: skip
    assert one_by_one == pytest.approx(at_once, rel=1e-5)


def test_quantised_windows_do_not_depend_on_each_other(by_int8: DiffusionDetector) -> None:
    """To the bit: the scale of a window's activations is its own, no matter what else is in the batch."""
    rng = np.random.default_rng(0)
    noisy, windows = (rng.normal(size=(3, 8, 4)).astype(np.float32) for _ in range(2))
    target = rng.random(windows.shape) < 0.5
    alone = by_int8.imputer.denoise_arrays(noisy[1:2], 2.0, windows[1:2], target[1:2])
    windows[0] *= 50
    assert np.array_equal(by_int8.imputer.denoise_arrays(noisy, 2.0, windows, target)[1:2], alone)


# --- on disk --------------------------------------------------------------------------------------------------------


def test_a_stored_model_gives_the_same_scores(by_int8: DiffusionDetector, folder: Path) -> None:
    """Loaded again, it scores to the bit what it scored when it was fit; no torch weights are kept beside the graph."""
    again = load_detector(folder)
    assert np.array_equal(again.score(frame(40)).score, by_int8.score(frame(40)).score)
    kinds = sorted(path.name.split("-")[0] for path in folder.iterdir())
    assert kinds == ["card.json", "network", "weights"]


def test_a_graph_says_nothing_of_the_machine(by_onnx: DiffusionDetector) -> None:
    """No path of the source is kept in what is copied elsewhere."""
    assert isinstance(by_onnx.imputer, OnnxDenoiser)
    assert str(Path(__file__).parents[3]).encode() not in by_onnx.imputer.graph
    assert b".py" not in by_onnx.imputer.graph


def test_writing_a_graph_is_quiet(by_torch: DiffusionDetector, caplog: pytest.LogCaptureFixture) -> None:
    """Messages of the exporter and the quantiser do not reach the daemon's log; others' messages do."""
    from tsdiff_monitor.diffusion.export import export_onnx
    from tsdiff_monitor.diffusion.imputer import Imputer

    assert isinstance(by_torch.imputer, Imputer)
    caplog.set_level("INFO")
    export_onnx(by_torch.imputer, window=8, metrics=4, precision="int8")
    assert not caplog.records
    logging.info("fit done")
    assert caplog.messages == ["fit done"]


def test_a_new_model_replaces_the_network(
    by_onnx: DiffusionDetector, by_torch: DiffusionDetector, tmp_path: Path
) -> None:
    """Only the network that the card names stays, and none where the new model is torch's."""
    (tmp_path / "network-0.onnx").write_bytes(b"old")
    by_onnx.save(tmp_path)
    assert len(list(tmp_path.glob("network-*"))) == 1
    by_torch.save(tmp_path)
    assert not list(tmp_path.glob("network-*"))
    assert DiffusionDetector.load(tmp_path).config == TORCH


@contextmanager
def _changed(path: Path, content: bytes | None) -> Iterator[None]:
    before = path.read_bytes()
    path.unlink()
    if content is not None:
        path.write_bytes(content)
    yield
    path.write_bytes(before)


def test_a_damaged_network_is_refused(folder: Path) -> None:
    """A graph that is not the card's is never run, and one that is gone is reported with what to do."""
    (network,) = folder.glob("network-*.onnx")
    data = bytearray(network.read_bytes())
    data[len(data) // 2] ^= 1
    with _changed(network, bytes(data)), pytest.raises(DamagedModelError, match=r"network-.*checksum.*fit again"):
        load_detector(folder)
    with _changed(network, None), pytest.raises(DamagedModelError, match=r"network-.*cannot be read.*fit again"):
        load_detector(folder)
    load_detector(folder)


def test_a_graph_that_cannot_be_run_says_so() -> None:
    """A file that ONNX Runtime does not understand is an error of the model, with the version at work."""
    with pytest.raises(ModelError, match=r"ONNX Runtime \d.* cannot run the network .*update onnxruntime"):
        OnnxDenoiser(b"no graph", one_by_one=False)


# --- without torch --------------------------------------------------------------------------------------------------

_WITHOUT = "import sys; sys.modules.update(dict.fromkeys(sys.argv[1].split(',')))\n"
_SCORE = """
from pathlib import Path
from tsdiff_monitor.detectors.registry import load_detector
from tsdiff_monitor.testing import example_frame
frame = example_frame(40, ("cpu", "memory", "requests", "errors"))
detector = load_detector(Path(sys.argv[2]))
print(*detector.score(frame, first=36).score.tolist(), *detector.expected(frame, ["cpu"], first=39).yhat[0].tolist())
"""


def test_torch_is_not_needed(by_int8: DiffusionDetector, folder: Path) -> None:
    """If only ONNX Runtime is installed a stored model scores, and says what it expected, as where it was fit."""
    done = python(_WITHOUT + _SCORE, "torch,onnx,onnxscript", folder)
    assert done.returncode == 0, done.stderr
    rows = example_frame(40, NAMES)
    scores = by_int8.score(rows, first=36).score.tolist()
    expected = by_int8.expected(rows, ["cpu"], first=39).yhat[0].tolist()
    assert [float(word) for word in done.stdout.split()] == scores + expected


def test_missing_packages_are_named(by_torch: DiffusionDetector, folder: Path, tmp_path: Path) -> None:
    """Without ONNX Runtime, without the exporter, or without torch, the error says what to install."""
    by_torch.save(tmp_path)
    code = (
        _WITHOUT
        + """
from pathlib import Path
from tsdiff_monitor.detectors.diffusion.config import DiffusionModelConfig
from tsdiff_monitor.detectors.registry import fit_detector, load_detector
from tsdiff_monitor.errors import ModelError
from tsdiff_monitor.models.repository import ModelStore
from tsdiff_monitor.testing import example_frame
onnx = DiffusionModelConfig(window=8, runtime="onnx")
for attempt in (
    lambda: load_detector(Path(sys.argv[2])),
    lambda: fit_detector(example_frame(20), onnx),
    lambda: (sys.modules.update(torch=None), fit_detector(example_frame(20), onnx)),
    lambda: load_detector(Path(sys.argv[3])),
    lambda: ModelStore(Path(sys.argv[3])).get_network("hosts"),
):
    try:
        attempt()
    except ModelError as error:
        print(error)
"""
    )
    done = python(code, "onnxruntime,onnxscript", folder, tmp_path)
    assert done.returncode == 0, done.stderr
    edge, exporter, fit, load, shared = done.stdout.splitlines()
    assert edge == "a model with `runtime: onnx` needs onnxruntime: pip install 'tsdiff-monitor[onnx]'"
    assert exporter == "fitting with `runtime: onnx` needs onnxruntime: pip install 'tsdiff-monitor[onnx]'"
    assert "fitting needs torch" in fit
    assert "or fit on another machine with `runtime: onnx`" in fit
    assert "is for torch, which is not installed" in load
    assert shared == "a shared network needs torch, which is not installed: pip install torch"
