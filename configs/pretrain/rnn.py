"""Recurrent encoder-decoders on your own pairs, with the recipes of their papers."""

import dataclasses

from configs.pretrain.own_text import TINY, Numbers, recipe
from transformer.data.own import OwnPairs
from transformer.data.padding import Padded
from transformer.objectives.sequence_to_sequence import SequenceToSequence
from transformer.tasks.translation import Translation
from transformer.training.adadelta import Adadelta
from transformer.training.optimizer import SGD, AdamW, Optimizer
from transformer.training.schedule import Constant, WarmupCosine
from transformer.training.span import Halving
from transformer.zoo.rnn import SIZES, rnn

# The papers' gradients are of a sentence's loss, ours of a token's: their rates and norms are
# translated by the tokens of a target sentence. 348M words in 12M sentences, and an end to each.
TOKENS = 30
EPOCHS = 7.5  # Sutskever 2014 §3.4, of 12M sentences
# One table of pieces for both languages, where the papers had words of each.
SUTSKEVER = Numbers(steps=703_125, batch=128, length=64, vocab=80_000, rate=0.7, warmup=0,
                    slice=128)
PAPER = {
    "sutskever2014": SUTSKEVER,
    # the updates of the authors' code, and of RNNsearch-50 in their Table 2; Adadelta's rate is 1
    "cho2014": dataclasses.replace(SUTSKEVER, steps=3_000_000, batch=64, vocab=15_000, rate=1.0),
    "bahdanau2015": dataclasses.replace(SUTSKEVER, steps=288_000, batch=80, vocab=30_000, rate=1.0),
    "tiny": dataclasses.replace(TINY, length=64, vocab=1024, rate=3e-3),
}


def optimizer(n: Numbers, size: str) -> Optimizer:
    """Sutskever 2014 §3.4, Cho 2014 §4.1, Bahdanau 2015 App. B.2; Adam for the size to try."""
    if size == "tiny":
        return AdamW(learning_rate=WarmupCosine(peak=n.rate, warmup=n.warmup, steps=n.steps))
    if size == "sutskever2014":
        rate = Halving(peak=n.rate * TOKENS, epoch=max(1, round(n.steps / EPOCHS)))
        return SGD(learning_rate=rate, clip=5 / TOKENS)
    return Adadelta(learning_rate=Constant(peak=n.rate), clip=1 / TOKENS, scale=TOKENS)


@recipe(PAPER, "sutskever2014", source=OwnPairs)
def experiment(n: Numbers, size: str) -> dict:
    """path, validation: tables whose first line names the columns, source and target among them."""
    shape = SIZES[size] | dict(vocab=n.vocab)
    if "source_vocab" in shape:
        shape["source_vocab"] = n.vocab
    return dict(
        model=rnn(**shape),
        task=Translation(),
        rows=Padded(length=n.length, source_length=n.length),
        objective=SequenceToSequence(),
        optimizer=optimizer(n, size),
    )
