"""The main road in about two minutes on two CPU cores, with nothing to download.

A small GPT reads the embedded world, then learns a labelled task from 100 records with GPT-1's
input transformation; the same network learns it from scratch beside it.
"""

from configs.finetune.labels import labelled
from transformer.data.packing import Packed
from transformer.data.pieces import Pieces
from transformer.data.world import World
from transformer.objectives.next_token import NextToken
from transformer.training.experiment import Experiment
from transformer.training.optimizer import AdamW
from transformer.training.schedule import WarmupCosine
from transformer.zoo.gpt2 import gpt2

VOCAB = 2048
MODEL = dict(width=128, depth=4, heads=4, vocab=VOCAB, length=128)


def pretraining(steps: int, seed: int = 0) -> Experiment:
    """Next-token prediction on the world's corpus, whole documents packed into rows."""
    return Experiment(
        model=gpt2(**MODEL),
        tokenizer=Pieces(vocab=VOCAB),
        data=World(megabytes=3.0),
        validation=World(split="validation", megabytes=0.05),
        test=World(split="validation", megabytes=0.2),
        rows=Packed(length=128, opening="bos"),
        objective=NextToken(),
        optimizer=AdamW(learning_rate=WarmupCosine(peak=3e-3, warmup=steps // 15, steps=steps,
                                                   final=1.5e-4),
                        b1=0.9, b2=0.98, decay=0.1),
        steps=steps, batch=8, seed=seed, log_every=20, evaluate_every=steps // 3,
        prompts=("A proud town", "Once a stranger"),
    )


def experiment(steps: int = 1500, seed: int = 0) -> dict[str, Experiment]:
    """Three stages: pretrain, scratch (the task without it), finetune (the task from it).

    The last stage is what the run's directory stands for.
    """
    return {
        "pretrain": pretraining(steps, seed),
        "scratch": labelled("classification", 100, seed, "pretrain", scratch=True),
        "finetune": labelled("classification", 100, seed, "pretrain"),
    }
