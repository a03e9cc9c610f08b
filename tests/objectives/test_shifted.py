"""Which token predicts which: next-token rows and teacher forcing."""

import numpy as np
import pytest

from transformer.error import UserError
from transformer.objectives.next_token import NextToken
from transformer.objectives.sequence_to_sequence import SequenceToSequence

BOS, EOS, START, PAD = 2, 3, 7, 0


def prepared(objective, tokenizer, **example):
    example = {name: np.array(values, np.int32) for name, values in example.items()}
    return objective.prepare(example, np.random.default_rng(0), tokenizer)


def test_each_token_predicts_the_next_of_its_document(tokenizer):
    row = prepared(NextToken(), tokenizer, tokens=[11, 12, 13, 21, 22, 0, 0],
                   segments=[1, 1, 1, 2, 2, 0, 0], positions=[0, 1, 2, 0, 1, 0, 0])
    assert row["tokens"].tolist() == [11, 12, 13, 21, 22, 0]
    assert row["targets"].tolist() == [12, 13, 21, 22, 0, 0]
    assert row["weights"].tolist() == [1, 1, 0, 1, 0, 0]
    assert row["segments"].tolist() == [1, 1, 1, 2, 2, 0]
    assert row["positions"].tolist() == [0, 1, 2, 0, 1, 0]
    assert row["weights"].dtype == np.float32


def test_a_prompt_is_read_and_not_predicted(tokenizer):
    row = prepared(NextToken(), tokenizer, tokens=[7, 11, 8, 21, 3, 0], weights=[0, 0, 0, 1, 1, 0],
                   segments=[1, 1, 1, 1, 1, 0])
    assert row["weights"].tolist() == [0, 0, 1, 1, 0]


@pytest.mark.parametrize("start, first", [("bos", BOS), ("start", START), ("pad", PAD)])
def test_the_decoder_reads_the_target_shifted_right(tokenizer, start, first):
    row = prepared(SequenceToSequence(start=start), tokenizer, tokens=[11, 12, EOS, 0, 0],
                   segments=[1, 1, 1, 0, 0], source_tokens=[13, 14], source_segments=[1, 1])
    assert row["tokens"].tolist() == [first, 11, 12, 0, 0]
    assert row["targets"].tolist() == [11, 12, EOS, 0, 0]
    assert row["weights"].tolist() == [1, 1, 1, 0, 0]
    assert row["source_tokens"].tolist() == [13, 14]
    assert SequenceToSequence(start=start).first(tokenizer) == first


def test_packed_targets_shift_apart(tokenizer):
    row = prepared(SequenceToSequence(), tokenizer, tokens=[11, EOS, 12, 13, EOS, 0],
                   segments=[1, 1, 2, 2, 2, 0])
    assert row["tokens"].tolist() == [BOS, 11, BOS, 12, 13, 0]
    full = prepared(SequenceToSequence(), tokenizer, tokens=[11, EOS], segments=[1, 1])
    assert full["tokens"].tolist() == [BOS, 11]


def test_smoothing_is_for_training(tokenizer, model):
    smoothed, plain = SequenceToSequence(smoothing=0.2), SequenceToSequence()
    row = prepared(plain, tokenizer, tokens=[11, 12, EOS], segments=[1, 1, 1],
                   source_tokens=[13, 14], source_segments=[1, 1])
    batch = {name: array[None] for name, array in row.items()}
    sums = {(o.smoothing, train): float(o.loss(*model, batch, None, train)["target"].sum)
            for o in (smoothed, plain) for train in (True, False)}
    assert sums[0.2, False] == sums[0.0, False] == sums[0.0, True] != sums[0.2, True]
    with pytest.raises(UserError, match="smoothing is 1"):
        SequenceToSequence(smoothing=1.0)
