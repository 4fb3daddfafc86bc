# Begins every script that works with the repository. Arguments: repository, password file, group that may read it, target, run, folder of the run
set -euo pipefail
export RESTIC_REPOSITORY=$1 RESTIC_PASSWORD_FILE=$2 HOME=/root LC_ALL=C.UTF-8
group=$3 target=$4 run=$5 work=$6
shift 6
umask 077
restic() { command restic --no-cache --retry-lock 5m "$@"; }
share() { chgrp -R "$group" "$RESTIC_REPOSITORY"; chmod -R g+rX,o-rwx "$RESTIC_REPOSITORY"; }
# what a step has brought about is written where the next run looks for it, whole or not at all
keep() { cat > "$work/$1.part"; sync "$work/$1.part"; mv -T "$work/$1.part" "$work/$1"; }
# the last line of restic --json is its summary; without one it did not come to its end
came_to_its_end() { grep -q '"message_type":"summary"' "$work/summary.json" || { echo "restic gave no summary" >&2; exit 1; } }
ids() { restic snapshots --json --tag "$1" | { grep -o '"id":"[0-9a-f]\{64\}"' || true; } | cut -d '"' -f 4; }
