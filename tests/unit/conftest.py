"""What several of these files take."""

from __future__ import annotations

from tests.support.packs import _true_pack, keys, pack  # noqa: F401 # fixtures
