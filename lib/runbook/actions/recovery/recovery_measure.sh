# Write down how long the recovery took and as of when its data is. Arguments: file, run (its time), copy, time of the data
set -euo pipefail
file=$1 begun=$2 copy=$3 data=$4
seconds() { date -u -d "$(printf '%s' "$1" | sed -E 's/^([0-9]{4})([0-9]{2})([0-9]{2})T([0-9]{2})([0-9]{2})([0-9]{2})Z$/\1-\2-\3 \4:\5:\6 UTC/')" +%s; }
took=$(( $(date +%s) - $(seconds "$begun") ))
printf '{"begun":"%s","ended":"%s","recovery_seconds":%s,"copy":"%s","data_as_of":"%s"}\n' "$begun" "$(date -u +%Y-%m-%dT%H:%M:%SZ)" "$took" "$copy" "$data" > "$file.part"
chmod 0644 "$file.part"
sync "$file.part"
mv -T "$file.part" "$file"
echo "recovery time $took s; the data is as of $data"
