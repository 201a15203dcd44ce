# What one does with this repository. `make test` needs Go, a C compiler for
# the race detector, and PostgreSQL 15 or newer; it starts its own server.

VERSION ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo dev)
GOLANGCI_LINT = go run github.com/golangci/golangci-lint/v2/cmd/golangci-lint@v2.15.0

.PHONY: build test check chaos bench lint fmt demo settings

build:
	CGO_ENABLED=0 go build -trimpath -ldflags '-X main.version=$(VERSION)' -o bin/enotify ./cmd/enotify

test:
	go test -race -timeout 15m ./...

# What SpamAssassin says of the demo's messages and of ten newsletters, by its
# own rules, without the network (Debian: apt-get install spamassassin).
check:
	go test -tags check ./cmd/enotify/demo -run '^TestSpamAssassin$$' -v

# Nodes killed, stopped and cut off, PostgreSQL restarted, for five minutes. It
# prints its seed and its figures; make test does the same for a few seconds.
CHAOS ?= 5m
chaos:
	go test ./cmd/enotify -run '^TestChaos$$' -v -timeout 1h -chaos $(CHAOS)

bench:
	go test -run '^$$' -bench . -benchmem -timeout 30m ./...

# The first run builds the linter, which takes minutes; go keeps it.
lint:
	$(GOLANGCI_LINT) run ./...

fmt:
	$(GOLANGCI_LINT) fmt ./...

demo:
	go run ./cmd/enotify demo

# Writes the guide's page of settings from the flags.
settings:
	go test ./cmd/enotify -run '^TestSettingsPage$$' -update-settings
