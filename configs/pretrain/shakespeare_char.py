"""Characters of one text file, at the CPU setting of nanoGPT's README (4 layers, width 128)."""

from transformer.data.chunks import Chunks
from transformer.data.corpus import Holdout
from transformer.data.source import Text
from transformer.data.vocabulary import Characters
from transformer.objectives.next_token import NextToken
from transformer.training.experiment import Experiment
from transformer.training.optimizer import AdamW
from transformer.training.schedule import WarmupCosine
from transformer.zoo.gpt2 import gpt2


def experiment(path: str = "input.txt", steps: int = 2000, peak: float = 4e-3,
               seed: int = 0) -> Experiment:
    """nanoGPT's recipe (AdamW 0.9/0.99, cosine to 1e-4, decay 0.1, clip 1) but for its `peak`.

    nanoGPT's own is 1e-3; at so few steps four times that ends lower.
    """
    schedule = WarmupCosine(peak=peak, warmup=100, steps=steps, final=1e-4)
    return Experiment(
        model=gpt2(width=128, depth=4, heads=4, vocab=128, length=64, bias=False),
        tokenizer=Characters(unknown="unk"),
        data=Text(path=path, documents="file"),
        validation=Holdout(fraction=0.1),
        rows=Chunks(length=64),
        objective=NextToken(),
        optimizer=AdamW(learning_rate=schedule, b1=0.9, b2=0.99, decay=0.1),
        steps=steps, batch=12, seed=seed,
        log_every=50, evaluate_every=500, save_every=500,
    )
