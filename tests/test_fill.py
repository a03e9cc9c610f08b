"""`fill`: what stands before a mask, how many pieces, and what it refuses."""

from types import SimpleNamespace

import jax
import jax.numpy as jnp
import pytest

from transformer.data.pieces import Pieces
from transformer.data.vocabulary import Bytes, Characters
from transformer.error import UserError
from transformer.verbs import fill as verb
from transformer.verbs.fill import fill

TEXT = "the dog ran down the hill and the old dog ran up the hill again\n" * 200


class Left:
    """A model that is certain of the token to the left of every place."""

    def __init__(self, size, heads=(("mlm", None),)):
        position = SimpleNamespace(limit=lambda: 64)
        self.size, self.spec = size, SimpleNamespace(
            heads=heads, embedding=SimpleNamespace(position=position))

    def apply(self, params, batch):
        return {"mlm": 99.0 * jax.nn.one_hot(jnp.roll(batch["tokens"], 1, 1), self.size)}


def opened(tokenizer, **how):
    """What `transformer.load` gives, as far as `fill` looks."""
    special = tokenizer.special
    return SimpleNamespace(tokenizer=tokenizer, model=Left(tokenizer.size, **how), params={},
                           framed=lambda ids: [special["cls"], *ids, special["eos"]])


@pytest.mark.parametrize(("spec", "left"), [
    (Pieces(vocab=300), "dog"), (Bytes(), " "), (Characters(), " ")],
    ids=["pieces", "bytes", "characters"])
def test_no_space_stands_alone_before_a_mask_unless_it_did_in_training(spec, left):
    (masks,) = fill(opened(spec.train([TEXT])), ["the dog <mask> down <mask> again"], 1)
    (piece, chance), = masks[0]
    assert (piece.strip() or piece) == left and chance == pytest.approx(1.0)
    assert len(masks) == 2


def test_the_count_is_at_most_the_vocabulary():
    tokenizer = Bytes().train([])
    (masks,) = fill(opened(tokenizer), ["a<mask>"], 10 ** 6)
    assert len(masks[0]) == tokenizer.size and masks[0][0][0] == "a"


@pytest.mark.parametrize(("text", "count", "heads", "message"), [
    ("a<mask>", 0, (("mlm", None),), "at least 1"),
    ("a<mask>", 5, (("logits", None),), "has the heads logits"),
    ("nothing", 5, (("mlm", None),), "line 1: there is no <mask>"),
    ("x" * 64 + "<mask>", 5, (("mlm", None),), "line 1 has 67 tokens")])
def test_mistakes_are_named(text, count, heads, message):
    with pytest.raises(UserError, match=message):
        fill(opened(Bytes().train([]), heads=heads), [text], count)


def test_a_tokenizer_without_a_mask_is_named():
    loaded = opened(Bytes().train([]))
    del loaded.tokenizer.special["mask"]
    with pytest.raises(UserError, match="the tokenizer has no special piece 'mask'"):
        fill(loaded, ["a<mask>"])


def test_an_empty_file(tmp_path):
    (tmp_path / "texts").write_text("")
    with pytest.raises(UserError, match="is empty"):
        verb.command(["anywhere", f"--inputs={tmp_path / 'texts'}"])
