"""What the recipes share: a paper's numbers or those to try, your own data, and its pieces."""

import dataclasses
import inspect
from collections.abc import Callable
from typing import Literal

from transformer.data.corpus import Holdout
from transformer.data.own import Own, OwnPairs
from transformer.data.pieces import Pieces
from transformer.data.stored_tokenizer import StoredTokenizer
from transformer.data.tokenizer import TokenizerSpec
from transformer.nn.context import Run
from transformer.training.experiment import Experiment


@dataclasses.dataclass(frozen=True, kw_only=True)
class Numbers:
    """Of one run.

    steps: updates. batch: rows per update. length: tokens of a row.
    vocab: ids. pieces: how they are learnt; unigram needs more text for as many.
    rate: the peak of the learning rate, or the scale of a schedule without one. warmup: updates.
    slice: rows that are worked on at once; a larger batch is accumulated.
    holdout: the share of the data that validates.
    remat: see `nn.context.Run`; None is the recipe's.
    """

    steps: int
    batch: int
    length: int
    vocab: int
    rate: float
    warmup: int
    slice: int
    pieces: Literal["bpe", "unigram"] = "bpe"
    dtype: Literal["float32", "bfloat16"] = "bfloat16"
    holdout: float = 0.005
    remat: Literal["none", "attention", "dots", "full"] | None = None

    def but(self, steps: int | None, batch: int | None) -> "Numbers":
        """With the caller's own; a short run warms up for a tenth of it at most."""
        steps = steps or self.steps
        return dataclasses.replace(self, steps=steps, batch=batch or self.batch,
                                   warmup=min(self.warmup, steps // 10))


# Of sizes to try: they learn on two cores of a CPU while you watch, in three minutes at most.
TINY = Numbers(steps=1500, batch=16, length=128, vocab=2048, rate=2e-3, warmup=100, slice=256,
               dtype="float32", holdout=0.05)


def recipe(paper: dict[str, Numbers], default: str, source: type[Own | OwnPairs] = Own,
           remat: Literal["none", "attention", "dots", "full"] = "none", **pieces):
    """Makes a config's `experiment` of a function (numbers, size, ...) -> fields of an Experiment.

    Its arguments are those of `chosen`, and what else the function takes.

    Args:
      paper: {size: numbers}; "tiny" is TINY unless it is there.
      default: the size of a run that names none.
      source: what `path` and `validation` are read by. remat: see `nn.context.Run`.
      pieces: further fields of the `Pieces` that are learnt from the data.
    """
    numbers = {"tiny": TINY} | paper

    def of(function: Callable[..., dict]) -> Callable[..., Experiment]:
        def chosen(path: str | None = None, size: Literal[tuple(numbers)] = default,
                   validation: str | None = None, steps: int | None = None,
                   batch: int | None = None, tokenizer: str | None = None, **more) -> Experiment:
            """
            Args:
              path: your text, or your table of pairs (--data.path sets it as well); None is the
                embedded world's.
              validation: the same to validate on; None holds some of the data out.
              steps, batch: the paper's by default; what follows from them, follows.
              tokenizer: a directory that `python -m transformer tokenizer train` made; None learns
                as many pieces as the paper's from the data.
            """
            n, spec = vocabulary(numbers[size].but(steps, batch), tokenizer, pieces)
            held_out = Holdout(fraction=n.holdout)
            often = min(1000, max(n.steps // 4, 1))
            shared = dict(
                tokenizer=spec, data=source(path=path),
                validation=source(path=validation) if validation else held_out,
                steps=n.steps, batch=n.batch,
                accumulate=slices(n),
                run=Run(dtype=n.dtype, remat=n.remat or remat),
                log_every=10, evaluate_every=often, save_every=often)
            return Experiment(**shared | function(n, size, **more))

        own, more = (list(inspect.signature(f).parameters.values()) for f in (chosen, function))
        chosen.__signature__ = inspect.Signature([*own[:-1], *more[2:]])
        return chosen

    return of


def slices(n: Numbers) -> int:
    """How many equal parts a batch comes in, none of them larger than `slice`."""
    return next(parts for parts in range(-(-n.batch // n.slice), n.batch + 1)
                if n.batch % parts == 0)


def vocabulary(n: Numbers, tokenizer: str | None, pieces: dict) -> tuple[Numbers, TokenizerSpec]:
    """The numbers with the model's vocabulary, ids rounded up to 128, and what gives the ids."""
    spec = StoredTokenizer(path=tokenizer) if tokenizer else Pieces(
        vocab=n.vocab, model=n.pieces, **pieces)
    ids = n.vocab if tokenizer is None else spec.train().size
    return dataclasses.replace(n, vocab=-(-ids // 128) * 128), spec
