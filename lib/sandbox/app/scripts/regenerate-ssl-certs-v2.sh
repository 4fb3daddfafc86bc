#!/bin/bash
# Make a new internal CA and a new PostgreSQL server certificate, both valid for ten years.
# Run as root from anywhere; then restart db (it copies the pair at start) and api and arq-worker (they read the CA at start).
# The old files are kept beside the new ones as *.old until the next run.
set -euo pipefail

root=${PAZPAZ_ROOT:-/opt/pazpaz}
certs=$root/backend/certs
days=3650

[ "$(id -u)" -eq 0 ] || { echo "$0: run as root (sudo $0)" >&2; exit 1; }
[ -d "$root/backend" ] || { echo "$0: $root/backend is missing: is this the application's host?" >&2; exit 1; }
install -d -m 0755 "$certs"
new=$(mktemp -d "$certs/.new.XXXXXX")
trap 'rm -rf "$new"' EXIT

key() { openssl genpkey -quiet -algorithm EC -pkeyopt ec_paramgen_curve:prime256v1 -out "$1"; }

# Python 3.13 verifies strictly: a CA needs keyUsage keyCertSign and a subject key id, a leaf its authority key id.
key "$new/ca.key"
openssl req -x509 -new -key "$new/ca.key" -days $days -subj "/O=PazPaz/CN=PazPaz internal CA $(date -u +%Y%m%d%H%M%S)" \
  -addext basicConstraints=critical,CA:TRUE,pathlen:0 -addext keyUsage=critical,keyCertSign,cRLSign -out "$new/ca.crt"
key "$new/server.key"
openssl req -new -key "$new/server.key" -subj /CN=db -out "$new/server.csr"
openssl x509 -req -in "$new/server.csr" -CA "$new/ca.crt" -CAkey "$new/ca.key" -days $days -out "$new/server.crt" \
  -extfile <(printf '%s\n' basicConstraints=critical,CA:FALSE keyUsage=critical,digitalSignature extendedKeyUsage=serverAuth \
    subjectAltName=DNS:db,DNS:localhost,IP:127.0.0.1 subjectKeyIdentifier=hash authorityKeyIdentifier=keyid) 2>/dev/null
openssl verify -x509_strict -CAfile "$new/ca.crt" "$new/server.crt" >/dev/null

for name in ca.key server.key ca.crt server.crt; do
  mode=0644; [[ $name == *.key ]] && mode=0600
  chown root:root "$new/$name"; chmod $mode "$new/$name"
  if [ -e "$certs/$name" ]; then cp -p "$certs/$name" "$certs/$name.old"; fi
  mv "$new/$name" "$certs/$name"
done
echo "PostgreSQL certificate: $(openssl x509 -in "$certs/server.crt" -noout -enddate)"
