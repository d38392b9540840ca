# The short way in. meson and ninja do the building; the scripts do the rest. `make help` lists
# the targets. What a target needs from Debian it installs first (scripts/dependencies.txt).

PREFIX ?= /usr/local
INSTALL_DEPENDENCIES = scripts/install-dependencies

.PHONY: build demo test bench bench-gate run lint format fuzz install clean help

build: ## build the release binary: build/sotto
	@$(INSTALL_DEPENDENCIES) build
	@test -e build/build.ninja || meson setup build --prefix $(PREFIX) >/dev/null
	@ninja -C build --quiet
	@echo "built build/sotto"

demo: ## show it working: a private resolver, sotto in front, real queries; no internet needed
	@$(INSTALL_DEPENDENCIES) build demo
	@$(MAKE) --no-print-directory build
	@scripts/demo

test: ## run all tests; T=pattern for some of them, SLOW=1 for slow ones too, FUZZ_SECONDS=8
	@$(INSTALL_DEPENDENCIES) build demo test
	@T='$(T)' SLOW='$(SLOW)' STAGES='$(STAGES)' FUZZ_SECONDS='$(FUZZ_SECONDS)' scripts/run-tests

fuzz: ## fuzz each target for FUZZ_SECONDS (600); T=pattern for some of them
	@$(INSTALL_DEPENDENCIES) build test
	@T='$(T)' STAGES=fuzz FUZZ_SECONDS='$(or $(FUZZ_SECONDS),600)' scripts/run-tests

bench: build ## measure it beside its peers, 30 minutes; QUICK=1 in 3; writes bench/results/
	@$(INSTALL_DEPENDENCIES) bench gate
	@meson configure build -Dbench=true
	@ninja -C build --quiet
	@bench/run $(if $(QUICK),--quick) $(ARGS)

bench-gate: build ## fail if a query costs more instructions, allocations or system calls
	@$(INSTALL_DEPENDENCIES) gate
	@meson configure build -Dbench=true
	@ninja -C build --quiet
	@bench/gate $(ARGS)

run: build ## run it for real on port 5353 of 127.0.0.1 and [::1], through Cloudflare; ARGS='-v'
	build/sotto -l 127.0.0.1:5353 -l '[::1]:5353' -u cloudflare $(ARGS)

lint: ## check layout, includes, warnings, clang-tidy, Python and shell
	@$(INSTALL_DEPENDENCIES) build lint
	@scripts/lint

format: ## rewrite C and Python to the layout that lint wants
	@$(INSTALL_DEPENDENCIES) lint
	@scripts/lint --format

install: build ## install to PREFIX (/usr/local), below DESTDIR if set
	@meson configure build -Dprefix=$(PREFIX)
	@ninja -C build >/dev/null
	@meson install -C build --no-rebuild --quiet

clean: ## remove all that was built
	rm -rf build build-asan build-tsan build-fuzz

help: ## this list
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/make \1\t\2/p' Makefile | expand -t 17
