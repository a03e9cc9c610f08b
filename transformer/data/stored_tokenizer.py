"""A tokenizer that already exists, wherever it came from."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from transformer.data.hugging_face import HuggingFace
from transformer.data.pieces import PiecesFile
from transformer.data.tokenizer import SPEC_FILE, Tokenizer, TokenizerSpec, load_tokenizer


class StoredTokenizer(TokenizerSpec):
    """The tokenizer at `path`.

    Attributes:
      path: a directory that `Tokenizer.save` or `tokenizer train` wrote, a Hugging Face
        `tokenizer.json` or its folder, or a SentencePiece `.model` file.
    """

    path: str

    def train(self, documents: Iterable[str] = ()) -> Tokenizer:
        place = Path(self.path).expanduser()
        if place.suffix == ".model" and not place.is_dir():
            return PiecesFile(path=str(place)).train()
        ours = (place / SPEC_FILE).exists()
        if not ours and (place.suffix == ".json" or (place / "tokenizer.json").exists()):
            return HuggingFace(path=str(place)).train()
        return load_tokenizer(place)
