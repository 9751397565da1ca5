#!/usr/bin/env bash
# Runs every cell of the named chapters on an emulated card, in the page of `cargo book --features cuda`, and says which
# outputs differ from the stored ones: those that name the device do. By hand: what cells depend on is built first (8
# minutes, once), and a training step takes a quarter of a second. It needs chromium, as tests/browser does.
#
#   tests/cuda_emulated/cells.sh training/gpu training/checkpoints
set -euo pipefail
cd "$(dirname "$0")/../.."
if [ $# -eq 0 ]; then
  sed -n 's/^#   //p' "$0" >&2
  exit 2
fi
root=$PWD stubs=$(tests/cuda_emulated/stubs.sh)
cargo build --locked --profile book -p bookbinder
export CARGO_BOOK="env LD_PRELOAD=$root/target/cuda/libcard.so:$stubs $root/target/book/bookbinder --features cuda"
exec scripts/cuda-toolkit --check tests/cuda_emulated/card.sh env -u LD_PRELOAD node tests/browser/every_cell.mjs "$@"
