"""Metrics of labels and of numbers, from two equally long sequences. Fractions, not percent."""

from __future__ import annotations

import math

import numpy as np


def accuracy(predicted, truth) -> float:
    """The share that is equal; 0 if there is nothing."""
    pairs = list(zip(predicted, truth, strict=True))
    return sum(p == t for p, t in pairs) / max(len(pairs), 1)


def f1(predicted, truth, positive) -> float:
    """Harmonic mean of precision and recall of one class; 0 if it never occurs."""
    both = sum(p == t == positive for p, t in zip(predicted, truth, strict=True))
    return harmonic(both, sum(p == positive for p in predicted),
                    sum(t == positive for t in truth))


def harmonic(both: float, predicted: float, true: float) -> float:
    """F1 of counts: `both` of `predicted` found are among `true` sought."""
    return 2 * both / (predicted + true) if predicted + true else 0.0


def macro_f1(predicted, truth) -> float:
    """The mean of `f1` over every class that was predicted or is true."""
    classes = set(predicted) | set(truth)
    return sum(f1(predicted, truth, one) for one in classes) / max(len(classes), 1)


def matthews(predicted, truth) -> float:
    """Correlation of two labelings, any number of classes (Gorodkin 2004); 0 if one is constant."""
    classes = sorted(set(predicted) | set(truth), key=str)
    true_C = np.array([sum(t == c for t in truth) for c in classes], float)
    predicted_C = np.array([sum(p == c for p in predicted) for c in classes], float)
    count = true_C.sum()
    right = sum(p == t for p, t in zip(predicted, truth, strict=True))
    spread = (count**2 - (predicted_C**2).sum()) * (count**2 - (true_C**2).sum())
    return float((right * count - predicted_C @ true_C) / math.sqrt(spread)) if spread > 0 else 0.0


def pearson(predicted, truth) -> float:
    """Linear correlation; 0 if either side is constant or there are fewer than two numbers."""
    a, b = (np.asarray(side, float) for side in (predicted, truth))
    if len(a) != len(b):
        raise ValueError(f"{len(a)} predictions for {len(b)} numbers")
    if len(a) < 2 or np.ptp(a) == 0 or np.ptp(b) == 0:
        return 0.0
    a, b = a - a.mean(), b - b.mean()
    return float(a @ b / math.sqrt((a @ a) * (b @ b)))


def spearman(predicted, truth) -> float:
    """Correlation of ranks; equals share the mean of their ranks."""
    return pearson(ranks(predicted), ranks(truth))


def ranks(values) -> np.ndarray:
    """Ranks from 1, the mean rank for equal values."""
    _, inverse, counts = np.unique(np.asarray(values, float), return_inverse=True,
                                   return_counts=True)
    last = np.cumsum(counts)
    return (last - (counts - 1) / 2)[inverse]


def perplexity(nats: float, predictions: float) -> float:
    """exp of the nats per prediction; infinite where that overflows."""
    try:
        return math.exp(nats / predictions)
    except OverflowError:
        return math.inf


def bits_per_byte(nats: float, size: float) -> float:
    """Total nats of a text of `size` bytes of UTF-8, in bits per byte: free of the tokenizer."""
    return nats / math.log(2) / size
