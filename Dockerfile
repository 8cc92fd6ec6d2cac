# Images of the operator, the gateway and the command line, one target each:
#
#   docker build --target operator -t tidegate-operator:0.1.0 .
#   docker build --target gateway  -t tidegate-gateway:0.1.0 .
#   docker build --target cli      -t tidegate:0.1.0 .
#
# Several architectures: docker buildx build --platform linux/amd64,linux/arm64 …: the builder compiles for
# the target on its own platform, without emulation.
#
# The images hold one program, the C library it needs, and the public certificate authorities; no shell, no package
# manager. They run as user 65532 and write nothing to their root.

ARG RUST_VERSION=1.95
ARG DEBIAN=bookworm
ARG BUILDER=rust:${RUST_VERSION}-${DEBIAN}
ARG BASE=debian:${DEBIAN}-slim

FROM --platform=$BUILDPLATFORM ${BUILDER} AS build
ARG TARGETARCH
WORKDIR /src
# The cryptography library needs a C compiler and cmake, for the target.
RUN set -eu; \
    case "${TARGETARCH:-$(dpkg --print-architecture)}" in \
      amd64) target=x86_64-unknown-linux-gnu; gcc=x86-64-linux-gnu ;; \
      arm64) target=aarch64-unknown-linux-gnu; gcc=aarch64-linux-gnu ;; \
      *) echo "no build for ${TARGETARCH}" >&2; exit 1 ;; \
    esac; \
    apt-get update; \
    apt-get install -y --no-install-recommends cmake "gcc-$gcc" "g++-$gcc" "libc6-dev-${TARGETARCH:-$(dpkg --print-architecture)}-cross" \
      || apt-get install -y --no-install-recommends cmake gcc g++ libc6-dev; \
    rustup target add "$target"; \
    echo "$target" >/target; \
    tool=$(echo "$target" | sed 's/-unknown//'); \
    variable=$(echo "$target" | tr 'a-z-' 'A-Z_'); \
    printf 'export CARGO_TARGET_%s_LINKER=%s-gcc\nexport CC_%s=%s-gcc\nexport CXX_%s=%s-g++\n' \
      "$variable" "$tool" "$(echo "$target" | tr - _)" "$tool" "$(echo "$target" | tr - _)" "$tool" >/env
COPY . .
RUN . /env && cargo build --locked --release --target "$(cat /target)" \
      -p tidegate-operator -p tidegate-gateway -p tidegate-cli && \
    mkdir /out && cd "target/$(cat /target)/release" && cp tidegate-operator tidegate-gateway tidegate /out/

# What the programs load, taken from the target's own distribution.
FROM ${BASE} AS libraries
RUN apt-get update && apt-get install -y --no-install-recommends libgcc-s1 ca-certificates
COPY --from=build /out/ /programs/
RUN set -eu; \
    mkdir -p /root-fs/tmp /root-fs/etc/ssl/certs /root-fs/var/lib/tidegate; \
    chmod 1777 /root-fs/tmp; chown 65532:65532 /root-fs/var/lib/tidegate; \
    for program in /programs/*; do ldd "$program"; done | grep -o '/[^ ]*' | sort -u | \
      while read -r library; do mkdir -p "/root-fs$(dirname "$library")"; cp -L "$library" "/root-fs$library"; done; \
    cp /etc/ssl/certs/ca-certificates.crt /root-fs/etc/ssl/certs/; \
    echo 'nonroot:x:65532:65532:nonroot:/nonexistent:/sbin/nologin' >/root-fs/etc/passwd; \
    echo 'nonroot:x:65532:' >/root-fs/etc/group

FROM scratch AS base
ARG VERSION=0.1.0
LABEL org.opencontainers.image.source="https://github.com/tidegate/tidegate" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}"
COPY --from=libraries /root-fs/ /
USER 65532:65532

FROM base AS operator
COPY --from=build /out/tidegate-operator /bin/tidegate-operator
EXPOSE 8080
ENTRYPOINT ["/bin/tidegate-operator"]

FROM base AS gateway
COPY --from=build /out/tidegate-gateway /bin/tidegate-gateway
EXPOSE 9090
ENTRYPOINT ["/bin/tidegate-gateway"]

FROM base AS cli
COPY --from=build /out/tidegate /bin/tidegate
ENTRYPOINT ["/bin/tidegate"]
