"""Judges a checkpoint: `python evaluate.py CHECKPOINT [--data=PATH] [--json=OUT] ...`.

CHECKPOINT is a run's directory (its last stage, newest good step) or one step's. Text gives loss,
perplexity and bits per byte; a task gives its own metrics. Without --data the checkpoint's own test
data is read, or else its validation data.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import sys
from pathlib import Path

from transformer.error import UserError, guarded, require_folder
from transformer.verbs import choosing, meshes


def main(arguments: list[str]) -> int:
    """Prints a table; exit status 0."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("checkpoint", type=Path, help="a run's directory or one step's")
    parser.add_argument("--data", metavar="PATH", help="file, folder or glob to judge on: text, "
                        ".jsonl, .csv, .tsv or .parquet (default: the run's own test data)")
    parser.add_argument("--task", metavar="SPEC", help="judge as this task, such as 'Translation()'"
                        " (default: the run's own)")
    parser.add_argument("--batch", type=int, metavar="ROWS", help="default: the run's own")
    parser.add_argument("--json", type=Path, metavar="OUT", help="write the metrics here as well")
    parser.add_argument("--predictions", type=Path, metavar="OUT.jsonl",
                        help="write every record with the model's answer here")
    parser.add_argument("--by-length", metavar="N,N,...", help="BLEU also by the length of the "
                        "source: of those up to each of these numbers of words, and beyond")
    choosing.add_searching(parser.add_argument)
    meshes.add_mesh(parser.add_argument)
    options = parser.parse_args(arguments)
    given = choosing.asked(options)
    choosing.require_search(given, given)
    choose = choosing.choice(given)

    from transformer import load, wiring
    from transformer.judge import Judge
    from transformer.launch import configure, mesh_context
    from transformer.training.division import require_lengths
    from transformer.training.progress import number

    configure()
    require_folder(options.json, options.predictions)
    mesh = meshes.asked(options)
    loaded = load(options.checkpoint, mesh=mesh)
    experiment = changed(loaded.experiment, options)
    require_lengths(experiment, mesh)
    if options.predictions and experiment.task is None:
        raise UserError("--predictions: only tasks answer records; this checkpoint models text")
    if "beams" in given and not getattr(experiment.task, "generates", False):
        raise UserError("--beams: nothing is generated here; only tasks that are answered by a "
                        "text, such as translation, are searched")
    source = source_of(experiment, options.data)
    named = source or f"{experiment.validation} of {experiment.data}"
    if source is None:
        data = wiring.training_data(experiment, loaded.tokenizer)[1]
    else:
        data = wiring.data_of(experiment, source, loaded.tokenizer)
    judge = Judge(experiment, loaded.model, data, loaded.tokenizer, choose=choose)
    with mesh_context(mesh):
        metrics = judge(loaded.params)
    print(f"{loaded.path}\n  on {named}")
    for name, value in metrics.items():
        print(f"  {name:{max(map(len, metrics))}}  {number(value)}")
    if options.json:
        options.json.write_text(json.dumps(metrics, indent=1) + "\n", encoding="utf-8")
    if options.predictions:
        write_predictions(options.predictions, data.records, judge.predictions)
    return 0


def changed(experiment, options):
    """The checkpoint's experiment with what the command line says otherwise."""
    from transformer.spec import Spec, override, read

    if options.task:
        task = read(options.task, Spec, "--task")
        if not isinstance(task, Spec):
            raise UserError(f"--task={options.task}: write the task as a spec, such as "
                            "'Classification(classes=(no, yes))'")
        experiment = dataclasses.replace(experiment, task=task)
    if options.by_length:
        if not hasattr(experiment.task, "by_length"):
            raise UserError("--by-length: only translation is judged by the source's length")
        experiment = override(experiment, "task.by_length", options.by_length, "--by-length")
    if options.batch is not None:
        experiment = dataclasses.replace(experiment, batch=options.batch, accumulate=1)
    return experiment


def source_of(experiment, path: str | None):
    """What to judge on; None is the part of the training data that was held out."""
    from transformer.data.corpus import Holdout
    from transformer.data.source import FileSource, reader

    if path is not None:
        kind = reader(path)
        if isinstance(experiment.data, FileSource) and type(experiment.data) is kind:
            return dataclasses.replace(experiment.data, path=path)
        return kind(path=path)
    if experiment.test is not None:
        return experiment.test
    if experiment.validation is None:
        raise UserError("this run has neither test nor validation data; name some with --data=PATH")
    return None if isinstance(experiment.validation, Holdout) else experiment.validation


def write_predictions(path: Path, records, predictions) -> None:
    """One JSON object a line: the record's fields and the `prediction`."""
    with path.open("w", encoding="utf-8") as file:
        for record, prediction in zip(records, predictions, strict=True):
            line = {**record, "prediction": prediction}
            file.write(json.dumps(line, ensure_ascii=False, default=_plain) + "\n")


def _plain(value):
    return value.tolist() if hasattr(value, "tolist") else str(value)


if __name__ == "__main__":
    sys.exit(guarded(main, sys.argv[1:]))
