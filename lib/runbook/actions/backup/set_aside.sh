# Move files into a folder beside each of them. Arguments: the folder's name, files
set -euo pipefail
folder=$1
shift
for path in "$@"; do
  [ -e "$path" ] || continue
  aside=$(dirname "$path")/$folder
  install -d -m 700 "$aside"
  mv -T "$path" "$aside/$(basename "$path")"
done
