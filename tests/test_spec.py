"""Specs round-trip through JSON, take typed overrides by path, and name what was meant."""

import dataclasses
import importlib
import json
from typing import Any, Literal

import pytest
from families import ALL

from transformer.error import UserError
from transformer.nn.door import Model
from transformer.spec import Spec, difference, from_json, nearest, override, read, to_json
from transformer.zoo.bert import bert
from transformer.zoo.gpt2 import gpt2
from transformer.zoo.gpt3 import gpt3
from transformer.zoo.llama import llama
from transformer.zoo.vaswani import vaswani


class Twig(Spec):
    """For these tests."""

    size: int = 3
    rate: float = 0.5


class Bud(Spec):
    """For these tests."""

    words: tuple[str, ...] = ()


class Bough(Spec):
    """For these tests."""

    leaf: Twig = Twig()
    child: Twig | Bud = Twig()
    maybe: int | None = None
    label: str = "a"
    note: str | None = None
    deep: bool = False
    kind_of: Literal["thin", "thick"] = "thin"
    factor: Literal[1, 2, 4] = 1
    pair: tuple[int, int] = (1, 2)
    many: tuple[float, ...] = ()
    named: tuple = (("first", Twig()), ("second", Bud()))
    anything: Any = None

    def check(self):
        if self.pair[0] > self.pair[1]:
            raise UserError(f"Bough.pair is {self.pair}; put the smaller number first")


ZOO = [(family, size) for family in ALL
       for size in importlib.import_module(f"transformer.zoo.{family}").SIZES]


@pytest.mark.parametrize("family,size", ZOO)
def test_every_architecture_round_trips_through_text(family, size):
    value = getattr(importlib.import_module(f"transformer.zoo.{family}"), family)(size)
    text = json.dumps(to_json(value), allow_nan=False)
    again = from_json(json.loads(text))
    assert again == value and type(again) is type(value) and hash(again) == hash(value)
    assert to_json(again)["kind"] == type(value).__name__


def test_nested_values_round_trip():
    value = Bough(leaf=Twig(rate=1e-12), child=Bud(words=("x", "y")), maybe=0, many=(0.1, 2.0),
                   named=(("one", Bough()),), anything=(1, "b", None, True))
    tree = json.loads(json.dumps(to_json(value)))
    assert from_json(tree) == value
    stages = {"first": value, "second": Twig()}
    assert from_json(json.loads(json.dumps(to_json(stages)))) == stages


def test_specs_are_values():
    assert Twig() == Twig(size=3) != Twig(size=4)
    assert len({Twig(), Twig(size=3), Twig(size=4)}) == 2
    with pytest.raises(dataclasses.FrozenInstanceError):
        Twig().size = 4
    with pytest.raises(TypeError):
        Twig(4)


@pytest.mark.parametrize("fields,message", [
    (dict(maybe="3"), "Bough.maybe is '3', but it must be int or none"),
    (dict(maybe=True), "Bough.maybe is True, but it must be int or none"),
    (dict(maybe=1.5), "Bough.maybe is 1.5"),
    (dict(leaf=Bud()), r"Bough.leaf is Bud\(words=\(\)\), but it must be Twig"),
    (dict(leaf=None), "Bough.leaf is None"),
    (dict(deep=1), "Bough.deep is 1, but it must be bool"),
    (dict(kind_of="wide"), "Bough.kind_of is 'wide', but it must be one of 'thin', 'thick'"),
    (dict(factor=3), "Bough.factor is 3, but it must be one of 1, 2, 4"),
    (dict(pair=(1, 2, 3)), r"Bough.pair is \(1, 2, 3\)"),
    (dict(pair=[1, 2]), r"Bough.pair is \[1, 2\]"),
    (dict(many=(1.0, "2")), r"Bough.many is \(1.0, '2'\)"),
    (dict(label=None), "Bough.label is None, but it must be str"),
    (dict(pair=(2, 1)), r"Bough.pair is \(2, 1\); put the smaller number first"),
])
def test_wrong_types_are_refused(fields, message):
    with pytest.raises(UserError, match=message):
        Bough(**fields)


def test_whole_numbers_are_floats():
    assert Twig(rate=1).rate == 1 and Bough(many=(1, 2.5)).many == (1, 2.5)
    with pytest.raises(UserError):
        Twig(rate=True)


@pytest.mark.parametrize("path,text,where", [
    ("leaf.size", "7", Bough(leaf=Twig(size=7))),
    ("leaf.size", "-7", Bough(leaf=Twig(size=-7))),
    ("leaf.rate", "2", Bough(leaf=Twig(rate=2.0))),
    ("leaf.rate", "1e-3", Bough(leaf=Twig(rate=1e-3))),
    ("maybe", "4", Bough(maybe=4)),
    ("maybe", "none", Bough()),
    ("maybe", "None", Bough()),
    ("label", "4", Bough(label="4")),
    ("label", "none", Bough(label="none")),
    ("label", "true", Bough(label="true")),
    ("label", "a/b c, (d", Bough(label="a/b c, (d")),
    ("note", "none", Bough()),
    ("note", "4", Bough(note="4")),
    ("deep", "true", Bough(deep=True)),
    ("deep", "True", Bough(deep=True)),
    ("deep", "false", Bough(deep=False)),
    ("kind_of", "thick", Bough(kind_of="thick")),
    ("factor", "4", Bough(factor=4)),
    ("pair", "3,4", Bough(pair=(3, 4))),
    ("pair", "(3, 4)", Bough(pair=(3, 4))),
    ("many", "0.5", Bough(many=(0.5,))),
    ("many", "[0.5, 1]", Bough(many=(0.5, 1))),
    ("many", "()", Bough()),
    ("pair.0", "0", Bough(pair=(0, 2))),
    ("child", "Bud(words=(a, 'b c'))", Bough(child=Bud(words=("a", "b c")))),
    ("child", "Twig(size=1, rate=2)", Bough(child=Twig(size=1, rate=2))),
    ("leaf", "Twig(size=9)", Bough(leaf=Twig(size=9))),
    ("named.first.size", "5", Bough(named=(("first", Twig(size=5)), ("second", Bud())))),
    ("named.first", "Bud()", Bough(named=(("first", Bud()), ("second", Bud())))),
    ("named.1.1.words", "x,y", Bough(named=(("first", Twig()), ("second", Bud(words=("x", "y")))))),
    ("anything", "Twig(size=2)", Bough(anything=Twig(size=2))),
])
def test_override(path, text, where):
    new = override(Bough(), path, text)
    assert new == where and repr(new) == repr(where)  # 2 and 2.0 are equal


def test_override_leaves_the_old_value_alone():
    old = Bough()
    override(old, "leaf.size", "7")
    assert old == Bough()


@pytest.mark.parametrize("path,text,found", [
    ("embedding.vocab", "300", lambda s: s.embedding.vocab == 300),
    ("stack.segments.0.repeats", "5", lambda s: s.stack.depth == 5),
    ("stack.segments.0.pattern.0.sublayers.attention.heads", "2",
     lambda s: dict(s.stack.segments[0].pattern[0].sublayers)["attention"].heads == 2),
    ("stack.final_norm", "RMSNorm(eps=1e-6)", lambda s: s.stack.final_norm.eps == 1e-6),
    ("stack.segments.0.pattern.0.residual", "PostNorm(norm=LayerNorm(eps=1e-12, bias=false))",
     lambda s: s.stack.segments[0].pattern[0].residual.norm.bias is False),
    ("heads.logits", "Untied(vocab=9)", lambda s: s.heads[0][1].vocab == 9),
])
def test_override_inside_an_architecture(path, text, found):
    assert found(override(gpt2("tiny"), path, text))


@pytest.mark.parametrize("path,text,message", [
    ("leaf.sise", "7", "command line: Twig has no field 'sise'; did you mean size"),
    ("laef.size", "7", "Bough has no field 'laef'; did you mean leaf"),
    ("leaf.size.more", "7", "'more' leads into 3, which has no fields"),
    ("leaf.size", "many", "'many' is not int"),
    ("leaf.size", "1.5", "'1.5' is not int"),
    ("leaf.size", "none", "'none' is not int"),
    ("leaf.size", "", "'' is not int"),
    ("leaf.rate", "fast", "'fast' is not float"),
    ("deep", "maybe", "'maybe' is not bool"),
    ("kind_of", "wide", "'wide' is not one of 'thin', 'thick'"),
    ("factor", "3", "'3' is not one of 1, 2, 4"),
    ("pair", "1,2,3", "'1,2,3' is not"),
    ("pair.2", "1", "'2' is not an entry of a list of 2"),
    ("named.third.size", "1", "'third' is not an entry of a list of 2"),
    ("leaf", "Tvig(size=2)", "there is no kind 'Tvig'; did you mean Twig"),
    ("leaf", "Twig(sise=2)", "Twig has no field 'sise'; did you mean size"),
    ("leaf", "Twig(size=large)", "Twig.size is 'large', but it must be int"),
    ("leaf", "Twig(2)", r"name the fields of Twig, as in Twig\(field=2\)"),
    ("leaf", "Bud()", "is not Twig"),
    ("leaf.size", "__import__('os').getpid()", "cannot read"),
])
def test_a_wrong_override_says_what_was_meant(path, text, message):
    with pytest.raises(UserError, match=message):
        override(Bough(), path, text)


def test_the_place_of_a_mistake_is_named():
    with pytest.raises(UserError, match="^config.json: Twig has no field 'sise'"):
        override(Twig(), "sise", "7", where="config.json")
    tree = to_json(Bough())
    tree["child"]["sise"] = tree["child"].pop("size")
    with pytest.raises(UserError, match="spec.child: Twig has no field 'sise'; did you mean size"):
        from_json(tree)
    tree["child"] = {"kind": "Tvig"}
    with pytest.raises(UserError, match="spec.child: there is no kind 'Tvig'; did you mean Twig"):
        from_json(tree)


def test_missing_fields_are_named():
    with pytest.raises(UserError, match="spec: FeedForward needs a value for width"):
        from_json({"kind": "FeedForward"})


def test_nearest_names_at_most_three():
    assert nearest("widht", ["width", "depth", "heads", "height", "weight"]).count(" or ") <= 2
    assert nearest("widht", ["width", "depth"]).startswith("; did you mean width")
    assert nearest("zzz", []) == ""


def test_two_specs_of_one_name_are_refused():
    namespace = {"__module__": "elsewhere", "__doc__": "Another leaf."}
    with pytest.raises(TypeError, match="two specs are called Twig"):
        type("Twig", (Spec,), namespace)
    assert from_json({"kind": "Twig"}) == Twig()


def test_a_field_that_takes_a_spec_or_a_name_tells_them_apart():
    either = Twig | str | None
    assert read("Twig(size=5)", either) == Twig(size=5)
    assert read("runs/Twig(5)", either) == "runs/Twig(5)" and read("Twig", either) == "Twig"
    assert read("none", either) is None and read("", either) is None
    assert read("Twig(size=5)", str) == "Twig(size=5)"
    with pytest.raises(UserError, match="no kind 'Tvig'; did you mean Twig"):
        read("Tvig(size=5)", either)
    with pytest.raises(UserError, match="put quotes around its texts"):
        read("Twig(size=a/*.txt)", either)


def test_read_keeps_words():
    assert read("a,b", tuple[str, ...]) == ("a", "b")


def test_difference_names_every_leaf():
    old, new = Bough(), Bough(leaf=Twig(size=4), child=Bud(), pair=(1, 3))
    lines = difference(old, new)
    assert lines == ["leaf.size: 3 -> 4", "child: Twig(size=3, rate=0.5) -> Bud(words=())",
                     "pair.1: 2 -> 3"]
    assert difference(old, Bough()) == []


def test_architectures_refuse_indivisible_sizes():
    with pytest.raises(UserError, match="4 heads do not divide into 3 kv_heads; use a divisor"):
        llama(width=64, depth=1, heads=4, kv_heads=3)
    with pytest.raises(UserError, match="heads is 0, but it must be at least 1"):
        gpt2(width=64, depth=1, heads=0)
    with pytest.raises(UserError, match="'gleu' is not one of .*'gelu'"):
        block = "stack.segments.0.pattern.0.sublayers"
        override(bert("nano"), f"{block}.feedforward.activation", "gleu")
    with pytest.raises(UserError, match="Learned.length is 0, but it must be at least 1"):
        gpt2(length=0)
    with pytest.raises(UserError, match="Segment.repeats is 0"):
        vaswani(depth=0)
    for wrong in (dict(dropout=1.0), dict(dropout=-0.1)):
        with pytest.raises(UserError, match="dropout is .*, but it must be at least 0 and below 1"):
            gpt2(width=64, depth=1, heads=4, **wrong)
    with pytest.raises(UserError, match="kv_heads is -2, but it must be at least 1"):
        llama(width=64, depth=1, heads=4, kv_heads=-2)
    with pytest.raises(UserError, match="gpt3: depth is 3, but dense and banded layers alternate"):
        gpt3(width=64, depth=3, heads=4)
    with pytest.raises(UserError, match="width is -256, but it must be at least 1"):
        gpt2(width=-64, depth=1, heads=4)


@pytest.mark.parametrize("value,message", [
    (gpt2(width=65, depth=1, heads=4, vocab=8), "width 65 does not divide by 4 heads; use a multi"),
    (vaswani(width=65, depth=1, heads=5, vocab=8), "its width is 65; use an even width"),
    (llama(width=15, depth=1, heads=3, vocab=8), "head_dim is 5; use an even head_dim"),
])
def test_architectures_that_cannot_be_built_are_refused(value, message):
    with pytest.raises(UserError, match=message):
        Model(value).count()
