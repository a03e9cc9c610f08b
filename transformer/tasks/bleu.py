"""Corpus BLEU (Papineni 2002), tokenised as in mteval-v13a and smoothed as sacrebleu does."""

from __future__ import annotations

import collections
import math
import re

ORDER = 4  # n-grams up to this length

_ENTITIES = (("&quot;", '"'), ("&amp;", "&"), ("&lt;", "<"), ("&gt;", ">"))
_SYMBOLS = re.compile(r"([{-~\[-` -&(-+:-@/])")  # ASCII symbols but for ' , - .


def words_13a(text: str) -> list[str]:
    """Words of a sentence: symbols stand alone, . and , unless between digits, - after a digit."""
    text = text.replace("<skipped>", "").replace("-\n", "").replace("\n", " ")
    for entity, character in _ENTITIES:
        text = text.replace(entity, character)
    text = _SYMBOLS.sub(r" \1 ", f" {text} ")
    text = re.sub(r"([^0-9])([.,])", r"\1 \2 ", text)
    text = re.sub(r"([.,])([^0-9])", r" \1 \2", text)
    return re.sub(r"([0-9])(-)", r"\1 \2 ", text).split()


def bleu(predicted: list[str], references: list[list[str]]) -> float:
    """BLEU of a corpus, 0 to 100.

    Args:
      predicted: one text per segment.
      references: one or more right texts for each.
    """
    found, sought, length, closest = [0] * ORDER, [0] * ORDER, 0, 0
    for text, right in zip(predicted, references, strict=True):
        words, answers = words_13a(text), [words_13a(answer) for answer in right]
        length += len(words)
        closest += min((abs(len(a) - len(words)), len(a)) for a in answers)[1]
        for n in range(ORDER):
            grams = _grams(words, n + 1)
            allowed = collections.Counter()
            for answer in answers:
                allowed |= _grams(answer, n + 1)
            found[n] += (grams & allowed).total()
            sought[n] += grams.total()
    return _score(found, sought, length, closest)


def _grams(words: list[str], n: int) -> collections.Counter:
    return collections.Counter(tuple(words[i:i + n]) for i in range(len(words) - n + 1))


def _score(found: list[int], sought: list[int], length: int, closest: int) -> float:
    """The geometric mean of precisions times the brevity penalty.

    An order without a hit counts as 1/2, then 1/4 ... of a hit; an order without any n-gram, or no
    hit of a single word, gives 0.
    """
    if not found[0] or not all(sought):
        return 0.0
    total, missed = 0.0, 0
    for hit, count in zip(found, sought):
        missed += hit == 0
        total += math.log((hit or 0.5**missed) / count)
    brevity = min(0.0, 1 - closest / length)
    return 100 * math.exp(brevity + total / ORDER)
