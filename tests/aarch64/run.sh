#!/usr/bin/env bash
# Runs the kernels' tests on aarch64: as they are on such a machine, elsewhere under qemu's emulation.
# On x86 it needs Debian's qemu-user and gcc-aarch64-linux-gnu, and the target's standard library:
# rustup's, or where rustup cannot download, one built from the source in Debian's packages.
set -euo pipefail
cd "$(dirname "$0")/../.."
# What is emulated of CUDA is the same on every processor, and slow.
tests=(--lib --test gradients --test determinism -- --skip ops::captured)
if [ "$(uname -m)" = aarch64 ]; then
  exec cargo test --release --locked "${tests[@]}"
fi

target=aarch64-unknown-linux-gnu
home="${CARGO_TARGET_DIR:-$PWD/target}/aarch64"
# Absolute: cargo starts rustc in other folders.
home="$(mkdir -p "$home" && cd "$home" && pwd)"
export CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_LINKER=aarch64-linux-gnu-gcc
export CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_RUNNER="qemu-aarch64 -L /usr/aarch64-linux-gnu"
export CARGO_TARGET_DIR="$home/build"
flags=(--release --locked --no-default-features --target "$target")

if ! rustup target add "$target" 2>/dev/null; then
  root="$home/root"
  if [ ! -x "$root/usr/bin/rustc" ]; then
    scratch=$(mktemp -d "$home/packages.XXXX")
    (cd "$scratch" && apt-get download rustc-web rust-web-src libstd-rust-web-dev libstd-rust-web-1.96 libllvm22 &&
      for package in ./*.deb; do dpkg -x "$package" root; done)
    rm -rf "$root"
    mv "$scratch/root" "$root"
    rm -rf "$scratch"
  fi
  export LD_LIBRARY_PATH="$root/usr/lib/x86_64-linux-gnu" RUSTC="$root/usr/bin/rustc" RUSTC_BOOTSTRAP=1
  flags+=(-Zbuild-std=std,panic_unwind,test)
fi
cargo test "${flags[@]}" "${tests[@]}"
