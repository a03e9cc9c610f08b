"""What word counts alone can do on a labelled task: the figure to print beside a model's.

Multinomial naive Bayes (Manning, Raghavan & Schütze 2008, §13.2) wherever a class can be chosen,
ridge regression for a score, the nearest training record for a text. Nothing knows word order, and
nothing was read but the labelled training records.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Hashable, Sequence

import numpy as np

from transformer.error import UserError
from transformer.spec import nearest

Record = dict
Bag = Counter


def bag_of_words(task: str, train: Sequence[Record], test: Sequence[Record]) -> float:
    """Fits on `train` and returns the score on `test`.

    `task` is a name of `transformer.data.world.TASKS` and says which fields the records have. The
    score is accuracy for classification, entailment and choice; Pearson's r for similarity; F1 over
    the words that are not `O` for tagging; the share of exact answers for extraction, translation
    and summary.

    Raises:
      UserError: an unknown task, or no records.
    """
    predictions = predict(task, train, test)
    return _METHODS[task][1](predictions, test)


def predict(task: str, train: Sequence[Record], test: Sequence[Record]) -> list:
    """One prediction for each test record, in the form of the field that is to be predicted."""
    if task not in _METHODS:
        raise UserError(f"there is no bag of words for {task!r}{nearest(task, _METHODS)}")
    if not train or not test:
        raise UserError(f"bag of words for {task}: no {'test' if train else 'training'} records")
    return _METHODS[task][0](train, test)


def bag(*texts: str) -> Bag:
    """How often each word occurs in the texts, in small letters."""
    return Counter(re.findall(r"\w+", " ".join(texts).lower()))


class NaiveBayes:
    """Multinomial, add-one smoothing. Words that training lacks are left out of a bag."""

    def __init__(self, bags: Sequence[Bag], labels: Sequence[Hashable]):
        self.labels = sorted(set(labels))
        words = sorted(set().union(*bags))
        self._word = {word: n for n, word in enumerate(words)}
        counts_CV = np.ones((len(self.labels), len(words)))
        share = Counter(labels)
        for each, label in zip(bags, labels):
            row = counts_CV[self.labels.index(label)]
            for word, count in each.items():
                row[self._word[word]] += count
        self._word_CV = np.log(counts_CV / counts_CV.sum(1, keepdims=True))
        self._label_C = np.log([share[label] / len(labels) for label in self.labels])

    def scores(self, each: Bag) -> np.ndarray:
        """[C] log joint probability of the bag and each of `labels`."""
        known = [(self._word[word], count) for word, count in each.items() if word in self._word]
        return self._label_C + sum(count * self._word_CV[:, n] for n, count in known)

    def best(self, each: Bag) -> Hashable:
        """The most probable label."""
        return self.labels[int(np.argmax(self.scores(each)))]


def _classes(*fields: str) -> Callable:
    def predicted(train, test):
        bags = [bag(*(r[f] for f in fields)) for r in train]
        model = NaiveBayes(bags, [r["label"] for r in train])
        return [model.best(bag(*(r[f] for f in fields))) for r in test]

    return predicted


def _scores(train, test):
    """Ridge regression on the counts and on how many words the two texts share."""
    words = sorted(set().union(*(bag(r["first"], r["second"]) for r in train)))

    def rows(records):
        pairs = [(bag(r["first"]), bag(r["second"])) for r in records]
        return np.array([[*((a + b)[w] for w in words), (a & b).total(), 1] for a, b in pairs])

    x, y = rows(train).astype(float), np.array([r["score"] for r in train])
    return list(rows(test) @ np.linalg.solve(x.T @ x + np.eye(x.shape[1]), x.T @ y))


def _choices(train, test):
    def bags(record):
        return [bag(record["context"], record["question"], c) for c in record["choices"]]

    right = [n == r["label"] for r in train for n in range(len(r["choices"]))]
    model = NaiveBayes([b for r in train for b in bags(r)], right)
    return [_most_likely(model, bags(r)) for r in test]


def _most_likely(model: NaiveBayes, bags: Sequence[Bag]) -> int:
    """The bag with the greatest odds of being the right one; the labels are False and True."""
    return int(np.argmax([np.subtract(*model.scores(each)[::-1]) for each in bags]))


def _window(words: Sequence[str], n: int) -> Bag:
    """A word and its neighbours, each with its place."""
    return Counter(f"{at - n}:{words[at]}" for at in range(max(0, n - 2), min(len(words), n + 3)))


def _tags(train, test):
    spots = [(r["words"], n, tag) for r in train for n, tag in enumerate(r["tags"])]
    model = NaiveBayes([_window(words, n) for words, n, _ in spots], [tag for *_, tag in spots])
    return [[model.best(_window(r["words"], n)) for n in range(len(r["words"]))] for r in test]


def _answers(train, test):
    def candidates(record):
        words = re.findall(r"\w+", record["context"])
        return words, [_window(words, n) for n in range(len(words))]

    spots = [(each, word == r["answer"]) for r in train for word, each in zip(*candidates(r))]
    model = NaiveBayes(*zip(*spots))
    return [words[_most_likely(model, each)] for words, each in map(candidates, test)]


def _texts(given: str, wanted: str) -> Callable:
    def predicted(train, test):
        known = [bag(r[given]) for r in train]
        return [train[_closest(known, bag(r[given]))][wanted] for r in test]

    return predicted


def _closest(known: Sequence[Bag], each: Bag) -> int:
    return int(np.argmax([(each & b).total() / (each | b).total() for b in known]))


def _share_equal(field: str) -> Callable:
    def score(predictions, test):
        return float(np.mean([p == r[field] for p, r in zip(predictions, test)]))

    return score


def _pearson(predictions, test) -> float:
    scores = np.array([r["score"] for r in test])
    return float(np.corrcoef(predictions, scores)[0, 1]) if np.std(predictions) > 0 else 0.0


def _f1(predictions, test) -> float:
    pairs = [(p, t) for tags, r in zip(predictions, test) for p, t in zip(tags, r["tags"])]
    hits = sum(p == t != "O" for p, t in pairs)
    return 2 * hits / max(1, sum((p != "O") + (t != "O") for p, t in pairs))


_METHODS: dict[str, tuple[Callable, Callable]] = {
    "classification": (_classes("text"), _share_equal("label")),
    "entailment": (_classes("premise", "hypothesis"), _share_equal("label")),
    "similarity": (_scores, _pearson),
    "choice": (_choices, _share_equal("label")),
    "tagging": (_tags, _f1),
    "extraction": (_answers, _share_equal("answer")),
    "translation": (_texts("source", "target"), _share_equal("target")),
    "summary": (_texts("text", "summary"), _share_equal("summary")),
}
