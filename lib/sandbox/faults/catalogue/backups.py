"""Backups that are missing, old, empty, cut, unmade or have no room."""

from sandbox.faults.fault import Fault

_NEWEST = "newest() { ls -t backups/pazpaz-*.dump 2>/dev/null | head -n 1; }\n"
_SAVE = 'mkdir -p "$kept/backups" && cp -a backups/. "$kept/backups/"\n'
_BRING_BACK = """
if [ -d "$kept/backups" ]; then
  rm -f backups/pazpaz-*.dump backups/pazpaz-*.dump.sha256
  cp -a "$kept/backups/." backups/
fi
"""
_NEW_NAME = "pazpaz-$(date -u +%Y%m%d-%H%M%S).dump"

FAULTS = (
    Fault(
        name="backups-missing",
        title="there is no database dump at all",
        symptom="nothing, until a backup is needed",
        inject=_SAVE + "rm backups/pazpaz-*.dump*",
        mend=_BRING_BACK,
        evidence="! ls backups/pazpaz-*.dump >/dev/null 2>&1",
    ),
    Fault(
        name="backups-old",
        title="the newest database dump is nine days old",
        symptom="nothing, until a backup is needed",
        inject=_SAVE
        + """
moment=$(date -u -d '9 days ago' +%Y%m%d-%H%M%S)
number=0
for dump in $(ls -t backups/pazpaz-*.dump); do
  number=$((number + 1))
  old=backups/pazpaz-$(date -u -d "$((8 + number)) days ago" +%Y%m%d)-023000.dump
  mv "$dump" "$old"
  [ ! -e "$dump.sha256" ] || { sed "s/ pazpaz-.*/ ${old#backups/}/" "$dump.sha256" >"$old.sha256" && rm "$dump.sha256"; }
  for file in "$old" "$old.sha256"; do
    [ ! -e "$file" ] || { touch -d "$((8 + number)) days ago" "$file" && chown pazpaz:pazpaz "$file"; }
  done
done
""".replace("moment=$(date -u -d '9 days ago' +%Y%m%d-%H%M%S)\n", ""),
        mend=_BRING_BACK,
        evidence='[ -n "$(ls backups/pazpaz-*.dump)" ] && [ -z "$(find backups -name "pazpaz-*.dump" -mtime -8)" ]',
    ),
    Fault(
        name="backup-empty",
        title="the newest database dump has no bytes",
        symptom="nothing, until a backup is needed",
        inject=_SAVE
        + f"""
sleep 1; name={_NEW_NAME}
install -o pazpaz -g pazpaz -m 0640 /dev/null "backups/$name"
(cd backups && sha256sum "$name" >"$name.sha256" && chown pazpaz:pazpaz "$name.sha256")
""",
        mend=_BRING_BACK,
        evidence=_NEWEST + '[ -e "$(newest)" ] && [ ! -s "$(newest)" ]',
        sample=True,
    ),
    Fault(
        name="backup-truncated",
        title="the newest database dump is cut in half, and its checksum is that of the half",
        symptom="nothing, until a backup is needed: a listing of it succeeds, restoring it fails",
        inject=_SAVE
        + _NEWEST
        + f"""
sleep 1; name={_NEW_NAME}; whole=$(newest)
head -c $(($(stat -c %s "$whole") / 2)) "$whole" >"backups/$name"
(cd backups && sha256sum "$name" >"$name.sha256" && chown pazpaz:pazpaz "$name" "$name.sha256" && chmod 0640 "$name")
""",
        mend=_BRING_BACK,
        evidence=_NEWEST
        + '[ -s "$(newest)" ] && ! docker exec -i pazpaz-db pg_restore -f /dev/null <"$(newest)" 2>/dev/null',
    ),
    Fault(
        name="backup-foreign",
        title="the newest database dump is one of another database, under the right name and with a good checksum",
        symptom="nothing, until a backup is needed: a listing of it succeeds, and so does reading it",
        inject=_SAVE
        + f"""
sleep 1; name={_NEW_NAME}
DB=postgres sql -c 'create database other'
DB=other sql -c 'create table books (title text)'
seq 1000000 2200000 | DB=other sql -c 'copy books from stdin'
docker exec pazpaz-db pg_dump -Fc -U pazpaz other >"backups/$name"
DB=postgres sql -c 'drop database other'
(cd backups && sha256sum "$name" >"$name.sha256" && chown pazpaz:pazpaz "$name" "$name.sha256" && chmod 0640 "$name" "$name.sha256")
""",
        mend=_BRING_BACK,
        evidence=_NEWEST + """docker exec -i pazpaz-db pg_restore --list <"$(newest)" | has 'dbname: other'""",
    ),
    Fault(
        name="backup-altered",
        title="the newest database dump does not match its checksum",
        symptom="nothing, until a backup is needed",
        inject=_SAVE + _NEWEST + 'printf x | dd of="$(newest)" bs=1 seek=1000 conv=notrunc status=none',
        mend=_BRING_BACK,
        evidence=_NEWEST + 'sums=$(newest).sha256; ! (cd backups && sha256sum --status -c "${sums#backups/}")',
    ),
    Fault(
        name="backup-timer-off",
        title="the daily backup is switched off",
        symptom="nothing; the newest backup gets older every day",
        inject="systemctl disable --now --quiet pazpaz-backup.timer",
        mend="systemctl enable --now --quiet pazpaz-backup.timer",
        evidence="! systemctl is-active --quiet pazpaz-backup.timer",
    ),
    Fault(
        name="backup-fails",
        title="the daily backup cannot write into its folder",
        symptom="the unit pazpaz-backup.service has failed",
        inject="chown root:root backups && chmod 0700 backups && ! systemctl start pazpaz-backup.service 2>/dev/null",
        mend="chown pazpaz:pazpaz backups && chmod 0755 backups && systemctl reset-failed pazpaz-backup.service 2>/dev/null || true",
        evidence="systemctl is-failed --quiet pazpaz-backup.service",
    ),
    Fault(
        name="backup-disk-full",
        title="the disk of the backups is full",
        symptom="the next backup fails, or leaves an empty file",
        inject="""
cp -a backups "$kept/"
mount -t tmpfs -o size=$(($(du -sk backups | cut -f1) + 2048))k,mode=0755,uid=pazpaz,gid=pazpaz practice-full backups
cp -a "$kept/backups/." backups/
dd if=/dev/zero of=backups/old-export.bin bs=4k status=none 2>/dev/null || true
""",
        mend="! findmnt -n -t tmpfs /opt/pazpaz/backups >/dev/null || umount -l /opt/pazpaz/backups",
        evidence="[ \"$(df --output=avail backups | tail -n 1 | tr -d ' ')\" = 0 ]",
        sample=True,
    ),
    Fault(
        name="backups-read-only",
        title="the folder of the backups is mounted read-only",
        symptom="the next backup fails",
        inject="mount --bind backups backups && mount -o remount,bind,ro /opt/pazpaz/backups",
        mend="! findmnt -n -O ro /opt/pazpaz/backups >/dev/null || umount -l /opt/pazpaz/backups",
        evidence="findmnt -n -O ro /opt/pazpaz/backups >/dev/null",
    ),
)
