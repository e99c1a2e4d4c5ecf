"""The reranker against its oracle, `CrossEncoder.predict`; its budget of time; and models that are not what they should be."""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from semsearch.encoder import reranker as reranker_module
from semsearch.encoder.reranker import Reranker
from semsearch.errors import InputError, ModelUnavailable

QUERY = "what aid was offered"
TEXTS = [
    "aid was offered to the council",
    "the battle was lost",
    "",
    "oil and gas " * 40,
    "nobody knows ünknown wörds 東京",
    "aid",
    "the council offered oil",
    "what was lost",
    "gas was offered to nobody",
    "the battle",
]
WORDS = [
    "what",
    "aid",
    "was",
    "offered",
    "to",
    "the",
    "council",
    "battle",
    "lost",
    "oil",
    "and",
    "gas",
    "nobody",
    "knows",
    "a",
    "b",
]
VOCABULARY = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *WORDS, *(f"##{letter}" for letter in "ab")]
MAX_TOKENS = 48


def make_base(folder: Path, *, labels: int = 1, head: bool = True) -> Path:
    """A BERT of 16 numbers a token, its weights from a fixed seed, in a folder as transformers writes it."""
    import torch
    from transformers import BertConfig, BertForSequenceClassification, BertModel

    torch.manual_seed(7)
    config = BertConfig(
        vocab_size=len(VOCABULARY),
        hidden_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=32,
        max_position_embeddings=MAX_TOKENS,
        initializer_range=0.4,
        num_labels=labels,
    )
    (BertForSequenceClassification if head else BertModel)(config).save_pretrained(folder)
    (folder / "vocab.txt").write_text("\n".join(VOCABULARY) + "\n", encoding="utf-8")
    (folder / "tokenizer_config.json").write_text('{"tokenizer_class": "BertTokenizer", "do_lower_case": true}', encoding="utf-8")
    return folder


def make_model(folder: Path, *, activation: str = "Sigmoid", labels: int = 1) -> Path:
    """The same as sentence-transformers saves a cross-encoder."""
    import torch
    from sentence_transformers import CrossEncoder

    base = make_base(folder / "base", labels=labels)
    model = CrossEncoder(str(base), device="cpu", local_files_only=True, activation_fn=getattr(torch.nn, activation)())
    model.save_pretrained(str(folder / "model"), create_model_card=False)
    return folder / "model"


@pytest.fixture(scope="module", autouse=True)
def _on_the_processor() -> Iterator[None]:
    """The oracle's device, also on a machine that has an accelerator."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(reranker_module, "accelerator", lambda: None)
        yield


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_model(tmp_path_factory.mktemp("reranker"))


@pytest.fixture(scope="module")
def reranker(folder: Path) -> Reranker:
    return Reranker.load(str(folder))


def oracle(folder: Path, query: str, texts: list[str]) -> np.ndarray:
    from sentence_transformers import CrossEncoder
    from torch.nn import Sigmoid

    model = CrossEncoder(str(folder), device="cpu", local_files_only=True)
    return model.predict([(query, text) for text in texts], activation_fn=Sigmoid(), show_progress_bar=False)


class FakeModel:
    """Gives the length of each text, less 3, and notes the batches."""

    def __init__(self, wrong: float | None = None) -> None:
        self.wrong = wrong
        self.batches: list[list[str]] = []

    def predict(self, pairs: list[tuple[str, str]], *, batch_size: int, activation_fn: Callable, show_progress_bar: bool):
        assert batch_size >= len(pairs)
        assert not show_progress_bar
        self.batches.append([text for _, text in pairs])
        return np.array([len(text) - 3 if self.wrong is None else self.wrong for _, text in pairs], np.float32)


def timed(readings: list[float]) -> tuple[Reranker, FakeModel]:
    """A reranker over the fake model; the clock says these seconds, one after the other, then never again."""
    model, clock = FakeModel(), iter(readings)
    made = Reranker("fake", model, clock=lambda: next(clock))
    model.batches.clear()
    return made, model


# ---- values


def test_scores_are_those_of_sentence_transformers(reranker: Reranker, folder: Path):
    expected = oracle(folder, QUERY, TEXTS)
    assert np.ptp(expected) > 0.05
    assert np.allclose(reranker.scores(QUERY, TEXTS, seconds=60), expected, atol=1e-6)


@pytest.mark.parametrize("activation", ["Identity", "Tanh"])
def test_scores_do_not_depend_on_the_activation_that_a_model_names(tmp_path: Path, folder: Path, activation: str):
    other = make_model(tmp_path, activation=activation)
    assert activation in (other / "config_sentence_transformers.json").read_text(encoding="utf-8") + (
        other / "config.json"
    ).read_text(encoding="utf-8")
    assert np.allclose(Reranker.load(str(other)).scores(QUERY, TEXTS, seconds=60), oracle(folder, QUERY, TEXTS), atol=1e-6)


def test_a_folder_as_transformers_writes_it_is_a_model_too(tmp_path: Path, folder: Path):
    scores = Reranker.load(str(make_base(tmp_path / "base"))).scores(QUERY, TEXTS, seconds=60)
    assert np.allclose(scores, oracle(folder, QUERY, TEXTS), atol=1e-6)


def test_half_precision_weights_compute_in_single_on_the_processor(tmp_path: Path, folder: Path):
    from sentence_transformers import CrossEncoder

    CrossEncoder(str(folder), device="cpu", local_files_only=True).half().save_pretrained(str(tmp_path), create_model_card=False)
    assert json.loads((tmp_path / "config.json").read_text(encoding="utf-8"))["dtype"] == "float16"
    made = Reranker.load(str(tmp_path))
    assert str(made._model.dtype) == "torch.float32"
    assert np.allclose(made.scores(QUERY, TEXTS, seconds=60), oracle(folder, QUERY, TEXTS), atol=0.01)


def test_a_long_text_is_cut_to_what_the_model_takes(reranker: Reranker):
    start = "oil and gas " * 20
    long, longer, short = reranker.scores("aid", [start, start + "the battle was lost", "oil and gas"], seconds=60)
    assert long == pytest.approx(longer, abs=1e-6)
    assert short != pytest.approx(long, abs=1e-4)


def test_a_score_is_the_logistic_function_of_the_output_and_large_outputs_stay_apart():
    made, _ = timed([0.0] * 3)
    scores = made.scores("q", ["", "abc", "abcd", "x" * 23, "x" * 24, "x" * 2000], seconds=60)
    assert scores[:3] == pytest.approx([1 / (1 + math.exp(3)), 0.5, 1 / (1 + math.exp(-1))])
    assert scores[3] < scores[4] < 1
    assert scores[5] == 1
    assert Reranker("low", FakeModel(wrong=-2000)).scores("q", ["a"], seconds=60) == [0]


def test_no_texts_have_no_scores(reranker: Reranker):
    assert reranker.scores(QUERY, [], seconds=60) == []
    assert reranker.scores(QUERY, [], seconds=0) == []


# ---- time


TWENTY = ["x" * number for number in range(20)]


def test_texts_are_read_in_the_order_given_eight_at_a_time():
    made, model = timed([0, 1, 2, 3])
    scores = made.scores("q", TWENTY, seconds=math.inf)
    assert model.batches == [TWENTY[:8], TWENTY[8:16], TWENTY[16:]]
    assert scores == sorted(scores)
    assert None not in scores


@pytest.mark.parametrize(
    ("readings", "seconds", "read"),
    [
        ([10, 11, 12, 13], 3, 20),  # the third batch ends when the time does
        ([10, 11, 12], 2.9, 16),  # it would end a little later
        ([10, 11], 1.9, 8),
        ([10, 12, 12.5, 12.6], 4.5, 20),  # 2.5 s and the slowest: 4.5
        ([10, 12, 12.5], 4.4, 16),  # the slowest counts, not the last or the mean
        ([10, 70], 1, 8),  # the first batch is always read
        ([10, 10.5], 0, 8),
    ],
)
def test_no_batch_is_begun_that_would_not_end_in_time(readings: list[float], seconds: float, read: int):
    made, model = timed(readings)
    scores = made.scores("q", TWENTY, seconds=seconds)
    assert [score is None for score in scores] == [False] * read + [True] * (20 - read)
    assert [text for batch in model.batches for text in batch] == TWENTY[:read]


@pytest.mark.parametrize("seconds", [-1, math.nan])
def test_a_time_that_is_none_is_refused(reranker: Reranker, seconds: float):
    with pytest.raises(InputError, match="0 or more"):
        reranker.scores(QUERY, ["a"], seconds=seconds)


# ---- when something is not as it should be


def refusal(name: str | Path) -> str:
    """The message with which a model is refused; it must be one line."""
    with pytest.raises(ModelUnavailable) as caught:
        Reranker.load(str(name))
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize("name", ["./no/such/folder", "", "/etc/hostname", "a/b/c"])
def test_a_model_that_does_not_exist_is_a_clear_error(name: str):
    assert "give the folder" in refusal(name)


def test_a_model_with_three_labels_is_no_reranker(tmp_path: Path):
    assert "3 labels" in refusal(make_model(tmp_path, labels=3))


def test_a_network_without_a_layer_that_scores_is_no_reranker(tmp_path: Path):
    message = refusal(make_base(tmp_path / "base", head=False))
    assert "it is a BertModel" in message
    assert message.endswith("name a cross-encoder with one output, such as cross-encoder/ms-marco-MiniLM-L6-v2")


def test_the_model_for_embeddings_is_no_reranker():
    assert "it is a SentenceTransformer" in refusal("all-MiniLM-L6-v2")


def test_damaged_files_are_a_clear_error(tmp_path: Path):
    weights = make_model(tmp_path) / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:1000])
    assert "cannot be loaded" in refusal(weights.parent)
    (weights.parent / "config_sentence_transformers.json").write_text("{", encoding="utf-8")
    assert "config_sentence_transformers.json cannot be read" in refusal(weights.parent)


def test_sentence_transformers_is_told_to_stay_local_and_trusts_nothing(folder: Path, monkeypatch: pytest.MonkeyPatch):
    import sentence_transformers

    made = sentence_transformers.CrossEncoder
    given: list[dict[str, object]] = []
    monkeypatch.setattr(
        sentence_transformers, "CrossEncoder", lambda path, **options: given.append(options) or made(path, **options)
    )
    Reranker.load(str(folder))
    assert given == [{"device": "cpu", "local_files_only": True}]


def test_code_that_comes_with_a_model_is_not_run(tmp_path: Path):
    model = make_model(tmp_path)
    (model / "own.py").write_text("open('ran', 'w').close()\nclass Own: pass\n", encoding="utf-8")
    modules = model / "modules.json"
    modules.write_text(
        modules.read_text(encoding="utf-8").replace("sentence_transformers.base.modules.transformer.Transformer", "own.Own"),
        encoding="utf-8",
    )
    assert "own.Own" in refusal(model)
    assert not Path("ran").exists()


def test_a_model_that_fails_or_gives_no_numbers_is_found_out_before_any_question():
    with pytest.raises(
        ModelUnavailable, match=r"'fake' cannot read passages \(it gives scores that are no numbers\): try another"
    ):
        Reranker("fake", FakeModel(wrong=math.nan))
    with pytest.raises(ModelUnavailable, match="attribute"):
        Reranker("fake", object())


# ---- in a process of their own


def run(code: str, **environment: str) -> list[str]:
    """Lines that a fresh interpreter prints, and nothing on the error stream."""
    variables = {name: value for name, value in os.environ.items() if not name.startswith(("HF_", "TQDM_", "TRANSFORMERS_"))}
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env={**variables, **environment}, check=False
    )
    assert done.stderr == ""
    return done.stdout.splitlines()


def test_importing_the_module_imports_no_torch():
    (line,) = run("import sys, semsearch.encoder.reranker; print(*{name.split('.')[0] for name in sys.modules})")
    assert not set(line.split()) & {"torch", "transformers", "sentence_transformers", "onnxruntime", "tokenizers"}


def test_a_folder_is_loaded_in_silence_and_without_network(folder: Path, tmp_path: Path):
    code = (
        "import socket, tqdm, huggingface_hub\n"  # what has imported tqdm before must not bring its bars back
        "asked = []\n"
        "def refuse(*given, **_): asked.append(given); raise OSError('no network in this test')\n"
        "socket.getaddrinfo = socket.socket.connect = refuse\n"
        "from semsearch.encoder.reranker import Reranker\n"
        f"print(len(Reranker.load({str(folder)!r}).scores('aid', ['oil', 'gas'], seconds=60)))\n"
        "print(asked)"
    )
    assert run(code, HF_HOME=str(tmp_path)) == ["2", "[]"]


@pytest.mark.parametrize(
    ("name", "full"),
    [("nobody/no-such-model", "nobody/no-such-model"), ("no-such-model", "cross-encoder/no-such-model")],
)
def test_a_hub_name_without_network_is_a_clear_error(tmp_path: Path, name: str, full: str):
    code = (
        "from semsearch.encoder.reranker import Reranker\nfrom semsearch.errors import ModelUnavailable\n"
        f"try: Reranker.load({name!r})\nexcept ModelUnavailable as error: print(error)"
    )
    (line,) = run(code, HF_HUB_OFFLINE="1", HF_HOME=str(tmp_path))
    assert f"{full!r} is not on this machine" in line
    assert line.endswith("connect, or give the folder of a model")
