#!/bin/sh
# Build the site: build.sh SITE OUT VERSION. Assets get a hash of their content in their name, and version.json
# names the release.
set -eu
site=$1 out=$2 version=$3
mkdir -p "$out/assets"
cp "$site/index.html" "$out/index.html"
for name in app.js app.css; do
  hash=$(sha256sum "$site/$name" | cut -c1-8)
  hashed=assets/${name%.*}.$hash.${name##*.}
  cp "$site/$name" "$out/$hashed"
  sed -i "s|\"/$name\"|\"/$hashed\"|" "$out/index.html"
done
printf '{"version": "%s"}\n' "$version" >"$out/version.json"
