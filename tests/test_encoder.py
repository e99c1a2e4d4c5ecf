"""The encoder against its oracle, sentence-transformers; and what happens when the model or the cache is not as it should be."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from semsearch import articles, encoder, passages
from semsearch.encoder import export, model
from semsearch.encoder.engines import OnnxRuntime, Torch
from semsearch.encoder.fast import FastEncoder
from semsearch.encoder.reference import ReferenceEncoder
from semsearch.errors import ModelMismatch, ModelUnavailable
from semsearch.passages.sentences import spans
from semsearch.protocols import PassageText

pytestmark = [pytest.mark.model, pytest.mark.filterwarnings("default")]

AGREEMENT = 0.9999


def encode(used, texts: list[PassageText]) -> tuple[np.ndarray, list[np.ndarray]]:
    """Vectors in the order of the texts; each position must come exactly once."""
    vectors = np.zeros((len(texts), used.fingerprint.dimension), np.float32)
    sentences: list[np.ndarray] = [np.empty(0)] * len(texts)
    seen: list[int] = []
    for encoded in used.encode_passages(texts):
        seen += encoded.positions
        vectors[encoded.positions] = encoded.vectors
        for position, matrix in zip(encoded.positions, encoded.sentences, strict=True):
            sentences[position] = matrix
    assert sorted(seen) == list(range(len(texts)))
    return vectors, sentences


def passage(text: str, context: str = "") -> PassageText:
    return PassageText(context, text, tuple(spans(text)))


@pytest.fixture(scope="module")
def oracle(bundled):
    from sentence_transformers import SentenceTransformer

    return SentenceTransformer(str(model.locate(model.DEFAULT_MODEL).folder), device="cpu")


@pytest.fixture(scope="module")
def seed_passages(root: Path, bundled) -> list[PassageText]:
    found = []
    for file in articles.find([root / "seeds"]).files:
        for article in articles.read(file, articles.load(file)):
            for cut in passages.cut(article, bundled.passage_tokens, bundled.count_tokens):
                found.append(PassageText(passages.context(article.title, cut.headings), cut.text, cut.sentences))
    return found


def test_passages_of_the_shipped_articles_have_the_vectors_of_sentence_transformers(bundled, oracle, seed_passages):
    vectors, _ = encode(bundled, seed_passages)
    expected = oracle.encode([f"{text.context} {text.text}" for text in seed_passages], normalize_embeddings=True)
    assert (vectors * expected).sum(axis=1).min() >= AGREEMENT
    assert np.allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)


def test_a_thousand_real_passages_have_the_vectors_of_sentence_transformers(bundled, oracle, data_folder: Path):
    with (data_folder / "wikimix-dev" / "corpus.jsonl").open(encoding="utf-8") as file:
        texts = [json.loads(line)["text"] for _, line in zip(range(1000), file, strict=False)]
    vectors, _ = encode(bundled, [passage(text) for text in texts])
    expected = oracle.encode(texts, normalize_embeddings=True)
    assert len(texts) == 1000
    assert (vectors * expected).sum(axis=1).min() >= AGREEMENT


def test_onnxruntime_passages_and_questions_agree_to_single_precision(bundled, oracle, seed_passages):
    single = FastEncoder(bundled._export, lambda engine: engine)
    texts = [f"{text.context} {text.text}" for text in seed_passages[:40]]
    expected = oracle.encode(texts, normalize_embeddings=True)
    assert (encode(single, seed_passages[:40])[0] * expected).sum(axis=1).min() >= 0.999999
    assert (bundled.encode_queries(texts) * expected).sum(axis=1).min() >= 0.999999


def test_a_batch_gives_what_one_by_one_gives(bundled):
    texts = ["a", "what aid did Russia offer", "flu vaccines " * 60, "Größe 東京 🙂"]
    together = bundled.encode_queries(texts)
    single = np.concatenate([bundled.encode_queries([text]) for text in texts])
    assert np.allclose(together, single, atol=1e-5)


def test_sentence_vectors_are_means_over_the_passages_own_token_vectors(bundled):
    text = "The ship left at dawn. Nobody saw it go. A week later it was found."
    given = passage(text, "A lost ship.")
    _, (matrix,) = encode(FastEncoder(bundled._export, lambda engine: engine), [given])
    encoding = bundled._tokenizer.encode(f"A lost ship. {text}")
    engine = OnnxRuntime(bundled._export)
    ids = np.array([encoding.ids])
    from semsearch.encoder.engines import Batch

    states = engine.run(Batch([0], ids, np.ones_like(ids)))[0]
    shift = len("A lost ship. ")
    for row, (start, end) in zip(matrix, given.sentences, strict=True):
        inside = [i for i, (a, b) in enumerate(encoding.offsets) if b > a and a >= start + shift and b <= end + shift]
        mean = states[inside].mean(axis=0)
        assert np.allclose(row, mean / np.linalg.norm(mean), atol=1e-5)
    assert len(matrix) == 3


def test_a_sentence_without_tokens_has_its_passages_vector(bundled):
    vectors, (matrix,) = encode(bundled, [PassageText("", "word \u200b", ((0, 4), (5, 6)))])
    assert np.allclose(matrix[1], vectors[0], atol=1e-3)


def test_a_long_context_is_shortened_and_the_text_is_not(bundled):
    text = "The answer stands at the very end of this passage, where the vault holds 1,234 gold coins."
    long_title = "Extraordinary deliberations concerning procedure " * 40
    cut = encode(bundled, [passage(text, long_title)])[1][0]
    whole = encode(bundled, [passage(text, "Extraordinary deliberations concerning procedure")])[1][0]
    assert float((cut[0] * whole[0]).sum()) > 0.5
    assert len(cut) == len(passage(text).sentences)


# ---- other models: tiny ones, made here


@pytest.fixture(scope="module")
def make_model(bundled, tmp_path_factory: pytest.TempPathFactory):
    """Makes a sentence-transformers model of random weights in a folder, with the bundled model's tokenizer."""
    import torch
    from sentence_transformers import SentenceTransformer
    from sentence_transformers import models as modules
    from transformers import AutoTokenizer, BertConfig, BertModel

    def make(name: str, *, pooling: str = "mean", dense: bool = False, prompts: dict[str, str] | None = None, seed: int = 0):
        torch.manual_seed(seed)
        base = tmp_path_factory.mktemp(name)
        config = BertConfig(
            hidden_size=32, num_hidden_layers=2, num_attention_heads=2, intermediate_size=64, max_position_embeddings=128
        )
        BertModel(config).save_pretrained(base / "base")
        AutoTokenizer.from_pretrained(model.locate(model.DEFAULT_MODEL).folder).save_pretrained(base / "base")
        transformer = modules.Transformer(str(base / "base"), max_seq_length=64)
        parts = [transformer, modules.Pooling(32, pooling_mode=pooling)]
        if dense:
            parts.append(modules.Dense(32, 16))
        built = SentenceTransformer(modules=parts, device="cpu", prompts=prompts)
        built.save(str(base / "model"), create_model_card=False)
        return base / "model", SentenceTransformer(str(base / "model"), device="cpu")

    return make


@pytest.mark.parametrize("pooling", ["mean", "cls", "max"])
def test_prompts_and_pooling_come_from_the_models_own_configuration(make_model, pooling: str):
    folder, reference = make_model(f"tiny-{pooling}", pooling=pooling, prompts={"query": "question: ", "document": "text: "})
    used = encoder.load(str(folder))
    assert isinstance(used, FastEncoder)
    assert used.fingerprint.query_prompt == "question: "
    assert used.fingerprint.document_prompt == "text: "
    texts = ["What aid was offered?", "Two sentences here. And the second one."]
    queries = reference.encode_query(texts, normalize_embeddings=True)
    documents = reference.encode_document(texts, normalize_embeddings=True)
    assert (used.encode_queries(texts) * queries).sum(axis=1).min() >= 0.99999
    vectors, sentences = encode(used, [passage(text) for text in texts])
    assert (vectors * documents).sum(axis=1).min() >= AGREEMENT
    if pooling != "mean":
        alone = reference.encode_document(["Two sentences here.", "And the second one."], normalize_embeddings=True)
        assert (sentences[1] * alone).sum(axis=1).min() >= AGREEMENT


def test_a_model_that_the_fast_path_cannot_express_runs_in_sentence_transformers(make_model, caplog):
    folder, reference = make_model("tiny-dense", dense=True)
    used = encoder.load(str(folder))
    assert isinstance(used, ReferenceEncoder)
    assert "cannot express" in caplog.text
    texts = ["What aid was offered?", "Two sentences here. And the second one."]
    vectors, sentences = encode(used, [passage(text) for text in texts])
    assert (vectors * reference.encode_document(texts, normalize_embeddings=True)).sum(axis=1).min() >= 0.99999
    assert [len(matrix) for matrix in sentences] == [1, 2]
    assert vectors.shape[1] == used.fingerprint.dimension == 16
    again = encoder.load_for(used.fingerprint)
    assert (again.encode_queries(texts) * used.encode_queries(texts)).sum(axis=1).min() >= 0.99999


def test_the_slow_way_shortens_a_long_context_too(make_model):
    folder, _ = make_model("tiny-context", dense=True, seed=8)
    used = encoder.load(str(folder))
    assert isinstance(used, ReferenceEncoder)
    title = "Extraordinary deliberations concerning procedure " * 80
    vectors, _ = encode(used, [passage("Gold was found.", title), passage("The ship sank at night in a storm.", title)])
    assert float(vectors[0] @ vectors[1]) < 0.999


def test_the_engine_for_accelerators_gives_the_same_vectors(make_model):
    folder, _ = make_model("tiny-torch")
    used = encoder.load(str(folder))
    reference = export.load_reference(model.locate(str(folder)))
    torch_encoder = FastEncoder(used._export, lambda single: Torch(reference, "cpu", used._export.inputs))
    texts = [passage("What aid was offered?"), passage("Two sentences here. And the second one.", "A title.")]
    assert (encode(torch_encoder, texts)[0] * encode(used, texts)[0]).sum(axis=1).min() >= AGREEMENT


# ---- when something is not as it should be


def test_an_export_that_does_not_agree_is_not_used(make_model, monkeypatch):
    folder, _ = make_model("tiny-wrong", seed=5)
    monkeypatch.setattr(encoder, "_agrees", lambda *_: False)
    used = encoder.load(str(folder))
    assert isinstance(used, ReferenceEncoder)


def test_the_index_names_its_model_and_a_changed_one_is_refused(make_model, tmp_path, monkeypatch):
    folder, _ = make_model("tiny-changed", seed=1)
    monkeypatch.setenv("SEMSEARCH_CACHE", str(tmp_path / "cache"))
    before = encoder.load(str(folder)).fingerprint
    assert encoder.load_for(before).fingerprint == before
    settings = folder / "1_Pooling" / "config.json"
    settings.write_text(settings.read_text(encoding="utf-8").replace("mean", "max"), encoding="utf-8")
    shutil.rmtree(tmp_path / "cache")
    with pytest.raises(ModelMismatch, match=r"semsearch index SOURCE\.\.\. --fresh --model"):
        encoder.load_for(before)
    assert encoder.load(str(folder)).fingerprint.pooling == "max"
    with pytest.raises(ModelMismatch):
        encoder.load_for(before)


def test_an_export_is_shared_by_copies_of_a_model_and_each_keeps_its_name(make_model, tmp_path, monkeypatch):
    folder, _ = make_model("tiny-copied", seed=7)
    monkeypatch.setenv("SEMSEARCH_CACHE", str(tmp_path / "cache"))
    shutil.copytree(folder, tmp_path / "copy")
    first, second = encoder.load(str(folder)), encoder.load(str(tmp_path / "copy"))
    assert second.fingerprint.model == str(tmp_path / "copy")
    assert first.fingerprint.same_vectors(second.fingerprint)
    shutil.rmtree(tmp_path / "copy")
    again = encoder.load_for(second.fingerprint)
    assert again.fingerprint == second.fingerprint
    assert len(encode(again, [passage("Nothing but the export is needed.")])[1]) == 1


def test_a_bundled_model_with_other_weights_is_refused(monkeypatch):
    monkeypatch.setattr(model, "_DEFAULT_WEIGHTS", "0" * 64)
    with pytest.raises(ModelUnavailable, match="pip install --force-reinstall"):
        encoder.load()


@pytest.mark.parametrize("name", ["./no/such/folder", "", "/etc/hostname", "a/b/c"])
def test_a_model_that_does_not_exist_is_a_clear_error(name: str):
    with pytest.raises(ModelUnavailable, match="give the folder"):
        encoder.load(name)


def test_a_folder_without_a_model_is_a_clear_error(tmp_path):
    with pytest.raises(ModelUnavailable, match=r"config\.json"):
        encoder.load(str(tmp_path))


def test_a_hub_name_without_network_is_a_clear_error(tmp_path):
    code = (
        "from semsearch import encoder; from semsearch.errors import ModelUnavailable\n"
        "try: encoder.load('nobody/no-such-model')\n"
        "except ModelUnavailable as error: print(error)"
    )
    environment = {**os.environ, "HF_HUB_OFFLINE": "1", "HF_HOME": str(tmp_path)}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment, check=True)
    assert "nobody/no-such-model" in done.stdout
    assert done.stdout.count("\n") == 1


def test_a_cache_that_cannot_be_written_is_done_without(make_model, tmp_path, monkeypatch, caplog):
    folder, reference = make_model("tiny-nocache", seed=2)
    (tmp_path / "file").write_text("in the way", encoding="utf-8")
    monkeypatch.setenv("SEMSEARCH_CACHE", str(tmp_path / "file"))
    used = encoder.load(str(folder))
    expected = reference.encode_query(["aid"], normalize_embeddings=True)
    assert float((used.encode_queries(["aid"]) * expected).sum()) >= 0.99999
    assert "SEMSEARCH_CACHE" in caplog.text


def test_a_full_disk_leaves_no_half_written_export(make_model, tmp_path, monkeypatch):
    folder, _ = make_model("tiny-full", seed=3)
    monkeypatch.setenv("SEMSEARCH_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(export, "_sync", lambda _: (_ for _ in ()).throw(OSError(28, "No space left on device")))
    with pytest.raises(ModelUnavailable, match="200 MB"):
        encoder.load(str(folder))
    assert not [path for path in (tmp_path / "cache" / "models").iterdir() if path.is_dir()]


def test_two_processes_that_export_at_once_make_one_export(make_model, tmp_path):
    folder, _ = make_model("tiny-race", seed=4)
    code = f"from semsearch import encoder; print(encoder.load({str(folder)!r}).fingerprint.weights)"
    environment = {**os.environ, "SEMSEARCH_CACHE": str(tmp_path)}
    running = [
        subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True, env=environment) for _ in range(2)
    ]
    answers = {process.communicate()[0] for process in running}
    assert [process.returncode for process in running] == [0, 0]
    assert len(answers) == 1
    assert len([path for path in (tmp_path / "models").iterdir() if path.is_dir()]) == 1


def test_a_damaged_export_is_made_again(make_model, tmp_path, monkeypatch):
    folder, _ = make_model("tiny-damaged", seed=6)
    monkeypatch.setenv("SEMSEARCH_CACHE", str(tmp_path))
    used = encoder.load(str(folder))
    expected = used.encode_queries(["aid"])
    with used._export.weights.open("r+b") as file:
        file.truncate(1000)
    assert np.allclose(encoder.load_for(used.fingerprint).encode_queries(["aid"]), expected)
