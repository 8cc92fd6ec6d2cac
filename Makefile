# The README's two commands are `make demo` and `make test`. `make help` lists the rest.

.DEFAULT_GOAL := help
.NOTPARALLEL:
# The lock file is the truth: a build that would change it fails.
CARGO_FLAGS ?= --locked

help: ## Lists these commands.
	@awk -F ':.*## ' '/^[a-z][a-z0-9-]*:.*## / { printf "  make %-13s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

demo: ## Runs a gateway with an echo backend and a ready subscription; no cluster needed.
	cargo run $(CARGO_FLAGS) --profile demo -p tidegate-cli -- demo

test: ## Lints and builds everything, sets up what the tests need and runs all of them (first time: 36 minutes on two cores).
	@CARGO_FLAGS="$(CARGO_FLAGS)" .ci/test

lint: ## Checks format and lints: code, dependencies, workflows, scripts.
	lint/format.sh --check
	lint/run.sh
	cargo clippy $(CARGO_FLAGS) --workspace --all-targets -- -D warnings

fmt: ## Formats the code; cargo fmt alone does not see the policies.
	lint/format.sh

build: ## Builds all programs and tests. One command, so that the tests build nothing a second time.
	cargo build $(CARGO_FLAGS) --workspace --all-targets

setup: ## Sets up what the tests need: control plane, node, Helm, Prometheus, third-party clients.
	e2e/setup.sh

unit: ## Runs all tests but the end-to-end ones.
	cargo test $(CARGO_FLAGS) --workspace --exclude tidegate-e2e

t: ## The inner loop: make t CRATE=plan T=routes runs the tests of one crate whose names contain a text.
	cargo test $(CARGO_FLAGS) -p tidegate-$(CRATE) -- $(T)

e2e: build setup ## Runs the end-to-end tests; T=name chooses some of them.
	cargo test $(CARGO_FLAGS) -p tidegate-e2e -- $(T)

churn: build setup ## 1,000 configuration changes under 1,000 live tunnels.
	ulimit -n "$$(ulimit -Hn)"; TIDEGATE_CHURN_CHANGES=1000 TIDEGATE_CHURN_TUNNELS=1000 \
		cargo test $(CARGO_FLAGS) -p tidegate-e2e churn -- --nocapture

fuzz: ## Looks for inputs that break a parser: SECONDS=600 for each target; T=name chooses some of them.
	fuzz/run.sh $(or $(SECONDS),600) $(T)

bench: ## Measures Tidegate beside nginx, HAProxy and Envoy; QUICK=1 for a short look.
	cargo build $(CARGO_FLAGS) --release -p tidegate-cli -p tidegate-bench
	ulimit -n "$$(ulimit -Hn)"; envoy=$$(bench/setup.sh) && \
		target/release/tidegate-bench --envoy "$$envoy" \
		$(if $(QUICK),--quick,--page docs/benchmarks.md)

bench-plan: ## Measures what a change costs to plan, without a cluster; APIS=5000 SUBSCRIPTIONS=50000.
	APIS=$(or $(APIS),5000) SUBSCRIPTIONS=$(or $(SUBSCRIPTIONS),50000) \
		cargo test $(CARGO_FLAGS) --release -p tidegate-plan --test it -- --ignored --nocapture how_long_a_change_takes

bench-control-plane: setup ## Measures what a change costs on a real API server; APIS=1000 PRODUCTS=40 SUBSCRIPTIONS=10000.
	cargo build $(CARGO_FLAGS) --release -p tidegate-operator -p tidegate-gateway
	TIDEGATE_BIN_DIR=$(CURDIR)/target/release cargo test $(CARGO_FLAGS) -p tidegate-e2e -- \
		--ignored --nocapture what_a_change_costs

doc: ## Builds the documentation of the crates, private items included; a broken link is an error.
	RUSTDOCFLAGS="-D warnings -A rustdoc::private-intra-doc-links" cargo doc $(CARGO_FLAGS) --workspace --no-deps --document-private-items

crds: ## Writes crds/, its copy in the chart, api/schemas/, schemas/ and docs/reference.md from the types in api/
	cargo run $(CARGO_FLAGS) -p tidegate-api --bin crdgen
	charts/sync-crds.sh

release-check: ## Makes a release of the present version into target/release-check, and publishes nothing.
	cargo build $(CARGO_FLAGS) --release -p tidegate-cli
	HELM=$$(e2e/helm/build.sh) release/release.py dry-run v$$(awk -F '"' '/^version = / {print $$2}' Cargo.toml) \
		target/release/tidegate target/release-check

chart: ## Lints and tests the Helm chart; no cluster.
	e2e/chart-test.sh

e2e-node: build ## Installs the chart on a real node of its own and tests it there; T=name chooses. Needs root.
	e2e/node/run.sh $(T)

.PHONY: help demo test lint fmt build setup unit t e2e churn fuzz bench bench-plan bench-control-plane doc crds release-check chart e2e-node
