"""The scripts of certificate changes: probes that compare what was kept, what lies on disk and what is served; the way back.

Every script is bash, gets its values as arguments, and may be run again wherever it was cut off.
"""

from __future__ import annotations

from runbook.facts.certificates import SERVED

# print of a file's first certificate, and of what a container serves (arguments as those of SERVED)
_PRINTS = f"""
set -euo pipefail
print_of() {{ openssl x509 -in "$1" -noout -fingerprint -sha256; }}
pairs() {{ [ "$(openssl x509 -in "$1" -noout -pubkey)" = "$(openssl pkey -in "$2" -pubout)" ]; }}
handshake() {{
{SERVED}
}}
served() {{ (handshake "$@" || true) | openssl x509 -noout -fingerprint -sha256; }}
"""

# $1 folder of kept copies, $2 live folder of the lineage: another certificate than the kept one is live, whole, with its key
RENEWED = (
    _PRINTS
    + """
kept=$1 live=$2
renewed() {
  [ -e "$kept$live/fullchain.pem" ]
  for kind in cert chain fullchain privkey; do readlink "$live/$kind.pem" | grep -oE '[0-9]+\\.pem$'; done | sort -u | wc -l | grep -qx 1
  [ "$(print_of "$kept$live/fullchain.pem")" != "$(print_of "$live/fullchain.pem")" ]
  pairs "$live/fullchain.pem" "$live/privkey.pem"
}
renewed
"""
)
# $3 container, $4 public name: and it is served
RENEWED_AND_SERVED = RENEWED + '[ "$(served "$3" 443 no "$4")" = "$(print_of "$live/fullchain.pem")" ]\n'
# $1 live folder, $2 container, $3 public name: what lies on disk is served
DISK_SERVED = (
    _PRINTS
    + """
served=$(served "$2" 443 no "$3") disk=$(print_of "$1/fullchain.pem")
[ "$served" = "$disk" ] || { echo "served is $served, on disk lies $disk" >&2; exit 1; }
echo "$served"
"""
)
# $1 container: where the configuration does not hold, nginx goes on with what it has in memory, which is then what was before
RELOAD_IF_VALID = """
set -euo pipefail
if docker exec "$1" nginx -t; then docker exec "$1" nginx -s reload; else echo "not reloaded: its configuration does not hold"; fi
"""
# $1 folder of kept copies, then places in certbot's folders: put each back, keep what it replaces beside the copies
PUT_BACK_LINEAGE = """
set -euo pipefail
kept=$1; shift
[ -e "$kept$1" ] || { echo "no copy was kept, so nothing was changed"; exit 0; }
replaced=${kept%/*}/replaced
install -d -m 700 "$replaced"
for path in "$@"; do
  part=$path.runbook-part
  rm -rf "$part"
  cp -a "$kept$path" "$part"
  if [ -e "$path" ] && [ ! -e "$replaced$path" ]; then
    mkdir -p "$(dirname "$replaced$path")"
    rm -rf "$replaced$path.part"
    cp -a "$path" "$replaced$path.part"
    mv -T "$replaced$path.part" "$replaced$path"
  fi
  if [ -d "$path" ]; then rm -rf "$path"; fi
  mv -T "$part" "$path"
done
sync
"""

# $1 folder of kept copies, $2 certificate, $3 key, $4 authority's file: a new and whole set lies there
MADE = (
    _PRINTS
    + """
kept=$1 certificate=$2 key=$3 authority=$4
made() {
  [ -e "$kept$certificate" ]
  [ "$(print_of "$kept$certificate")" != "$(print_of "$certificate")" ]
  pairs "$certificate" "$key"
  openssl verify -CAfile "$authority" "$certificate" >/dev/null
}
made
"""
)
# $5... containers: and each was started after the set was laid down
MADE_AND_STARTED = (
    MADE
    + """
shift 4
laid=$(stat -c %.9Z "$certificate"); laid=${laid/./}
for name in "$@"; do
  at=$(docker inspect --format '{{.State.StartedAt}}' "$name")
  [ "$(date -d "$at" +%s%N)" -gt "$laid" ]
done
"""
)
# $1 folder of kept copies, then containers in order: restart those that were started since the copies were made; the
# others never saw the new set, and their users are spared the wait
RESTART_SINCE = """
set -euo pipefail
kept=$1; shift
[ -d "$kept" ] || { echo "no copy was kept, so nothing was restarted"; exit 0; }
since=$(stat -c %.9Z "$kept"); since=${since/./}
for name in "$@"; do
  at=$(docker inspect --format '{{.State.StartedAt}}' "$name")
  if [ "$(date -d "$at" +%s%N)" -gt "$since" ]; then docker restart "$name"; fi
done
"""
# pairs of certificate and authority's file: each is issued by its authority (how long it is good for is judged elsewhere)
CHAINS_HOLD = """
set -euo pipefail
while [ $# -gt 0 ]; do openssl verify -no_check_time -CAfile "$2" "$1"; shift 2; done
"""
# $1 certificate, $2 authority's file, $3 container, $4 port, $5 starttls protocol or "no", $6 name: a client that trusts
# this authority alone gets just this certificate, and no error
TRUSTED = (
    _PRINTS
    + """
certificate=$1 authority=$2; shift 2
said=$(handshake "$@" -CAfile "$authority" -no-CApath -no-CAstore -verify_hostname "$4" -verify_return_error) || { echo "$said" | tail -n 5 >&2; exit 1; }
[ "$(openssl x509 -noout -fingerprint -sha256 <<<"$said")" = "$(print_of "$certificate")" ] || { echo "another certificate is served" >&2; exit 1; }
grep -m 1 -x 'Verification: OK' <<<"$said"
"""
)
# $1 certificate, then as for SERVED: just this one is served, whatever its dates
FILE_SERVED = (
    _PRINTS
    + """
certificate=$1; shift
[ "$(served "$@")" = "$(print_of "$certificate")" ] || { echo "another certificate is served than lies in $certificate" >&2; exit 1; }
"""
)
# $1 file on the server, then pairs of container and place in it: each container sees just this file
SAME_FILE = """
set -euo pipefail
file=$1; shift
while [ $# -gt 0 ]; do
  docker exec "$1" cat "$2" </dev/null | cmp - "$file" || { echo "$1 still sees another $2" >&2; exit 1; }
  shift 2
done
"""
# $1 address of the object store as host:port, $2 authority's file, $3 container, $4 path
STORE_ANSWERS = """
set -euo pipefail
address=$(docker inspect --format '{{range .NetworkSettings.Networks}}{{.IPAddress}} {{end}}' -- "$3" | cut -d' ' -f1)
exec curl --fail --silent --show-error --max-time 5 --output /dev/null --cacert "$2" --resolve "$1:$address" "https://$1$4"
"""
# $1 folder of kept copies, $2 folder of the set: its files are what they were, others are gone; folders in it stay
PUT_BACK_SET = """
set -euo pipefail
copy=$1$2 folder=$2
[ -d "$copy" ] || { echo "no copy was kept, so nothing was changed"; exit 0; }
rm -rf "$folder"/.new.*
for file in "$folder"/* "$folder"/.[!.]*; do
  if [ -f "$file" ] && [ ! -e "$copy/${file##*/}" ]; then rm -f "$file"; fi
done
for file in "$copy"/* "$copy"/.[!.]*; do
  [ -f "$file" ] || continue
  if ! cmp -s "$file" "$folder/${file##*/}"; then
    cp -a "$file" "$folder/.runbook-part"
    mv -T "$folder/.runbook-part" "$folder/${file##*/}"
  fi
done
sync -f "$folder"
"""
