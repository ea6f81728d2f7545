# make demo   a real Asterisk, three SIP phones, and a table of who hears whom
# make test   lint, types and every test, the scenarios on Asterisk 16 and 22 included
# Both set up all they need; see contrib/setup/environment.sh and contrib/lab/.

PYTHON = .venv/bin/python

# As images of containers set it: each of a thousand programs, and each run of the tests, would compile all modules.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: sounds help demo demo-phones test quick lint types format site deb deb-check images postgresql pythons fuzz
.PHONY: benchmark browser clean

help:
	@sed -n 's/^# //p' Makefile
	@echo "make demo-phones  leaves the PBX up, for a softphone of your own (BIND=address)"
	@echo "make sounds       speaks the own prompts in English, German and Spanish, into build/sounds"
	@echo "make deb          the Debian package, in build/deb"
	@echo "make deb-check    installs, runs and purges it in a clean Debian 12 and a clean forky"
	@echo "make site         the documentation as pages, in build/site"
	@echo "make quick        everything that needs no PBX"
	@echo "make pythons      the tests that need no PBX on every Python from 3.12 on that Debian has (PYTHONS=3.14)"
	@echo "make fuzz         random values for every test that takes them, for FUZZ_SECONDS=60"
	@echo "make benchmark    speed, beside other libraries in the same run; fills docs/topics/performance.md"
	@echo "make clean        removes what was built here; images and packages stay"

.venv/ready: setup.cfg pyproject.toml contrib/setup/environment.sh
	@contrib/setup/environment.sh

images: .venv/ready
	@$(PYTHON) -m contrib.lab.images

demo: images
	@$(PYTHON) -m contrib.lab.demo

demo-phones: images
	@$(PYTHON) -m contrib.lab.demo --phones $(if $(BIND),--bind $(BIND))

browser:
	@contrib/setup/browser.sh

lint: .venv/ready
	@$(PYTHON) -m ruff check .
	@$(PYTHON) -m ruff format --check .

types: .venv/ready
	@$(PYTHON) -m mypy

format: .venv/ready
	@$(PYTHON) -m ruff check --fix .
	@$(PYTHON) -m ruff format .

sounds: .venv/ready
	@$(PYTHON) -m contrib.lab.prompt_pack

site: .venv/ready
	@$(PYTHON) -m sphinx -q -W --keep-going -b html -d .cache/doctrees docs build/site
	@echo "build/site/index.html"

deb: .venv/ready
	@$(PYTHON) -m contrib.deb.build $(PYTHONS:%=--python %)

# It needs a Docker engine.
deb-check: .venv/ready
	@$(PYTHON) -m contrib.deb.check

postgresql: .venv/ready
	@$(PYTHON) -m contrib.lab.postgresql

quick: lint types postgresql browser
	@$(PYTHON) -m pytest --numprocesses auto --in-memory --ignore tests/scenarios --ignore tests/lab

# What computes runs first, beside no scenario: scenarios wait for people to speak, and many run at the same time.
# One that fails is run once more, alone, and is named UNSTABLE when it then passes; see contrib/lab/scenarios.py.
test: lint types postgresql browser images
	@failed=0; \
	$(PYTHON) -m pytest --numprocesses auto --in-memory --ignore tests/scenarios --ignore tests/lab || failed=1; \
	$(PYTHON) -m contrib.lab.scenarios tests/scenarios tests/lab || failed=1; \
	exit $$failed

# It needs a Docker engine. A version that setup.cfg names must run.
pythons: .venv/ready
	@$(PYTHON) -m contrib.lab.pythons $(PYTHONS)

FUZZ_SECONDS = 60

fuzz: .venv/ready
	@HYPOTHESIS_PROFILE=fuzz $(PYTHON) -m pytest -m fuzz --numprocesses auto --fuzz-seconds $(FUZZ_SECONDS)

# These need a PBX, and with it a Docker engine.
PBX_BENCHMARKS = confirming first_sound waiting mode_keys revoking
BENCHMARKS = agi_sessions ami_events channel_index shown_calls decisions audit_chain render reload commands

benchmark: .venv/ready images
	@$(PYTHON) -m pip --quiet --disable-pip-version-check install --editable '.[benchmark]'
	@for name in $(BENCHMARKS) $(PBX_BENCHMARKS) report; do echo "== $$name"; $(PYTHON) benchmarks/$$name.py || exit 1; done

clean:
	rm -rf .venv .cache build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis
