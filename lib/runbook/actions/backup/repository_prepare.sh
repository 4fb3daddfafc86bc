# Make the repository where it is missing, take away locks that a killed run left, and see that the password opens it.
install -d -m 700 "$work"
if [ ! -e "$RESTIC_REPOSITORY/config" ]; then
  part=$RESTIC_REPOSITORY.part
  rm -rf "$part"
  install -d "$(dirname "$RESTIC_REPOSITORY")"
  RESTIC_REPOSITORY=$part restic init
  # an empty folder may be there; one that holds anything is nobody's to replace
  if [ -e "$RESTIC_REPOSITORY" ]; then rmdir "$RESTIC_REPOSITORY"; fi
  mv -T "$part" "$RESTIC_REPOSITORY"
  sync -f "$RESTIC_REPOSITORY"
fi
restic unlock
restic cat config > "$work/config.json"
share
