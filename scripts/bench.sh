#!/usr/bin/env bash
# Measures, each in interleaved runs with medians and spread; all of it, or what is named:
#
#   scripts/bench.sh [server] [warm] [follow] [cache] [share-cache] [warm-cache] [table | READS...]
#
#   server  the embedded S3 server beside nginx (where nginx is installed)
#   warm    reads of complete files beside the local file: passthrough, native, portable, s3fs (where it is installed)
#   follow  a reader that follows an object which arrives at 1 GB/s
#   cache   restarts, kills, the budget, a full disk and flipped bytes
#   share-cache  four daemons on one cache directory, two of them killed
#   warm-cache   sluice warm of many small objects over a network: at once, interrupted, again
#   table   all cold reads beside curl, s3fs and rclone (where they are installed); writes docs/PERFORMANCE.md
#   READS   some of them: cold tls wan shards first random demand loader streams share
#
# RUNS (default 5) and SIZE_MIB (1024) say how often and how much; the head of each scripts/bench-*.ts knows more.
# Ends with 1 when a bar was missed or a run failed. Other work on the machine falsifies it all.
set -uo pipefail
cd "$(dirname "$0")/.."
export RUNS=${RUNS:-5}
[ $# -gt 0 ] || set -- server table warm follow cache
code=0
reads=()
# What is interrupted cleans up and ends by itself: the rest is left out.
trap 'exit 130' INT TERM

for name in "$@"; do
  case $name in
    server)
      printf '\n== %s\n' "$name"
      if command -v nginx >/dev/null; then
        node dist/scripts/bench-s3-server.js || code=1
      else
        echo "nginx is not installed: the comparison of the embedded server is left out (apt-get install nginx-light)"
      fi
      ;;
    warm | follow | cache | share-cache | warm-cache)
      printf '\n== %s\n' "$name"
      node "dist/scripts/bench-$name.js" || code=1
      ;;
    table)
      printf '\n== cold reads\n'
      node dist/scripts/bench-reads.js --write || code=1
      ;;
    cold | tls | wan | shards | first | random | demand | loader | streams | share) reads+=("$name") ;;
    *)
      sed -n '4,13s/^# \{0,1\}//p' scripts/bench.sh >&2
      echo "bench.sh: no benchmark is called $name" >&2
      exit 2
      ;;
  esac
done
# Together, so that their runs interleave.
if [ ${#reads[@]} -gt 0 ]; then
  printf '\n== %s\n' "${reads[*]}"
  node dist/scripts/bench-reads.js "${reads[@]}" || code=1
fi
exit $code
