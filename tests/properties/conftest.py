"""How many runbooks are drawn. CI draws the same ones each time; DRCTL_SEED draws others, and the seed is printed."""

from __future__ import annotations

import os

import pytest
from hypothesis import HealthCheck, Phase, seed, settings

SEED = os.environ["DRCTL_SEED"]
EXAMPLES = int(os.environ.get("DRCTL_EXAMPLES", "100"))

settings.register_profile(
    "drctl",
    max_examples=EXAMPLES,
    deadline=None,
    database=None,
    print_blob=True,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
    phases=[Phase.generate, Phase.shrink],
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        function = getattr(item, "function", None)
        if hasattr(function, "hypothesis"):
            seed(int(SEED))(function)


settings.load_profile("drctl")
