"""WikiText-2 on a CPU: a GPT by word-level perplexity, or a BERT by masked accuracy."""

from typing import Literal

from transformer.data.chunks import Chunks
from transformer.data.packing import Packed
from transformer.data.pieces import Pieces
from transformer.data.source import Text
from transformer.objectives.masked_lm import MaskedLM
from transformer.objectives.next_token import NextToken
from transformer.training.experiment import Experiment
from transformer.training.optimizer import AdamW
from transformer.training.schedule import WarmupCosine
from transformer.zoo.bert import MASKED, bert
from transformer.zoo.gpt2 import gpt2

VOCAB = 8192
SHAPE = dict(width=256, depth=4, heads=4, vocab=VOCAB, length=128, dropout=0.1)


def experiment(folder: str, model: Literal["gpt", "bert"] = "gpt",
               steps: int | None = None) -> Experiment:
    """`folder` holds wiki.train.tokens*, wiki.valid.tokens* and wiki.test.tokens*, .xz or not.

    model: "gpt" reads the running text; "bert" one paragraph at a time, as `fill` does later.
    """
    return {"gpt": gpt, "bert": masked}[model](folder, steps)


def gpt(folder: str, steps: int | None) -> Experiment:
    """Rows of the running text, 4,096 tokens a step."""
    steps = steps or 1600
    return Experiment(
        model=gpt2(**SHAPE), objective=NextToken(), **splits(folder, "file"),
        rows=Chunks(length=128, cross_documents=True), **recipe(steps, warmup=200),
    )


def masked(folder: str, steps: int | None) -> Experiment:
    """Paragraphs packed side by side, 4,096 tokens a step."""
    steps = steps or 2500
    return Experiment(
        model=bert(**SHAPE, outputs=(MASKED,), pooler=False), objective=MaskedLM(),
        **splits(folder, "line"), rows=Packed(length=128, opening="cls"),
        **recipe(steps, warmup=500),
    )


def splits(folder: str, documents: str) -> dict:
    """The three parts, and pieces learnt from the first."""
    def text(part):
        return Text(path=f"{folder}/wiki.{part}.tokens*", documents=documents)

    return dict(data=text("train"), validation=text("valid"), test=text("test"),
                tokenizer=Pieces(vocab=VOCAB))


def recipe(steps: int, warmup: int) -> dict:
    """AdamW with a cosine to a tenth."""
    schedule = WarmupCosine(peak=1e-3, warmup=warmup, steps=steps, final=1e-4)
    return dict(optimizer=AdamW(learning_rate=schedule, b1=0.9, b2=0.98, decay=0.1), steps=steps,
                batch=32, log_every=25, evaluate_every=500, save_every=250)
