# Prove that the repository is whole and that what it holds is what was put in. Arguments: how much is read, then pairs: class, path
subset=$1
shift
restic check --quiet --read-data-subset="$subset"
back=$work/read-back
trap 'rm -rf "$back"' EXIT
look() { (cd "$1" && find . -printf '%P|%y|%m|%U|%G|%l\n' | sort; find . -type f -exec sha256sum {} + | sort -k 2); }
while [ $# -gt 0 ]; do
  class=$1 path=$2
  shift 2
  snapshot=$(grep -o '"snapshot_id":"[0-9a-f]*"' "$work/snapshot-$class.json" | cut -d '"' -f 4)
  rm -rf "$back"
  mkdir -p "$back"
  restic restore --quiet --target "$back" --include "$path" "$snapshot"
  if [ -d "$path" ]; then
    diff <(look "$path") <(look "$back$path") || { echo "$class: what was read back from $path differs" >&2; exit 1; }
  else
    cmp "$path" "$back$path"
    [ "$(stat -c '%a %u %g' "$path")" = "$(stat -c '%a %u %g' "$back$path")" ] || { echo "$class: owner or mode of $path differs" >&2; exit 1; }
  fi
  echo "$class: $path is the same when read back"
done
printf '{"at":"%s","subset":"%s"}\n' "$(date -u +%Y-%m-%dT%H:%M:%SZ)" "$subset" | keep checked.json
