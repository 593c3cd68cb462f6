"""Answers of the query API: https://prometheus.io/docs/prometheus/latest/querying/api/#range-queries

Samples come as ``"values":[[1714532400,"0.5"],[1714532460,"NaN"]]``, and a fit reads a million of them. Made into
Python lists one by one, they cost more than the server took to compute them. So the lists are cut out of the text, and
all their numbers are read at once; the rest, which is small, is read as the JSON it is.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import orjson

__all__ = ["Answer", "AnswerError", "parse_answer", "server_message"]

_SHOWN = 500
_OPENS = b'"values":[['
"""Unambiguous: within a text the quotes would be escaped, and no text has a bracket behind it."""


@dataclass(frozen=True, eq=False)
class Answer:
    """S series with N samples in all: ``lengths`` ``[S]`` of them each, ``times`` (ms) and ``values`` ``[N]`` in a row.

    Infinities are NaN. ``partial``: the server says that it left something out. ``histograms``: how many series have
    samples that are no numbers.
    """

    labels: list[dict[str, str]]
    lengths: np.ndarray
    times: np.ndarray
    values: np.ndarray
    warnings: tuple[str, ...] = ()
    infos: tuple[str, ...] = ()
    partial: bool = False
    histograms: int = 0


class AnswerError(Exception):
    """The body is no good answer. ``reason`` is a stable word."""

    def __init__(self, message: str, reason: str) -> None:
        self.reason = reason
        super().__init__(message)


def parse_answer(content: bytes) -> Answer:
    """Read the body of a range query's answer. Raises :class:`AnswerError` for anything else."""
    try:
        if _OPENS not in content and b'"values"' in content:
            content = orjson.dumps(orjson.loads(content))  # written with white space, which the cut does not expect
        rest, blocks = _cut(content)
        return _answer(orjson.loads(rest), blocks)
    except orjson.JSONDecodeError as error:
        raise AnswerError(f"the answer is not JSON ({error})", "garbled") from None
    except (AttributeError, IndexError, KeyError, OverflowError, TypeError, ValueError) as error:
        message = f"the answer does not have the shape of a range query's ({type(error).__name__}: {error})"
        raise AnswerError(message[:_SHOWN], "garbled") from None


def server_message(body: str) -> str:
    """Message in the body of a refusal, JSON or plain text; empty where there is none."""
    try:
        said = _said(orjson.loads(body))
    except (orjson.JSONDecodeError, AttributeError):
        said = " ".join(body.split())
    return said if len(said) <= _SHOWN else said[:_SHOWN] + " ..."


def _said(body: dict[str, Any]) -> str:
    kind, text = body.get("errorType"), str(body.get("error") or "")
    # VictoriaMetrics repeats the status there, as text; only Prometheus' words (bad_data, execution) say something.
    return f"{kind}: {text}" if isinstance(kind, str) and not kind.isdigit() else text


def _cut(content: bytes) -> tuple[bytes, list[bytes]]:
    """The text with an index in the place of each list of samples, and the insides of those lists."""
    pieces: list[bytes] = []
    blocks: list[bytes] = []
    at = 0
    while (found := content.find(_OPENS, at)) >= 0:
        end = content.find(b"]]", found)
        if end < 0:
            raise ValueError("it ends within the samples")
        pieces.append(content[at:found] + b'"values":%d' % len(blocks))
        blocks.append(content[found + len(_OPENS) : end])
        at = end + 2
    return b"".join((*pieces, content[at:])), blocks


def _answer(body: dict[str, Any], blocks: list[bytes]) -> Answer:
    if body["status"] != "success":
        raise AnswerError(_said(body) or "the server refuses and does not say why", "bad_query")
    data = body["data"]
    if data["resultType"] != "matrix":
        raise AnswerError(f"the answer is a {data['resultType']} where a matrix was asked for", "garbled")
    result = data["result"] or []
    series = [one for one in result if type(one.get("values")) is int]
    if [one["values"] for one in series] != list(range(len(blocks))):
        raise ValueError("samples stand where none belong")
    labels = [one["metric"] for one in series]
    if any(type(value) is not str for one in labels for value in one.values()):
        raise TypeError("a label is not text")
    lengths = np.fromiter((block.count(b"[") + 1 for block in blocks), np.int64, len(blocks))
    times, values = _numbers(blocks, int(lengths.sum()))
    histograms = sum("histograms" in one for one in result)
    notes = (_texts(body, "warnings"), _texts(body, "infos"), body.get("isPartial") is True)
    return Answer(labels, lengths, times, values, *notes, histograms)


def _numbers(blocks: list[bytes], samples: int) -> tuple[np.ndarray, np.ndarray]:
    """Times (ms) and values, ``[samples]`` each."""
    text = b",".join(blocks)
    if b"N" in text or b"I" in text:
        for special in (b"NaN", b"+Inf", b"-Inf", b"Inf"):
            text = text.replace(special, b"null")
    numbers = orjson.loads(b"[" + text.translate(None, b'"[]') + b"]")
    if len(numbers) != 2 * samples:
        raise ValueError("a sample is not a time and a value")
    seconds = np.array(numbers[::2], np.float64)
    if not np.isfinite(seconds).all():
        raise ValueError("a sample has no time")
    return np.rint(seconds * 1000).astype(np.int64), np.array(numbers[1::2], np.float64)


def _texts(body: dict[str, Any], key: str) -> tuple[str, ...]:
    return tuple(dict.fromkeys(str(text) for text in body.get(key) or ()))
