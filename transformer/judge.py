"""Evaluation: the objective's own sums over a data set, and the metrics of its task."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from typing import Any

import jax

from transformer.answers import answers
from transformer.error import UserError
from transformer.nn.context import Run
from transformer.nn.door import Model, unstack
from transformer.ops.placement import fetched, filled
from transformer.ops.unscored import whole
from transformer.spec import Spec, nearest
from transformer.tasks.metric import bits_per_byte, perplexity
from transformer.training.experiment import Experiment
from transformer.training.step import evaluate_step
from transformer.wiring import Data


class Judge:
    """Judges parameters on one data set. Compiled once, called as often as wanted.

    generated: whether tasks that are answered by generated text are answered; it takes long.
    choose: how, see `generation.generate`; greedily if None.

    Raises:
      UserError: the model's head is not what the task reads, or rows and records do not match.
    """

    def __init__(self, experiment: Experiment, model: Model, data: Data, tokenizer,
                 generated: bool = True, choose: Spec | None = None):
        self.experiment, self.model, self.data = experiment, model, data
        self.tokenizer, self.run = tokenizer, experiment.run or Run()
        self.task, self.generated, self.choose = experiment.task, generated, choose
        self._require_fit()
        self.stream = data.stream(experiment)
        self.rows = experiment.batch // experiment.accumulate  # what training fits into memory
        head = self.task.head if self._reads_head() else ""
        self.step = jax.jit(functools.partial(judge_step, self.model, self.run,
                                              experiment.objective, head))
        self.predictions: list = []

    def __call__(self, params, stopped: Callable[[], Any] = lambda: False) -> dict | None:
        """{metric: value}, or None if `stopped()` became true meanwhile.

        "loss" is the objective's; terms go by their names; text adds "perplexity" per token,
        "bits_per_byte" and "word_perplexity"; a task adds its own metrics. Bits and
        words take the mean over the predictions for every token of the text, also where the rows
        predict a few less, such as all but the first of a document.
        """
        key, sums, self.predictions = jax.random.key(0), {}, []
        decoding = unstack(params) if self._generates() else None
        for batch in self.stream.evaluation(filled(self.rows)):
            if stopped():
                return None
            terms, outputs = fetched(self.step(params, batch, key))
            for name, term in terms.items():
                old = sums.get(name, (0.0, 0.0, 0.0))
                sums[name] = (old[0] + float(term.sum), old[1] + float(term.weight),
                              float(term.coefficient))
            if self._generates():
                outputs = {"generated": answers(self.experiment, self.model, decoding, batch,
                                                self.tokenizer, self.choose)}
            if outputs:
                self.predictions += self.task.predict(outputs, batch, self.tokenizer)
        return self._metrics(sums)

    def require_metric(self, name: str) -> None:
        """UserError unless `name` is among what is found; of a task this shows only when judged."""
        if self.task is not None:
            return
        batch = next(self.stream.evaluation(self.rows))
        terms, _ = jax.eval_shape(self.step, self.model.shapes(), batch, jax.random.key(0))
        sums = {term: (0.0, 1.0, 0.0) for term in terms}
        known = [f"validation_{known}" for known in self._metrics(sums)]
        if name not in known:
            raise UserError(f"best={name}: there is no such metric{nearest(name, known)}")

    def _require_fit(self) -> None:
        if self.task is None:
            return
        count, records = self.data.rows.count, len(self.data.records)
        if count != records:
            raise UserError(f"{records:,} records became {count:,} rows, but a task is judged by "
                            "one row for each; use Padded rows that skip none")
        heads = dict(self.model.spec.heads)
        if self._reads_head() and self.task.head not in heads:
            raise UserError(f"{type(self.task).__name__} reads the head {self.task.head!r}, but "
                            f"the model has {', '.join(heads) or 'none'}; add that head")
        classes = getattr(heads.get(self.task.head), "classes", self.task.width)
        if classes != self.task.width:
            raise UserError(f"the model's head {self.task.head!r} has {classes} classes, but "
                            f"{type(self.task).__name__} needs {self.task.width}; make them equal")

    def _reads_head(self) -> bool:
        return self.task is not None and bool(self.task.head) and not self.task.generates

    def _generates(self) -> bool:
        return self.task is not None and self.task.generates and self.generated

    def _metrics(self, sums: dict) -> dict[str, float]:
        means = {name: total / max(weight, 1) for name, (total, weight, _) in sums.items()}
        loss = sum(means[name] * coefficient for name, (_, _, coefficient) in sums.items())
        told = {"loss": loss, **{n: m for n, m in means.items() if n != "next_token"}}
        if self.data.corpus is not None:
            objective = self.experiment.objective
            told |= self._text(means[objective.language or objective.main])
        if self.predictions:
            told |= self.task.score(self.predictions, self.data.records)
        return told

    def _text(self, nats: float) -> dict[str, float]:
        """What a loss in nats per token means for the text behind the tokens."""
        corpus = self.data.corpus
        told = {"perplexity": perplexity(nats, 1)}
        if self.experiment.objective.main == "next_token":
            told["bits_per_byte"] = bits_per_byte(nats * len(corpus), corpus.bytes)
            words = max(self.words, 1)  # with ends of lines, as WikiText counts them
            told["word_perplexity"] = math.exp(min(nats * len(corpus) / words, 700))
        return told

    @functools.cached_property
    def words(self) -> int:
        """Of the text that is judged, as `Corpus.words` counts them."""
        return self.data.corpus.words()


def judge_step(model, run, objective, head, params, batch, key):
    """The terms of one batch, and the output of the head that the task reads."""
    seen = {}

    def apply(params, batch, rng=None, **part):
        seen.update(model.apply(params, batch, rng, run, scored=False, **part))
        return seen

    terms = evaluate_step(params, batch, key, apply=apply, objective=objective)
    return terms, {head: whole(seen[head]).astype("float32")} if head else {}
