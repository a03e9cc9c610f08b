"""ModernBERT on your own text, with the recipe of Warner 2024 §2.2 and appendix A, first phase.

Not here: the longer rows of the later phases, dropout at the attention's output (0.1), and the
clipping of single updates by StableAdamW; the global norm is clipped instead.
"""

from configs.pretrain.own_text import Numbers, recipe
from transformer.data.packing import Packed
from transformer.objectives.masked_lm import MaskedLM
from transformer.training.optimizer import AdamW
from transformer.training.trapezoid import Trapezoid
from transformer.zoo.modernbert import SIZES, modernbert

TOKENS = 1719e9  # of the first phase


def paper(batch: int, rate: float, warmup: float) -> Numbers:
    """Rows of 1,024 tokens. warmup: tokens."""
    tokens = batch * 1024
    return Numbers(steps=round(TOKENS / tokens), batch=batch, length=1024, vocab=50_368, rate=rate,
                   warmup=round(warmup / tokens), slice=64)


PAPER = {"base": paper(4608, 8e-4, 3e9), "large": paper(4928, 5e-4, 2e9)}


@recipe(PAPER, "base")
def experiment(n: Numbers, size: str) -> dict:
    """The rate falls over the last 50B tokens."""
    schedule = Trapezoid(peak=n.rate, warmup=n.warmup, steps=n.steps,
                         decay=round(n.steps * 50e9 / TOKENS))
    return dict(
        # rotary bases differ only in the later phases
        model=modernbert(**SIZES[size] | dict(vocab=n.vocab), base=10_000.0),
        rows=Packed(length=n.length, opening="cls"),
        objective=MaskedLM(rate=0.3),
        # theirs takes 1e-5 off a parameter at the peak, whatever the rate is there
        optimizer=AdamW(learning_rate=schedule, b1=0.9, b2=0.98, eps=1e-6, decay=1e-5 / n.rate,
                        clip=1.0),
    )
