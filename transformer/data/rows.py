"""The ways to make rows of fixed length from documents and examples.

`SPEC.build(data, lookahead, tokenizer)` gives `Rows`: random access to padded examples, which a
`Stream` draws from.
"""

from transformer.data.chunks import Chunks
from transformer.data.framed import Framed
from transformer.data.mixture import Mixture
from transformer.data.packing import Packed
from transformer.data.padding import Padded
from transformer.data.pairs import Pairs

__all__ = ["Chunks", "Framed", "Mixture", "Packed", "Padded", "Pairs"]
