"""Metrics of spans: named entities in tag sequences, and answers cut out of a passage."""

from __future__ import annotations

import collections
import re
import string

from transformer.tasks.metric import harmonic

Entity = tuple[int, int, str]  # first word, end (excluded), kind


def entities(tags) -> set[Entity]:
    """The entities of one sentence.

    Tags are B-KIND, I-KIND and O (Tjong Kim Sang 2003), or kinds without a prefix, where a run of
    one kind is one entity. An I- that continues nothing of its kind begins an entity, as the
    evaluation of CoNLL reads it.
    """
    found, begin, open_kind = set(), 0, ""
    for n, tag in enumerate([*tags, "O"]):
        prefix, kind = _parts(tag)
        if kind != open_kind or prefix == "B":
            if open_kind:
                found.add((begin, n, open_kind))
            begin, open_kind = n, kind
    return found


def _parts(tag: str) -> tuple[str, str]:
    if tag == "O":
        return "", ""
    return (tag[0], tag[2:]) if tag[:2] in ("B-", "I-") else ("I", tag)


def entity_f1(predicted, truth) -> float:
    """F1 over all entities of all sentences: both ends and the kind must be right."""
    pairs = [(entities(p), entities(t)) for p, t in zip(predicted, truth, strict=True)]
    return harmonic(sum(len(p & t) for p, t in pairs), sum(len(p) for p, _ in pairs),
                    sum(len(t) for _, t in pairs))


def normalised(answer: str) -> list[str]:
    """Words of an answer: lower case, no ASCII punctuation, no English article (Rajpurkar 2016)."""
    plain = "".join(c for c in answer.lower() if c not in string.punctuation)
    return re.sub(r"\b(a|an|the)\b", " ", plain).split()


def exact_match(predicted: str, answers: list[str]) -> float:
    """1.0 if the prediction is one of the answers, after normalisation."""
    return float(any(normalised(predicted) == normalised(answer) for answer in answers))


def word_f1(predicted: str, answers: list[str]) -> float:
    """The best F1 over words with any of the answers; 1.0 for nothing where nothing is right."""
    return max(_overlap(normalised(predicted), normalised(answer)) for answer in answers)


def _overlap(predicted: list[str], answer: list[str]) -> float:
    if not predicted or not answer:
        return float(predicted == answer)
    both = (collections.Counter(predicted) & collections.Counter(answer)).total()
    return harmonic(both, len(predicted), len(answer))
