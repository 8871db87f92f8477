#!/usr/bin/env bash
# Stress through the kernel: readers, random seeks, opens and closes, faults and kills at random, with randomised
# parallelism (libuv threads, connections, CPU affinity). Every byte is checked; at the end of each iteration no read
# may be stuck, no mount, process or temp file left, and all gauges must be at zero.
#
#   ITERATIONS=100 SEED=1 scripts/stress-test.sh
#
# Prints the seed of each iteration; SEED=n ITERATIONS=1 repeats it.
set -euo pipefail
cd "$(dirname "$0")/.."
ITERATIONS=${ITERATIONS:-100}
SEED=${SEED:-$(date +%s)}
cores=$(nproc)
for ((i = 0; i < ITERATIONS; i++)); do
  seed=$((SEED + i))
  threads=$((seed % 3 == 0 ? 1 : seed % 3 == 1 ? 4 : 16))
  affinity=$((seed % 4 == 0 ? 1 : cores))
  printf 'iteration %d of %d: seed %d, %d libuv threads, %d cores\n' $((i + 1)) "$ITERATIONS" "$seed" "$threads" "$affinity"
  TAP_TIMEOUT=300 UV_THREADPOOL_SIZE=$threads taskset -c 0-$((affinity - 1)) node dist/scripts/stress.js "$seed" ||
    { echo "failed: repeat with SEED=$seed ITERATIONS=1 scripts/stress-test.sh" >&2; exit 1; }
done
echo "all $ITERATIONS iterations passed"
