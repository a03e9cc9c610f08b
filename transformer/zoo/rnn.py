"""Recurrent encoder-decoders, with and without attention, from before the Transformer."""

from __future__ import annotations

from transformer.nn.alignment import Additive, NoAttention, Summary
from transformer.nn.cell import GRU, LSTM
from transformer.nn.embedding import Embedding
from transformer.nn.head import Untied
from transformer.nn.initial import Glorot, Normal, Orthogonal, Uniform, Zeros
from transformer.nn.readout import Copied, Maxout, Projected, Shown
from transformer.nn.recurrent import RecurrentEncoderDecoder
from transformer.spec import Spec

PAPER = "Sutskever 2014, Cho 2014, Bahdanau 2015"
OBJECTIVES = ("sequence_to_sequence",)
INTEROP = ()
ALONE = "no family there is recurrent"
SMALL = Normal(std=0.01)  # Cho 2014 §4.1, Bahdanau 2015 App. B.1


def sutskever(width: int, embedding: int, hidden: int | None, init: Spec | None) -> tuple:
    """Stacked LSTMs over the reversed source, joined by their states (Sutskever 2014 §2, §3.4)."""
    init = init or Uniform(bound=0.08)  # of all parameters
    return dict(cell=LSTM(width=width, init=init, bias_init=init), reading="backward",
                start=Copied(), attention=NoAttention(), readout=Shown()), init


def cho(width: int, embedding: int, hidden: int | None, init: Spec | None) -> tuple:
    """GRUs; the last state of the source goes into every step and its output (Cho 2014 §2.2, §4.1).

    As the authors' code, which has one rank for the embeddings and the vocabulary's matrix.
    """
    init = init or SMALL
    return dict(cell=GRU(width=width, init=init, recurrent_init=Orthogonal()), reading="forward",
                start=Projected(init=init), attention=Summary(),
                readout=Maxout(hidden=hidden, rank=embedding, init=init)), init


def bahdanau(width: int, embedding: int, hidden: int | None, init: Spec | None) -> tuple:
    """GRUs, a reader each way, and additive attention: RNNsearch (Bahdanau 2015 App. A.2)."""
    look = Additive(width=width, init=init or Normal(std=0.001), score_init=Zeros())
    init = init or SMALL
    return dict(cell=GRU(width=width, init=init, recurrent_init=Orthogonal()), reading="both",
                start=Projected(init=init), attention=look,
                readout=Maxout(hidden=hidden, init=init)), init


# Each gives the fields of a model, and how its tables and its output begin.
STYLES = {"sutskever": sutskever, "cho": cho, "bahdanau": bahdanau}
SIZES = {
    "tiny": dict(style="bahdanau", width=64, embedding=64, hidden=64, vocab=256, init=Glorot()),
    "sutskever2014": dict(style="sutskever", width=1000, embedding=1000, depth=4, hidden=None,
                          vocab=80_000, source_vocab=160_000),
    "cho2014": dict(style="cho", width=1000, embedding=100, hidden=500, vocab=15_000,
                    source_vocab=15_000),
    "bahdanau2015": dict(style="bahdanau", width=1000, embedding=620, hidden=500, vocab=30_000,
                         source_vocab=30_000),
}
COUNTS = {"sutskever2014": 384_032_000, "cho2014": 17_258_000, "bahdanau2015": 80_412_000}


def rnn(size: str | None = None, *, style="bahdanau", width=1000, embedding=620, depth=1,
        hidden: int | None = 500, vocab=30_000, source_vocab: int | None = None,
        dropout=0.0, init: Spec | None = None) -> RecurrentEncoderDecoder:
    """A recurrent encoder-decoder in the manner of one of the three papers.

    The decoder's first input is the bos token.

    Args:
      size: a key of SIZES; the other arguments are then ignored.
      style: a key of STYLES. width: of the state. embedding: of the tokens' vectors.
      depth: layers on each side. hidden: maxout units before the output, where there are any.
      vocab, source_vocab: rows of the tables; without the second, one table serves both sides.
      dropout: rate on the vectors of the tokens and on what each layer shows.
      init: of all weights but the recurrent ones and what is 0; None is the paper's, which is
        small for the thousand units there.
    """
    if size is not None:
        return rnn(**SIZES[size])
    fields, init = STYLES[style](width, embedding, hidden, init)
    table = lambda vocab: Embedding(vocab=vocab, width=embedding, dropout=dropout, init=init)
    return RecurrentEncoderDecoder(
        **fields, embedding=table(vocab), source_embedding=source_vocab and table(source_vocab),
        depth=depth, dropout=dropout, heads=(("logits", Untied(vocab=vocab, init=init)),))
