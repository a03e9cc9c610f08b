"""GPT-3 on your own text, with the recipe of Brown 2020, Table 2.1 and appendix B."""

from configs.pretrain.own_text import Numbers, recipe
from transformer.data.chunks import Chunks
from transformer.objectives.next_token import NextToken
from transformer.ops.placement import Mesh
from transformer.training.optimizer import AdamW
from transformer.training.span import TokenCosine
from transformer.zoo.gpt3 import SIZES, gpt3


def paper(batch: int, rate: float) -> Numbers:
    """Rows of 2,048 tokens: 300B tokens in all, the rate rising over the first 375M."""
    tokens = batch * 2048
    return Numbers(steps=round(300e9 / tokens), batch=batch, length=2048, vocab=50_257, rate=rate,
                   warmup=round(375e6 / tokens), slice=32)


# 0.5M, 1M, 2M and 3.2M tokens a batch; the authors rose to them from 32,000 in the first billions.
PAPER = {"125m": paper(256, 6e-4), "350m": paper(256, 3e-4), "760m": paper(256, 2.5e-4),
         "1.3b": paper(512, 2e-4), "2.7b": paper(512, 1.6e-4), "6.7b": paper(1024, 1.2e-4),
         "13b": paper(1024, 1e-4), "175b": paper(1600, 6e-5)}


@recipe(PAPER, "125m", remat="dots")
def experiment(n: Numbers, size: str) -> dict:
    """The cosine ends after 260 of the 300B tokens."""
    tokens = n.batch * n.length
    schedule = TokenCosine(peak=n.rate, batch=tokens, warmup=n.warmup * tokens,
                           span=n.steps * tokens * 26 // 30)
    return dict(
        model=gpt3(**SIZES[size] | dict(vocab=n.vocab, length=n.length)),
        rows=Chunks(length=n.length, cross_documents=True),
        objective=NextToken(),
        optimizer=AdamW(learning_rate=schedule, b1=0.9, b2=0.95, decay=0.1, clip=1.0),
        mesh=Mesh(data=1, fsdp=-1),
    )
