# The tasks of this repository; the same on a laptop and in continuous integration.
#
#   make run     the one-command world on loopback: gateway, provider, API, demo; ARGS="--port 8088" are its flags
#   make build   build bin/cloakroom
#   make test    everything that can be shown here: formatting, vet, tests with the race detector, Redis, Node and Chromium included
#   make soak    the suites about races and faults in their full counts and times, and what 100,000 sessions cost
#   make bench   what a proxied request costs, as ratios to a bare reverse proxy; fails above test/bench/ceiling.json
#   make browsers   the main journeys in Firefox and WebKit; make test has Chromium alone
#   make lint    vet, staticcheck, gofumpt
#   make fmt     format the Go files
#   make docs    write docs/configuration.md anew from the types
#   make client  build the TypeScript client as it is published: bin/cloakroom-client.tgz
#   make demo    build the demo app anew, after a change in spa/demo or spa/client
#   make screenshots   take docs/screenshots anew, in Chromium

SHELL       := bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := run

# Where test/tools.sh puts a Node, if the system's is too old.
export PATH := $(CURDIR)/bin/node/node_modules/node/bin:$(PATH)

# A process built with the race detector waits a second at its end, for reports that are on their way. A package's tests are over
# by then: they have waited for what they began.
export GORACE := atexit_sleep_ms=0

GOFUMPT     := go run mvdan.cc/gofumpt@v0.12.0
STATICCHECK := go run honnef.co/go/tools/cmd/staticcheck@v0.8.2
GO_FILES     = $(shell find . -name '*.go' -not -path '*/node_modules/*' -not -path './.git/*' -not -path './bin/*')

# What comes from npm: a provider that is not ours, the demo app's tools, what drives Chromium, and the libraries of native
# apps with the examples on them. Installed as the lock files say, without running scripts.
NODE_PACKAGES := $(addsuffix /node_modules/.package-lock.json,test/oidcprovider spa test/chromium test/native mobile-api/examples/typescript)

.PHONY: run build test tier1 tier2 soak bench browsers lint fmt docs client demo screenshots tools packages gofmt vet clean

run:
	@echo "building; the first time takes about a minute"
	@CGO_ENABLED=0 go build -o bin/cloakroom-dev ./cmd/cloakroom-dev
	@exec bin/cloakroom-dev $(ARGS)

build:
	CGO_ENABLED=0 go build -trimpath -o bin/cloakroom ./cmd/cloakroom

test: tools gofmt vet tier1 tier2

# Tier 1 is what needs no service beside it. Tier 2 is the packages of which some tests start Redis, Node and real gateways:
# all of their tests run there, and none in tier 1 as well. The heavy ones keep two cores busy and run one after the
# other; within them, tests that mostly wait run beside each other: five browsers fill two cores, of the others eight do not.
TIER2 := ./spa/client ./spa/demo ./store/... ./test/...
HEAVY := ./test/faults ./test/e2e ./test/chromium ./test/compose ./test/native

tier1: # ./server first: its tests wait most, while others are built and run
	light=$$(go list ./... | grep -vxFf <(go list -tags integration ./server $(TIER2))); go test -race -ldflags=-w -vet=off -timeout 12m ./server $$light

tier2: tools
	go test -race -ldflags=-w -vet=off -tags integration -timeout 12m -p 1 -parallel 5 ./test/chromium
	go test -race -ldflags=-w -vet=off -tags integration -timeout 12m -p 1 -parallel 8 $(filter-out ./test/chromium,$(HEAVY))
	light=$$(go list -tags integration $(TIER2) | grep -vxFf <(go list -tags integration $(HEAVY))); \
		go test -race -ldflags=-w -vet=off -tags integration -timeout 12m -p 2 $$light

# Slow on purpose: what make test shows with small numbers and short outages is run with the full ones.
soak: tools
	SOAK=1 go test -race -tags integration -timeout 60m -count 1 -p 1 ./bff/... ./store/... ./test/model/... ./test/faults/... ./test/chromium
	SOAK=1 go test -race -tags integration -run 'TestBodiesOfAnySize|TestManyStreams' -timeout 60m -count 1 -v ./test/e2e
	SOAK=1 go test -tags bench -run TestSessions -timeout 60m -count 1 -v ./test/bench

bench: tools
	go test -tags bench -run 'TestHotPath|TestProfile|TestProof|TestBodies' -timeout 30m -count 1 -v ./test/bench
	go test -run '^$$' -bench . -benchmem -timeout 30m ./store ./bff/proxy ./dpop

# Ten minutes or so, most of which are browsers that start: one at a time, for two WebKits under automation block each other.
browsers: tools
	@test/tools.sh firefox-esr WebKitWebDriver:webkit2gtk-driver Xvfb:xvfb
	go test -tags browsers -timeout 40m -count 1 -v ./test/browsers

lint: vet
	$(STATICCHECK) -tags integration ./...
	@files="$$($(GOFUMPT) -l $(GO_FILES))"; [ -z "$$files" ] || { printf 'not formatted (make fmt):\n%s\n' "$$files"; exit 1; }

fmt:
	@$(GOFUMPT) -w $(GO_FILES)

docs:
	go test ./server/config -run TestReference -update

client: tools
	mkdir -p bin
	cd spa/client && npm pack --pack-destination ../../bin --loglevel error
	mv bin/cloakroom-client-*.tgz bin/cloakroom-client.tgz

demo: tools
	cd spa/demo && npm run build

screenshots: tools
	go test -tags 'integration screenshots' -run 'TestScreenshots|TestOneSignIn|TestDevicesAreListedAndEnded|TestPagesOfNativeApps' -count 1 ./test/chromium -screenshots

gofmt:
	@files="$$(gofmt -l $(GO_FILES))"; [ -z "$$files" ] || { printf 'not formatted (make fmt):\n%s\n' "$$files"; exit 1; }

vet:
	go vet -tags 'integration bench browsers screenshots' ./...
	go vet $(TIER2)

# What the tests need and Go does not bring. On Debian and its kin root installs it; elsewhere what is missing is named.
tools:
	@test/tools.sh
	@$(MAKE) --no-print-directory packages

packages: $(NODE_PACKAGES)

%/node_modules/.package-lock.json: %/package.json %/package-lock.json
	cd $* && npm ci --ignore-scripts --no-audit --no-fund
	@touch $@

clean:
	rm -rf bin
