# origin-storm. `make run` needs Go alone; `make test` installs or names what else it needs (see deploy/deps).
SHELL      := /bin/bash
BIN        := bin/origin-storm
GO         ?= go
DEPS       ?= yes
RUN        ?= comparison
TEST_FLAGS ?= -race -timeout 40m

.PHONY: build run test bench accuracy agreement accuracy-gate reproduce fuzz check clean help

## build: the binary, into bin/
build:
	$(GO) build -trimpath -o $(BIN) .

## run: the main job: the scenario $(RUN) live, then the table and the report's path (about 4 minutes)
run: build
	$(BIN) run $(RUN)

## test: every fuzz target a thousand times, and every test; on Debian as root installs missing servers first (DEPS=no: does not); elsewhere lists what was skipped and how to get it
test:
	DEPS=$(DEPS) deploy/deps
	GO="$(GO)" FUZZ_TIME="$(or $(FUZZ_TIME),1000x)" deploy/fuzz
	GO="$(GO)" TEST_FLAGS="$(TEST_FLAGS)" deploy/test

## bench: ours against plain ways, side by side, as ratios with intervals (about 11 minutes; missing servers as for test)
bench:
	DEPS=$(DEPS) deploy/deps
	GO="$(GO)" deploy/bench

## accuracy-gate: how often the gate errs, by resampling recorded jobs: writes the table in docs/accuracy.md
accuracy-gate:
	$(GO) test ./storm/verdict/gate -run TestAccuracy -count 1 -update

## accuracy: this driver, vegeta and k6 (installed into bin/accuracy) on a target that stands still, into docs/accuracy.md (about 4 minutes)
accuracy:
	$(GO) run ./deploy/accuracy

## agreement: the simulator against live runs of deploy/agreement: fits a profile to some, predicts the others, into docs/accuracy.md (about 45 minutes, and a quiet machine; folders in runs/agreement are used again)
agreement: build
	DEPS=$(DEPS) deploy/deps
	$(GO) run ./deploy/agreement

## reproduce: what was published of such an origin, ours beside it, by simulation: prints and writes docs/reproduction.md (about 3 minutes)
reproduce:
	$(GO) run ./deploy/reproduce

## fuzz: every fuzz target for FUZZ_TIME each (default 10s)
fuzz:
	GO="$(GO)" FUZZ_TIME="$(or $(FUZZ_TIME),10s)" deploy/fuzz

## check: gofmt, go vet and go.mod are as they should be
check:
	@test -z "$$(gofmt -l .)" || { gofmt -l .; echo "run gofmt -w on these files"; exit 1; }
	$(GO) vet ./...
	$(GO) mod tidy -diff

## clean: what was built (run folders stay)
clean:
	rm -rf bin

## help: this list
help:
	@sed -n 's/^## //p' $(MAKEFILE_LIST)
