"""DistilGPT-2's shape on your own text, by next tokens alone: it has no teacher yet.

The numbers are those of DistilBERT (Sanh 2019 §3), whose code trained it.
"""

from configs.pretrain.own_text import Numbers, recipe
from transformer.data.chunks import Chunks
from transformer.objectives.next_token import NextToken
from transformer.training.optimizer import AdamW
from transformer.training.schedule import Triangle
from transformer.zoo.distilgpt2 import SIZES, distilgpt2

# Three epochs of the authors' 9B tokens are some 6,600 updates, a twentieth of them warmup.
PAPER = {"base": Numbers(steps=6600, batch=4000, length=1024, vocab=50_257, rate=5e-4, warmup=330,
                         slice=40)}


@recipe(PAPER, "base")
def experiment(n: Numbers, size: str) -> dict:
    return dict(
        model=distilgpt2(**SIZES[size] | dict(vocab=n.vocab, length=n.length)),
        rows=Chunks(length=n.length),
        objective=NextToken(),
        optimizer=AdamW(learning_rate=Triangle(peak=n.rate, warmup=n.warmup, steps=n.steps),
                        b1=0.9, b2=0.98, eps=1e-6, decay=0.0, clip=5.0),
    )
