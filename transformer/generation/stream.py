"""Generation as it happens: one compiled step, tokens and text handed out as they come."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence

import numpy as np

from transformer.error import UserError
from transformer.generation.generate import Beam, Generator, ends
from transformer.generation.prompt import fit
from transformer.ops.sampling import Greedy
from transformer.spec import Spec

UNFINISHED = 3  # bytes at most that begin a UTF-8 character without ending it


def stream(model, params, batch: dict, *, tokens: int, choose: Spec = Greedy(),
           stop: int | Sequence[int] | None = None, key=None, pad: int = 0,
           vocab: int | None = None, run: Spec | None = None,
           constraints: tuple[Spec, ...] = ()) -> Iterator[np.ndarray]:
    """The columns of `generate(...)["tokens"]`, int32 [B], until every row is done.

    The next step is under way while the caller looks at a token; it never waits for more than one.
    Arguments and errors are those of `generate`; UserError for Beam as well, whose answer is
    known at its end.
    """
    if isinstance(choose, Beam):
        raise UserError("beam search knows its answer at the end only; stream Greedy or Sample")
    fitted, capacity = fit(model, batch, tokens)
    generator = Generator(model, choose, capacity, vocab, run, tuple(constraints))
    last = ends(stop, pad, tokens)
    cache, state = generator.begin(params, fitted, last, key)
    for n in range(tokens):
        now = state
        if n + 1 < tokens:
            cache, state = generator.advance(params, cache, state, last)
        yield np.asarray(now["token"])[:len(batch["tokens"])]
        if np.asarray(now["done"]).all():
            return


def text_of(ids: Iterable[int], decode: Callable[[list[int]], str]) -> Iterator[str]:
    """The text of tokens as they come, in pieces that add up to `decode` of all of them.

    A character may take several tokens (bytes, byte pieces): while its bytes are incomplete it
    decodes to U+FFFD, which is held back until the next token shows what it was.
    """
    seen, told = [], 0  # tokens, characters
    for token in ids:
        seen.append(int(token))
        text = decode(seen)
        sure = max(len(text.rstrip("\N{REPLACEMENT CHARACTER}")), len(text) - UNFINISHED)
        if sure > told:
            yield text[told:sure]
            told = sure
    rest = decode(seen)[told:]
    if rest:
        yield rest
