"""The embedded world: its floor is exact, its labels stand on the corpus alone, and it is one."""

import hashlib
import itertools
import json
import math
import re
from collections import Counter, defaultdict
from random import Random

import numpy as np
import pytest

from transformer.data.baseline import bag_of_words, predict
from transformer.data.world import ATTRIBUTES, CLASSES, SIZES, TASKS, World, WorldTask
from transformer.data.world.choice import Writer, derivations
from transformer.data.world.facts import PAIRS, SPLITS, facts
from transformer.data.world.grammar import SHARES, grammar
from transformer.data.world.phrases import EPITHETS, MANY, ONE, TOLD, VERBS
from transformer.data.world.tongue import RARE, VERB, WHERE, WHO, tongue
from transformer.error import UserError
from transformer.spec import from_json, override, to_json

FACTS, TONGUE = facts(0), tongue(0)
THING = {thing.name: thing for thing in FACTS.things}
CORPUS = 3.0  # megabytes
# Of the first 100,000 bytes of the corpus.
DIGEST = "8c23f4c0cf2e6ddc4a00f5f356193beb3a8f25e2fd4f511c5b6ddadeb08eec2d"
CHANCE = {"classification": 1 / 5, "entailment": 1 / 2, "similarity": 0, "choice": 1 / 4,
          "tagging": 1 / 5, "extraction": 1 / 4, "translation": 0, "summary": 1 / 25}


@pytest.fixture(scope="module")
def corpus():
    return list(World(megabytes=CORPUS).documents())


@pytest.fixture(scope="module")
def drawn():
    return list(itertools.islice(World(split="validation").writers(), 3000))


def records(name, split="train", **fields):
    return list(WorldTask(name=name, split=split, **fields).records())


def sentences(record):
    """Every text of a labelled record, whole and cut into sentences."""
    texts = [v for k, v in record.items() if isinstance(v, str) and k not in ("label", "where")]
    texts = [" ".join(record["words"])] if "words" in record else texts
    return {s for t in texts if len(t.split()) > 3 for s in (t, *re.findall(r"[^.?]+[.?]", t))}


def names_in(record):
    return set(re.findall(r"\w+", json.dumps({**record, "where": ""}))) & set(THING)


# An inverse of the grammar that shares no code with it: regular expressions, and the probability of
# a document worked out forwards, as if its things had been drawn first.

INTRODUCTION = re.compile(r"A (.+?) (is called|is named|has the name) (\w+)\.$")
EVENT = re.compile(rf"Once ({'|'.join(WHO)}) ({'|'.join(VERB)}) (\w+) (\w+) ({'|'.join(WHERE)})\.$")
SUBJECT = re.compile(r"(And|Yet|People say that)? ?(The )?(\w+) (.*)\.$")
CLOSING = re.compile(r"(Many songs tell of|Such is|Nobody forgets) (\w+)\.$")
STATED = {  # what a verb phrase says of a kind of thing
    (kind, way.format(value)): (attribute, value)
    for kind, verbs in VERBS.items() for attribute, ways in verbs.items()
    for way in ways for value in ATTRIBUTES[attribute]
}
VALUE = {word: value for value, word in EPITHETS.items()}


class Parser:
    """Reads one document: what it costs and which facts it states."""

    def __init__(self, text):
        self.nats, self.stated = 0.0, []
        parts = re.findall(r"[^.?]+[.?]", text)
        self.parts = [part.strip() for part in parts]
        sort = next(name for start, name in self.STARTS if text.startswith(start))
        self.pay({f.__name__: p for f, p in SHARES["corpus"]}[sort])
        getattr(self, sort)()

    STARTS = (("A ", "portrait"), ("Once ", "portrait"), ("These ", "gathering"),
              ("Compare ", "comparison"), ("How ", "comparison"), ("People ", "comparison"),
              ("What ", "questions"), ("Is ", "questions"), ("Which ", "questions"),
              ("In the old", "dictionary"), (TONGUE.once.capitalize(), "lines"))

    def pay(self, *shares):
        self.nats -= sum(math.log(share) for share in shares)

    def state(self, name, attribute, value):
        assert THING[name].of(attribute) == value
        self.stated.append((name, attribute))

    def mention(self, epithet, name, attributes=tuple(ATTRIBUTES), among=320):
        """Any of so many things, told by any of the attributes."""
        value = VALUE[epithet]
        attribute = next(a for a in attributes if value in ATTRIBUTES[a])
        self.state(name, attribute, value)
        self.pay(1 / among, 1 / len(attributes))
        return attribute

    def portrait(self):
        *parts, others = self.parts
        left = set(TOLD)
        if parts[0].startswith("Once "):
            epithet, name = EVENT.match(parts.pop(0)).group(3, 4)
            self.mention(epithet, name)
            self.pay(0.3, 1 / 10, 1 / 8, 1 / 10)
            noun = re.match(rf"{name} is a (.+)\.$", parts.pop(0)).group(1)
            self.look(THING[name], noun, left, of=(1 / 2, 1 / 2), that=None)
        else:
            noun, _, name = INTRODUCTION.match(parts.pop(0)).groups()
            self.pay(0.7, 1 / 320, 1 / 3)
            self.look(THING[name], noun, left, of=(0.85, 0.15), that=(0.85, 0.15))
        closed = bool(parts and CLOSING.match(parts[-1]))
        self.pay(0.05 if closed else 0.85)
        for part in parts[:len(parts) - closed]:
            self.sentence(THING[name], part, left)
        assert not left
        self.pay(1 / 5)
        self.listing(others, "Others that ", [name])

    def look(self, thing, noun, left, of, that):
        """`proud, red town of the north that sells oil`"""
        noun, *clause = noun.split(" that ")
        noun, *home = noun.split(" of ")
        *adjectives, kind = noun.replace(",", "").split()
        self.pay(1 / 4, of[not home])
        assert 1 <= len(adjectives) <= 2
        for value in (kind, *home, *adjectives):
            attribute = next(a for a, values in ATTRIBUTES.items() if value in values)
            self.state(thing.name, attribute, value)
            left.discard(attribute)
        if that:
            self.pay(that[not clause])
        for phrase in clause:
            self.fact(thing, phrase, left)

    def fact(self, thing, phrase, left):
        attribute, value = STATED[thing.kind, phrase]
        self.pay(1 / 4, 1 / len(left))
        self.state(thing.name, attribute, value)
        left.remove(attribute)

    def sentence(self, thing, part, left):
        start, the, first, rest = SUBJECT.match(part).groups()
        phrases = re.split(", | and ", rest.removeprefix(f"{thing.name} "))
        many, told = len(left) > 1, rest.startswith(thing.name)
        if told:
            assert many
            self.pay(0.5 / 3 / len(left))
            attribute = next(a for a in TOLD if VALUE[first] in ATTRIBUTES[a])
            self.state(thing.name, attribute, VALUE[first])
            left.remove(attribute)
        else:
            assert first == (thing.kind if the else thing.name)
            self.pay((0.1 if many else 0.2) if the else
                     0.1 if start else (0.3 if many else 0.7))
        self.pay(1 / min(3, len(left)))
        for phrase in phrases:
            self.fact(thing, phrase, left)

    def gathering(self):
        assert len(self.parts) == 2
        for part in self.parts:
            self.pay(1 / 25)
            self.listing(part, "These ", [])

    def listing(self, part, start, before):
        header, listed = part.split(": ")
        attribute, value = next(
            (a, v) for a, v in PAIRS if header == f"{start}{MANY[a].format(v)}")
        held = {thing.name for thing in FACTS.having(attribute, value)}
        assert held >= set(before)
        pairs = [pair.split() for pair in re.split(", | and ", listed[:-1])]
        assert len(pairs) == len({name for _, name in pairs} - set(before))
        for epithet, name in pairs:
            others = [a for a in ATTRIBUTES if a != attribute]
            self.mention(epithet, name, others, len(held - set(before)))
            self.state(name, attribute, value)
            before = [*before, name]

    def comparison(self):
        epithets = re.search(r"(\w+) (\w+) (?:and|with) (\w+) (\w+)", self.parts[0]).groups()
        self.mention(*epithets[:2])
        self.mention(*epithets[2:], among=319)
        self.pay(1 / 3, 1 / 5, 1 / 4, 1 / 3, 1 / 2, 1 / 2, 1 / 2)
        one, two = epithets[1::2]
        for part in self.parts[1:]:
            values = re.findall("|".join(v for _, v in PAIRS), part)
            attribute = next(a for a in ATTRIBUTES if re.search(rf"\b{a}s?\b", part))
            for name, value in zip((one, two), values * (3 - len(values))):
                self.state(name, attribute, value)

    def questions(self):
        for question, answer in zip(self.parts[::2], self.parts[1::2], strict=True):
            self.pay(1 / 3)
            answer = answer[:-1]
            if match := re.match(r"What is the (\w+) of (\w+)\?", question):
                self.pay(1 / 5, 1 / 320)
                attribute, name = match.groups()
                self.state(name, attribute, answer[0].lower() + answer[1:])
                continue
            *named, claim = re.match(
                r"(?:Which of (\w+), (\w+) and|Is it true that) (\w+) (.*)\?", question).groups()
            attribute, value = next((a, v) for a, v in PAIRS if claim == ONE[a].format(v))
            if named[0]:
                single = sum(1 for a, v in PAIRS if sum(THING[n].of(a) == v for n in named) == 1)
                self.pay(1 / 320, 1 / 319, 1 / 318, 1 / single)
                self.state(answer, attribute, value)
                assert [THING[n].of(attribute) for n in named].count(value) == 1
            else:
                self.pay(1 / 320, 1 / 5, 1 / 2, 1 if answer == "Yes" else 1 / 4)
                truth = value if answer == "Yes" else answer.removeprefix("No, ")
                self.state(named[2], attribute, truth)
                assert (truth == value) == (answer == "Yes")

    def lines(self):
        assert len(self.parts) == 3
        for part in self.parts:
            _, where, particle, name, who, verb = part[:-1].split()
            assert where in TONGUE.where and who in TONGUE.who and verb in TONGUE.verb
            assert particle == TONGUE.particle[THING[name].kind, THING[name].home]
            self.pay(1 / 10, 1 / 320, 1 / 10, 1 / 8)

    def dictionary(self):
        left = set(TONGUE.entries())
        entries = re.findall(r"(?:the mark of|') ?.*? is '\w+'", self.parts[0].split("tongue, ")[1])
        assert len(entries) == 6
        for entry in entries:
            self.pay(1 / len(left))
            left.remove(entry)


def test_a_text_has_one_derivation(drawn):
    document = grammar(0, "corpus")
    for writer in drawn[:1500]:
        assert derivations(document, writer.text) == [writer.derivation]


def test_the_floor_is_what_an_independent_parser_finds(drawn):
    for writer in drawn:
        assert Parser(writer.text).nats == pytest.approx(writer.derivation.nats, abs=1e-9)
    texts = [writer.text for writer in drawn[:300]]
    floor = World().floor(texts)
    assert floor.nats == pytest.approx(sum(Parser(text).nats for text in texts))
    assert floor.bytes == sum(map(len, texts)) and floor.documents == 300
    assert floor.per_byte == pytest.approx(floor.nats / floor.bytes) == floor.per(floor.bytes)


@pytest.mark.parametrize("change", [
    lambda text: text.replace(" ", "  ", 1), lambda text: text[:-1], lambda text: text + " ",
    lambda text: text.replace(next(n for n in THING if n in text), "Nobody"),
])
def test_a_text_of_another_world_has_no_floor(drawn, change):
    with pytest.raises(UserError, match="no document of the world"):
        World().floor([change(drawn[0].text)])
    with pytest.raises(UserError, match="no document of the world"):
        World(seed=1).floor([drawn[0].text])


def test_choices_come_as_often_as_they_say():
    """Sums of (taken or not) - p, and of -log p - entropy, stay within their variance."""
    seen, surprise, variance = defaultdict(list), 0.0, 0.0

    class Watched(Writer):
        def choose(self, options, weights=None):
            nonlocal surprise, variance
            n = super().choose(options, weights)
            p = np.full(len(options), 1 / len(options)) if weights is None else np.array(weights)
            assert p.sum() == pytest.approx(1) and p.min() > 0 and len(p) == len(options)
            assert weights is None or len(set(options)) == len(options) or not any(options)
            seen[len(options), weights is None].append((n == 0, p[0], n == len(p) - 1, p[-1]))
            cost = -np.log(p)
            surprise += cost[n] - (p * cost).sum()
            variance += (p * cost ** 2).sum() - (p * cost).sum() ** 2
            return n

    document = grammar(0, "corpus")
    for n in range(4000):
        document(Watched(Random(f"watched {n}")))
    for key, rows in seen.items():
        first, p, last, q = np.array(rows).T
        for hit, share in ((first, p), (last, q)):
            sigma = np.sqrt((share * (1 - share)).sum())
            assert abs((hit - share).sum()) < 4 * sigma + 1, key  # some 100 comparisons
    assert abs(surprise) < 3 * math.sqrt(variance)


def test_every_fact_is_stated_often(corpus):
    times = Counter(stated for text in corpus for stated in Parser(text).stated)
    assert len(times) == len(THING) * len(ATTRIBUTES)
    assert min(times.values()) > 40 and np.mean(list(times.values())) > 95


def test_deterministic(corpus):
    head = "\n".join(corpus)[:100_000].encode()
    assert hashlib.sha256(head).hexdigest() == DIGEST
    assert list(World(megabytes=0.01).documents()) == corpus[:len(
        list(World(megabytes=0.01).documents()))]
    assert sum(map(len, corpus)) == pytest.approx(CORPUS * 1e6, abs=1000)
    assert all(text.isascii() and "\n" not in text for text in corpus)


def test_fingerprints_tell_sources_apart():
    specs = [World(), World(seed=1), World(part="english"), World(part="tongue"),
             World(split="validation"), World(megabytes=1.0),
             *(WorldTask(name=name) for name in TASKS),
             *(WorldTask(name="choice", **fields) for fields in (
                 {"split": "test"}, {"limit": 9}, {"seed": 1}, {"world": 1}))]
    prints = [spec.fingerprint() for spec in specs]
    assert len(set(prints)) == len(prints)
    assert prints == [from_json(to_json(spec)).fingerprint() for spec in specs]
    assert override(World(), "megabytes", "1") == World(megabytes=1.0)


def test_validation_is_fresh_and_parts_are_parts(corpus):
    fresh = list(World(split="validation", megabytes=1.0).documents())
    assert not set(fresh) & set(corpus)
    assert len(set(fresh)) == len(fresh)
    once = TONGUE.once.capitalize()
    for part, foreign in (("english", 0.0), ("tongue", 1.0), ("corpus", None)):
        texts = list(World(part=part, megabytes=0.1).documents())
        share = np.mean([t.startswith((once, "In the old")) for t in texts])
        assert 0 < share < 0.2 if foreign is None else share == foreign
        assert World(part=part, megabytes=0.01).floor().per_byte > 0.05


def test_names_and_words_are_told_apart():
    words = [*FACTS.names, *TONGUE.who, *TONGUE.verb, *TONGUE.where, *TONGUE.particle.values()]
    assert len(set(words)) == 320 + len(WHO) + len(VERB) + len(WHERE) + 25
    for a, b in itertools.permutations(FACTS.names, 2):
        assert not b.startswith(a)
    counts = Counter(thing[1:] for thing in FACTS.things)
    assert max(counts.values()) <= 4  # 320 things over 3,125 combinations
    for attribute, value in PAIRS:
        assert 60 <= len(FACTS.having(attribute, value)) <= 65


def test_labelled_things_are_in_one_split_only():
    for name in TASKS:
        mentioned = {split: set() for split in SIZES}
        for split, size in SIZES.items():
            found = records(name, split)
            assert len(found) == size == len({json.dumps({**r, "where": ""}) for r in found})
            mentioned[split].update(*map(names_in, found))
            assert mentioned[split] <= {t.name for t in FACTS.pool(split)}
            assert len(mentioned[split]) > 0.9 * SPLITS[split]
        for one, two in itertools.combinations(mentioned.values(), 2):
            assert not one & two


def test_no_labelled_text_is_in_the_corpus(corpus):
    stated = set(corpus) | {s.strip() for text in corpus for s in re.findall(r"[^.?]+[.?]", text)}
    stated |= {s.split(": ")[-1] for s in stated}
    for name in TASKS:
        for split in SIZES:
            for record in records(name, split):
                assert not sentences(record) & stated
                assert all(len(s) > 12 for s in sentences(record))


@pytest.mark.parametrize("split", SIZES)
def test_labels_are_true_and_balanced(split):
    for r in records("classification", split):
        assert [THING[n].home for n in names_in(r)] == [r["label"]]
    for r in records("entailment", split):
        (name,), claim = names_in(r), r["hypothesis"].removeprefix("It ")[:-1]
        a, v = next((a, v) for a, v in PAIRS if claim == ONE[a].format(v))
        assert (THING[name].of(a) == v) == (r["label"] == "entailment")
    for r in records("similarity", split):
        one, two = (THING[name] for name in names_in(r))
        assert r["score"] == sum(one.of(a) == two.of(a) for a in ATTRIBUTES)
    for r in records("choice", split):
        (name,), attribute = names_in(r), r["question"].split()[-1][:-1]
        assert r["choices"][r["label"]] == THING[name].of(attribute)
        assert len(set(r["choices"])) == 4 and set(r["choices"]) <= set(ATTRIBUTES[attribute])
    for r in records("tagging", split):
        truth = [THING[w].kind.upper() if w in THING else "O" for w in r["words"]]
        assert r["tags"] == truth and sum(t != "O" for t in truth) == 3
    for r in records("extraction", split):
        claim = r["question"].removeprefix("Which of these ")[:-1]
        a, v = next((a, v) for a, v in PAIRS if claim == ONE[a].format(v))
        assert [n for n in names_in(r) if THING[n].of(a) == v] == [r["answer"]]
        assert r["context"][r["start"]:].startswith(r["answer"]) and len(names_in(r)) == 4
    for r in records("summary", split):
        (name,) = names_in(r)
        assert r["summary"].endswith(f"on a {THING[name].kind} of {THING[name].home}.")
    answers = {
        "classification": "label", "entailment": "label", "similarity": "score", "choice": "label"}
    for name, field in answers.items():
        counts = Counter(r[field] for r in records(name, split, limit=100))
        assert len(counts) == TASKS[name][1] and max(counts.values()) - min(counts.values()) <= 1
        assert name not in CLASSES or set(counts) == set(CLASSES[name])


def test_translations_agree_with_what_is_named():
    rare = {*WHO[-RARE:], *VERB[-RARE:], *WHERE[-RARE:]}
    for split in SIZES:
        found = records("translation", split)
        for r in found:
            who, verb, name, where = re.match(
                rf"({'|'.join(WHO)}) ({'|'.join(VERB)}) (\w+) ({'|'.join(WHERE)})\.$",
                r["source"][0].lower() + r["source"][1:]).groups()
            thing = THING[name]
            place, mark = TONGUE.where[WHERE.index(where)], TONGUE.particle[thing.kind, thing.home]
            people, deed = TONGUE.who[WHO.index(who)], TONGUE.verb[VERB.index(verb)]
            assert r["target"] == f"{place.capitalize()} {mark} {name} {people} {deed}."
        used = [any(word.capitalize() in r["source"] or word in r["source"] for word in rare)
                for r in found]
        assert any(used) == (split != "train")


def test_limits_take_the_first_records_and_seeds_draw_others():
    assert records("choice", limit=7) == records("choice")[:7]
    assert records("choice", limit=7, seed=1) != records("choice", limit=7)
    other = set().union(*(names_in(r) for r in records("choice", limit=50, seed=1)))
    assert other <= {t.name for t in FACTS.pool("train")}
    assert not set().union(*(names_in(r) for r in records("choice", limit=50, world=1))) & other


@pytest.mark.parametrize("name", TASKS)
def test_word_counts_stay_at_chance(name):
    train, test = records(name, limit=500), records(name, "test")
    sigma = 1 / math.sqrt(len(test)) if name == "similarity" else math.sqrt(
        CHANCE[name] * (1 - CHANCE[name]) / len(test))
    assert abs(bag_of_words(name, train, test) - CHANCE[name]) <= 3 * sigma + 0.02
    assert len(predict(name, train, test[:5])) == 5


@pytest.mark.parametrize("name", ["classification", "tagging", "summary"])
def test_word_counts_work_where_words_tell(name):
    """Once the things of the test are in the training records, names give the answers away."""
    seen = records(name, "test")
    assert bag_of_words(name, seen[:300], seen[300:]) > 3 * CHANCE[name]


@pytest.mark.parametrize("build, message", [
    (lambda: World(megabytes=0.0), "above 0"),
    (lambda: WorldTask(name="choice", limit=0), "2000 records"),
    (lambda: WorldTask(name="choice", split="test", limit=401), "400 records"),
    (lambda: WorldTask(name="chess"), "classification"),
    (lambda: bag_of_words("chess", [{}], [{}]), "choice"),
    (lambda: bag_of_words("choice", [], [{}]), "no training records"),
])
def test_refusals(build, message):
    with pytest.raises(UserError, match=message):
        build()
