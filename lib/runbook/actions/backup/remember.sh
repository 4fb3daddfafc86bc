# Put copies back that were taken out, as long as what they consist of is still there. Arguments: how many copies, their ids, files
count=$1
shift
ids=("${@:1:count}")
shift "$count"
kept=$work/forgotten
if [ -e "$work/pruning" ]; then echo "their room is given back already: they stay out"; exit 0; fi
for id in "${ids[@]}"; do
  if [ -e "$kept/$id" ] && [ ! -e "$RESTIC_REPOSITORY/snapshots/$id" ]; then cp -a "$kept/$id" "$RESTIC_REPOSITORY/snapshots/"; fi
done
for file in "$@"; do
  if [ -e "$kept/$(basename "$file")" ] && [ ! -e "$file" ]; then cp -a "$kept/$(basename "$file")" "$file"; fi
done
restic check --quiet
# nobody has taken them out any more: were they missing later, that would be a loss
rm -rf "$kept"
