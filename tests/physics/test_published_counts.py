"""The published sizes have exactly the published numbers of parameters. Nothing is allocated."""

import dataclasses
import importlib

import pytest
from families import ALL

from transformer.nn.door import Model
from transformer.nn.head import Tied
from transformer.nn.model import Decoder
from transformer.nn.residual import FirstBare, PreNorm
from transformer.ops.reach import Causal, Everywhere, Window
from transformer.zoo.albert import albert
from transformer.zoo.bert import MASKED, bert
from transformer.zoo.electra import MASKED as ELECTRA_MASKED
from transformer.zoo.electra import electra, encoder
from transformer.zoo.gpt1 import gpt1
from transformer.zoo.gpt2 import gpt2
from transformer.zoo.gpt3 import gpt3
from transformer.zoo.llama import llama
from transformer.zoo.modernbert import modernbert
from transformer.zoo.palm import palm
from transformer.zoo.vaswani import vaswani

# Sums over the shapes in the released checkpoints; the labels of the papers are in the comments.
PUBLISHED = {
    "gpt1": {"base": 116_534_784},  # 117M
    "gpt2": {"small": 124_439_808, "medium": 354_823_168, "large": 774_030_080,
             "xl": 1_557_611_200},  # 124M 355M 774M 1.5B
    "bert": {"base": 110_106_428, "large": 336_226_108},  # 110M 340M
    "llama": {"7b": 6_738_415_616, "13b": 13_015_864_320, "33b": 32_528_943_616,
              "65b": 65_285_660_672},  # 6.7B 13.0B 32.5B 65.2B
    # Sutskever says 384M. The others are sums over the sizes of the matrices in their appendices,
    # with a bias for each gate.
    "rnn": {"sutskever2014": 384_032_000, "cho2014": 17_258_000, "bahdanau2015": 80_412_000},
    "vaswani": {"base": 63_045_632, "big": 214_171_648},  # 65M 213M, vocabulary unpublished
    "gpt3": {"125m": 125_226_240, "350m": 355_871_744, "760m": 760_300_032,
             "1.3b": 1_315_723_264, "2.7b": 2_651_553_280, "6.7b": 6_658_404_352,
             "13b": 12_853_386_240, "175b": 174_604_259_328},
    "palm": {"8b": 8_632_012_800, "62b": 62_495_662_080, "540b": 540_356_474_880},
    "distilgpt2": {"base": 81_912_576},  # 82M
    "albert": {"base": 11_813_810, "large": 17_847_474, "xlarge": 59_021_490,
               "xxlarge": 223_158_450},  # 12M 18M 60M 235M
    "electra": {"small": 14_196_219, "base": 119_386_427, "large": 354_655_291},
    "distilbert": {"base": 66_985_530},  # 66M
    "roberta": {"base": 124_697_433, "large": 355_412_057},  # 125M 355M
    "modernbert": {"base": 149_655_232, "large": 395_881_664},  # 149M 395M
    "t5": {"small": 60_506_624, "base": 222_903_552, "large": 737_668_096, "3b": 2_851_598_336,
           "11b": 11_307_321_344, "1.1-small": 76_961_152, "1.1-base": 247_577_856,
           "1.1-large": 783_150_080, "1.1-xl": 2_849_757_184, "1.1-xxl": 11_135_332_352},
    "bart": {"base": 139_420_416, "large": 406_291_456},  # 139M 406M
    "neox": {"70m": 70_426_624, "160m": 162_322_944, "410m": 405_334_016, "1b": 1_011_781_632,
             "1.4b": 1_414_647_808, "2.8b": 2_775_208_960, "6.9b": 6_857_302_016,
             "12b": 11_846_072_320},
    "qwen3": {"0.6b": 596_049_920, "1.7b": 1_720_574_976, "4b": 4_022_468_096,
              "8b": 8_190_735_360, "14b": 14_768_307_200, "32b": 32_762_123_264},
    "gemma": {"2b": 2_506_172_416, "7b": 8_537_680_896},
    "marian": {"opus": 73_944_309},
}
# The other sizes run with `-m full`; tests/test_models.py counts all of them against COUNTS.
CELLS = [pytest.param(family, size, marks=[] if n == 0 else pytest.mark.full)
         for family, sizes in PUBLISHED.items() for n, size in enumerate(sizes)]


@pytest.mark.parametrize("family,size", CELLS)
def test_published_size(family, size):
    zoo = importlib.import_module(f"transformer.zoo.{family}")
    count = Model(getattr(zoo, family)(size)).count()
    assert count == PUBLISHED[family][size] == zoo.COUNTS[size]


def test_no_count_is_claimed_without_a_test():
    assert set(PUBLISHED) == set(ALL)
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


@pytest.mark.parametrize("size,discriminator,head", [
    ("small", 13_483_008, 256), ("base", 108_891_648, 768), ("large", 334_092_288, 1024)])
def test_electra_discriminators(size, discriminator, head):
    """What is kept after pretraining (Clark 2020, Table 1: 14M, 110M, 335M)."""
    assert Model(electra(size).discriminator).count() == discriminator + head * head + 2 * head + 1


@pytest.mark.parametrize("size,count", [("base", 11_683_584), ("large", 17_683_968),
                                        ("xlarge", 58_724_864), ("xxlarge", 222_595_584)])
def test_albert_without_heads(size, count):
    assert Model(albert(size, outputs=())).count() == count


def test_gpt1_without_tables():
    assert Model(gpt1("base")).count() - (40478 + 512) * 768 == 85_054_464


@pytest.mark.parametrize("fields,count", [
    (dict(width=64, heads=1, rank=128), 4_620_026),  # a quarter of the paper's small
    (dict(width=256, heads=4, rank=128), 13_546_682),  # of the released small
    (dict(width=256, heads=4, rank=768), 33_740_602),
    (dict(width=256, heads=4, rank=1024, depth=24), 51_295_290)])
def test_electra_generators(fields, count):
    """With the tables that pretraining lends them: the files that were released."""
    assert Model(encoder(**fields, outputs=(ELECTRA_MASKED,))).count() == count


def test_gpt3_as_its_table_has_it():
    """Table 2.1 gives the 13B model a width of 5140, which 40 heads do not divide."""
    assert Model(gpt3(width=5140, depth=40, heads=20)).count() == 12_952_938_780
    assert Model(gpt2(width=12288, depth=96, heads=96, length=2048)).count() == 174_604_259_328


@pytest.mark.parametrize("size,matrices", [
    ("8b", 8_631_877_632), ("62b", 62_495_129_600), ("540b", 540_354_281_472)])
def test_palm_without_scales(size, matrices):
    """One norm a layer and one at the end. Table 1: 8.63, 62.50 and 540.35 billion."""
    spec = palm(size)
    scales = (spec.stack.depth + 1) * spec.embedding.width
    assert Model(spec).count() - scales == matrices


GROUPED = dict(kv_heads=8, vocab=128256)


@pytest.mark.parametrize("fields,tied,count", [
    (dict(width=8192, depth=80, heads=64, kv_heads=8, hidden=28672), False, 68_976_648_192),
    (dict(width=4096, depth=32, heads=32, hidden=14336, **GROUPED), False, 8_030_261_248),
    (dict(width=8192, depth=80, heads=64, hidden=28672, **GROUPED), False, 70_553_706_496),
    (dict(width=16384, depth=126, heads=128, hidden=53248, **GROUPED), False, 405_853_388_800),
    (dict(width=2048, depth=16, heads=32, hidden=8192, **GROUPED), True, 1_235_814_400),
    (dict(width=3072, depth=28, heads=24, hidden=8192, **GROUPED), True, 3_212_749_824),
], ids=["llama2-70b", "llama3-8b", "llama3-70b", "llama3.1-405b", "llama3.2-1b", "llama3.2-3b"])
def test_grouped_successors_of_llama(fields, tied, count):
    spec = llama(**fields)
    if tied:
        spec = dataclasses.replace(spec, heads=(("logits", Tied()),))
    assert Model(spec).count() == count


@pytest.mark.parametrize("size,count", [("base", 63_082_496), ("big", 214_245_376)])
def test_attention_biases_of_the_original_transformer(size, count):
    """With the biases that some implementations add: 18 attentions of 4 x width."""
    def biased(block):
        layers = tuple((n, dataclasses.replace(s, bias=True)) for n, s in block.sublayers)
        return dataclasses.replace(block, sublayers=layers)

    spec = vaswani(size)
    stacks = {}
    for name in ("encoder", "decoder"):
        segment = getattr(spec, name).segments[0]
        segment = dataclasses.replace(segment, pattern=(biased(segment.pattern[0]),))
        stacks[name] = dataclasses.replace(getattr(spec, name), segments=(segment,))
    assert Model(dataclasses.replace(spec, **stacks)).count() == count


def layers(spec):
    """The attention of every layer, from the first to the last."""
    blocks = [block for s in spec.stack.segments for block in s.pattern * s.repeats]
    return [dict(block.sublayers)["attention"] for block in blocks]


def test_gpt3_alternates_dense_and_banded_layers():
    """§2.1: "alternating dense and locally banded sparse attention patterns"."""
    reaches = [layer.reach for layer in layers(gpt3("175b"))]
    assert len(reaches) == 96
    assert set(reaches[::2]) == {Causal()} and set(reaches[1::2]) == {Causal() & Window(width=256)}


@pytest.mark.parametrize("size,depth", [("base", 22), ("large", 28), ("tiny", 4)])
def test_every_third_layer_of_modernbert_looks_everywhere(size, depth):
    """§2.1.2, from the first layer on; only that one reads the embedding without a norm."""
    spec = modernbert(size)
    wanted = {True: (Everywhere(), 160_000.0),
              False: (Window(width=8 if size == "tiny" else 64), 10_000.0)}
    assert [(layer.reach, layer.rotary.base) for layer in layers(spec)] == [
        wanted[n % 3 == 0] for n in range(depth)]
    rules = [block.residual for s in spec.stack.segments for block in s.pattern * s.repeats]
    assert [type(rule) for rule in rules] == [FirstBare] + [PreNorm] * (depth - 1)


@pytest.mark.parametrize("depth", [1, 2, 3, 4, 5, 6, 9])
def test_modernbert_of_any_depth(depth):
    assert len(layers(modernbert(depth=depth))) == depth


def test_llama_widths():
    """Table 2 gives the width; the feed-forward width follows from it (§2.2)."""
    def hidden(size):
        spec = llama(size)
        assert isinstance(spec, Decoder)
        return dict(spec.stack.segments[0].pattern[0].sublayers)["feedforward"].width

    assert [hidden(s) for s in ("7b", "13b", "33b", "65b")] == [11008, 13824, 17920, 22016]
