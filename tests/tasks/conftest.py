"""A tokenizer whose pieces are up to three letters with the space before them."""

import re

import pytest

NAMES = ("pad", "unk", "bos", "eos", "mask", "cls", "sep", "start", "delimiter", "extract")


class Threes:
    """Ids are given out from 10 on as pieces are met."""

    special = {name: n for n, name in enumerate(NAMES)}

    def __init__(self):
        self.pieces = [f"<{name}>" for name in NAMES]

    @property
    def size(self):
        return len(self.pieces)

    def spans(self, text):
        found = list(re.finditer(r" ?[^ ]{1,3}| +", text.replace("\u200b", " ").rstrip()))
        found = [match for match in found if match[0].strip()]
        for match in found:
            if match[0] not in self.pieces:
                self.pieces.append(match[0])
        return [self.pieces.index(m[0]) for m in found], [m.span() for m in found]

    def encode(self, text):
        return self.spans(text)[0]

    def encode_batch(self, texts):
        return [self.encode(text) for text in texts]

    def decode(self, ids):
        return "".join(self.pieces[n] for n in ids if n >= len(NAMES))


@pytest.fixture
def tokenizer():
    return Threes()


@pytest.fixture
def shown(tokenizer):
    """The pieces of a row, for people to compare."""
    return lambda ids: [tokenizer.pieces[n] for n in ids]
