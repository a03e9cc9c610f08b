"""The text that the runs of several processes read."""

import hashlib

import pytest
from processes import Cluster


@pytest.fixture(scope="session")
def cluster(tmp_path_factory) -> Cluster:
    folder = tmp_path_factory.mktemp("hosts")
    text = folder / "text.txt"
    words = [hashlib.sha256(str(n).encode()).hexdigest()[:n % 9 + 1] for n in range(1500)]
    text.write_text("\n".join(" ".join(words[n:n + 12]) for n in range(0, 1500, 12)) + "\n")
    return Cluster(folder, text)
