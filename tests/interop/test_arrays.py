"""Arrays of two sides: what does not fit is named before the model runs."""

import numpy as np
import pytest

from transformer.error import UserError
from transformer.interop.arrays import Translation
from transformer.zoo.t5 import t5

IDS = np.arange(8).reshape(2, 4)


def batch(**inputs):
    return Translation(t5("tiny")).batch({"input_ids": IDS, **inputs})


def test_a_mask_is_spread_over_the_decoder():
    made = batch(decoder_input_ids=IDS[:, :3], decoder_attention_mask=np.array(1))
    assert made["tokens"].tolist() == IDS[:, :3].tolist()
    assert made["segments"].tolist() == [[1] * 3] * 2


@pytest.mark.parametrize(("inputs", "message"), [
    (dict(decoder_input_ids=IDS[:1]), r"decoder_input_ids are \[1, 4\], .* as many rows"),
    (dict(decoder_input_ids=IDS[0]), r"decoder_input_ids are \[4\], but they must be \[batch,"),
    (dict(decoder_input_ids=np.array(3)), r"decoder_input_ids are \[\], but"),
    (dict(decoder_input_ids=IDS[:, :0]), r"decoder_input_ids are \[2, 0\], but"),
    (dict(decoder_input_ids=IDS, decoder_attention_mask=IDS[:, :3]),
     r"decoder_attention_mask is \[2, 3\], but the ids are \[2, 4\]"),
    (dict(decoder_input_ids=IDS, decoder_attention_mask=np.array(7)), "mask holds 7"),
    (dict(decoder_input_ids=-IDS), "outside the vocabulary"),
    (dict(decoder_attention_mask=np.array(1)), "give its decoder_input_ids too"),
])
def test_what_does_not_fit_is_refused(inputs, message):
    with pytest.raises(UserError, match=message):
        batch(**inputs)
