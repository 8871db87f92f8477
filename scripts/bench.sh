#!/usr/bin/env bash
# Measures, interleaved and with medians: the embedded server beside nginx (where nginx is installed), and cold reads
# through a mount beside `curl -o` of the same object. RUNS (default 5) sets how often.
set -euo pipefail
cd "$(dirname "$0")/.."
export RUNS=${RUNS:-5}
if command -v nginx >/dev/null; then
  node dist/scripts/bench-s3-server.js
else
  echo "nginx is not installed: the comparison of the embedded server is left out (apt-get install nginx-light)"
fi
node dist/scripts/bench-cold.js
