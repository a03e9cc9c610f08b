"""Classes of the texts in your own table, learnt from your own checkpoint."""

import dataclasses

from transformer.data.corpus import Holdout
from transformer.data.padding import Padded
from transformer.data.source import table
from transformer.error import UserError
from transformer.loaded import architecture, tokenizer_at
from transformer.nn.head import Classes
from transformer.nn.model import Decoder, Encoder, Pair
from transformer.objectives.classify import Classify
from transformer.tasks.classification import Classification
from transformer.tasks.layout import Encoding, Ended, Generative
from transformer.training.experiment import Experiment
from transformer.training.optimizer import AdamW
from transformer.training.schedule import WarmupLinear


def experiment(train: str, start: str, classes: tuple[str, ...], test: str | None = None,
               text: str = "text", label: str = "label", epochs: int = 3, length: int = 128,
               batch: int = 16, rate: float | None = None, seed: int = 0) -> Experiment:
    """The last tenth of `train` is held out; the step that does best on it is kept and tested.

    Args:
      train, test: .csv, .tsv, .jsonl or .parquet. Shuffle it if it is sorted by class.
      start: the checkpoint that gives the architecture, the tokenizer and the parameters.
      text, label: names of the columns. classes: what stands in the latter.
      length: tokens of a row, at most the model's positions; longer texts are cut.
      rate: of learning, at its peak; see `peak`.
    """
    data = table(train)
    records = Holdout().cut(sum(1 for _ in data.records()))
    epoch = max(records // batch, 1)  # steps
    steps = epochs * epoch
    model, layout, objective = classifier(start, len(classes))
    length = min(length, model.embedding.position.limit() or length)
    return Experiment(
        model=model,
        data=data, validation=Holdout(), test=test and table(test),
        task=Classification(classes=classes, text=text, label=label, layout=layout),
        rows=Padded(length=length, buckets=tuple(n for n in (32, 64, 128, 256) if n < length)),
        objective=objective,
        optimizer=AdamW(learning_rate=WarmupLinear(peak=rate or peak(model.embedding.width),
                                                   warmup=steps // 10, steps=steps),
                        b1=0.9, b2=0.99, decay=0.01),
        steps=steps, batch=batch, seed=seed, start_from=start, best="validation_accuracy",
        log_every=10, evaluate_every=epoch,
    )


def classifier(start: str, classes: int):
    """(the model of a checkpoint with a head for so many classes, its layout, its objective).

    Of a pair it is the discriminator (Clark 2020 §2.1: the generator is thrown away).
    """
    model = architecture(start)
    model = model.discriminator if isinstance(model, Pair) else model
    if not isinstance(model, Encoder):  # a Decoder is one too
        raise UserError(f"start={start} is a {type(model).__name__}; start from a model of one "
                        "stack, such as gpt2 or bert")
    kept = tuple(head for head in model.heads if head[0] != "classes")
    model = dataclasses.replace(model, heads=(*kept, ("classes", Classes(classes=classes))))
    objective = Classify() if "logits" in dict(kept) else Classify(auxiliary=0.0)
    if not isinstance(model, Decoder):
        return model, Encoding(), objective
    own = {"start", "extract"} <= tokenizer_at(start).special.keys()
    return model, Generative() if own else Ended(), objective


def peak(width: int) -> float:
    """6.25e-5 at width 768 (Radford 2018 §4.1), and elsewhere inverse to the width (Yang 2022)."""
    return 6.25e-5 * 768 / width
