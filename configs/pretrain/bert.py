"""BERT on your own text, with the recipe of Devlin 2019 §A.2."""

import dataclasses
from typing import Literal

from configs.pretrain.own_text import TINY, Numbers, recipe
from transformer.data.packing import Packed
from transformer.data.pairs import Pairs
from transformer.objectives.masked_lm import MaskedLM
from transformer.objectives.next_sentence import NextSentence
from transformer.objectives.span_boundary import SpanBoundary
from transformer.training.optimizer import AdamW
from transformer.training.schedule import WarmupLinear
from transformer.zoo.bert import BOUNDARY, MASKED, SIZES, bert

# The authors trained nine tenths of the updates on rows of 128 tokens.
PAPER = dict.fromkeys(SIZES, Numbers(steps=1_000_000, batch=256, length=512, vocab=30_522,
                                     rate=1e-4, warmup=10_000, slice=128))
PAPER |= dict.fromkeys(("nano", "tiny"), dataclasses.replace(TINY, length=64, batch=32, rate=1e-3))


@recipe(PAPER, "base")
def experiment(n: Numbers, size: str,
               objective: Literal["pairs", "masked", "spans"] = "pairs") -> dict:
    """objective: masked pieces with the next sentence, or alone, or SpanBERT's spans.

    Joshi 2020 trained spans for 2.4M updates of the same size and rate, with an eps of 1e-8, in a
    network with the exact GELU, where BERT's tanh form stands here.
    """
    shape = SIZES[size] | dict(vocab=n.vocab, length=n.length)
    kinds = {
        "pairs": dict(model=bert(**shape), rows=Pairs(length=n.length, short=0.1),
                      objective=NextSentence()),
        "masked": dict(model=bert(**shape, outputs=(MASKED,), pooler=False),
                       rows=Packed(length=n.length, opening="cls"), objective=MaskedLM()),
        "spans": dict(model=bert(**shape, outputs=(MASKED, BOUNDARY), pooler=False),
                      rows=Packed(length=n.length, opening="cls"), objective=SpanBoundary()),
    }
    eps = 1e-8 if objective == "spans" else 1e-6
    return dict(
        **kinds[objective],
        optimizer=AdamW(learning_rate=WarmupLinear(peak=n.rate, warmup=n.warmup, steps=n.steps),
                        eps=eps, decay=0.01, clip=1.0, correct_bias=False),
    )
