# Give back the room of what was taken out, and check what is left. From its beginning on nothing can be put back.
install -d -m 700 "$work"
touch "$work/pruning"
sync "$work/pruning"
before=$(du -sb "$RESTIC_REPOSITORY" | cut -f 1)
restic unlock --quiet
restic prune --quiet
restic check --quiet
touch "$work/pruned"
share
echo "$(((before - $(du -sb "$RESTIC_REPOSITORY" | cut -f 1)) / 1000)) kB given back"
