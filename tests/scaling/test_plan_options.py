"""What `plan` refuses before anything is compiled."""

import pytest

from transformer.error import UserError
from transformer.verbs.plan import command


@pytest.mark.parametrize("most", ["0", "-3"])
def test_a_search_compiles_at_least_once(monkeypatch, most):
    monkeypatch.setattr("transformer.verbs.plan._planned", lambda *given: 0)
    monkeypatch.setenv("TRANSFORMER_PLAN", "1")
    with pytest.raises(UserError, match=f"--compilations={most}.*at least 1"):
        command(["gpt2.py", "--topology=h100:8", "--search", f"--compilations={most}"])
    assert command(["gpt2.py", "--topology=h100:8", "--search", "--compilations=1"]) == 0
