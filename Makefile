# The targets explain themselves: make help.
GO      ?= go
PREFIX  ?= /usr/local
BINARY  ?= bin/ocirt
DEBDIR  ?= bin
ARCHES  := amd64 arm64 riscv64 ppc64le s390x loong64
VERSION := $(shell git describe --tags --always --dirty 2>/dev/null || echo unknown)
COMMIT  := $(shell git rev-parse HEAD 2>/dev/null || echo unknown)
LDFLAGS := -s -w -X main.version=$(if $(filter v%,$(VERSION)),$(VERSION:v%=%),0.1.0-dev) -X main.commit=$(COMMIT)
export CGO_ENABLED := 0
.PHONY: help demo build binary test test-root test-unprivileged vm vm-test bin/vm validation bench mutants lint check fmt golden docs install uninstall deb

help: ## print this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-18s %s\n", $$1, $$2}'
demo: binary ## build, make bundles, run containers and show their isolation, as root and as an ordinary user
	$(GO) run ./examples/demo bin/ocirt
build: binary ## build bin/ocirt, and prove that every architecture compiles
	@for a in $(ARCHES); do echo "compile for $$a"; GOARCH=$$a $(GO) build -o /dev/null ./cmd/ocirt || exit 1; done
# A linker writes its file in small pieces, and in the page cache it stays in small pieces: a run
# takes up to a tenth longer than with one that was written at once.
binary:
	$(GO) build -tags urfave_cli_no_template -trimpath -ldflags '$(LDFLAGS)' -o bin/.linked ./cmd/ocirt
	dd if=bin/.linked of=bin/.ocirt bs=64M status=none && chmod 755 bin/.ocirt && mv bin/.ocirt bin/ocirt && rm bin/.linked

test: binary ## run all tests that this machine can run, and print what was skipped and why
	integration/setup
	integration/test ./...
test-root: ## the same, and fail unless it is root
	@test "$$(id -u)" = 0 || { echo 'make test-root: must be root'; exit 1; }
	@$(MAKE) --no-print-directory test
test-unprivileged: binary ## run the tests as an ordinary user
	integration/unprivileged integration/test ./...
vm: bin/vm ## a shell in the virtual machine; ARGS='run -- COMMAND', ARGS=image: see integration/vm/doc.go
	bin/vm $(or $(ARGS),shell)
vm-test: bin/vm binary ## run tests in the virtual machine; ARGS=short, tests, clients, integration/tour
	bin/vm test $(ARGS)
bin/vm:
	$(GO) build -o $@ ./integration/vm
validation: binary ## run the OCI validation suite; PEERS='runc=/usr/sbin/runc' adds columns
	integration/setup
	$(GO) run ./integration/validation ocirt=bin/ocirt $(PEERS)
bench: binary ## compare costs with the runtimes on PATH; ARGS='-n 50 -s run'
	$(GO) run ./integration/bench $(ARGS) ocirt=bin/ocirt
mutants: ## switch the security rules off, one at a time: a test must fail; ARGS=S-07
	$(GO) run ./integration/mutants $(ARGS)

lint: ## check style, imports and known mistakes
	integration/lint
check: build lint test ## what CI runs, in order
fmt: ## format the code
	integration/lint fmt
golden: ## rewrite the golden texts of the plans
	$(GO) test ./runtime/internal/plan -update
docs: ## rewrite the man pages and completions from the description of the command line
	$(GO) test ./cmd/ocirt -run TestGeneratedDocs -update

install: binary ## install program, man pages and completions to $(DESTDIR)$(PREFIX); uninstall removes them
	.packaging/install $(BINARY) "$(DESTDIR)" $(PREFIX)
uninstall:
	.packaging/install -u "$(DESTDIR)" $(PREFIX)
deb: binary ## make a Debian package in $(DEBDIR)
	.packaging/deb $(BINARY) $(VERSION) $(DEBDIR)
