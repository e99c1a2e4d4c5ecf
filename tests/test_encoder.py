"""The encoder against its oracle, sentence-transformers; and what happens when the model or the cache is not as it should be."""

from __future__ import annotations

import json
import os
import re
import shutil
import stat
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import semsearch
from semsearch import articles, encoder, passages, signs
from semsearch.encoder import engines, export, fast, model
from semsearch.encoder.engines import Batch, OnnxRuntime, Torch
from semsearch.encoder.fast import FastEncoder, unit
from semsearch.encoder.reference import ReferenceEncoder
from semsearch.errors import ModelMismatch, ModelUnavailable
from semsearch.passages.sentences import spans
from semsearch.protocols import CONTEXT_SHARE, PassageText

pytestmark = [pytest.mark.model, pytest.mark.filterwarnings("default")]

AGREEMENT = 0.9999


def encode(used, texts: list[PassageText]) -> tuple[np.ndarray, list[np.ndarray], list[np.ndarray]]:
    """Vectors, tokens and sentences in the order of the texts; each position must come exactly once."""
    vectors = np.zeros((len(texts), used.fingerprint.dimension), np.float32)
    tokens: list[np.ndarray] = [np.empty(0)] * len(texts)
    sentences: list[np.ndarray] = [np.empty(0)] * len(texts)
    seen: list[int] = []
    for encoded in used.encode_passages(texts):
        seen += encoded.positions
        vectors[encoded.positions] = encoded.vectors
        for position, codes, ranges in zip(encoded.positions, encoded.tokens, encoded.sentences, strict=True):
            tokens[position], sentences[position] = codes, ranges
    assert sorted(seen) == list(range(len(texts)))
    for text, codes, ranges in zip(texts, tokens, sentences, strict=True):
        assert (codes.dtype, codes.shape[1]) == (np.uint8, signs.WIDTH)
        assert (ranges.dtype, ranges.shape) == (np.int32, (len(text.sentences), 2))
        assert np.all((ranges >= 0) & (ranges <= len(codes)))
        assert np.all(ranges[:, 0] <= ranges[:, 1])
    return vectors, tokens, sentences


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
    vectors, *_ = encode(bundled, seed_passages)
    expected = oracle.encode([f"{text.context} {text.text}" for text in seed_passages], normalize_embeddings=True)
    assert (vectors * expected).sum(axis=1).min() >= AGREEMENT
    assert np.allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)


def test_real_passages_have_the_vectors_of_sentence_transformers(bundled, oracle, data_folder: Path):
    with (data_folder / "wikimix-dev" / "corpus.jsonl").open(encoding="utf-8") as file:
        texts = [json.loads(line)["text"] for _, line in zip(range(250), file, strict=False)]
    vectors, *_ = encode(bundled, [passage(text) for text in texts])
    expected = oracle.encode(texts, normalize_embeddings=True)
    assert len(texts) == 250
    assert (vectors * expected).sum(axis=1).min() >= AGREEMENT


def test_onnxruntime_passages_and_questions_agree_to_single_precision(bundled, oracle, seed_passages):
    single = FastEncoder(bundled.export, lambda engine: engine)
    texts = [f"{text.context} {text.text}" for text in seed_passages[:40]]
    expected = oracle.encode(texts, normalize_embeddings=True)
    assert (encode(single, seed_passages[:40])[0] * expected).sum(axis=1).min() >= 0.999999
    assert (bundled.encode_queries(texts).vectors * expected).sum(axis=1).min() >= 0.999999


def test_a_batch_gives_what_one_by_one_gives(bundled):
    texts = ["a", "what aid did Russia offer", "flu vaccines " * 60, "Größe 東京 🙂"]
    together = bundled.encode_queries(texts)
    for place, text in enumerate(texts):
        alone = bundled.encode_queries([text])
        assert np.allclose(together.vectors[place], alone.vectors[0], atol=1e-5)
        assert np.allclose(together.tokens[place], alone.tokens[0], atol=1e-5)
        assert np.array_equal(together.spans[place], alone.spans[0])


def states(bundled, text: str, *, scaled: bool = True) -> tuple[np.ndarray, list[tuple[int, int]]]:
    """Unit vectors of a text's tokens by one pass of the model, and where they stand; special tokens left out."""
    encoding = bundled._tokenizer.encode(text)
    ids = np.array([encoding.ids])
    found = OnnxRuntime(bundled.export).run(Batch([0], ids, np.ones_like(ids)))[0]
    real = [place for place, (start, end) in enumerate(encoding.offsets) if end > start]
    return unit(found[real]) if scaled else found[real], [encoding.offsets[place] for place in real]


def test_tokens_of_questions_are_those_of_the_model(bundled):
    text = "Whāt aid did Russia offer to Venezuela's army?"
    queries = bundled.encode_queries([text, "🙂 \u200b"])
    expected, offsets = states(bundled, text)
    assert np.allclose(queries.tokens[0], expected, atol=1e-5)
    assert queries.spans[0].tolist() == [list(span) for span in offsets]
    assert [text[a:b] for a, b in queries.spans[0]][:3] == ["Whāt", "aid", "did"]
    assert [spans.dtype for spans in queries.spans] == [np.int64] * 2
    assert [len(tokens) for tokens in queries.tokens] == [len(spans) for spans in queries.spans]
    assert np.allclose(np.linalg.norm(np.concatenate(queries.tokens), axis=1), 1, atol=1e-5)


def test_codes_are_those_of_the_passages_own_words(bundled):
    text = "The ship left Carabobo at dawn. Nobody saw it go -- not even S-300s. A week later it was found."
    given = passage(text, "A lost ship.")
    _, (codes,), (ranges,) = encode(FastEncoder(bundled.export, lambda engine: engine), [given])
    whole = f"A lost ship. {text}"
    expected, offsets = states(bundled, whole, scaled=False)
    words = [found.span() for found in re.finditer(r"\w+", whole)]
    pieces = [[i for i, (a, b) in enumerate(offsets) if a >= start and b <= end] for start, end in words]
    # A word of several pieces is their sum, marks are none.
    assert max(map(len, pieces)) > 1
    assert sum(map(len, pieces)) < len(offsets)
    same = signs.pack(np.stack([expected[inside].sum(axis=0) for inside in pieces]))
    # A sign whose number is nearly 0 may turn with the last bit.
    assert codes.shape == same.shape
    assert np.unpackbits(codes ^ same).mean() < 1e-3
    shift = len("A lost ship. ")
    assert len(ranges) == 3
    for (first, behind), (start, end) in zip(ranges, given.sentences, strict=True):
        inside = [i for i, (a, b) in enumerate(words) if a >= start + shift and b <= end + shift]
        assert list(range(first, behind)) == inside
    # Nothing but the context stands before the first.
    assert ranges[0][0] == 3


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Two words", ["Two", "words"]),
        ("a-b, c_d 3.5!", ["a", "b", "c_d", "3", "5"]),
        ("naïveté Größe Москва", ["naïveté", "Größe", "Москва"]),
        ("東京へ行く", ["東", "京", "へ", "行", "く"]),
        ("?! --", ["?", "!", "-", "-"]),
        ("", []),
    ],
)
def test_words_are_runs_of_letters_and_figures_else_tokens(bundled, text, expected):
    encoding = bundled._tokenizer.encode(text, add_special_tokens=False)
    spans = np.asarray(encoding.offsets, np.int64).reshape(-1, 2)
    inside, first, words = fast._words(text, spans)
    assert [text[a:b] for a, b in words] == expected
    assert len(first) == len(words)
    assert len(inside) <= len(spans)


def test_no_word_is_of_two_sentences(bundled):
    """Wherever sentences are cut."""
    _, (codes,), (ranges,) = encode(bundled, [PassageText("", "unforgettable", ((0, 5), (5, 13)))])
    assert (len(codes), ranges.tolist()) == (1, [[0, 1], [1, 1]])


def test_a_sentence_without_tokens_has_none(bundled):
    _, (codes,), (ranges,) = encode(bundled, [PassageText("", "word \u200b", ((0, 4), (5, 6)))])
    assert (len(codes), ranges.tolist()) == (1, [[0, 1], [1, 1]])


def test_a_passage_of_no_tokens_has_no_codes(bundled):
    vectors, (codes, _), _ = encode(bundled, [PassageText("", "\u200b", ((0, 1),)), passage("word")])
    assert len(codes) == 0
    assert np.allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)


def test_a_long_context_is_shortened_and_the_text_is_not(bundled):
    text = "The answer stands at the very end of this passage, where the vault holds 1,234 gold coins."
    title = "Extraordinary deliberations concerning procedure"
    given = [passage(text, f"{title} " * 40), passage(text, title), passage(text)]
    _, tokens, sentences = encode(bundled, given)
    own = len(tokens[2])
    assert [int(ranges[-1, 1] - ranges[0, 0]) for ranges in sentences] == [own] * 3
    # The last word of the context may lose some of its pieces.
    kept = bundled._tokenizer.encode(f"{title} " * 40, add_special_tokens=False).offsets[
        : bundled.passage_tokens // CONTEXT_SHARE
    ]
    assert len(tokens[0]) == own + len((f"{title} " * 40)[: kept[-1][1]].split())
    # Word by word, the text reads much the same under a long context as under a short one.
    long, short = (np.unpackbits(codes[-own:], axis=1) for codes in tokens[:2])
    assert (long == short).mean() > 0.7


# ---- other models: tiny ones, made here


@pytest.fixture(scope="module")
def make_model(bundled, tmp_path_factory: pytest.TempPathFactory):
    """Makes a sentence-transformers model of random weights in a folder, with the bundled model's tokenizer."""
    import torch
    from sentence_transformers import SentenceTransformer
    from sentence_transformers import models as modules
    from transformers import AutoTokenizer, BertConfig, BertModel

    def make(
        name: str,
        *,
        pooling: str = "mean",
        dense: bool = False,
        prompts: dict[str, str] | None = None,
        seed: int = 0,
        factor: float = 1.0,
    ):
        """``factor``: how many times greater than otherwise the numbers are that the layers' ends normalise."""
        torch.manual_seed(seed)
        base = tmp_path_factory.mktemp(name)
        config = BertConfig(
            hidden_size=32, num_hidden_layers=2, num_attention_heads=2, intermediate_size=64, max_position_embeddings=128
        )
        network = BertModel(config)
        with torch.no_grad():
            for layer in network.encoder.layer:
                layer.output.dense.weight *= factor
        network.save_pretrained(base / "base")
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
    assert (used.encode_queries(texts).vectors * queries).sum(axis=1).min() >= 0.99999
    vectors, tokens, sentences = encode(used, [passage(text) for text in texts])
    assert (vectors * documents).sum(axis=1).min() >= AGREEMENT
    encoded = used.encode_queries(texts)
    if pooling == "mean":
        # The prompt is read, and is none of the question's tokens, nor of the passage's.
        assert [texts[0][a:b] for a, b in encoded.spans[0]] == ["What", "aid", "was", "offered", "?"]
        assert [len(codes) for codes in tokens] == [4, 7]
        assert [ranges.tolist() for ranges in sentences] == [[[0, 4]], [[0, 3], [3, 7]]]
    else:
        # A token of a question is all of it, one of a passage is a sentence.
        assert np.array_equal(encoded.tokens[1], encoded.vectors[1:])
        assert [spans.tolist() for spans in encoded.spans] == [[[0, len(text)]] for text in texts]
        alone = reference.encode_document(["Two sentences here.", "And the second one."], normalize_embeddings=True)
        assert np.unpackbits(tokens[1] ^ signs.pack(alone)).mean() < 0.01
        assert sentences[1].tolist() == [[0, 1], [1, 2]]


def test_a_model_that_the_fast_path_cannot_express_runs_in_sentence_transformers(make_model, caplog):
    folder, reference = make_model("tiny-dense", dense=True)
    used = encoder.load(str(folder))
    assert isinstance(used, ReferenceEncoder)
    assert "cannot express" in caplog.text
    texts = ["What aid was offered?", "Two sentences here. And the second one."]
    vectors, tokens, sentences = encode(used, [passage(text) for text in texts])
    assert (vectors * reference.encode_document(texts, normalize_embeddings=True)).sum(axis=1).min() >= 0.99999
    alone = reference.encode_document(["Two sentences here.", "And the second one."], normalize_embeddings=True)
    assert np.unpackbits(tokens[1] ^ signs.pack(alone)).mean() < 0.01
    assert [ranges.tolist() for ranges in sentences] == [[[0, 1]], [[0, 1], [1, 2]]]
    encoded = used.encode_queries(texts)
    assert np.array_equal(np.concatenate(encoded.tokens), encoded.vectors)
    assert vectors.shape[1] == used.fingerprint.dimension == 16
    again = encoder.load_for(used.fingerprint)
    assert (again.encode_queries(texts).vectors * used.encode_queries(texts).vectors).sum(axis=1).min() >= 0.99999


def test_the_slow_way_shortens_a_long_context_too(make_model):
    folder, _ = make_model("tiny-context", dense=True, seed=8)
    used = encoder.load(str(folder))
    assert isinstance(used, ReferenceEncoder)
    title = "Extraordinary deliberations concerning procedure " * 80
    vectors, *_ = encode(used, [passage("Gold was found.", title), passage("The ship sank at night in a storm.", title)])
    assert float(vectors[0] @ vectors[1]) < 0.999


@pytest.mark.model
def test_a_passage_has_the_same_vector_and_codes_whatever_its_company(bundled, root):
    if not bundled.engine.startswith("openvino"):
        pytest.skip(f"{bundled.engine} rounds otherwise in other batches")
    text = (root / "LICENSE").read_text(encoding="utf-8")
    texts = [
        passage(text[start : start + 30 + 37 * (number % 29)], "A title.") for number, start in enumerate(range(0, 9000, 180))
    ]
    together = encode(bundled, texts)
    for number in range(0, len(texts), 3):
        alone = encode(bundled, [texts[number]])
        assert np.array_equal(alone[0][0], together[0][number])
        assert np.array_equal(alone[1][0], together[1][number])


def test_the_engine_for_accelerators_gives_the_same_vectors(make_model):
    folder, _ = make_model("tiny-torch")
    used = encoder.load(str(folder))
    torch_encoder = FastEncoder(used.export, lambda single: torch_engine(folder, used, single))
    texts = [passage("What aid was offered?"), passage("Two sentences here. And the second one.", "A title.")]
    assert (encode(torch_encoder, texts)[0] * encode(used, texts)[0]).sum(axis=1).min() >= AGREEMENT
    assert torch_encoder.engine == "torch cpu fp16"


def torch_engine(folder, used, single):
    return Torch(lambda: export.load_reference(model.locate(str(folder))), "cpu", used.export.inputs, single)


@pytest.mark.parametrize(("factor", "agreement"), [(3e6, 0.999), (1.0, 1.1)])
def test_half_precision_is_given_up_where_it_is_not_good_enough(make_model, monkeypatch, factor: float, agreement: float):
    """Numbers that are too great for it; and, for all that one can tell, vectors that differ."""
    folder, _ = make_model("tiny-half", factor=factor)
    used = encoder.load(str(folder))
    assert isinstance(used, FastEncoder)
    monkeypatch.setattr(engines, "_AGREEMENT", agreement)
    torch_encoder = FastEncoder(used.export, lambda single: torch_engine(folder, used, single))
    texts = [passage("What aid was offered?"), passage("Two sentences here. And the second one.", "A title.")]
    got = encode(torch_encoder, texts)[0]
    assert (got * encode(used, texts)[0]).sum(axis=1).min() >= AGREEMENT
    assert torch_encoder.engine == "torch cpu"


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


def reweigh(folder):
    """Other numbers in weights of the same shape."""
    from safetensors.numpy import load_file, save_file

    path = next(folder.rglob("*.safetensors"))
    weights = load_file(path)
    save_file({name: np.roll(array, 1, axis=-1) for name, array in weights.items()}, path, metadata={"format": "pt"})


def reword(folder):
    """Two words of the vocabulary change places."""
    path = folder / "tokenizer.json"
    tokenizer = json.loads(path.read_text(encoding="utf-8"))
    vocabulary = tokenizer["model"]["vocab"]
    one, other = list(vocabulary)[-2:]
    vocabulary[one], vocabulary[other] = vocabulary[other], vocabulary[one]
    path.write_text(json.dumps(tokenizer), encoding="utf-8")


def reprompt(folder):
    path = folder / "config_sentence_transformers.json"
    settings = json.loads(path.read_text(encoding="utf-8"))
    path.write_text(json.dumps({**settings, "prompts": {"query": "ask: ", "document": ""}}), encoding="utf-8")


def repool(folder):
    path = folder / "1_Pooling" / "config.json"
    path.write_text(path.read_text(encoding="utf-8").replace("mean", "max"), encoding="utf-8")


@pytest.mark.parametrize("change", [reweigh, reword, reprompt, repool])
def test_an_index_is_refused_while_its_folder_has_another_model(make_model, tmp_path, change, monkeypatch):
    monkeypatch.setenv("SEMSEARCH_CACHE", str(tmp_path / "cache"))
    made, _ = make_model("tiny-swapped", seed=4)
    folder = tmp_path / "model"
    shutil.copytree(made, folder)
    (tmp_path / "notes.txt").write_text("Gold was found in the river near the town, and many came to look for more of it.")
    index = tmp_path / "index"
    semsearch.build(tmp_path / "notes.txt", index, model=str(folder)).close()
    with semsearch.open(index) as opened:
        before = opened.search("gold")[0].score
    change(folder)
    mend = rf"the model .* has changed since the index was built: run semsearch index SOURCE\.\.\. --fresh --model {folder}$"
    with pytest.raises(ModelMismatch, match=mend):
        semsearch.open(index)
    with pytest.raises(ModelMismatch, match=mend):
        semsearch.build(tmp_path / "notes.txt", index)
    with pytest.raises(ModelMismatch, match="add --fresh"):
        semsearch.build(tmp_path / "notes.txt", index, model=str(folder))
    (damage,) = semsearch.check(index).problems
    assert damage.kind == "model"
    shutil.rmtree(folder)
    # It is no longer there, and what was exported of it is.
    with semsearch.open(index) as opened:
        assert opened.search("gold")[0].score == before
    shutil.copytree(made, folder)
    with semsearch.open(index) as opened:
        assert opened.search("gold")[0].score == before
    assert semsearch.check(index).ok


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
    assert len(encode(again, [passage("Nothing but the export is needed.")])[1][0]) == 6


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
    assert float((used.encode_queries(["aid"]).vectors * expected).sum()) >= 0.99999
    assert "SEMSEARCH_CACHE" in caplog.text


@pytest.mark.skipif(not hasattr(os, "getuid"), reason="needs owners of files")
@pytest.mark.parametrize("part", [".", "models"])
def test_a_cache_that_everybody_can_write_to_is_not_used(make_model, tmp_path, monkeypatch, caplog, part):
    folder, _ = make_model(f"tiny-shared-{len(part)}", seed=5)
    cache = tmp_path / "cache"
    monkeypatch.setenv("SEMSEARCH_CACHE", str(cache))
    fingerprint = encoder.load(str(folder)).fingerprint
    digests = (fingerprint.weights, fingerprint.tokenizer, fingerprint.config)
    kept = export.opened(*digests)
    assert kept is not None
    assert kept.folder.parent == cache / "models"
    assert stat.S_IMODE(cache.stat().st_mode) == 0o700
    (cache / part).chmod(0o777)
    assert export.opened(*digests) is None
    assert not encoder.load(str(folder)).export.folder.is_relative_to(cache)
    # The replacement lasts as long as the process.
    assert export.opened(*digests) is not None
    assert caplog.text.count("is not used, because everybody can write to it: set SEMSEARCH_CACHE to a folder of your own") == 1


@pytest.mark.skipif(not hasattr(os, "getuid"), reason="needs owners of files")
@pytest.mark.parametrize("part", [".", "models"])
def test_a_cache_of_another_user_is_not_used(tmp_path, monkeypatch, caplog, part):
    (tmp_path / "models").mkdir()
    monkeypatch.setenv("SEMSEARCH_CACHE", str(tmp_path))
    assert encoder.cache_folder() == tmp_path
    if os.getuid() == 0:
        os.chown(tmp_path / part, 12345, -1)
    else:
        monkeypatch.setattr(os, "getuid", lambda: 12345)
    replacement = encoder.cache_folder()
    assert stat.S_IMODE(replacement.stat().st_mode) == 0o700
    assert not replacement.is_relative_to(tmp_path)
    assert "it belongs to another user" in caplog.text


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
    expected = used.encode_queries(["aid"]).vectors
    with used.export.weights.open("r+b") as file:
        file.truncate(1000)
    assert np.allclose(encoder.load_for(used.fingerprint).encode_queries(["aid"]).vectors, expected)
