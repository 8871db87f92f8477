#!/usr/bin/env bash
# Makes a Debian or Ubuntu machine ready for Sluice, as root or as a user with sudo: system packages, npm packages.
# Fast when everything is there. With the argument `clients`, also the clients that the tests run (curl, s3fs, rclone).
# Where it may not or cannot install, it names what is missing with the command that brings it, and stops.
set -euo pipefail
cd "$(dirname "$0")/.."

say() { printf 'sluice set-up: %s\n' "$*"; }
die() { printf 'sluice set-up: %s\n' "$*" >&2; exit 1; }

# Node 20.15 is the first 20 with zlib.crc32 and the fs flush option.
command -v node >/dev/null ||
  die "Node.js is missing: install 20.15 or newer, on Debian 13 by: apt-get update && apt-get install -y nodejs"
node -e 'const [a, b] = process.versions.node.split(".").map(Number); process.exit(a > 20 || (a === 20 && b >= 15) ? 0 : 1)' ||
  die "Node.js $(node --version) is too old: Sluice needs 20.15 or newer (Debian 13 has it; for others see nodejs.org)"

# Debian's names of what is missing.
missing=()
find_missing() {
  missing=()
  local libraries
  # Not piped into grep: the writer would fail when grep has seen enough. Users of Debian have no /sbin in their PATH.
  libraries=$(PATH=$PATH:/usr/sbin:/sbin ldconfig -p 2>/dev/null) || libraries=
  # libfuse2 mounts through fusermount, which comes along with fusermount3.
  command -v fusermount >/dev/null && command -v fusermount3 >/dev/null || missing+=(fuse3)
  [[ $libraries == *libfuse.so.2* ]] || missing+=(libfuse2)
  command -v cc >/dev/null && command -v c++ >/dev/null || missing+=(g++)
  command -v openssl >/dev/null || missing+=(openssl)
  # Debian's Node.js comes without npm, and trusts the system's authorities only.
  command -v npm >/dev/null || missing+=(npm)
  [ -n "$(ls -A /etc/ssl/certs 2>/dev/null)" ] || missing+=(ca-certificates)
  if [ "${1:-}" = clients ]; then
    command -v curl >/dev/null || missing+=(curl)
    command -v s3fs >/dev/null || missing+=(s3fs)
    command -v rclone >/dev/null || missing+=(rclone)
  fi
}

# An update may fail for somebody else's repository; whether that matters, the installation shows. A machine that has just
# started may be installing its own updates: wait for them.
INSTALL='umask 022
export DEBIAN_FRONTEND=noninteractive
apt-get update -qq || echo "apt-get update failed"
apt-get install -y -qq --no-install-recommends -o DPkg::Lock::Timeout=300 "$@"'

# As root, or by sudo with one question for a password at most. Says nothing where it works.
as_root() { # BY_HAND COMMAND...: what to run by hand otherwise, what to run here
  local by_hand=$1 log root=()
  shift
  if [ "$(id -u)" -ne 0 ]; then
    command -v sudo >/dev/null || die "there is no sudo here. Run as root: $by_hand"
    root=(sudo)
  fi
  log=$(mktemp)
  if ! "${root[@]}" "$@" </dev/null >"$log" 2>&1; then
    tail -n 8 "$log" >&2
    rm -f "$log"
    die "that failed (above). When the cause is gone, start again, or run as root: $by_hand"
  fi
  rm -f "$log"
}

install_missing() {
  command -v apt-get >/dev/null ||
    die "missing: ${missing[*]} (Debian's names), and there is no apt-get here: install your system's packages of them"
  say "installing ${missing[*]}"
  as_root "apt-get update && apt-get install -y --no-install-recommends ${missing[*]}" sh -c "$INSTALL" sh "${missing[@]}"
}

if [ "$(uname -s)" = Linux ]; then
  find_missing "$@"
  if [ ${#missing[@]} -gt 0 ]; then
    install_missing
    find_missing "$@"
    [ ${#missing[@]} -eq 0 ] || die "still not found after their installation: ${missing[*]} (is PATH complete?)"
  fi
  # Without it fusermount cannot unmount. systemd makes it, and Docker; debootstrap does not.
  if [ ! -e /etc/mtab ]; then
    say "linking /etc/mtab to /proc/self/mounts"
    as_root "ln -sf /proc/self/mounts /etc/mtab" ln -sf /proc/self/mounts /etc/mtab
  fi
else
  command -v npm >/dev/null || die "npm is missing: it comes with Node.js from nodejs.org"
  [ -e /Library/Filesystems/macfuse.fs ] || say "macFUSE was not found: install it from its own site before mounting"
fi

# npm writes this copy of the lock file when an installation is complete.
if [ ! -f node_modules/.package-lock.json ] || [ package-lock.json -nt node_modules/.package-lock.json ]; then
  say "installing npm packages"
  # Included also where NODE_ENV is production: the compiler is among them.
  npm ci --include=dev --ignore-scripts --no-audit --no-fund --loglevel=error || die "npm ci failed (above)"
  touch node_modules/.package-lock.json
fi
