"""LLaMA on your own text, with the recipe of Touvron 2023 §2."""

from configs.pretrain.own_text import Numbers, recipe
from transformer.data.chunks import Chunks
from transformer.objectives.next_token import NextToken
from transformer.ops.placement import Mesh
from transformer.training.optimizer import AdamW
from transformer.training.schedule import WarmupCosine
from transformer.zoo.llama import SIZES, llama


def paper(steps: int, rate: float) -> Numbers:
    """4M tokens a batch in rows of 2,048."""
    return Numbers(steps=steps, batch=2048, length=2048, vocab=32_000, rate=rate, warmup=2000,
                   slice=256)


# Table 2: 1.0T tokens for the smaller two, 1.4T for the others.
PAPER = {"7b": paper(250_000, 3e-4), "13b": paper(250_000, 3e-4),
         "33b": paper(350_000, 1.5e-4), "65b": paper(350_000, 1.5e-4)}


@recipe(PAPER, "7b", remat="dots", split_digits=True)
def experiment(n: Numbers, size: str) -> dict:
    """Parameters are split over all devices."""
    return dict(
        model=llama(**SIZES[size] | dict(vocab=n.vocab)),
        rows=Chunks(length=n.length),
        objective=NextToken(),
        optimizer=AdamW(learning_rate=WarmupCosine(peak=n.rate, warmup=n.warmup, steps=n.steps,
                                                   final=n.rate / 10),
                        b1=0.9, b2=0.95, decay=0.1, clip=1.0),
        mesh=Mesh(data=1, fsdp=-1),
    )
