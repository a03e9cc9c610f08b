"""Tasks whose answer is text: translation, summarisation, and plain language modelling."""

import numpy as np
import pytest

from transformer.error import UserError
from transformer.objectives.next_token import NextToken
from transformer.objectives.sequence_to_sequence import SequenceToSequence
from transformer.tasks.language_modelling import LanguageModelling
from transformer.tasks.rewriting import Together
from transformer.tasks.summarisation import Summarisation
from transformer.tasks.translation import Translation

RECORD = {"source": "ab cd", "target": "ef", "where": "f:6"}


def test_both_sides_end(tokenizer, shown):
    row = Translation().example(RECORD, tokenizer, 10)
    assert shown(row["source_tokens"]) == ["ab", " cd", "<eos>"]
    assert shown(row["tokens"]) == ["ef", "<eos>"]
    assert set(Translation().inputs(RECORD, tokenizer, 10)) == {"source_tokens"}
    cut = Translation().example({"source": "ab " * 9, "target": "cd " * 9}, tokenizer, 4)
    assert shown(cut["source_tokens"]) == ["ab", " ab", " ab", "<eos>"]
    assert shown(cut["tokens"]) == ["cd", " cd", " cd", "<eos>"]


def test_the_decoder_begins_with_bos_and_learns_to_end(tokenizer, shown):
    row = Translation().example(RECORD, tokenizer, 10)
    row |= {"segments": np.ones(2, np.int32), "source_segments": np.ones(3, np.int32)}
    row = SequenceToSequence().prepare(row, None, tokenizer)
    assert shown(row["tokens"]) == ["<bos>", "ef"] and shown(row["targets"]) == ["ef", "<eos>"]


def test_a_decoder_alone_predicts_the_target_only(tokenizer, shown):
    task = Translation(layout=Together())
    row = task.example(RECORD, tokenizer, 10)
    assert shown(row["tokens"]) == ["<start>", "ab", " cd", "<delimiter>", "ef", "<eos>"]
    prompt = task.inputs(RECORD, tokenizer, 10)["tokens"]
    np.testing.assert_array_equal(prompt, row["tokens"][:len(prompt)])
    row = NextToken().prepare({**row, "segments": np.ones(6, np.int32)}, None, tokenizer)
    scored = row["weights"] > 0
    assert shown(row["targets"][scored]) == ["ef", "<eos>"]
    assert shown(row["tokens"][scored]) == ["<delimiter>", "ef"]
    long = {"source": "ab " * 9, "target": "cd " * 3}
    cut = task.example(long, tokenizer, 10)
    assert shown(cut["tokens"]) == ["<start>", "ab", " ab", " ab", " ab", "<delimiter>",
                                    "cd", " cd", " cd", "<eos>"]
    with pytest.raises(UserError, match="f:6: rows are too short"):
        task.example(RECORD, tokenizer, 4)


@pytest.mark.parametrize("segments", ["source_segments", "segments"])
def test_generated_ids_become_text_up_to_eos(tokenizer, segments):
    a, b = tokenizer.encode("ab cd")
    outputs = {"generated": np.array([[a, b, 3, a], [a, a, a, b], [b, b, b, b]])}
    batch = {segments: np.array([[1], [1], [0]])}
    assert Translation.generates
    assert Translation().predict(outputs, batch, tokenizer) == ["ab cd", "ababab cd"]


def test_translations_are_scored_by_bleu():
    records = [{"target": "a b c d e"}, {"target": ["x y z w v", "k l m n o"]}]
    assert Translation().score(["a b c d e", "k l m n o"], records) == pytest.approx(
        {"bleu": 100, "exact": 1})
    assert Translation().score(["a b c d f", "k l m n o"], records)["exact"] == 0.5
    assert Translation().score(["a b c d f", "k l m n o"], records)["bleu"] < 95


def test_summaries_are_scored_by_rouge():
    found = Summarisation().score(["a b"], [{"summary": "a c"}])
    assert found == {"rouge_1": 0.5, "rouge_2": 0.0, "rouge_l": 0.5}
    assert Summarisation.metric in found


def test_documents_between_their_ends(tokenizer, shown):
    record = {"text": "ab cd", "where": "f:8"}
    assert shown(LanguageModelling().example(record, tokenizer)["tokens"]) == ["ab", " cd", "<eos>"]
    framed = LanguageModelling(first="cls", last="sep").example(record, tokenizer, 4)
    assert shown(framed["tokens"]) == ["<cls>", "ab", " cd", "<sep>"]
    with pytest.raises(UserError, match="f:8: 3 tokens, but rows hold 2"):
        LanguageModelling().example(record, tokenizer, 2)
