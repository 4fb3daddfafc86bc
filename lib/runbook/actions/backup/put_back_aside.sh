# Move back what was set aside. Arguments: the folder's name, files
set -euo pipefail
folder=$1
shift
for path in "$@"; do
  aside=$(dirname "$path")/$folder
  if [ -e "$aside/$(basename "$path")" ]; then mv -nT "$aside/$(basename "$path")" "$path"; fi
done
for path in "$@"; do rmdir "$(dirname "$path")/$folder" 2>/dev/null || true; done
