#!/usr/bin/env bash
# Makes a Debian or Ubuntu machine ready for Sluice, as root or as a user with sudo: system packages, npm packages.
# Fast when everything is there. With the argument `clients`, also the S3 clients that the tests run (s3fs, rclone).
# On other systems it names what is missing and stops.
set -euo pipefail
cd "$(dirname "$0")/.."

say() { printf 'sluice set-up: %s\n' "$*"; }
die() { printf 'sluice set-up: %s\n' "$*" >&2; exit 1; }

# Node 20.15 is the first 20 with zlib.crc32 and the fs flush option.
if ! command -v node >/dev/null; then
  die "Node.js is missing. Install version 20.15 or newer, e.g. from your distribution: apt-get install nodejs npm"
fi
node -e 'const [a, b] = process.versions.node.split(".").map(Number); process.exit(a > 20 || (a === 20 && b >= 15) ? 0 : 1)' ||
  die "Node.js $(node --version) is too old: Sluice needs 20.15 or newer"
command -v npm >/dev/null || die "npm is missing: apt-get install npm"

has_library() { ldconfig -p 2>/dev/null | grep -q "$1" || /sbin/ldconfig -p 2>/dev/null | grep -q "$1"; }

missing=()
if [ "$(uname -s)" = Linux ]; then
  command -v fusermount3 >/dev/null || missing+=(fuse3)
  has_library 'libfuse\.so\.2' || missing+=(libfuse2)
  command -v cc >/dev/null && command -v c++ >/dev/null || missing+=(g++)
  command -v openssl >/dev/null || missing+=(openssl)
  if [ "${1:-}" = clients ]; then
    command -v s3fs >/dev/null || missing+=(s3fs)
    command -v rclone >/dev/null || missing+=(rclone)
  fi
else
  [ -e /Library/Filesystems/macfuse.fs ] || say "macFUSE was not found: install it from its own site before mounting"
fi

if [ ${#missing[@]} -gt 0 ]; then
  command -v apt-get >/dev/null ||
    die "these are missing and there is no apt-get here to bring them: ${missing[*]} (Debian's names; install your system's packages of them)"
  root=()
  if [ "$(id -u)" -ne 0 ]; then
    command -v sudo >/dev/null || die "missing: ${missing[*]}. Run as root: apt-get install -y ${missing[*]}"
    root=(sudo)
  fi
  say "installing ${missing[*]}"
  # An index from long ago may name packages that are gone; an hour is young enough.
  [ -n "$(find /var/lib/apt/lists -maxdepth 1 -name '*Packages*' -mmin -60 -print -quit 2>/dev/null)" ] ||
    "${root[@]}" apt-get update -qq || die "apt-get update failed: is the network there?"
  # The library was renamed where time_t grew to 64 bits (Debian 13, Ubuntu 24.04).
  packages=()
  for package in "${missing[@]}"; do
    if [ "$package" = libfuse2 ] && apt-cache show libfuse2t64 >/dev/null 2>&1; then package=libfuse2t64; fi
    packages+=("$package")
  done
  log=$(mktemp)
  if ! "${root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${packages[@]}" >"$log" 2>&1; then
    tail -n 5 "$log" >&2
    rm -f "$log"
    die "apt-get install ${packages[*]} failed (above)"
  fi
  rm -f "$log"
fi

# npm writes this copy of the lock file when an installation is complete.
if [ ! -f node_modules/.package-lock.json ] || [ package-lock.json -nt node_modules/.package-lock.json ]; then
  say "installing npm packages"
  npm ci --ignore-scripts --no-audit --no-fund --loglevel=error || die "npm ci failed (above)"
  touch node_modules/.package-lock.json
fi
