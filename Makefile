# The targets explain themselves: make help.
GO       ?= go
PREFIX   ?= /usr/local
DESTDIR  ?=
DEBDIR   ?= bin
BINARY   ?= bin/ocirt
ARCHES   := amd64 arm64 riscv64 ppc64le s390x loong64
VERSION  := $(shell git describe --tags --always --dirty 2>/dev/null || echo unknown)
COMMIT   := $(shell git rev-parse HEAD 2>/dev/null || echo unknown)
LDFLAGS  := -s -w -X main.version=$(if $(filter v%,$(VERSION)),$(VERSION:v%=%),0.1.0-dev) -X main.commit=$(COMMIT)
BUILD    := CGO_ENABLED=0 $(GO) build -tags urfave_cli_no_template -trimpath -ldflags '$(LDFLAGS)'
# What this machine promises to its tests: needing something promised and absent fails,
# needing something else skips, and the skips are printed at the end.
PROMISES ?= $(shell integration/promises)
export CGO_ENABLED := 0
export OCIRT_TEST_PROMISES := $(PROMISES)
.DEFAULT_GOAL := help
.PHONY: help demo build binary arches test test-root test-unprivileged validation bench lint fmt golden check docs install uninstall deb vm vm-test

help: ## print this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-18s %s\n", $$1, $$2}'

demo: binary ## build, make bundles, run containers and show their isolation, as root and as an ordinary user
	$(GO) run ./examples/demo bin/ocirt

build: binary arches ## build bin/ocirt, and prove that every architecture compiles

binary:
	$(BUILD) -o bin/ocirt ./cmd/ocirt

arches:
	@for a in $(ARCHES); do echo "compile for $$a"; GOARCH=$$a $(GO) build -o /dev/null ./cmd/ocirt || exit 1; done

test: build ## run all tests that this machine can run, and print what was skipped and why
	integration/setup
	integration/test ./...

test-root: build ## the same, and fail unless it is root
	@test "$$(id -u)" = 0 || { echo 'make test-root: must be root'; exit 1; }
	integration/setup
	integration/test ./...

test-unprivileged: build ## run the tests as an ordinary user
	integration/unprivileged integration/test ./...

vm: ## a shell in the virtual machine; ARGS='run -- COMMAND', ARGS=image: see integration/vm/doc.go
	$(GO) build -o bin/vm ./integration/vm
	bin/vm $(or $(ARGS),shell)

vm-test: binary ## run tests in the virtual machine; ARGS=short, tests, clients, integration/tour
	$(GO) build -o bin/vm ./integration/vm
	bin/vm test $(ARGS)

validation: binary ## run the OCI validation suite; PEERS='runc=/usr/sbin/runc' adds columns
	integration/setup
	cd integration/validation && $(GO) run . ocirt=$(CURDIR)/bin/ocirt $(PEERS)

bench: binary ## compare costs with the runtimes on PATH; ARGS='-n 50 -s run'
	$(GO) run ./integration/bench $(ARGS) ocirt=$(CURDIR)/bin/ocirt

lint: ## check style, imports and known mistakes
	integration/lint

fmt: ## format the code
	gofmt -w cmd runtime spec hooks integration examples

golden: ## rewrite the golden texts of the plans
	$(GO) test ./runtime/internal/plan -update

check: lint test ## what CI runs, in order

docs: ## rewrite the man pages and completions from the description of the command line
	$(GO) test ./cmd/ocirt -run TestGeneratedDocs -update

install: binary ## install program, man pages and completions to $(DESTDIR)$(PREFIX); uninstall removes them
	.packaging/install $(BINARY) "$(DESTDIR)" $(PREFIX)

uninstall:
	.packaging/install -u "$(DESTDIR)" $(PREFIX)

deb: binary ## make a Debian package in $(DEBDIR)
	.packaging/deb $(BINARY) $(VERSION) $(DEBDIR)
