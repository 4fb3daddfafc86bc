# Give one object the content that it had, or remove it where there was none. Arguments: container of a client, script, key
reader=$1 script=$2 key=$3
case $(cat "$work/object-was" 2>/dev/null) in
  there) docker exec -i "$reader" python -c "$script" put "" "$key" < "$work/object" ;;
  absent) docker exec "$reader" python -c "$script" remove "" "$key" < /dev/null ;;
  *) echo "nothing was put" ;;
esac
rm -f "$work/put"
