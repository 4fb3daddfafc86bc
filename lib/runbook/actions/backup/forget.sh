# Take copies out of the repository, and what was written beside it about their runs. Arguments: how many copies, their ids, files
count=$1
shift
ids=("${@:1:count}")
shift "$count"
restic unlock --quiet
# damage must be found before anything goes, not after
restic check --quiet
kept=$work/forgotten
install -d -m 700 "$work" "$kept"
for id in "${ids[@]}"; do
  if [ -e "$RESTIC_REPOSITORY/snapshots/$id" ]; then cp -a "$RESTIC_REPOSITORY/snapshots/$id" "$kept/"; fi
done
for file in "$@"; do
  if [ -e "$file" ]; then cp -a "$file" "$kept/"; fi
done
sync -f "$kept"
there=()
for id in "${ids[@]}"; do if [ -e "$RESTIC_REPOSITORY/snapshots/$id" ]; then there+=("$id"); fi; done
[ ${#there[@]} = 0 ] || restic forget --quiet "${there[@]}"
rm -f "$@"
