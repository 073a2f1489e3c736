# "make" without a target lists the targets and their comments.

SHELL := /usr/bin/env bash -euo pipefail -c
.DEFAULT_GOAL := help

# MODULES are the Go modules with tests, except tools/daprd: test-sidecar runs its tests
# in a separate package, so that Dapr itself is not compiled again with -race.
MODULES := . tools/mongolite tools/mongolite/spectest tools/devstack
# LINTED are the Go modules with code.
LINTED := $(MODULES) tools/daprd
GOTEST := GOWORK=off go test -race -shuffle=on -count=1 -timeout 25m
# Two of these run at a time, because each one spends much of its time waiting. The
# longest come first.
TESTS := test-product test-mongolite test-specs test-devstack test-sidecar
GOLANGCI := v2.15.0
MISSPELL := v0.8.0
# LINTENV has the flags with which devstack builds, so that the linters find compiled
# dependencies in the build cache.
LINTENV := GOWORK=off GOFLAGS=-trimpath CGO_ENABLED=0
GOVET := GOWORK=off go vet -composites=false
.PHONY: help devstack run infra demo bench test $(TESTS) test-cli bench-mongolite lint fmt clean

help: ## list the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  %-16s %s\n", $$1, $$2}'

devstack:
	@command -v go >/dev/null || { echo "no Go toolchain on the PATH: install Go (https://go.dev/dl/) and start again" >&2; exit 1; }
	@mkdir -p bin
	@cd tools/devstack && GOWORK=off CGO_ENABLED=0 go build -trimpath -o ../../bin/devstack .

run: devstack ## start everything on this machine; Ctrl-C stops it; REPLICAS=2 starts two of each app, MTLS=1 uses mTLS
	@exec bin/devstack up $(if $(REPLICAS),--replicas $(REPLICAS)) $(ARGS)

infra: devstack ## start the stores and Jaeger, for "dapr run -f"
	@exec bin/devstack infra $(ARGS)

demo: ## load a season of events, book, and show a trace; needs "make run"
	@mkdir -p bin; GOWORK=off CGO_ENABLED=0 go build -trimpath -o bin/demo ./tools/demo
	@exec bin/demo

bench: ## start a separate stack and measure it, from a bare server up to bookings
	@mkdir -p bin; GOWORK=off CGO_ENABLED=0 go build -trimpath -o bin/bench ./tools/bench
	@exec bin/bench $(ARGS)

bin/daprd: $(wildcard tools/daprd/*.go) tools/daprd/go.mod tools/daprd/go.sum tools/daprd/ldflags
	@echo "building the sidecar (minutes, the first time)"
	@mkdir -p bin
	@cd tools/daprd && GOWORK=off CGO_ENABLED=0 go build -trimpath -ldflags "$$(cat ldflags)" -o ../../bin/daprd .

# Everything that takes minutes to build is built before the first test needs it.
test: bin/daprd devstack ## run every test
	@data=$$(mktemp -d); trap 'rm -rf "$$data"' EXIT; \
	MTLS=1 DAPRD=$(CURDIR)/bin/daprd bin/devstack build --free-ports --data "$$data"
	@DAPRD=$(CURDIR)/bin/daprd $(MAKE) --no-print-directory -j2 $(TESTS)

# The race detector makes test/model and indextest slow and finds little in them. They
# therefore run only a few of their cases with it, and all of them without it.
test-product:
	@$(GOVET) ./... && $(GOTEST) ./test/fault ./... # the longest first
	@GOWORK=off go test -count=1 ./test/model

test-mongolite:
	@cd tools/mongolite && $(GOVET) ./... && $(GOTEST) ./...
	@cd tools/mongolite && GOWORK=off go test -count=1 ./indextest

test-specs:
	@cd tools/mongolite/spectest && $(GOVET) ./... && $(GOTEST) ./...

test-devstack:
	@cd tools/devstack && $(GOVET) ./... && $(GOTEST) ./...

test-sidecar:
	@cd tools/daprd && $(GOVET) ./e2e && $(GOTEST) ./e2e

bin/dapr: tools/dapr-cli/go.mod tools/dapr-cli/go.sum
	@echo "building the Dapr CLI (minutes, the first time)"
	@mkdir -p bin
	@cd tools/dapr-cli && version=$$(GOWORK=off go list -m -f '{{.Version}}' github.com/dapr/cli) && \
	GOWORK=off CGO_ENABLED=0 go build -trimpath -ldflags "-s -w -X main.version=$${version#v}" -o ../../bin/dapr github.com/dapr/cli
	@touch $@

test-cli: devstack bin/dapr ## run the apps under the real Dapr CLI, on their usual ports
	@DAPR_CLI=$(CURDIR)/bin/dapr $(GOTEST) -v ./test/daprcli

bench-mongolite: ## measure the embedded MongoDB server
	@mkdir -p bin; cd tools/mongolite; \
	GOWORK=off CGO_ENABLED=0 go build -o ../../bin/mongolite . ; GOWORK=off CGO_ENABLED=0 go build -o ../../bin/mongolite-bench ./bench; \
	data=$$(mktemp -d); \
	../../bin/mongolite --listen 127.0.0.1:0 --data $$data > $$data/ready & server=$$!; \
	trap "kill $$server; wait $$server; rm -rf $$data" EXIT; \
	until grep -q ready $$data/ready; do kill -0 $$server; sleep 0.1; done; \
	../../bin/mongolite-bench --uri "$$(grep -o 'mongodb://[^ ]*' $$data/ready)" $(ARGS)

fmt: ## format the code
	@gofmt -w $$(git ls-files '*.go')

bin/golangci-lint bin/misspell: Makefile
	@echo "building the linters (minutes, the first time)"
	@mkdir -p bin
	@GOWORK=off GOBIN=$(CURDIR)/bin CGO_ENABLED=0 go install github.com/golangci/golangci-lint/v2/cmd/golangci-lint@$(GOLANGCI)
	@GOWORK=off GOBIN=$(CURDIR)/bin CGO_ENABLED=0 go install github.com/golangci/misspell/cmd/misspell@$(MISSPELL)
	@touch bin/golangci-lint bin/misspell

lint: bin/golangci-lint bin/misspell ## check format, code, spelling and language
	@bad=$$(gofmt -l $$(git ls-files '*.go')); [ -z "$$bad" ] || { echo "not gofmt-ed: $$bad" >&2; exit 1; }
	@bin/misspell -error $$(git ls-files '*.md' '*.yaml' '*.yml' Makefile)
	@GOWORK=off go run ./tools/prose $$(git ls-files '*.go' '*.md' '*.yaml' '*.yml' Makefile)
	@for m in $(LINTED); do (cd $$m && GOWORK=off go mod tidy -diff); done
	@export $(LINTENV); for m in $(LINTED); do (cd $$m && $(GOVET) ./... && $(CURDIR)/bin/golangci-lint run -c $(CURDIR)/.golangci.yml ./...); done

clean: ## remove the built programs; the data directory stays
	@rm -rf bin
