# Images of the operator, the gateway and the command line, one target each:
#
#   docker build --target operator -t tidegate-operator:0.1.0 .
#   docker build --target gateway  -t tidegate-gateway:0.1.0 .
#   docker build --target cli      -t tidegate:0.1.0 .
#
# Several architectures: docker buildx build --platform linux/amd64,linux/arm64 …: the builder cross-compiles on its own
# platform, so no emulation is needed. Without a registry: deploy/image.sh makes the bases from Debian's packages.
#
# An image contains one program, the shared libraries that it loads, and the public certificate authorities: no shell, no
# package manager. It runs as user 65532 and needs no writable root.

ARG RUST_VERSION=1.95
ARG DEBIAN=bookworm
# A Debian with rustc and cargo. It also needs what the first step below installs, or apt-get.
ARG BUILDER=rust:${RUST_VERSION}-${DEBIAN}
# Below the programs. A base with a shell helps to look into a container.
ARG BASE=scratch

FROM --platform=$BUILDPLATFORM ${BUILDER} AS build
ARG TARGETARCH
# debug for a quick try.
ARG PROFILE=release
WORKDIR /src
# The cryptography library needs a C compiler and cmake, for the target, the allocator make. /env names the tools. There are
# arm64 kernels with pages of 4 and of 64 KiB; an allocator that was built for the larger ones runs on both.
RUN set -eu; \
    own=$(dpkg --print-architecture); arch=${TARGETARCH:-$own}; \
    case "$arch" in \
      amd64) machine=x86_64 ;; \
      arm64) machine=aarch64 ;; \
      *) echo "no build for $arch" >&2; exit 1 ;; \
    esac; \
    target=$machine-unknown-linux-gnu; tool=$machine-linux-gnu; \
    packages="gcc g++ libc6-dev"; \
    echo "export tool=$tool" >/env; \
    if [ "$arch" = arm64 ]; then echo "export JEMALLOC_SYS_WITH_LG_PAGE=16" >>/env; fi; \
    if [ "$arch" != "$own" ]; then \
      packages="gcc-$tool g++-$tool libc6-dev-$arch-cross"; \
      cc=$(echo "$target" | tr - _); \
      printf 'export %s\n' CARGO_BUILD_TARGET="$target" \
        "CARGO_TARGET_$(echo "$cc" | tr a-z A-Z)_LINKER=$tool-gcc" "CC_$cc=$tool-gcc" "CXX_$cc=$tool-g++" >>/env; \
    fi; \
    for program in cmake make readelf "$tool-g++"; do \
      if ! command -v "$program" >/dev/null; then \
        apt-get update; \
        apt-get install -y --no-install-recommends binutils ca-certificates cmake make $packages; \
        break; \
      fi; \
    done; \
    [ -d "$(rustc --print target-libdir --target "$target")" ] || rustup target add "$target"
COPY . .
RUN . /env && cargo build --locked --profile "$(echo "$PROFILE" | sed 's/^debug$/dev/')" \
      -p tidegate-operator -p tidegate-gateway -p tidegate-cli && \
    mkdir /out && cd "target/${CARGO_BUILD_TARGET:-}/$PROFILE" && cp tidegate-operator tidegate-gateway tidegate /out/
# The loader and the libraries that the programs name, from the target's compiler, and what a system has besides.
RUN set -eu; . /env; \
    copy() { mkdir -p "/root-fs$(dirname "$2")"; cp -L "$1" "/root-fs$2"; }; \
    find_library() { \
      for folder in "/usr/$tool/lib" "/lib/$tool" "/usr/lib/$tool"; do \
        [ ! -e "$folder/$1" ] || { echo "$folder/$1"; return; }; \
      done; \
      echo "no $1 for $tool" >&2; return 1; \
    }; \
    for program in /out/*; do \
      loader=$(readelf --program-headers "$program" | sed -n 's/.*interpreter: \(.*\)]/\1/p'); \
      path=$(find_library "$(basename "$loader")"); copy "$path" "$loader"; \
      for name in $(readelf --dynamic "$program" | sed -n 's/.*(NEEDED).*\[\(.*\)\]/\1/p'); do \
        path=$(find_library "$name"); copy "$path" "/lib/$tool/$name"; \
      done; \
    done; \
    copy /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/ca-certificates.crt; \
    echo 'nonroot:x:65532:65532:nonroot:/nonexistent:/sbin/nologin' >/root-fs/etc/passwd; \
    echo 'nonroot:x:65532:' >/root-fs/etc/group; \
    mkdir -p /root-fs/tmp /state; chmod 1777 /root-fs/tmp

FROM ${BASE} AS base
ARG VERSION=0.1.0
LABEL org.opencontainers.image.source="https://github.com/tidegate/tidegate" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}"
COPY --from=build /root-fs/ /
COPY --from=build --chown=65532:65532 /state/ /var/lib/tidegate/
USER 65532:65532

FROM base AS operator
LABEL org.opencontainers.image.title="tidegate-operator"
COPY --from=build /out/tidegate-operator /bin/tidegate-operator
EXPOSE 8080
ENTRYPOINT ["/bin/tidegate-operator"]

FROM base AS gateway
LABEL org.opencontainers.image.title="tidegate-gateway"
COPY --from=build /out/tidegate-gateway /bin/tidegate-gateway
EXPOSE 9090
ENTRYPOINT ["/bin/tidegate-gateway"]

FROM base AS cli
LABEL org.opencontainers.image.title="tidegate"
COPY --from=build /out/tidegate /bin/tidegate
ENTRYPOINT ["/bin/tidegate"]
