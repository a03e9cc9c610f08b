"""GPT-2 on your own text. Sizes are Radford 2019, Table 2; the recipe of its reproductions."""

from configs.pretrain.own_text import Numbers, recipe
from transformer.data.chunks import Chunks
from transformer.objectives.next_token import NextToken
from transformer.training.optimizer import AdamW
from transformer.training.schedule import WarmupCosine
from transformer.zoo.gpt2 import SIZES, gpt2

# 512 rows of 1,024 tokens: §2.3. The learning rates were not published; these are GPT-3's for the
# nearest size (Brown 2020, Table 2.1).
PAPER = {size: Numbers(steps=100_000, batch=512, length=1024, vocab=50_257, rate=rate, warmup=2000,
                       slice=32)
         for size, rate in {"small": 6e-4, "medium": 3e-4, "large": 2.5e-4, "xl": 2e-4}.items()}


@recipe(PAPER, "small")
def experiment(n: Numbers, size: str) -> dict:
    return dict(
        model=gpt2(**SIZES[size] | dict(vocab=n.vocab, length=n.length)),
        rows=Chunks(length=n.length),
        objective=NextToken(),
        optimizer=AdamW(learning_rate=WarmupCosine(peak=n.rate, warmup=n.warmup, steps=n.steps,
                                                   final=n.rate / 10),
                        b1=0.9, b2=0.95, decay=0.1, clip=1.0),
    )
