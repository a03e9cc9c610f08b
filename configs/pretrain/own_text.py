"""What the recipes on your own text share: the pieces, and what a size to try does without."""

import dataclasses

from transformer.data.corpus import Holdout
from transformer.data.pieces import Pieces
from transformer.data.source import Text
from transformer.data.stored_tokenizer import StoredTokenizer
from transformer.data.tokenizer import TokenizerSpec
from transformer.nn.context import Run

TO_TRY = ("nano", "tiny")  # sizes that learn on a CPU while you watch


def vocabulary(tokenizer: str | None, paper: int) -> tuple[TokenizerSpec, int]:
    """(the tokenizer, its ids rounded up to 128, which are the model's).

    tokenizer: a directory that `python -m transformer tokenizer train` made; None trains a
      vocabulary of the paper's size from the text.
    """
    pieces = Pieces(vocab=paper) if tokenizer is None else StoredTokenizer(path=tokenizer)
    ids = paper if tokenizer is None else pieces.train().size
    return pieces, -(-ids // 128) * 128


def own_text(path: str, size: str, batch: int, tokenizer: str | None, paper: int, rows: int,
             run: Run = Run()) -> tuple[int, dict]:
    """(the model's vocabulary, the fields of an experiment that these recipes share).

    Args:
      tokenizer, paper: see `vocabulary`. A vocabulary of one's own means a smaller text, of which
        more must be held out.
      rows: of one slice; larger batches are accumulated, but not of a size to try.
    """
    pieces, vocab = vocabulary(tokenizer, paper)
    small = size in TO_TRY
    return vocab, dict(
        tokenizer=pieces,
        data=Text(path=path),
        validation=Holdout(fraction=0.005 if tokenizer is None else 0.05),
        run=dataclasses.replace(run, dtype="float32" if small else "bfloat16"),
        batch=batch, accumulate=1 if small or batch % rows else batch // rows,
        log_every=10, evaluate_every=1000, save_every=1000,
    )
