"""The published sizes have exactly the published numbers of parameters. Nothing is allocated."""

import dataclasses
import importlib

import pytest

from transformer.nn.door import Model
from transformer.nn.model import Decoder
from transformer.zoo.bert import MASKED, bert
from transformer.zoo.gpt1 import gpt1
from transformer.zoo.gpt2 import gpt2
from transformer.zoo.llama import llama
from transformer.zoo.vaswani import vaswani

# Sums over the shapes in the released checkpoints; the labels of the papers are in the comments.
PUBLISHED = {
    "gpt1": {"base": 116_534_784},  # 117M
    "gpt2": {"small": 124_439_808, "medium": 354_823_168, "large": 774_030_080,
             "xl": 1_557_611_200},  # 124M 355M 774M 1.5B
    "bert": {"base": 110_106_428, "large": 336_226_108},  # 110M 340M
    "llama": {"7b": 6_738_415_616, "13b": 13_015_864_320, "33b": 32_528_943_616,
              "65b": 65_285_660_672},  # 6.7B 13.0B 32.5B 65.2B
    "vaswani": {"base": 63_045_632, "big": 214_171_648},  # 65M 213M, vocabulary unpublished
}
CELLS = [(family, size) for family, sizes in PUBLISHED.items() for size in sizes]


@pytest.mark.parametrize("family,size", CELLS)
def test_published_size(family, size):
    zoo = importlib.import_module(f"transformer.zoo.{family}")
    count = Model(getattr(zoo, family)(size)).count()
    assert count == PUBLISHED[family][size] == zoo.COUNTS[size]


def test_no_count_is_claimed_without_a_test():
    for family, counts in PUBLISHED.items():
        assert importlib.import_module(f"transformer.zoo.{family}").COUNTS == counts


@pytest.mark.parametrize("size,label", [("tiny", 4.4), ("mini", 11.3), ("small", 29.1),
                                        ("medium", 41.7)])  # millions: Turc 2019, Table 1
def test_small_berts(size, label):
    """The labels count both pretraining heads."""
    assert round(Model(bert(size)).count() / 1e6, 1) == label


@pytest.mark.parametrize("size,trunk,pooled", [("base", 108_891_648, 109_482_240),
                                               ("large", 334_092_288, 335_141_888)])
def test_bert_without_heads(size, trunk, pooled):
    assert Model(bert(size, outputs=(), pooler=False)).count() == trunk
    assert Model(bert(size, outputs=())).count() == pooled
    width = bert(size).embedding.width
    head = width * width + width + 2 * width + 30522
    assert Model(bert(size, outputs=(MASKED,), pooler=False)).count() == trunk + head


def test_gpt1_without_tables():
    assert Model(gpt1("base")).count() - (40478 + 512) * 768 == 85_054_464


def test_gpt3_widths_and_grouped_successors():
    """Later published sizes of the same architectures."""
    assert Model(gpt2(width=12288, depth=96, heads=96, length=2048)).count() == 174_604_259_328
    llama2 = llama(width=8192, depth=80, heads=64, kv_heads=8, hidden=28672)
    assert Model(llama2).count() == 68_976_648_192
    llama3 = llama(width=4096, depth=32, heads=32, kv_heads=8, hidden=14336, vocab=128256)
    assert Model(llama3).count() == 8_030_261_248


def test_attention_biases_of_the_original_transformer():
    """With the biases that some implementations add: 18 attentions of 4 x 512."""
    def biased(block):
        layers = tuple((n, dataclasses.replace(s, bias=True)) for n, s in block.sublayers)
        return dataclasses.replace(block, sublayers=layers)

    spec = vaswani("base")
    stacks = {}
    for name in ("encoder", "decoder"):
        segment = getattr(spec, name).segments[0]
        segment = dataclasses.replace(segment, pattern=(biased(segment.pattern[0]),))
        stacks[name] = dataclasses.replace(getattr(spec, name), segments=(segment,))
    assert Model(dataclasses.replace(spec, **stacks)).count() == 63_082_496


def test_llama_widths():
    """Table 2 gives the width; the feed-forward width follows from it (§2.2)."""
    def hidden(size):
        spec = llama(size)
        assert isinstance(spec, Decoder)
        return dict(spec.stack.segments[0].pattern[0].sublayers)["feedforward"].width

    assert [hidden(s) for s in ("7b", "13b", "33b", "65b")] == [11008, 13824, 17920, 22016]
