#!/usr/bin/env bash
# Runs a program that was built through scripts/cuda-toolkit --check, with the feature cuda or nccl, on cards that the
# processor emulates (card.cpp): what the program asks of CUDA, this crate's kernels and candle's. Slow.
#
#   tests/cuda_emulated/card.sh PROGRAM [ARGUMENT ...]
#
# Without a program it builds tests/cuda.rs, tests/nccl.rs and the parity suite, and runs them, in orders in which what does
# not wait comes out wrong (streams.cpp).
set -euo pipefail
root=$(cd "$(dirname "$0")/../.." && pwd)
here=$root/tests/cuda_emulated
programs=("$@")
if [ $# -eq 0 ]; then
  # Not straight into mapfile, which would take a build that fails for one of no programs.
  built=$("$root/scripts/cuda-toolkit" --check cargo test --locked --features nccl --test cuda --test nccl --test parity \
    --no-run --message-format=json-render-diagnostics | sed -n 's/.*"executable":"\([^"]*\)".*/\1/p')
  mapfile -t programs <<< "$built"
fi

card=$root/target/cuda/libcard.so
c++ -std=c++17 -O1 -Wall -Werror -shared -fPIC "$here"/{card,streams,compile,nvrtc,blas,nccl}.cpp -ldl -o "$card"
export CANDLELIGHT_EMULATED=$here CANDLELIGHT_EMULATED_CARDS=2
# Where kernels are compiled, and kept for the next program. candle's include CUDA's types, which the toolkit has.
TMPDIR=$(mktemp -d)
export TMPDIR XDG_CACHE_HOME=$TMPDIR
trap 'rm -rf "$TMPDIR"' EXIT
include=$(echo "$root"/target/cuda/venv/lib/python3*/site-packages/nvidia/cu13/include)
export CPATH=$include:$include/cccl
export LD_LIBRARY_PATH=$root/target/cuda/link${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}
if [ $# -gt 0 ]; then
  LD_PRELOAD="$card" "$@"
  exit
fi
# Without the seeded runs, which train as the others do: each step takes a quarter of a second here.
mkdir "$TMPDIR/cases"
for cases in "$root"/tests/parity/*.safetensors; do
  [ "$(basename "$cases")" = seeded.safetensors ] || ln -s "$cases" "$TMPDIR/cases/"
done
export PARITY_CASES=$TMPDIR/cases
# All at once: an emulated card has one core of the processor.
for program in "${programs[@]}"; do
  name=$(basename "$program")
  case $name in
    cuda-*) orders=(late beside) ;;
    nccl-*) orders=(beside) ;;
    *) orders=(late) ;;
  esac
  for order in "${orders[@]}"; do
    CANDLELIGHT_EMULATED_ORDER=$order PARITY_DEVICE=cuda LD_PRELOAD="$card" "$program" > "$TMPDIR/$name-$order" 2>&1 &
    running+=("$! $name-$order")
  done
done
failed=0
for entry in "${running[@]}"; do
  read -r process name <<< "$entry"
  wait "$process" || failed=1
  echo "== ${name%%-*}, ${name##*-}"
  cat "$TMPDIR/$name"
done
exit $failed
