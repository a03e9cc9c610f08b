"""A run of seconds for the tests of the programs: `tiny_run.py:text=PATH` is its config."""

import jax.numpy as jnp

from transformer.data.chunks import Chunks
from transformer.data.corpus import Holdout
from transformer.data.source import Text
from transformer.data.vocabulary import Bytes
from transformer.objectives.next_token import NextToken
from transformer.training.experiment import Experiment
from transformer.training.optimizer import AdamW
from transformer.training.schedule import WarmupCosine
from transformer.zoo.gpt2 import gpt2


class Poisoned(NextToken):
    """The loss of one example of the training stream is not a number."""

    example: int

    def loss(self, apply, params, batch, rng, train):
        terms = super().loss(apply, params, batch, rng, train)
        bad = train & (batch["index"] == self.example).any()
        term = terms["next_token"]
        return {**terms, "next_token": term._replace(sum=jnp.where(bad, jnp.nan, term.sum))}


def experiment(text: str, steps: int = 12, poisoned: int = -1) -> Experiment:
    """Dropout, a schedule, an average and slices: everything that a resumed run must restore."""
    objective = NextToken() if poisoned < 0 else Poisoned(example=poisoned)
    return Experiment(
        model=gpt2(width=16, depth=2, heads=2, vocab=384, length=16, dropout=0.1),
        tokenizer=Bytes(), data=Text(path=text, documents="line"), validation=Holdout(),
        rows=Chunks(length=16), objective=objective,
        optimizer=AdamW(learning_rate=WarmupCosine(peak=1e-2, warmup=3, steps=steps), decay=0.1),
        steps=steps, batch=4, accumulate=2, average=0.9, seed=3,
        log_every=1, evaluate_every=4, save_every=4,
    )
