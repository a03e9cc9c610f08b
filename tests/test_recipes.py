"""The recipes of configs/pretrain: one for every family, the papers' numbers, one's own data."""

import importlib
import inspect
import typing
from pathlib import Path

import jax.numpy as jnp
import pytest

from transformer.data.corpus import Holdout
from transformer.data.vocabulary import Bytes
from transformer.nn.count import train_flops
from transformer.nn.door import Model
from transformer.nn.model import SourceToTarget
from transformer.objectives.masked_lm import MaskedLM
from transformer.objectives.masking import NGrams
from transformer.training.config import stages
from transformer.verbs.models import families

RECIPES = sorted(path.stem for path in Path("configs/pretrain").glob("*.py")
                 if "\n@recipe(" in path.read_text())
B, M = 10**9, 10**6

# Beside the configs, not from them: rows and tokens of a row, updates, {updates made: learning
# rate}, fields of the optimizer.
BERT = dict(b1=0.9, b2=0.999, eps=1e-6, decay=0.01, clip=1.0, correct_bias=False)
GPT3 = dict(b1=0.9, b2=0.95, eps=1e-8, decay=0.1, clip=1.0, correct_bias=True)
FAIRSEQ = dict(b1=0.9, b2=0.98, eps=1e-6, decay=0.01, clip=None, correct_bias=True)
SANH = dict(b1=0.9, b2=0.98, eps=1e-6, decay=0.0, clip=5.0, correct_bias=True)
PAPERS = {
    "gpt1:size=base": ((64, 512), 3 * M, {0: 0, 2000: 2.5e-4, 1_500_000: 1.25e-4, 3 * M: 0},
                       dict(b1=0.9, b2=0.999, eps=1e-8, decay=0.01)),
    "gpt2:size=small": ((512, 1024), 100_000, {2000: 6e-4, 100_000: 6e-5}, GPT3),
    "gpt2:size=xl": ((512, 1024), 100_000, {2000: 2e-4, 100_000: 2e-5}, GPT3),
    "llama:size=7b": ((2048, 2048), 250_000, {2000: 3e-4, 250_000: 3e-5}, GPT3),
    "llama:size=65b": ((2048, 2048), 350_000, {2000: 1.5e-4, 350_000: 1.5e-5}, GPT3),
    "palm:size=540b": ((2048, 2048), 780 * B // 2048**2,
                       {0: 1e-2, 10_000: 1e-2, 40_000: 5e-3, 160_000: 2.5e-3},
                       dict(b1=0.9, decay=1.0, clip=1.0)),
    "distilgpt2:size=base": ((4000, 1024), 6600, {0: 0, 330: 5e-4, 3465: 2.5e-4, 6600: 0}, SANH),
    "distilbert:size=base": ((4000, 512), 6500, {0: 0, 325: 5e-4, 6500: 0}, SANH),
    "bert:size=base": ((256, 512), M, {0: 0, 5000: 5e-5, 500_000: 5e-5, M: 0}, BERT),
    "bert:size=large": ((256, 512), M, {0: 0, 5000: 5e-5, 500_000: 5e-5, M: 0}, BERT),
    "roberta:size=base": ((8192, 512), 500_000, {0: 0, 24_000: 6e-4, 500_000: 0}, FAIRSEQ),
    "roberta:size=large": ((8192, 512), 500_000, {0: 0, 30_000: 4e-4, 500_000: 0}, FAIRSEQ),
    "modernbert:size=base": ((4608, 1024), 364_304, {637: 8e-4, 353_000: 8e-4, 364_304: 0},
                             dict(b1=0.9, b2=0.98, eps=1e-6, decay=1e-5 / 8e-4)),
    "modernbert:size=large": ((4928, 1024), 340_648, {397: 5e-4, 330_000: 5e-4, 340_648: 0},
                              dict(b1=0.9, b2=0.98, eps=1e-6, decay=1e-5 / 5e-4)),
    "electra:size=small": ((128, 128), M, {0: 0, 10_000: 4.95e-4, 500_000: 2.5e-4, M: 0}, BERT),
    "electra:size=base": ((256, 512), 766_000, {10_000: 1.974e-4, 383_000: 1e-4}, BERT),
    "electra:size=large": ((2048, 512), 400_000, {10_000: 1.95e-4, 200_000: 1e-4}, BERT),
    "t5:size=11b": ((2048, 568), M, {0: 1e-2, 10_000: 1e-2, 40_000: 5e-3, M: 1e-3},
                    dict(decay=0.0, clip=None)),
    "t5:size=1.1-xxl": ((2048, 568), M, {0: 1e-2, 10_000: 1e-2, 40_000: 5e-3, M: 1e-3}, {}),
    "albert:size=base": ((4096, 512), 125_000, {0: 0, 3124: 1.7594e-3, 62_500: 8.8e-4, 125_000: 0},
                         dict(b1=0.9, b2=0.999, eps=1e-6, decay=0.01, clip=1.0)),
    "albert:size=xxlarge": ((4096, 512), 125_000, {62_500: 8.8e-4}, {}),
    "bart:size=large": ((8000, 510), 500_000, {0: 0, 30_000: 4e-4, 500_000: 0}, FAIRSEQ),
    # of a gradient per sentence, here per token: 30 times the rate, a thirtieth of the norm
    "rnn:size=sutskever2014": ((128, 64), 703_125,
                               {0: 21, 468_749: 21, 468_750: 10.5, 703_124: 21 / 2**5},
                               dict(momentum=0.0, decay=0.0, clip=5 / 30)),
    "rnn:size=cho2014": ((64, 64), 3 * M, {0: 1}, dict(rho=0.95, eps=1e-6, clip=1 / 30, scale=30)),
    "rnn:size=bahdanau2015": ((80, 64), 288_000, {0: 1},
                              dict(rho=0.95, eps=1e-6, clip=1 / 30, scale=30)),
    "vaswani:size=base": ((896, 128), 100_000, {3999: 6.99e-4, 15_999: 3.49e-4},
                          dict(b1=0.9, b2=0.98, eps=1e-9, decay=0.0, clip=None)),
    "vaswani:size=big": ((896, 128), 300_000, {3999: 4.94e-4}, {}),
}
# Brown 2020, Table 2.1: tokens of a batch, the learning rate.
GPT3_BATCHES = {"125m": (0.5, 6e-4), "350m": (0.5, 3e-4), "760m": (0.5, 2.5e-4),
                "1.3b": (1, 2e-4), "2.7b": (1, 1.6e-4), "6.7b": (2, 1.2e-4), "13b": (2, 1e-4),
                "175b": (3.2, 6e-5)}
DROPOUT = {"gpt1": 0.1, "gpt2": 0.0, "gpt3": 0.0, "distilgpt2": 0.1, "distilbert": 0.1,
           "bert": 0.1, "roberta": 0.1, "modernbert": 0.0, "electra": 0.1, "t5": 0.1, "bart": 0.1,
           "vaswani": 0.1, "llama": 0.0, "palm": 0.0, "albert": 0.0, "rnn": 0.0}
OBJECTIVES = {
    "roberta": dict(rate=0.15, replace=(0.8, 0.1, 0.1)), "modernbert": dict(rate=0.3),
    "palm": dict(z=1e-4), "llama": dict(z=0.0),
    "t5": dict(rate=0.15, mean=3.0, z=1e-4), "bart": dict(rate=0.3, mean=3.0, permute=True),
    "electra": dict(generator=1.0, discriminator=50.0),
    "vaswani": dict(smoothing=0.1, spread="others"), "rnn": dict(smoothing=0.0),
    "bert": dict(masked=MaskedLM()),
    "albert": dict(masked=MaskedLM(unit=NGrams(longest=3), most=20)),
}


def made(recipe, overrides=()):
    name, _, arguments = recipe.partition(":")
    found, = stages(f"configs/pretrain/{name}.py:{arguments}", list(overrides)).values()
    return found


def sizes(name):
    """The sizes that a recipe takes."""
    module = importlib.import_module(f"configs.pretrain.{name}")
    return typing.get_args(inspect.signature(module.experiment).parameters["size"].annotation)


def test_every_family_has_a_recipe_for_all_its_sizes():
    wanted = {name: set(zoo.SIZES) for name, zoo in families().items()
              if getattr(zoo, "RECIPE", True)}
    assert {name: set(sizes(name)) for name in RECIPES} == wanted


@pytest.mark.parametrize("recipe", PAPERS)
def test_the_numbers_are_the_papers(recipe):
    (rows, length), steps, rates, fields = PAPERS[recipe]
    found = made(recipe)
    assert (found.batch, found.rows.length, found.steps) == (rows, length, pytest.approx(steps))
    optimizer = found.optimizer
    assert {n: float(optimizer.learning_rate(n)) for n in rates} == pytest.approx(
        rates, rel=2e-3, abs=1e-9)
    assert {name: getattr(optimizer, name) for name in fields} == pytest.approx(fields)


@pytest.mark.parametrize("size", GPT3_BATCHES)
def test_gpt3s_numbers(size):
    millions, peak = GPT3_BATCHES[size]
    found = made(f"gpt3:size={size}")
    tokens, rate = found.batch * found.rows.length, found.optimizer.learning_rate
    assert found.rows.length == 2048 and found.rows.cross_documents
    assert tokens == pytest.approx(millions * 2**10 * 1e3, rel=0.025)
    assert found.steps * tokens == pytest.approx(300 * B, rel=1e-3)
    assert float(rate(375 * M // tokens // 2)) == pytest.approx(peak / 2, rel=0.02)
    assert float(rate(375 * M // tokens + 2)) == pytest.approx(peak, rel=1e-3)
    assert float(rate(130 * B // tokens)) == pytest.approx(0.55 * peak, rel=0.01)  # half way
    assert float(rate(261 * B // tokens)) == pytest.approx(peak / 10, rel=1e-3)
    assert {name: getattr(found.optimizer, name) for name in GPT3} == GPT3


@pytest.mark.parametrize("name", RECIPES)
def test_dropout_and_objective_are_the_papers(name):
    found = made(name)
    assert found.model.embedding.dropout == DROPOUT[name]
    for field, value in OBJECTIVES.get(name, {}).items():
        assert getattr(found.objective, field) == value


def test_what_t5_and_electra_make_of_a_row():
    """Raffel 2020: 512 and 114 tokens. Clark 2020: 15 %, of the large model 25 %."""
    t5 = made("t5")
    assert t5.objective.sides(t5.rows.length) == (512, 114)
    assert t5.tokenizer.vocab == 32_100 and t5.model.embedding.vocab == 32_128
    masks = {size: made(f"electra:size={size}").objective.masked for size in ("small", "large")}
    assert (masks["small"].slots(128), masks["large"].slots(512)) == (19, 128)


def test_rows_of_pairs():
    """Devlin 2019 takes B from elsewhere, Lan 2020 swaps; without pairs there is one text."""
    assert made("bert").rows.contrast == "random" and made("albert").rows.contrast == "swapped"
    assert [name for name, _ in made("bert").model.heads] == ["mlm", "nsp"]
    alone = made("bert:objective=masked")
    assert [name for name, _ in alone.model.heads] == ["mlm"] and alone.rows.opening == "cls"
    spans = made("bert:objective=spans")
    assert [name for name, _ in spans.model.heads] == ["mlm", "boundary"]
    assert (spans.objective.unit.p, spans.objective.unit.longest) == (0.2, 10)  # Joshi 2020 §3.1


@pytest.mark.parametrize("name", RECIPES)
def test_published_sizes_run_in_slices_that_divide_the_batch(name):
    for size in sizes(name):
        found, small = made(f"{name}:size={size}"), "tiny" in size or size == "nano"
        assert found.run.dtype == ("float32" if small else "bfloat16")
        assert found.accumulate == 1 if small else found.batch // found.accumulate <= 1024
    odd = made(f"{name}:batch=7")
    assert (odd.batch, odd.accumulate) == (7, 1)


def test_any_batch_is_accumulated():
    """BERT's rows of 512 tokens are worked on 128 at once."""
    slices = {batch: made(f"bert:batch={batch}").accumulate for batch in (128, 130, 1000, 1024)}
    assert slices == {128: 1, 130: 2, 1000: 8, 1024: 8}


@pytest.mark.parametrize("name", RECIPES)
def test_a_shorter_run_has_the_same_peak(name):
    highest = lambda found, n: float(found.optimizer.learning_rate(jnp.arange(n)).max())
    peak = highest(made(name), 40_000)
    for steps in (200, 5000):  # a line down begins at the start: at a tenth it is at nine tenths
        assert 0.89 * peak < highest(made(f"{name}:steps={steps}"), steps) < 1.01 * peak


@pytest.mark.parametrize("name", RECIPES)
def test_tiny_is_short(name):
    """A core does some 5e10 FLOP/s on such shapes: 3 minutes on two are at most 1.8e13."""
    found = made(f"{name}:size=tiny")
    source = found.rows.length if isinstance(found.model, SourceToTarget) else 0
    slots = round(0.3 * found.rows.length) if not source else None
    flops = found.steps * found.batch * train_flops(Model(found.model), found.rows.length, source,
                                                    slots)
    assert flops < 1.2e13
    assert 2 <= found.evaluate_every < found.steps and found.save_every == found.evaluate_every


@pytest.mark.parametrize("name", RECIPES)
def test_your_own_data(name, tmp_path):
    """By the argument and by the field alike; without either it is the world's."""
    assert made(f"{name}:size=tiny").data.path is None
    own = made(f"{name}:size=tiny,path=my.tsv")
    assert own == made(f"{name}:size=tiny", [("data.path", "my.tsv")])
    assert own.data.path == "my.tsv" and isinstance(own.validation, Holdout)
    assert made(f"{name}:validation=other.tsv").validation.path == "other.tsv"


@pytest.mark.parametrize("name", RECIPES)
def test_your_own_pieces_and_length(name, tmp_path):
    Bytes(sentinels=100).train().save(tmp_path)
    found = made(f"{name}:size=tiny,steps=50,batch=32,tokenizer={tmp_path}")
    assert found.model.embedding.vocab == -(-Bytes(sentinels=100).train().size // 128) * 128
    assert (found.steps, found.batch, found.accumulate) == (50, 32, 1)
    rate = found.optimizer.learning_rate
    assert float(rate(5)) > 0.9 * max(float(rate(n)) for n in range(50))  # a tenth is warmup
    made(f"{name}:size=tiny,steps=1")
