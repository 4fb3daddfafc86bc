# Write beside the repository what it holds, for whoever has not its password. Arguments: script, folder for manifests, catalogue
script=$1 folder=$2 catalogue=$3
if [ ! -e "$RESTIC_REPOSITORY/config" ]; then echo "there is no repository"; exit 0; fi
install -d -m 700 "$work"
restic snapshots --json > "$work/snapshots.json"
python3 -c "$script" catalogue "$work/snapshots.json" "$folder" "$catalogue.part"
chgrp "$group" "$catalogue.part"
chmod 640 "$catalogue.part"
sync "$catalogue.part"
mv -T "$catalogue.part" "$catalogue"
share
