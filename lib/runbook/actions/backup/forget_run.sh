# Take this run's copies of one class out of the repository. Arguments: class, files that go with them
class=$1
shift
rm -f "$@"
if [ ! -e "$RESTIC_REPOSITORY/config" ]; then exit 0; fi
restic unlock --quiet
found=$(ids "$run,$class")
[ -z "$found" ] || restic forget --quiet $found
rm -f "$work/snapshot-$class.json" "$work/frozen-$class.json"
