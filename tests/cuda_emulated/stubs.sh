#!/usr/bin/env bash
# Makes a library of all that cudarc declares of the driver, cuBLAS, cuRAND and NCCL, and that candle's kernels call, and
# prints its path. Each function gives CUDA_ERROR_NOT_SUPPORTED. With it a program that was built through
# scripts/cuda-toolkit --check starts, though there is no driver; with an emulated card before it, what that has is the card's.
set -euo pipefail
cd "$(dirname "$0")/../.."
stubs=$PWD/target/cuda/libstubs.so
sources=$(cargo metadata --locked --all-features --format-version 1 | python3 -c '
import json, os, sys
for package in json.load(sys.stdin)["packages"]:
    if package["name"] in ("cudarc", "candle-kernels"):
        print(os.path.dirname(package["manifest_path"]) + "/src")')
# shellcheck disable=SC2086 # Two folders.
grep -rhoE 'fn (cu[A-Zbr]|nccl[A-Z]|launch_|run_|moe_)[A-Za-z0-9_]*' $sources | cut -c4- | sort -u |
  sed 's/.*/int &(void) { return 801; }/' | cc -w -fno-builtin -shared -fPIC -x c - -o "$stubs"
echo "$stubs"
