#!/usr/bin/env bash
# Runs a program that was built with the feature cuda or nccl on cards that the processor emulates (card.cpp, nccl.cpp):
# what the program asks of CUDA, and this crate's own kernels. Slow, and only what needs none of candle's kernels.
#
#   tests/cuda_emulated/card.sh PROGRAM [ARGUMENT ...]
#
# Without a program it builds tests/cuda.rs and tests/nccl.rs through scripts/cuda-toolkit --check and runs them.
set -euo pipefail
root=$(cd "$(dirname "$0")/../.." && pwd)
here=$root/tests/cuda_emulated
mkdir -p "$root/target/cuda"
card=$root/target/cuda/libcard.so
c++ -std=c++17 -O1 -Wall -Werror -shared -fPIC "$here/card.cpp" "$here/nccl.cpp" -ldl -o "$card"
export CANDLELIGHT_EMULATED=$here
# What the emulated NVRTC makes.
TMPDIR=$(mktemp -d)
export TMPDIR
trap 'rm -rf "$TMPDIR"' EXIT
export LD_LIBRARY_PATH=$root/target/cuda/link${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}
if [ $# -gt 0 ]; then
  env LD_PRELOAD="$card" "$@"
  exit
fi
programs=$("$root/scripts/cuda-toolkit" --check cargo test --locked --features nccl --test cuda --test nccl --no-run \
  --message-format=json | sed -n 's/.*"executable":"\([^"]*\)".*/\1/p')
for program in $programs; do
  CANDLELIGHT_EMULATED_CARDS=2 LD_PRELOAD="$card" "$program"
done
