"""DistilBERT's shape on your own text, by masked pieces alone: it has no teacher yet.

The numbers are those of Sanh 2019 §3 and its code, which also masked rare pieces more often.
"""

from configs.pretrain.own_text import Numbers, recipe
from transformer.data.packing import Packed
from transformer.objectives.masked_lm import MaskedLM
from transformer.training.optimizer import AdamW
from transformer.training.schedule import Triangle
from transformer.zoo.distilbert import SIZES, distilbert

# Three epochs of the authors' 3.3B words are some 6,500 updates, a twentieth of them warmup.
PAPER = {"base": Numbers(steps=6500, batch=4000, length=512, vocab=30_522, rate=5e-4, warmup=325,
                         slice=80)}


@recipe(PAPER, "base")
def experiment(n: Numbers, size: str) -> dict:
    return dict(
        model=distilbert(**SIZES[size] | dict(vocab=n.vocab, length=n.length)),
        rows=Packed(length=n.length, opening="cls"),
        objective=MaskedLM(),
        optimizer=AdamW(learning_rate=Triangle(peak=n.rate, warmup=n.warmup, steps=n.steps),
                        b1=0.9, b2=0.98, eps=1e-6, decay=0.0, clip=5.0),
    )
