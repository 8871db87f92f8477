#!/usr/bin/env bash
# Measures, each in interleaved runs with medians and spread; all of it, or what is named:
#
#   scripts/bench.sh [server] [cold] [warm] [follow]
#
#   server  the embedded S3 server beside nginx (where nginx is installed)
#   cold    first reads through a mount beside `curl -o` of the same object
#   warm    reads of complete files beside the local file: passthrough, native, portable, s3fs (where it is installed)
#   follow  a reader that follows an object which arrives at 1 GB/s
#
# RUNS (default 5) and SIZE_MIB (1024) say how often and how much; the head of each scripts/bench-*.ts knows more.
# Ends with 1 when a bar was missed or a run failed. Other work on the machine falsifies it all.
set -uo pipefail
cd "$(dirname "$0")/.."
export RUNS=${RUNS:-5}
[ $# -gt 0 ] || set -- server cold warm follow
code=0

for name in "$@"; do
  printf '\n== %s\n' "$name"
  case $name in
    server)
      if command -v nginx >/dev/null; then
        node dist/scripts/bench-s3-server.js || code=1
      else
        echo "nginx is not installed: the comparison of the embedded server is left out (apt-get install nginx-light)"
      fi
      ;;
    cold | warm | follow) node "dist/scripts/bench-$name.js" || code=1 ;;
    *)
      echo "bench.sh: no benchmark is called $name: expected server, cold, warm or follow" >&2
      exit 2
      ;;
  esac
done
exit $code
