"""PaLM on your own text, with the recipe of Chowdhery 2022 §5."""

import dataclasses

from configs.pretrain.own_text import TINY, Numbers, recipe
from transformer.data.chunks import Chunks
from transformer.objectives.next_token import NextToken
from transformer.ops.placement import Mesh
from transformer.training.palm_adafactor import PaLMAdafactor
from transformer.training.schedule import InverseRoot
from transformer.zoo.palm import SIZES, palm


def paper(batch: int) -> Numbers:
    """780B tokens in rows of 2,048; the rate is 1e-2 for 10,000 updates, then falls."""
    return Numbers(steps=round(780e9 / (batch * 2048)), batch=batch, length=2048, vocab=256_000,
                   rate=1.0, warmup=10_000, slice=256)


# Table 1: what the batches grew to, from a half or a quarter. Of the largest the authors report
# 1.25 times the model's FLOPs (App. B): nearly a whole forward pass, four thirds, again.
PAPER = {"8b": paper(512), "62b": paper(1024),
         "540b": dataclasses.replace(paper(2048), remat="full"),
         "tiny": dataclasses.replace(TINY, rate=0.1)}


@recipe(PAPER, "8b", remat="dots", split_digits=True)
def experiment(n: Numbers, size: str) -> dict:
    """Parameters are split over all devices."""
    return dict(
        model=palm(**SIZES[size] | dict(vocab=n.vocab)),
        rows=Chunks(length=n.length, cross_documents=True),
        objective=NextToken(z=1e-4),
        optimizer=PaLMAdafactor(learning_rate=InverseRoot(scale=n.rate, hold=PAPER[size].warmup),
                                clip=1.0),
        mesh=Mesh(data=1, fsdp=-1),
    )
