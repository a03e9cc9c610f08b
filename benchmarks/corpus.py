"""The text that the data benchmarks read: a file of the user's, or the embedded world's corpus."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Iterator
from pathlib import Path

VOCAB = 2048  # the world's text has no more than some 3,000 different pieces to learn
VOCAB_HELP = "pieces of the tokenizer that is trained on the text (default: %(default)s)"


@contextlib.contextmanager
def text(path: Path | None, megabytes: float) -> Iterator[Path]:
    """A plain text file of about this size; documents are separated by blank lines.

    The world's corpus, or the given file, is repeated until it is long enough.
    """
    with tempfile.TemporaryDirectory() as directory:
        out = Path(directory) / "corpus.txt"
        content = path.read_bytes() if path else _world()
        if not content.strip():
            raise SystemExit(f"{path} is empty; give a file of text")
        with out.open("wb") as stream:
            while stream.tell() < megabytes * 1e6:
                stream.write(content + b"\n\n")
        yield out


def _world() -> bytes:
    from transformer.data.world import World

    documents = (record["text"] for record in World(megabytes=4.0).records())
    return "\n\n".join(documents).encode()


def documents(path: Path) -> list[str]:
    """All documents of a file at once."""
    from transformer.data.source import Text

    return [record["text"] for record in Text(path=str(path)).records()]
