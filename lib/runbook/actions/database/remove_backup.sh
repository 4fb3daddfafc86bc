# Remove one dump with what lies beside it. Arguments: the dump
set -euo pipefail
exec </dev/null
rm -f "$1" "$1.sha256" "$1.manifest.json" "$1.part" "$1.sha256.part" "$1.manifest.json.part"
sync "$(dirname "$1")"
