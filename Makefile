# The tasks of this repository; the same on a laptop and in continuous integration.
#
#   make run     build the gateway; with CONFIG=file.yaml also serve
#   make test    everything that can be shown here: formatting, vet, tests with the race detector, Redis and Node included
#   make soak    the suites about races and faults, five times over
#   make bench   what a proxied request costs, as ratios to a bare reverse proxy, and the benchmarks of the parts
#   make lint    vet, staticcheck, gofumpt
#   make fmt     format the Go files
#   make docs    write docs/configuration.md anew from the types

SHELL       := bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := run

GOFUMPT     := go run mvdan.cc/gofumpt@v0.12.0
STATICCHECK := go run honnef.co/go/tools/cmd/staticcheck@v0.8.2
GO_FILES     = $(shell find . -name '*.go' -not -path '*/node_modules/*' -not -path './.git/*' -not -path './bin/*')

# A provider that is not ours, for the tests; its packages are installed as the lock file says, without running scripts.
PEER := test/oidcprovider/node_modules/.package-lock.json

.PHONY: run build test tier1 tier2 soak bench lint fmt docs tools gofmt vet clean

run: build
ifdef CONFIG
	exec bin/cloakroom serve --config '$(CONFIG)'
else
	@echo "bin/cloakroom is built. It needs a Redis, an OpenID provider and a configuration, as README.md shows:"
	@echo "    make run CONFIG=cloakroom.yaml"
endif

build:
	CGO_ENABLED=0 go build -trimpath -o bin/cloakroom ./cmd/cloakroom

test: tools gofmt vet tier1 tier2

# Tier 1 is what needs no service beside it, tier 2 what starts Redis, Node and real gateways: package after package, for
# each of them keeps two cores busy.
tier1:
	go test -race -timeout 12m ./...

tier2: tools
	go test -race -tags integration -timeout 12m -p 1 ./store/... ./test/...

# Slow on purpose: each run forces the races and faults anew, with other timings.
soak: tools
	go test -race -tags integration -timeout 60m -count 5 ./bff/... ./store/... ./test/faults/...

bench: tools
	go test -tags bench -run TestHotPath -count 1 -v ./test/bench
	go test -run '^$$' -bench . -benchmem -timeout 30m ./store ./bff/proxy

lint: vet
	$(STATICCHECK) -tags integration ./...
	@files="$$($(GOFUMPT) -l $(GO_FILES))"; [ -z "$$files" ] || { printf 'not formatted (make fmt):\n%s\n' "$$files"; exit 1; }

fmt:
	$(GOFUMPT) -w $(GO_FILES)

docs:
	go test ./server/config -run TestReference -update

gofmt:
	@files="$$(gofmt -l $(GO_FILES))"; [ -z "$$files" ] || { printf 'not formatted (make fmt):\n%s\n' "$$files"; exit 1; }

vet:
	go vet ./...
	go vet -tags 'integration bench' ./...

# What the tests need and Go does not bring. On Debian and its kin root installs it; elsewhere what is missing is named.
tools: $(PEER)
	@missing=(); \
	for tool in redis-server:redis-server node:nodejs; do \
		command -v "$${tool%%:*}" >/dev/null || missing+=("$${tool##*:}"); \
	done; \
	[ $${#missing[@]} -eq 0 ] && exit 0; \
	if [ "$$(id -u)" -ne 0 ] || ! command -v apt-get >/dev/null; then \
		echo "The tests need these, and only root on a Debian system can have them installed by this: $${missing[*]}" >&2; \
		exit 1; \
	fi; \
	apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$${missing[@]}"

$(PEER): test/oidcprovider/package.json test/oidcprovider/package-lock.json
	@command -v npm >/dev/null || { echo "The tests need npm (with Node 20 or later): install it, then run this again." >&2; exit 1; }
	cd test/oidcprovider && npm ci --ignore-scripts --no-audit --no-fund
	@touch $@

clean:
	rm -rf bin
