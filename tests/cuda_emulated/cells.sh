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
root=$PWD stubs=$PWD/target/cuda/libstubs.so
cargo build --locked --profile book -p bookbinder
# A shared library keeps all that cudarc declares and candle's kernels call. Of that an emulated card has what a program calls;
# the rest gives CUDA_ERROR_NOT_SUPPORTED.
sources=$(cargo metadata --locked --all-features --format-version 1 | python3 -c '
import json, os, sys
for package in json.load(sys.stdin)["packages"]:
    if package["name"] in ("cudarc", "candle-kernels"):
        print(os.path.dirname(package["manifest_path"]) + "/src")')
# shellcheck disable=SC2086 # Two folders.
grep -rhoE 'fn (cu[A-Zbr]|nccl[A-Z]|launch_|run_|moe_)[A-Za-z0-9_]*' $sources | cut -c4- | sort -u |
  sed 's/.*/int &(void) { return 801; }/' | cc -w -fno-builtin -shared -fPIC -x c - -o "$stubs"
export CARGO_BOOK="env LD_PRELOAD=$root/target/cuda/libcard.so:$stubs $root/target/book/bookbinder --features cuda"
exec scripts/cuda-toolkit --check tests/cuda_emulated/card.sh env -u LD_PRELOAD node tests/browser/every_cell.mjs "$@"
