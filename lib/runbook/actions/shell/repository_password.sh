# Lay down the password that opens the repository. Arguments: the file; standard input: the password
set -euo pipefail
umask 077
file=$1
install -d -m 700 "$(dirname "$file")"
cat > "$file.part"
[ -s "$file.part" ] || { echo "the password is empty" >&2; exit 1; }
if cmp -s "$file.part" "$file"; then rm -f "$file.part"; exit 0; fi
if [ -e "$file" ]; then cp -a "$file" "$file.before"; fi
sync "$file.part"
mv -T "$file.part" "$file"
