# The words that people, the README and CI type. Each does all of its own set-up.
DRCTL := .venv/bin/drctl
export UV_PYTHON_DOWNLOADS ?= never
# Compiled modules are kept: the tests start drctl some hundred times.
export PYTHONDONTWRITEBYTECODE :=

.PHONY: setup failover test tiers crash check bench docs lab-down

setup: ; @sh .ci/setup

failover: setup ; @sh .ci/failover $(DRCTL)

# Three processes, each with a lab of its own: they wait for hosts most of the time.
test: setup ; @.venv/bin/python -m pytest -n 3 --dist loadfile --no-loadscope-reorder

# All tests of the lab in its two lesser tiers, by somebody without root; one of them: make tiers ONLY=loopback.
tiers: setup ; @.venv/bin/python -m tests.tiers $(if $(ONLY),--tier $(ONLY))

crash: setup ; @.venv/bin/python -m tests.crash --labs 2

check: setup
	@.venv/bin/ruff check . && .venv/bin/ruff format --check . && .venv/bin/mypy && .venv/bin/lint-imports
	@.venv/bin/python -m pytest -q tests/house

# Some sections only: make bench ONLY="steps failover".
bench: setup ; @.venv/bin/python -m tests.bench $(if $(ONLY),--only $(ONLY))

docs: setup ; @.venv/bin/python -m tests.house.command_page

lab-down: setup ; @$(DRCTL) lab down
