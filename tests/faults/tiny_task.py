"""A labelled run of seconds: `tiny_task.py:path=JSONL` is its config."""

import dataclasses

from transformer.data.padding import Padded
from transformer.data.source import Jsonl
from transformer.data.vocabulary import Bytes
from transformer.nn.head import Classes
from transformer.objectives.classify import Classify
from transformer.tasks.classification import Classification
from transformer.training.experiment import Experiment
from transformer.training.optimizer import AdamW
from transformer.training.schedule import Constant
from transformer.zoo.gpt2 import gpt2


def experiment(path: str) -> Experiment:
    """Two classes, rows of two widths, a test set, a metric that is better when higher."""
    model = gpt2(width=16, depth=1, heads=2, vocab=384, length=16)
    return Experiment(
        model=dataclasses.replace(model, heads=(*model.heads, ("classes", Classes(classes=2)))),
        tokenizer=Bytes(), data=Jsonl(path=path), validation=Jsonl(path=path),
        test=Jsonl(path=path), task=Classification(classes=("no", "yes")),
        rows=Padded(length=16, buckets=(8,)), objective=Classify(),
        optimizer=AdamW(learning_rate=Constant(peak=1e-2)), steps=6, batch=4, evaluate_every=2,
        best="validation_accuracy", log_every=1,
    )
