"""The cost accounting: what a batch costs in tokens seen and predictions scored."""

import numpy as np
import pytest

from transformer.objectives.masked_lm import MaskedLM
from transformer.objectives.next_token import NextToken

ROWS, LENGTH = 32, 100


def batch(objective, tokenizer, held):
    """32 rows of width 100 in which `held` tokens were read from the text."""
    size = LENGTH + objective.lookahead
    segments = np.pad(np.ones(held, np.int32), (0, size - held))
    row = {"tokens": np.full(size, 12, np.int32), "segments": segments}
    rows = [objective.prepare(row, np.random.default_rng(n), tokenizer) for n in range(ROWS)]
    return {name: np.stack([r[name] for r in rows]) for name in rows[0]}


def test_a_masked_model_scores_480_of_3200_tokens(tokenizer):
    assert MaskedLM().units(batch(MaskedLM(), tokenizer, LENGTH)) == (3200, 480)


def test_a_next_token_model_scores_all_3200_if_rows_read_one_more(tokenizer):
    assert NextToken().units(batch(NextToken(), tokenizer, LENGTH + 1)) == (3200, 3200)


def test_rows_of_only_100_tokens_make_3168_predictions(tokenizer):
    assert NextToken().units(batch(NextToken(), tokenizer, LENGTH)) == (3200, 3168)


@pytest.mark.parametrize("rate, predictions", [(0.4, 1280), (0.15, 480), (0.01, 32)])
def test_the_mask_rate_sets_the_cost(tokenizer, rate, predictions):
    assert MaskedLM(rate=rate).units(batch(MaskedLM(rate=rate), tokenizer, LENGTH)) == (
        3200, predictions)
