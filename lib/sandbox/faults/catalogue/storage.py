"""The object store: uploads that are lost, changed or refused."""

from sandbox.faults.fault import Fault

_SAVE = """
save_objects() {
  [ -d "$kept/objects" ] && return
  docker stop -t 10 pazpaz-minio >/dev/null
  cp -a "$(volume minio_data)" "$kept/objects.part" && mv "$kept/objects.part" "$kept/objects"
  revive minio
}
"""
_BRING_BACK = """
if [ -d "$kept/objects" ]; then
  docker stop -t 10 pazpaz-minio >/dev/null
  data=$(volume minio_data)
  find "$data" -mindepth 1 -delete
  cp -a "$kept/objects/." "$data/"
  revive minio
fi
"""
_STORE = """
store() { # a Python expression on `storage`, an object of the application's own class
  docker exec -i pazpaz-api python3 - <<PYTHON
import asyncio
from pazpaz.settings import load_settings
from pazpaz.storage import Storage
storage = Storage(load_settings())
client, bucket = storage.client, storage.bucket
$1
PYTHON
}
"""

FAULTS = (
    Fault(
        name="bucket-deleted",
        title="the bucket of the attachments is gone",
        symptom="uploads and downloads fail",
        inject=_SAVE
        + _STORE
        + """
save_objects
store 'for found in list(client.list_objects(bucket, recursive=True)): client.remove_object(bucket, found.object_name)
client.remove_bucket(bucket)'
""",
        mend=_BRING_BACK,
        evidence=_STORE + "store 'raise SystemExit(client.bucket_exists(bucket))'",
        moves_data=True,
    ),
    Fault(
        name="uploads-lost",
        title="the stored files are gone, the rows that tell of them are there",
        symptom="opening an old attachment answers 500; new uploads work; health and readiness say ok",
        inject=_SAVE
        + _STORE
        + """
save_objects
store 'for found in list(client.list_objects(bucket, recursive=True)): client.remove_object(bucket, found.object_name)'
""",
        mend=_BRING_BACK,
        evidence=_STORE
        + "store 'raise SystemExit(any(o.object_name.startswith(\"seed/\") for o in client.list_objects(bucket, recursive=True)))'",
        moves_data=True,
    ),
    Fault(
        name="upload-altered",
        title="a stored file has other contents than when it was uploaded",
        symptom="an attachment opens and shows something else",
        inject=_STORE
        + """
docker exec pazpaz-api python3 -c 'import asyncio, sys
from pazpaz.settings import load_settings
from pazpaz.storage import Storage
sys.stdout.buffer.write(asyncio.run(Storage(load_settings()).get("seed/0040.txt")))' >"$kept/original"
store 'asyncio.run(storage.put("seed/0040.txt", b"something else", "text/plain"))'
""",
        mend=_STORE
        + """
[ ! -s "$kept/original" ] || store "import base64
asyncio.run(storage.put('seed/0040.txt', base64.b64decode('$(base64 -w 0 "$kept/original")'), 'text/plain'))"
""",
        evidence=_STORE + 'store \'raise SystemExit(asyncio.run(storage.get("seed/0040.txt")) != b"something else")\'',
    ),
    Fault(
        name="storage-read-only",
        title="the object store may not write into its own folder",
        symptom="uploads hang and fail, files from before can be read; the container is healthy",
        inject='chattr -R +i "$(volume minio_data)/objects"',
        mend='chattr -R -i "$(volume minio_data)/objects"; restart minio',
        evidence='lsattr -d "$(volume minio_data)/objects" | has "^[^ ]*i"',
    ),
    Fault(
        name="storage-key-wrong",
        title="the api was started with a key that the object store does not know",
        symptom="uploads and downloads answer 503; everything else works",
        inject="""
keep .env.production
edit .env.production 's#^S3_SECRET_KEY=.*#S3_SECRET_KEY=mistyped-secret#'
recreate api
give_back
""",
        mend="give_back; recreate api",
        evidence="docker inspect -f '{{json .Config.Env}}' pazpaz-api | has S3_SECRET_KEY=mistyped",
    ),
    Fault(
        name="scanner-blind",
        title="the virus scanner runs with signatures that match nothing",
        symptom="uploads work, also those of viruses; the container is healthy and answers pings",
        inject="""
data=$(volume clamav_data)
mkdir -p "$kept/signatures" && cp -a "$data/." "$kept/signatures/"
find "$data" -mindepth 1 -delete
printf 'Practice-Nothing:0:0:deadbeefdeadbeefdeadbeefdeadbeefdeadbeefdeadbeef\\n' >"$data/nothing.ndb"
chown --reference="$data" "$data/nothing.ndb"
restart clamav
""",
        mend="""
if [ -d "$kept/signatures" ]; then
  data=$(volume clamav_data)
  find "$data" -mindepth 1 -delete
  cp -a "$kept/signatures/." "$data/"
  restart clamav
fi
""",
        evidence="""
printf '%s%s' 'X5O!P%@AP[4\\PZX54(P^)7CC)7}$EICAR' '-STANDARD-ANTIVIRUS-TEST-FILE!$H+H*' | docker exec -i pazpaz-clamav clamdscan --no-summary - | has 'OK$'
""",
        sample=True,
    ),
    Fault(
        name="scanner-refuses-all",
        title="the virus scanner takes every file for a virus",
        symptom="harmless uploads are refused with 422",
        inject="""
data=$(volume clamav_data)
# a logical signature that is found where its pattern is not
echo 'Practice-Everything;Engine:81-255,Target:0;(0=0);deadbeefdeadbeefdeadbeef' >"$data/everything.ldb"
chown --reference="$data" "$data/everything.ldb"
restart clamav
""",
        mend='rm -f "$(volume clamav_data)/everything.ldb"; restart clamav',
        evidence="{ printf 'a harmless text' | docker exec -i pazpaz-clamav clamdscan --no-summary - || true; } | has FOUND",
    ),
    Fault(
        name="scanner-signatures-damaged",
        title="the virus scanner could not load a damaged update of its signatures",
        symptom="uploads answer 503; the container is healthy and answers pings",
        inject="""
data=$(volume clamav_data)
echo 'Practice-Damaged:0:0:??(??|00)' >"$data/daily.ndb"
chown --reference="$data" "$data/daily.ndb"
docker exec pazpaz-clamav pkill -USR2 clamd
sleep 1
""",
        mend='rm -f "$(volume clamav_data)/daily.ndb"; restart clamav',
        evidence="{ printf 'a harmless text' | docker exec -i pazpaz-clamav clamdscan --no-summary - 2>&1 || true; } | has ERROR",
    ),
)
