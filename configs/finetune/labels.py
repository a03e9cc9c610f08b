"""A labelled task of the embedded world, from a pretrained checkpoint and from scratch.

What is asked about the things of the test records stands in no labelled record: only pretraining
can know it.
"""

import dataclasses
from typing import Literal

from transformer.data.padding import Padded
from transformer.data.world import CLASSES, WorldTask
from transformer.nn.head import Classes, TokenClasses
from transformer.objectives.choose import Choose
from transformer.objectives.classify import Classify
from transformer.objectives.extract import Extract
from transformer.objectives.next_token import NextToken
from transformer.objectives.regress import Regress
from transformer.objectives.tag import Tag
from transformer.tasks.classification import Classification
from transformer.tasks.entailment import Entailment
from transformer.tasks.extractive_answer import ExtractiveAnswer
from transformer.tasks.layout import Generative
from transformer.tasks.multiple_choice import MultipleChoice
from transformer.tasks.rewriting import Together
from transformer.tasks.similarity import Similarity
from transformer.tasks.summarisation import Summarisation
from transformer.tasks.tagging import Tagging
from transformer.tasks.translation import Translation
from transformer.training.experiment import Experiment
from transformer.training.optimizer import AdamW
from transformer.training.schedule import WarmupLinear
from transformer.zoo.gpt2 import gpt2

# task of the world -> task, objective, head
TASKS = {
    "classification": (Classification(classes=CLASSES["classification"]), Classify(),
                       ("classes", Classes(classes=len(CLASSES["classification"])))),
    "entailment": (Entailment(classes=CLASSES["entailment"]), Classify(),
                   ("classes", Classes(classes=len(CLASSES["entailment"])))),
    "similarity": (Similarity(), Regress(), ("score", Classes(classes=1))),
    "choice": (MultipleChoice(), Choose(), ("score", Classes(classes=1))),
    "tagging": (Tagging(classes=CLASSES["tagging"], layout=Generative(), read="last"), Tag(),
                ("tags", TokenClasses(classes=len(CLASSES["tagging"])))),
    "extraction": (ExtractiveAnswer(layout=Generative()), Extract(),
                   ("span", TokenClasses(classes=2))),
    "translation": (Translation(layout=Together()), NextToken(), None),
    "summary": (Summarisation(layout=Together(), source="text", target="summary"), NextToken(),
                None),
}


def labelled(name: str, labels: int, seed: int, pretrained: str, scratch: bool = False,
             epochs: int = 24) -> Experiment:
    """One task from so many labels, with GPT-1's input transformation and auxiliary loss.

    `pretrained` gives the tokenizer, and unless `scratch` the parameters to begin with.
    """
    from configs.quickstart import MODEL

    task, objective, head = TASKS[name]
    model = gpt2(**MODEL, dropout=0.1)
    if head is not None:
        model = dataclasses.replace(model, heads=(*model.heads, head))
    steps = max(epochs * labels // 16, 1)
    return Experiment(
        model=model,
        tokenizer=pretrained,
        data=WorldTask(name=name, limit=labels, seed=seed),
        test=WorldTask(name=name, split="test"),
        task=task,
        rows=Padded(length=64),
        objective=objective,
        optimizer=AdamW(learning_rate=WarmupLinear(peak=1e-3, warmup=steps // 10, steps=steps),
                        b1=0.9, b2=0.99, decay=0.01),
        steps=steps, batch=16, seed=seed, start_from=None if scratch else pretrained, log_every=10,
    )


def experiment(start: str = "runs/quickstart/pretrain",
               task: Literal[tuple(TASKS)] = "classification", labels: int = 100,
               seed: int = 0) -> dict[str, Experiment]:
    """Two stages: scratch, and finetune from the checkpoint `start`."""
    return {"scratch": labelled(task, labels, seed, start, scratch=True),
            "finetune": labelled(task, labels, seed, start)}
