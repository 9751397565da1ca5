#!/usr/bin/env bash
# Runs a program that was built with the feature cuda on a card that the processor emulates (card.cpp): what the program
# asks of CUDA, and this crate's own kernels. Slow, and only what needs none of candle's kernels.
#
#   tests/cuda_emulated/card.sh PROGRAM [ARGUMENT ...]
#
# Without a program it builds tests/cuda.rs through scripts/cuda-toolkit --check and runs it.
set -euo pipefail
root=$(cd "$(dirname "$0")/../.." && pwd)
here=$root/tests/cuda_emulated
mkdir -p "$root/target/cuda"
card=$root/target/cuda/libcard.so
c++ -std=c++17 -O1 -Wall -Werror -shared -fPIC "$here/card.cpp" -ldl -o "$card"
if [ $# -eq 0 ]; then
  program=$("$root/scripts/cuda-toolkit" --check cargo test --locked --features cuda --test cuda --no-run \
    --message-format=json | sed -n 's/.*"executable":"\([^"]*\)".*/\1/p' | tail -1)
  set -- "$program"
fi
export CANDLELIGHT_EMULATED=$here
# What the emulated NVRTC makes.
TMPDIR=$(mktemp -d)
export TMPDIR
trap 'rm -rf "$TMPDIR"' EXIT
export LD_LIBRARY_PATH=$root/target/cuda/link${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}
env LD_PRELOAD="$card" "$@"
