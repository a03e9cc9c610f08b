"""Recurrent encoder-decoders on your own pairs, with the recipes of their papers."""

from typing import Literal

from configs.pretrain.own_text import TO_TRY, vocabulary
from transformer.data.padding import Padded
from transformer.data.table import Table
from transformer.nn.context import Run
from transformer.objectives.sequence_to_sequence import SequenceToSequence
from transformer.tasks.translation import Translation
from transformer.training.adadelta import Adadelta
from transformer.training.experiment import Experiment
from transformer.training.optimizer import SGD, AdamW, Optimizer
from transformer.training.schedule import Constant, WarmupCosine
from transformer.training.span import Halving
from transformer.zoo.rnn import SIZES, rnn

# The papers' gradients are of a sentence's loss, ours of a token's: their rates and norms are
# translated by the tokens of a target sentence. 348M words in 12M sentences, and an end to each.
TOKENS = 30
EPOCHS = 7.5  # of 12M sentences
LENGTHS = {"steps": {"tiny": 1500, "sutskever2014": 703_125, "cho2014": 3_000_000,
                     "bahdanau2015": 288_000},
           "batch": {"tiny": 64, "sutskever2014": 128, "cho2014": 64, "bahdanau2015": 80}}


def optimizer(size: str, steps: int) -> Optimizer:
    """Sutskever 2014 §3.4, Cho 2014 §4.1, Bahdanau 2015 App. B.2; Adam for the size to try."""
    if size in TO_TRY:
        return AdamW(learning_rate=WarmupCosine(peak=3e-3, warmup=steps // 15, steps=steps))
    if size == "sutskever2014":
        epoch = max(1, round(steps / EPOCHS))
        return SGD(learning_rate=Halving(peak=0.7 * TOKENS, epoch=epoch), clip=5 / TOKENS)
    return Adadelta(learning_rate=Constant(peak=1.0), clip=1 / TOKENS)


def experiment(path: str = "data/train.tsv", validation: str = "data/valid.tsv",
               size: Literal[tuple(SIZES)] = "sutskever2014", steps: int | None = None,
               batch: int | None = None, tokenizer: str | None = None) -> Experiment:
    """One table of pieces for both languages, where the papers had words of each.

    Args:
      path, validation: tab-separated pairs. The first line names the columns, `source` and `target`
        among them; a file without such a line is refused, as its first pair would be lost.
      steps, batch: those of the paper if None. tokenizer: see `own_text.vocabulary`.
    """
    steps, batch = steps or LENGTHS["steps"][size], batch or LENGTHS["batch"][size]
    pieces, vocab = vocabulary(tokenizer, paper=SIZES[size]["vocab"])
    shape = {**SIZES[size], "vocab": vocab}
    if "source_vocab" in shape:
        shape["source_vocab"] = vocab
    return Experiment(
        model=rnn(**shape),
        tokenizer=pieces,
        data=Table(path=path), validation=Table(path=validation),
        task=Translation(),
        rows=Padded(length=64, source_length=64, buckets=(16, 32, 48)),
        objective=SequenceToSequence(),
        optimizer=optimizer(size, steps),
        run=Run(dtype="float32" if size in TO_TRY else "bfloat16"),
        steps=steps, batch=batch,
        log_every=10, evaluate_every=1000, save_every=1000,
    )
