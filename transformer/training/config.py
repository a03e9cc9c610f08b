"""Reads a config: a Python file whose function `experiment` returns one experiment, or stages."""

from __future__ import annotations

import contextlib
import importlib.util
import inspect
import re
import traceback
from pathlib import Path

from transformer.error import UserError
from transformer.spec import fits, nearest, override, read, words
from transformer.training.experiment import Experiment


def stages(config: str, overrides: list[tuple[str, str]]) -> dict[str, Experiment]:
    """The experiments of a config by stage; a config without stages has the one stage "".

    Args:
      config: FILE.py, or FILE.py:name=value,... with arguments of the file's `experiment`.
      overrides: (dotted path, text) pairs; with stages a path begins with the stage's name.

    Raises:
      UserError: no such file, argument, stage or field, with the nearest names.
    """
    path, _, text = config.partition(":")
    made = _call(path, text)
    found = made if isinstance(made, dict) else {"": made}
    for name, value in overrides:
        where = f"--{name}"
        stage, rest = ("", name) if "" in found else name.partition(".")[::2]
        if stage not in found:
            raise UserError(f"{where}: {path} has no stage {stage!r}{nearest(stage, found)}")
        found[stage] = override(found[stage], rest, value, where)
    return found


def _call(path: str, text: str):
    if not Path(path).is_file():
        known = [str(p) for p in Path("configs").rglob("*.py")]
        raise UserError(f"there is no config {path}{nearest(path, known)}")
    if not path.endswith(".py"):
        raise UserError(f"{path} is no config; a config is a Python file, such as "
                        "configs/pretrain/gpt2.py")
    spec = importlib.util.spec_from_file_location(Path(path).stem, path)
    module = importlib.util.module_from_spec(spec)
    with _blamed(path):
        spec.loader.exec_module(module)
    function = getattr(module, "experiment", None)
    if function is None:
        raise UserError(f"{path} has no function `experiment`; a config returns its experiment")
    parameters = inspect.signature(function, eval_str=True).parameters
    arguments = {}
    for part in filter(None, re.split(r",(?![^(]*\))", text)):  # commas outside parentheses
        name, _, value = part.partition("=")
        if name not in parameters:
            raise UserError(f"{path}: `experiment` has no argument {name!r}"
                            f"{nearest(name, parameters)}")
        hint = parameters[name].annotation
        arguments[name] = read(value, hint, f"{path}:{name}")
        if not fits(arguments[name], hint):
            raise UserError(f"{path}:{name}={value} is not {words(hint)}")
    missing = [name for name, parameter in parameters.items()
               if parameter.default is parameter.empty and name not in arguments]
    if missing:
        raise UserError(f"{path} needs {', '.join(missing)}; write it behind the file's name, as "
                        f"{path}:{missing[0]}=VALUE")
    with _blamed(path):
        made = function(**arguments)
    if not all(isinstance(one, Experiment) for one in _values(made)):
        raise UserError(f"{path}: `experiment` returns {made!r:.60}, not an Experiment or a dict "
                        "of them by stage")
    return made


def _values(made):
    return made.values() if isinstance(made, dict) else [made]


@contextlib.contextmanager
def _blamed(path: str):
    """A mistake in the file becomes one line with its place; `--debug` shows the traceback."""
    try:
        yield
    except (AttributeError, ImportError, NameError, SyntaxError, TypeError) as error:
        frames = traceback.extract_tb(error.__traceback__)
        lines = [frame.lineno for frame in frames if frame.filename.endswith(path)]
        line = getattr(error, "lineno", None) or (lines[-1] if lines else "?")
        raise UserError(f"{path}:{line}: {type(error).__name__}: {error}") from error
