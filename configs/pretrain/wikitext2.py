"""WikiText-2 on a CPU: a GPT by word-level perplexity, or a BERT by masked accuracy."""

from transformer.data.chunks import Chunks
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


def experiment(folder: str, model: str = "gpt", steps: int = 2500) -> Experiment:
    """`folder` holds wiki.train.tokens*, wiki.valid.tokens* and wiki.test.tokens*, .xz or not."""
    text = lambda part: Text(path=f"{folder}/wiki.{part}.tokens*", documents="file")  # noqa: E731
    shape = dict(width=256, depth=4, heads=4, vocab=VOCAB, length=128, dropout=0.1)
    if model == "gpt":
        net, objective = gpt2(**shape), NextToken()
    else:
        net, objective = bert(**shape, outputs=(MASKED,), pooler=False), MaskedLM()
    return Experiment(
        model=net, objective=objective,
        tokenizer=Pieces(vocab=VOCAB),
        data=text("train"), validation=text("valid"), test=text("test"),
        rows=Chunks(length=128, cross_documents=True),
        optimizer=AdamW(learning_rate=WarmupCosine(peak=1e-3, warmup=200, steps=steps, final=1e-4),
                        b1=0.9, b2=0.98, decay=0.1),
        steps=steps, batch=32,
        log_every=25, evaluate_every=500, save_every=250,
    )
