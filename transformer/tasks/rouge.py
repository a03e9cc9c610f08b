"""ROUGE-1, ROUGE-2 and ROUGE-L (Lin 2004) as F1, without stemming. Fractions, not percent."""

from __future__ import annotations

import collections
import re

from transformer.tasks.metric import harmonic


def rouge(predicted: list[str], references: list[list[str]]) -> dict[str, float]:
    """{"rouge_1", "rouge_2", "rouge_l"}: means over texts, each with its best reference."""
    totals = {"rouge_1": 0.0, "rouge_2": 0.0, "rouge_l": 0.0}
    for text, right in zip(predicted, references, strict=True):
        scores = [_against(_words(text), _words(answer)) for answer in right]
        for name in totals:
            totals[name] += max(score[name] for score in scores)
    return {name: total / max(len(predicted), 1) for name, total in totals.items()}


def _words(text: str) -> list[str]:
    return re.findall(r"[^\W_]+", text.lower())  # runs of letters and digits of any script


def _against(predicted: list[str], answer: list[str]) -> dict[str, float]:
    longest = common_subsequence(predicted, answer)
    return {"rouge_1": _overlap(predicted, answer, 1), "rouge_2": _overlap(predicted, answer, 2),
            "rouge_l": harmonic(longest, len(predicted), len(answer))}


def _overlap(predicted: list[str], answer: list[str], n: int) -> float:
    a, b = (collections.Counter(tuple(words[i:i + n]) for i in range(len(words) - n + 1))
            for words in (predicted, answer))
    return harmonic((a & b).total(), a.total(), b.total())


def common_subsequence(a: list[str], b: list[str]) -> int:
    """Length of the longest common subsequence. Time len(a) * len(b), memory len(b)."""
    row = [0] * (len(b) + 1)
    for word in a:
        corner = 0
        for n, other in enumerate(b, 1):
            corner, row[n] = row[n], corner + 1 if word == other else max(row[n], row[n - 1])
    return row[-1]
