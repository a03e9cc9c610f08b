"""Trains what a config describes: `python train.py [CONFIG] [--path.to.field=VALUE ...]`.

CONFIG is FILE.py or FILE.py:name=value,... with arguments of the file's function `experiment`;
without one it is configs/quickstart.py. The run lives in --workdir, by default runs/NAME of the
config, and resumes by itself if that holds one.
"""

from __future__ import annotations

import argparse
import functools
import sys
import time
from pathlib import Path

from transformer.error import guarded
from transformer.spec import setting
from transformer.training import gathering


def main(arguments: list[str]) -> int:
    """Every stage of the config in order. Exit status 0, or 128 + the signal that ended the run."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0], epilog=(
        "Any field of the experiment can be set: --steps=100, --optimizer.learning_rate.peak=1e-3, "
        "--model.embedding.vocab=512, --tokenizer='Bytes()'; with stages --STAGE.steps=100."))
    parser.add_argument("config", nargs="?", default="configs/quickstart.py",
                        help="FILE.py or FILE.py:name=value,... (default: %(default)s)")
    parser.add_argument("--workdir", type=Path, metavar="DIR",
                        help="where the run lives (default: runs/NAME of the config)")
    parser.add_argument("--fresh", action="store_true", help="remove what DIR holds and start anew")
    gathering.add_flags(parser)
    options, rest = parser.parse_known_args(arguments)
    overrides = [setting(text) for text in rest]
    name = Path(options.config.partition(":")[0]).stem
    workdir = options.workdir or Path("runs") / name

    from transformer.launch import configure, stages_of

    configure()
    with gathering.gathered(options) as hosts:
        found = stages_of(options.config, overrides, workdir, hosts)
        for stage, experiment in found.items():
            status = train(stage, experiment, workdir, options.fresh, hosts)
            if status:
                return status
    return 0


def train(stage: str, experiment, workdir: Path, fresh: bool, hosts) -> int:
    """One experiment from its first or its last saved step to its summary."""
    import jax

    from transformer import beginning, launch, wiring
    from transformer.judge import Judge
    from transformer.nn.context import Run
    from transformer.nn.door import Model
    from transformer.report import announce, conclude, greet, require_prompts
    from transformer.training.checkpoint import Checkpoints
    from transformer.training.division import require_division
    from transformer.training.experiment import lower_is_better
    from transformer.training.loop import Doors, Loop
    from transformer.training.share import share
    from transformer.training.signals import Stop
    from transformer.training.step import train_step

    directory = workdir / stage
    with launch.held(directory, hosts, fresh), Stop() as stop:
        if launch.settled(directory, experiment, hosts):
            return greet(stage, directory)
        with stop.at_once():  # nothing is worth saving yet
            began = time.perf_counter()
            wiring.require_kinds(experiment)
            model, run = Model(experiment.model), experiment.run or Run()
            mesh = experiment.mesh.build()
            require_division(experiment, model.shapes(), mesh)
            wiring.require_attention(experiment, mesh)
            stop = hosts.listening(stop, mesh)
            base = launch.base_of(experiment, directory, workdir, hosts)
            tokenizer = launch.tokenizer_of(experiment, directory, workdir, hosts)
            wiring.require_vocabulary(model, tokenizer, experiment.objective)
            if base:
                wiring.require_same_tokenizer(base, tokenizer)
            require_prompts(experiment, model, tokenizer)
            with hosts.first_before_others():
                data, validation = wiring.training_data(experiment, tokenizer)
                test = experiment.test and wiring.data_of(experiment, experiment.test, tokenizer)
            stream = data.stream(experiment)
            hosts.require_same("data", stream.fingerprint)
            judge = validation and Judge(experiment, model, validation, tokenizer, generated=False)
            if judge:
                judge.require_metric(experiment.best)
            final = test and Judge(experiment, model, test, tokenizer)
            part = share(experiment.batch, experiment.accumulate, mesh, hosts.number)
            optimizer = experiment.optimizer.build()
            abstract = beginning.planned(model, optimizer, experiment, mesh)
            begin = functools.partial(beginning.begin, model, optimizer, experiment, base, abstract)
            checkpoints = Checkpoints(
                directory, experiment.keep_last, metric=experiment.best,
                better="lower" if lower_is_better(experiment.best) else "higher", hosts=hosts)
            done, state, counters, fresh_names = launch.resume(checkpoints, abstract, begin,
                                                               stream.fingerprint)
            apply = model.stepped(run)
            step = jax.jit(stop.asking(functools.partial(
                train_step, apply=apply, objective=experiment.objective, optimizer=optimizer,
                average=experiment.average)), out_shardings=(beginning.places(abstract), None),
                donate_argnums=0)
            flops, peak = launch.flops_and_peak(experiment, model, stream)
            announce(stage, experiment, model, tokenizer, data, stream, state, mesh, flops,
                     peak, done, base, fresh_names, time.perf_counter() - began)
        doors = Doors(
            step=step, place=stop.placing(launch.placing(part, mesh)),
            units=functools.partial(launch.units, part, experiment.objective),
            digest=functools.partial(launch.digest, part, hosts),
            evaluate=judge and launch.evaluation(judge, experiment, stop),
            files=functools.partial(launch.files, experiment, tokenizer, stream.fingerprint),
            flops=flops, peak=peak)
        with launch.mesh_context(mesh), checkpoints, \
                launch.log_of(experiment, directory, done, hosts) as log:
            loop = Loop(experiment, doors, checkpoints, log, stop, counters, hosts, hosts.screen)
            batches = enumerate(stream.iterate(done, wanted=part.rows), start=done)
            state, done = loop.run(state, done, batches)
            checkpoints.wait()
            if stop.poll():
                again = "the same command" + " without --fresh" * fresh
                print(f"saved step {done:,} in {directory}; {again} continues from it")
                return stop.code
        with stop.at_once(), launch.mesh_context(mesh):
            return conclude(stage, experiment, model, tokenizer, directory, data, final, state,
                            done, checkpoints, loop.counters, hosts)


if __name__ == "__main__":
    sys.exit(guarded(main, sys.argv[1:]))
