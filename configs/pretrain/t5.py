"""T5 on your own text, with the recipe of Raffel 2020 §3.7: 1.0, and 1.1 without dropout.

Of the mixture that the authors trained on, this is the unlabelled part.
"""

import dataclasses

from configs.pretrain.own_text import TINY, Numbers, recipe
from transformer.data.chunks import Chunks
from transformer.objectives.span_corruption import SpanCorruption
from transformer.training.optimizer import Adafactor
from transformer.training.schedule import InverseRoot
from transformer.zoo.t5 import SIZES, t5

# A trillion tokens; 32,000 pieces and 100 sentinels. The baseline of §3.1 is 128 rows, 2^19 times.
PAPER = dict.fromkeys(SIZES, Numbers(steps=1_000_000, batch=2048, length=512, vocab=32_100,
                                     rate=1.0, warmup=10_000, slice=128, pieces="unigram"))
PAPER |= dict.fromkeys(("tiny", "1.1-tiny"), dataclasses.replace(TINY, rate=0.1))


@recipe(PAPER, "base", sentinels=100)
def experiment(n: Numbers, size: str) -> dict:
    """Sources of 512 tokens, made of 568 of text; the rate is 0.01 until the paper's
    warm-up is over, however short the run."""
    objective = SpanCorruption(rate=0.15, mean=3.0)
    return dict(
        model=t5(**SIZES[size] | dict(vocab=n.vocab)),
        rows=Chunks(length=objective.raw_length(n.length), cross_documents=True),
        objective=objective,
        optimizer=Adafactor(learning_rate=InverseRoot(scale=n.rate, hold=PAPER[size].warmup)),
    )
