"""What streams by is what generation gives at once, tokens and text alike."""

import itertools

import jax
import numpy as np
import pytest

from transformer.generation.generate import Greedy, Sample, generate
from transformer.generation.prompt import batch_of
from transformer.generation.stream import stream, text_of
from transformer.nn.door import unstack


# a single row is carried in another layout
@pytest.mark.parametrize("name,rows,choose", [("gpt2", 1, Sample(top_k=50)),
                                              ("vaswani", 4, Greedy())], ids=["gpt2", "vaswani"])
def test_streamed_tokens_are_the_generated_ones(tiny, prompts, name, rows, choose):
    small = tiny(name)
    params = unstack(small.params)
    batch = {key: value[:rows] for key, value in prompts(small).items()}
    how = dict(tokens=6, choose=choose, key=jax.random.key(3))
    columns = list(stream(small.model, params, batch, **how))
    want = generate(small.model, params, batch, **how)["tokens"]
    np.testing.assert_array_equal(np.stack(columns, 1), want)


def test_a_stream_ends_with_its_last_row(chain):
    model, params = chain
    columns = list(stream(model, params, batch_of([[1], [2], []]), tokens=50, stop=0, pad=9))
    assert np.stack(columns, 1).tolist() == [[2, 3, 0], [3, 0, 9], [9, 9, 9]]


def test_a_stream_takes_no_step_that_it_does_not_need(chain):
    model, params = chain
    assert len(list(stream(model, params, batch_of([[1]]), tokens=4))) == 4
    jax.effects_barrier()
    assert len(model.steps) == 4


def python_text(ids):
    """Bytes as a byte vocabulary reads them: one U+FFFD for each broken sequence."""
    return bytes(ids).decode(errors="replace")


def piece_text(ids):
    """Bytes as byte pieces are read: one U+FFFD for each byte of an unfinished sequence."""
    text, ids = "", list(ids)
    while ids:
        for size in (1, 2, 3, 4):
            try:
                text += bytes(ids[:size]).decode()
                break
            except UnicodeDecodeError:
                pass
        else:
            text, size = text + "\ufffd", 1
        ids = ids[size:]
    return text


TEXTS = ["plain", "naïve café", "日本語 and 한국어", "a 𝄞 clef 👩‍🚀!", "€", ""]


@pytest.mark.parametrize("decode", [python_text, piece_text])
@pytest.mark.parametrize("text", TEXTS)
def test_characters_of_several_bytes_arrive_whole(text, decode):
    pieces = list(text_of(text.encode(), decode))
    assert "".join(pieces) == text
    assert len(pieces) == len(text)  # every character at once, none early and none late


@pytest.mark.parametrize("decode", [python_text, piece_text])
def test_broken_bytes_stream_as_they_decode(decode):
    alphabet = [0x41, 0xFF, 0x80, 0xC3, 0xA9, 0xE2, 0x82, 0xAC, 0xF0, 0x9F]
    draw = np.random.default_rng(0)
    for ids in itertools.chain(itertools.product(alphabet, repeat=3),
                               draw.choice(alphabet, (300, 12))):
        ids = [int(n) for n in ids]
        assert "".join(text_of(ids, decode)) == decode(ids), ids


def test_text_that_stays_broken_is_not_held_back_forever():
    told = text_of(iter([0xFF] * 10), python_text)
    assert [next(told) for _ in range(7)] == ["\ufffd"] * 7


def test_tokenizers_of_bytes_stream():
    from transformer.data.pieces import Pieces
    from transformer.data.vocabulary import Bytes

    text = "Ünïcode 日本 👩‍🚀 end"
    trained = Pieces(vocab=290).train(["some plain text to learn from, again and again"] * 20)
    for tokenizer in (Bytes().train([]), trained):
        pieces = list(text_of(tokenizer.encode(text), tokenizer.decode))
        assert "".join(pieces) == text
        assert len(pieces) > 10 and "\ufffd" not in "".join(pieces)
