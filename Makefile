# Every target works in a clean clone; `make` lists them. Logic lives in Go.
SHELL       := /bin/bash -o pipefail
TOOL        := go tool -modfile=tools/go.mod
BUF         := go tool -modfile=tools/buf.mod buf
CLUSTER     ?= dev
NODES       ?= simulated
KEEP        ?=
FUZZTIME    ?= 10s
BENCH       ?= .
TESTFLAGS   ?= -race -shuffle=on -timeout=60m
export CGO_ENABLED := 1

.DEFAULT_GOAL := help
.PHONY: help build devcluster binaries generate fmt lint test demo cluster-up cluster-down fuzz bench check clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  %-14s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

build: ## build bin/catalog and bin/olm
	@mkdir -p bin
	go build -o bin/ ./cmd/catalog ./cmd/olm

devcluster:
	@go -C devcluster build -o ../bin/devcluster .

binaries: build devcluster
	@go -C examples/database build -o ../../bin/database .
	@bin/devcluster build

generate: ## regenerate code and files that are made from others
	go generate ./...
	go -C examples/database generate ./...

fmt: ## format the Go code
	$(TOOL) golangci-lint fmt ./...

lint: ## run the linters; builds buf the first time (two minutes on 2 cores)
	$(TOOL) golangci-lint run ./...
	cd examples/database && go tool -modfile=../../tools/go.mod golangci-lint run --config ../../.golangci.yaml ./...
	cd devcluster && go tool -modfile=../tools/go.mod golangci-lint run --config ../.golangci.yaml ./...
	$(BUF) lint proto
	$(BUF) breaking proto --against proto/contract.json

test: binaries ## run every test; builds a real Kubernetes the first time (about 12 minutes on 2 cores)
	$(TOOL) gotestsum --format pkgname-and-test-fails -- $(TESTFLAGS) ./...
	go -C examples/database test ./...
	go -C devcluster test -timeout 30m ./...

demo: binaries ## install and upgrade an operator on an embedded cluster (KEEP=1 keeps it, NODES=real runs pods)
	@go run ./internal/demo --nodes $(NODES) $(if $(KEEP),--keep)

cluster-up: devcluster ## start a Kubernetes on loopback: CLUSTER=name, NODES=simulated|real
	@bin/devcluster up --name $(CLUSTER) --nodes $(NODES)

cluster-down: devcluster ## stop it: CLUSTER=name
	@bin/devcluster down --name $(CLUSTER)

fuzz: ## run every fuzz target for FUZZTIME
	@for pkg in $$(grep -rl --include='*_test.go' '^func Fuzz' pkg | xargs -r -n1 dirname | sort -u); do \
	for f in $$(go test -list '^Fuzz' ./$$pkg | grep ^Fuzz); do echo "$$pkg $$f"; \
	go test -run '^$$' -fuzz "^$$f\$$" -fuzztime $(FUZZTIME) -fuzzminimizetime 10x ./$$pkg || exit 1; done; done

bench: binaries ## run the benchmarks (BENCH=regexp; BENCH_QUIET=10s shortens the quiet part)
	@go test -run '^$$' -bench '$(BENCH)' -benchtime 1x -timeout 60m ./internal/e2e ./pkg/... ./cmd/catalog | grep -v 'no test files'

check: build ## the commit gate: generate, format, lint, test, nothing left changed
	$(MAKE) generate fmt lint test vulnerabilities
	@git diff --exit-code --stat || { echo "error: generated or formatted files differ; commit them"; exit 1; }

.PHONY: vulnerabilities
vulnerabilities: # needs the vulnerability database; says so where it cannot be reached
	@$(TOOL) govulncheck ./... > bin/vulnerabilities.txt 2>&1; code=$$?; \
	if grep -qE 'fetching vulnerabilities|dial tcp|no such host|Forbidden' bin/vulnerabilities.txt; then \
	echo "vulnerabilities: not checked, the database cannot be reached"; \
	elif [ $$code -ne 0 ]; then cat bin/vulnerabilities.txt; exit $$code; fi

clean: ## remove bin and stop nothing
	rm -rf bin
