"""The loop around the pure step: batches in, metrics out, evaluation and checkpoints on the way."""

from __future__ import annotations

import contextlib
import dataclasses
import math
import time
from collections.abc import Callable, Iterator
from typing import Any

import jax

from transformer.error import UserError
from transformer.spec import nearest
from transformer.training.experiment import Experiment, lower_is_better
from transformer.training.hosts import Alone
from transformer.training.meter import Meter
from transformer.training.progress import Progress, number


@dataclasses.dataclass
class Doors:
    """What the loop is handed.

    step: (state, batch) -> (state, metrics), compiled. place: host batch -> device batch.
    units: host batch -> (data units, optimisation units) of what is this process's own of it.
    digest: host batch -> hex hash of the whole batch, at process 0.
    evaluate: state -> {metric: value} on the validation data, or None if a signal came meanwhile;
      None where there is no validation data.
    files: counters -> what a checkpoint holds besides the state.
    flops: of one training step, or None where unknown. peak: FLOP/s of all devices, or None.
    """

    step: Callable
    place: Callable
    units: Callable
    digest: Callable
    evaluate: Callable[[Any], dict] | None
    files: Callable[[dict], dict]
    flops: float | None = None
    peak: float | None = None


def fresh_counters() -> dict:
    """What a run counts besides the state; checkpoints carry it, so that a resumed run goes on.

    seconds: of training, with its evaluations, over all sessions.
    """
    return {"data_units": 0.0, "optimisation_units": 0.0, "skipped": 0, "evaluated": 0,
            "best": None, "stale": 0, "seconds": 0.0}


class Loop:
    """Trains until the last step, the end of patience, or a signal."""

    def __init__(self, experiment: Experiment, doors: Doors, checkpoints, log, stop,
                 counters: dict, hosts=Alone(), screen=None):
        """
        Args:
          counters: as from `fresh_counters`, or as they were when the state was saved.
          hosts: all processes of the run (`hosts`). screen: see `progress.Progress`.
        """
        self.experiment, self.doors = experiment, doors
        self.checkpoints, self.log, self.stop = checkpoints, log, stop
        self.counters, self.hosts, self.screen = counters, hosts, screen
        self.uncounted: list[tuple[float, float]] = []  # units of the steps since `count`
        self.meter = Meter(doors.flops, doors.peak)

    def run(self, state, start: int, batches: Iterator[tuple[int, dict]]):
        """The state after the last step, and how many steps that were.

        Args:
          state: after `start` steps. batches: (step, host batch) from step `start` on.

        Raises:
          UserError: too many updates in a row were not finite, or a checkpoint could not be saved.
        """
        steps = self.experiment.steps
        self.progress, self.saved = Progress(steps, self.screen), start
        self.began = time.perf_counter() - self.counters["seconds"]
        waiting = None  # metrics are read one step late, so that the device never waits for us
        done = start
        if start and self.evaluation_due(start) and self.counters["evaluated"] < start:
            self.pause(state, start)  # the run was stopped during this evaluation
        while done < steps and not self.stop.asked and not self.out_of_patience():
            began = time.perf_counter()
            number, batch = next(batches)
            loaded = time.perf_counter()
            # the first step compiles, and there is nothing new to save yet
            with self.stop.at_once() if done == start else contextlib.nullcontext():
                state, metrics = self.doors.step(state, self.doors.place(batch))
            if done == start:
                self.meter.skip()  # compilation says nothing about the steps to come
            if waiting:
                self.take(*waiting)
            waiting, done = (number + 1, metrics, batch, loaded - began), number + 1
            if self.due(done):
                self.take(*waiting)
                waiting = None
                self.pause(state, done)
            self.checkpoints.check()
        if waiting:
            self.take(*waiting)
        if self.stop.asked and done > self.saved:
            self.save(state, done, None)
        self.progress.close()
        return state, done

    def evaluation_due(self, done: int) -> bool:
        """Whether this step is followed by an evaluation."""
        e = self.experiment
        regular = e.evaluate_every and done % e.evaluate_every == 0
        return self.doors.evaluate is not None and bool(done == e.steps or regular)

    def due(self, done: int) -> bool:
        """Whether something happens after this step that the device has to be waited for."""
        e = self.experiment
        saved = e.save_every and done % e.save_every == 0
        return bool(done == e.steps or saved) or self.evaluation_due(done)

    def take(self, done: int, metrics, batch: dict, waited: float) -> None:
        """Reads the metrics of a step, counts it, and logs it where it is to be logged."""
        metrics = {name: value.item() for name, value in jax.device_get(metrics).items()}
        if asked := metrics.pop("asked", 0):
            self.stop.hear(asked)
        self.uncounted.append(self.doors.units(batch))
        self.meter.add(waited)
        if metrics["in_a_row"] >= self.experiment.max_skipped:
            last = f"step {self.saved} is the last saved" if self.saved else "nothing is saved yet"
            raise UserError(
                f"step {done}: {metrics['in_a_row']} updates in a row were not finite (loss "
                f"{metrics['loss']}) and were skipped; {last}. Lower the learning rate, or look "
                "at the data of this step")
        every = self.experiment.log_every
        if metrics["in_a_row"]:
            self.progress.message(f"step {done}: loss or gradient not finite, update skipped")
        if self.due(done) or metrics["in_a_row"] or (every and done % every == 0):
            self.tell(done, metrics, batch)

    def tell(self, done: int, metrics: dict, batch: dict) -> None:
        speed = self.meter.read(self.count())
        skipped, loss = metrics.pop("in_a_row"), metrics.pop("loss")
        rate = float(self.experiment.optimizer.learning_rate(done - 1 - self.counters["skipped"]))
        self.counters["skipped"] += bool(skipped)
        self.log.write({
            "step": done, "loss": loss, "tokens": self.counters["data_units"],
            **speed, "learning_rate": rate, "batch_hash": self.doors.digest(batch),
            "data_units": self.counters["data_units"],
            "optimisation_units": self.counters["optimisation_units"], "skipped": skipped,
            **metrics})
        self.progress.show(done, loss, speed["tokens_per_second"], speed["mfu"])

    def count(self) -> float:
        """Adds the units of the last steps, all processes together, at process 0; data units."""
        tokens, everywhere = 0.0, self.hosts.gather(self.uncounted)
        self.uncounted = []
        for step in zip(*everywhere or ()):
            data, optimisation = map(sum, zip(*step))
            self.counters["data_units"] += data
            self.counters["optimisation_units"] += optimisation
            tokens += data
        return tokens

    def pause(self, state, done: int):
        """Evaluation, then a checkpoint, where they are due."""
        e, values, better = self.experiment, None, False
        if self.evaluation_due(done):
            values = self.doors.evaluate(state)
            if values is None:  # a signal came; the checkpoint that follows is evaluated on resume
                return
            self.counters["evaluated"] = done
            better = self.judge(values)
            self.log.write({"step": done, **values})
            told = "  ".join(f"{name} {number(value)}" for name, value in values.items())
            self.progress.message(f"step {done:,}  {told}")
        regular = done == e.steps or (e.save_every and done % e.save_every == 0)
        if regular or better or self.out_of_patience():
            self.save(state, done, values)
        self.meter.skip()

    def judge(self, values: dict) -> bool:
        """Whether the deciding metric is better than ever; counts how long it has not been."""
        name, best = self.experiment.best, self.counters["best"]
        if name not in values:
            raise UserError(f"best={name}: there is no such metric{nearest(name, values)}")
        value, lower = values[name], lower_is_better(name)
        better = math.isfinite(value) and (
            best is None or (value < best if lower else value > best))
        self.counters["best"] = value if better else best
        self.counters["stale"] = 0 if better else self.counters["stale"] + 1
        return better

    def out_of_patience(self) -> bool:
        """Whether the deciding metric has not improved for `patience` evaluations."""
        patience = self.experiment.patience
        return patience is not None and self.counters["stale"] >= patience

    def save(self, state, done: int, values: dict | None) -> None:
        """Starts a checkpoint of this step."""
        self.saved = done
        self.count()
        self.log.sync()
        metric = (values or {}).get(self.experiment.best)
        metric = metric if metric is not None and math.isfinite(metric) else None
        self.counters["seconds"] = time.perf_counter() - self.began
        self.checkpoints.save(done, state, self.doors.files(dict(self.counters)), metric=metric)
