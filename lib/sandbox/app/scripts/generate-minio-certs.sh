#!/bin/bash
# Make a new CA and server certificate for the object store, valid for ten years, under the names that
# MinIO reads (public.crt, private.key), and ca.crt for its callers. Run as root from anywhere; then restart minio, api and arq-worker.
# The old files are kept beside the new ones as *.old until the next run.
set -euo pipefail

root=${PAZPAZ_ROOT:-/opt/pazpaz}
certs=$root/backend/certs/minio
days=3650

[ "$(id -u)" -eq 0 ] || { echo "$0: run as root (sudo $0)" >&2; exit 1; }
[ -d "$root/backend" ] || { echo "$0: $root/backend is missing: is this the application's host?" >&2; exit 1; }
install -d -m 0755 "$certs"
new=$(mktemp -d "$certs/.new.XXXXXX")
trap 'rm -rf "$new"' EXIT

key() { openssl genpkey -quiet -algorithm EC -pkeyopt ec_paramgen_curve:prime256v1 -out "$1"; }

# The CA's own key is thrown away: the next run makes a new CA, so nothing is left that could sign in its name.
key "$new/ca.key"
openssl req -x509 -new -key "$new/ca.key" -days $days -subj "/O=PazPaz/CN=PazPaz object store CA $(date -u +%Y%m%d%H%M%S)" \
  -addext basicConstraints=critical,CA:TRUE,pathlen:0 -addext keyUsage=critical,keyCertSign,cRLSign -out "$new/ca.crt"
key "$new/private.key"
openssl req -new -key "$new/private.key" -subj /CN=minio -out "$new/server.csr"
openssl x509 -req -in "$new/server.csr" -CA "$new/ca.crt" -CAkey "$new/ca.key" -days $days -out "$new/public.crt" \
  -extfile <(printf '%s\n' basicConstraints=critical,CA:FALSE keyUsage=critical,digitalSignature extendedKeyUsage=serverAuth \
    subjectAltName=DNS:minio,DNS:localhost,IP:127.0.0.1 subjectKeyIdentifier=hash authorityKeyIdentifier=keyid) 2>/dev/null
openssl verify -x509_strict -CAfile "$new/ca.crt" "$new/public.crt" >/dev/null

for name in private.key public.crt ca.crt; do
  mode=0644; [[ $name == *.key ]] && mode=0600
  chown root:root "$new/$name"; chmod $mode "$new/$name"
  if [ -e "$certs/$name" ]; then cp -p "$certs/$name" "$certs/$name.old"; fi
  mv "$new/$name" "$certs/$name"
done
echo "object store certificate: $(openssl x509 -in "$certs/public.crt" -noout -enddate)"
