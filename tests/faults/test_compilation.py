"""The step is compiled once, and a second start of the same config compiles nothing."""

import re


def compiled(programs, run: str, cache, *more: str) -> list[str]:
    """Names of what was compiled, as jax's own log tells them."""
    environment = {"JAX_LOG_COMPILES": "1", "JAX_COMPILATION_CACHE_DIR": str(cache),
                   "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
                   "JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES": "-1"}
    done = programs.train(run, *more, environment=environment)
    assert done.returncode == 0, done.stderr
    return re.findall(r"Compiling (\S+) with", done.stderr)


def test_the_step_compiles_once_and_the_second_start_reads_the_cache(programs, tmp_path):
    names = compiled(programs, "compiled", tmp_path)
    assert names.count("jit(train_step)") == 1, names
    assert names.count("jit(judge_step)") == 1, names  # three evaluations, one program
    entries = {path.name for path in tmp_path.iterdir() if path.name.endswith("-cache")}
    assert any("train_step" in name for name in entries)
    compiled(programs, "compiled again", tmp_path)
    assert {p.name for p in tmp_path.iterdir() if p.name.endswith("-cache")} == entries
