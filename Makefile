# What the people who work on Orderlane run. `make help` lists it.

GO       ?= go
BIN      := $(CURDIR)/bin
ARGS     ?=

# Tools are kept per version in the user's cache, so that fresh clones share them.
CACHE              := $(or $(XDG_CACHE_HOME),$(HOME)/.cache)/orderlane
GOLANGCI_VERSION   := v2.15.0
GOLANGCI           := $(CACHE)/golangci-lint-$(GOLANGCI_VERSION)/golangci-lint

# With RACE=1, `make test` runs what has goroutines, or runs in them, under the race detector:
# pkg and services. (The tests of e2e and bench watch other processes, for which it can do
# nothing.) It takes a C compiler and several times the time, so it is for CI and for the last
# run before a change is sent.
RACE          ?=
RACED         := /(pkg|services)/
# A test that hangs is cut off, with the stacks of its goroutines, long before CI is.
TEST_TIMEOUT  ?= 15m
GOTEST         = $(GO) test -timeout $(TEST_TIMEOUT) $(TESTFLAGS)

.DEFAULT_GOAL := help

.PHONY: help
help: ## list what there is to make
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-15s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: run
run: build ## build and start everything in one process on 127.0.0.1:8080; ARGS="..." for its flags
	$(BIN)/orderlane serve --sample $(ARGS)

.PHONY: build
build: ## build bin/orderlane
	CGO_ENABLED=0 $(GO) build -trimpath -o $(BIN)/orderlane ./services/orderlane

.PHONY: test
test: $(BIN)/realparts ## run all tests; with Java, Maven and PostgreSQL also on a real Kafka and PostgreSQL
	$(BIN)/realparts -- $(MAKE) --no-print-directory go-test

.PHONY: test-fast
test-fast: export ORDERLANE_TEST_KAFKA    := missing: make test-fast leaves it out; make test has it
test-fast: export ORDERLANE_TEST_POSTGRES := missing: make test-fast leaves it out; make test has it
test-fast: ## run the short tests, without a real Kafka and PostgreSQL
	$(GOTEST) -short ./...

# The tests as such, beside whatever servers the environment names. All runs are made
# even when the first fails, to show all failures at once.
.PHONY: go-test
go-test:
ifeq ($(RACE),)
	@status=0; \
	$(GOTEST) ./... || status=$$?; \
	$(MAKE) --no-print-directory check-packaging || status=$$?; \
	exit $$status
else
	@status=0; \
	CGO_ENABLED=1 $(GOTEST) -race $$($(GO) list ./... | grep -E '$(RACED)') || status=$$?; \
	$(GOTEST) $$($(GO) list ./... | grep -vE '$(RACED)') || status=$$?; \
	$(MAKE) --no-print-directory check-packaging || status=$$?; \
	exit $$status
endif

# A module of its own, so that the platform's does not depend on what it takes. What it looks at
# lies outside of it, where `go test` does not see changes: hence -count=1.
.PHONY: check-packaging
check-packaging: ## check the image, docker-compose.yml and k8s/ against the code, without Docker or a cluster
	cd k8s/check && $(GOTEST) -count=1 ./...

.PHONY: $(BIN)/realparts
$(BIN)/realparts:
	@$(GO) build -o $@ ./e2e/realparts/cmd/realparts

.PHONY: lint
lint: $(GOLANGCI) ## check formatting, style and the rules of the layers
	$(GOLANGCI) run ./...

.PHONY: format
format: $(GOLANGCI) ## format the code as lint wants it
	$(GOLANGCI) fmt ./...

$(GOLANGCI):
	@echo "building golangci-lint $(GOLANGCI_VERSION), once, in some minutes"
	@mkdir -p $(@D)
	GOFLAGS= GOBIN=$(@D) $(GO) install github.com/golangci/golangci-lint/v2/cmd/golangci-lint@$(GOLANGCI_VERSION)

.PHONY: bench
bench: ## measure against the textbook way and print one table; ARGS="..." for its flags
	$(GO) run ./bench $(ARGS)

.PHONY: bench-real
bench-real: $(BIN)/realparts ## the same with a real Kafka and PostgreSQL in the environment
	$(BIN)/realparts -- $(GO) run ./bench $(ARGS)

.PHONY: generate
generate: ## write the contracts in api/ anew from the Go types
	$(GO) generate ./...

.PHONY: clean
clean: ## delete what make built; not the data
	rm -rf $(BIN)
