#!/usr/bin/env bash
# Builds the images of the Dockerfile with buildah, over bases made from Debian's packages and this machine's Rust
# toolchain: no container registry is asked. Then runs each program once. Needs root.
#
#   image.sh [TARGET…]      gateway operator cli (default: all); PROFILE=debug for a quick try
#
# The images are in buildah's storage as localhost/tidegate-gateway and so on: buildah push them from there.
# What is compiled is kept in ${TIDEGATE_CACHE:-~/.cache/tidegate}/image.
set -euo pipefail
root=$(cd "$(dirname "$0")/.." && pwd)
cache=${TIDEGATE_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/tidegate}/image
cargo_home=${CARGO_HOME:-$HOME/.cargo}
debian=bookworm
profile=${PROFILE:-release}
what=images
# shellcheck source=../e2e/packages.sh
. "$root/e2e/packages.sh"
[ $# -gt 0 ] || set -- gateway operator cli

debian buildah buildah
debian mmdebstrap mmdebstrap
sysroot=$(cd "$root" && rustc --print sysroot)
version=$(awk -F '"' '/^version = / {print $2}' "$root/Cargo.toml")
# No daemon, and no namespaces that a container may not make.
export BUILDAH_ISOLATION=${BUILDAH_ISOLATION:-chroot}

# The builder's name says what is in it: another toolchain makes another one.
builder=localhost/tidegate-builder:$debian-$(rustc --version | cut -d ' ' -f 2)
make_builder() {
  local folder container
  say "making $builder from Debian's packages and $sysroot"
  folder=$(mktemp -d)
  # As this machine's apt reaches its mirror.
  apt-config dump --format '%f "%v";%n' Acquire >"$folder/apt.conf"
  mmdebstrap --quiet --variant=minbase --aptopt="$folder/apt.conf" \
    --include=binutils,ca-certificates,cmake,g++,gcc,libc6-dev,make "$debian" "$folder/system.tar"
  container=$(buildah from scratch)
  buildah add --quiet "$container" "$folder/system.tar" / >/dev/null
  buildah add --quiet "$container" "$sysroot/bin" /usr/local/rust/bin >/dev/null
  buildah add --quiet "$container" "$sysroot/lib" /usr/local/rust/lib >/dev/null
  buildah config --env CARGO_HOME=/cargo --env CARGO_NET_OFFLINE=true \
    --env PATH=/usr/local/rust/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin "$container"
  buildah commit --quiet --rm "$container" "$builder" >/dev/null
  rm -rf "$folder"
}
buildah inspect --type image "$builder" >/dev/null 2>&1 || make_builder

# Crates come from this machine's registry cache.
(cd "$root" && cargo fetch --locked --quiet)
mkdir -p "$cache/target"
for target; do
  name=tidegate-$target
  [ "$target" != cli ] || name=tidegate
  say "building localhost/$name:$version ($profile)"
  buildah build --quiet --layers --network none --target "$target" --tag "localhost/$name:$version" \
    --build-arg "BUILDER=$builder" --build-arg "PROFILE=$profile" --build-arg "VERSION=$version" \
    --build-arg "TARGETARCH=$(dpkg --print-architecture)" \
    --volume "$cargo_home/registry:/cargo/registry" --volume "$cache/target:/src/target" \
    "$root" >/dev/null
  container=$(buildah from "localhost/$name:$version")
  program=/bin/$name
  buildah run "$container" -- "$program" --version
  ! buildah run "$container" -- /bin/sh -c true 2>/dev/null || { echo "image.sh: $name has a shell" >&2; exit 1; }
  user=$(buildah inspect --format '{{ .OCIv1.Config.User }}' "$container")
  [ "$user" = 65532:65532 ] || { echo "image.sh: $name runs as $user" >&2; exit 1; }
  buildah rm "$container" >/dev/null
done
