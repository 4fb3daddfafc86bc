"""Certificates: expired, for the wrong name, not served, not renewed."""

from sandbox.faults.fault import Fault

_LINEAGE = """
live=/etc/letsencrypt/live/pazpaz.test
authority=/var/lib/practice-acme/pki/authorities/local
reload() { docker exec pazpaz-nginx nginx -s reload 2>/dev/null; sleep 1; }
served() { openssl s_client -connect 127.0.0.1:443 -servername pazpaz.test </dev/null 2>/dev/null | openssl x509 "$@"; }
# Put a certificate of the practice authority in the place of the present one: NAME NOT_BEFORE NOT_AFTER
install_certificate() {
  keep $live/cert.pem $live/fullchain.pem $live/chain.pem
  openssl req -new -key $live/privkey.pem -subj "/CN=$1" -addext "subjectAltName=DNS:$1" -out "$kept/request"
  openssl x509 -req -in "$kept/request" -CA $authority/intermediate.crt -CAkey $authority/intermediate.key \\
    -copy_extensions copyall -not_before "$(date -u -d "$2" +%Y%m%d%H%M%SZ)" -not_after "$(date -u -d "$3" +%Y%m%d%H%M%SZ)" \\
    -out "$kept/certificate" 2>/dev/null
  cat "$kept/certificate" >"$(realpath $live/cert.pem)"
  cat "$kept/certificate" $authority/intermediate.crt >"$(realpath $live/fullchain.pem)"
}
"""
_BRING_BACK = _LINEAGE + "give_back; reload"
_DB = """
sign_db() { # NOT_BEFORE NOT_AFTER
  keep backend/certs/server.crt
  openssl req -new -key backend/certs/server.key -subj /CN=db -addext "subjectAltName=DNS:db,DNS:localhost" -out "$kept/request"
  openssl x509 -req -in "$kept/request" -CA backend/certs/ca.crt -CAkey backend/certs/ca.key -copy_extensions copyall \\
    -not_before "$(date -u -d "$1" +%Y%m%d%H%M%SZ)" -not_after "$(date -u -d "$2" +%Y%m%d%H%M%SZ)" -out "$kept/certificate" 2>/dev/null
  cat "$kept/certificate" >backend/certs/server.crt
}
"""

FAULTS = (
    Fault(
        name="certificate-expired",
        title="the public certificate expired yesterday",
        symptom="browsers warn: your connection is not private",
        inject=_LINEAGE + "install_certificate pazpaz.test '-91 days' '-1 day'; reload",
        mend=_BRING_BACK,
        evidence=_LINEAGE + "! served -checkend 0 -noout >/dev/null",
        sample=True,
    ),
    Fault(
        name="certificate-ending",
        title="the public certificate ends in three days",
        symptom="nothing for three days",
        inject=_LINEAGE + "install_certificate pazpaz.test '-87 days' '+3 days'; reload",
        mend=_BRING_BACK,
        evidence=_LINEAGE + "served -checkend 0 -noout >/dev/null && ! served -checkend 864000 -noout >/dev/null",
    ),
    Fault(
        name="certificate-wrong-name",
        title="the public certificate is for another name",
        symptom="browsers warn: the certificate is not for this site",
        inject=_LINEAGE + "install_certificate other.test '-1 day' '+80 days'; reload",
        mend=_BRING_BACK,
        evidence=_LINEAGE + "! served -checkhost pazpaz.test -noout | has 'does match'",
    ),
    Fault(
        name="certificate-not-served",
        title="nginx still serves the certificate from before a renewal, which ends in two days",
        symptom="nothing for two days; certbot says all is well",
        inject=_LINEAGE + "install_certificate pazpaz.test '-88 days' '+2 days'; reload; give_back",
        mend=_LINEAGE + "give_back; reload",
        evidence=_LINEAGE + '[ "$(served -noout -serial)" != "$(openssl x509 -in $live/cert.pem -noout -serial)" ]',
    ),
    Fault(
        name="certificate-key-readable",
        title="everybody on the server can read the private key of the public certificate",
        symptom="nothing, for the users",
        inject=_LINEAGE
        + 'stat -c \'%a %n\' /etc/letsencrypt/archive "$(realpath $live/privkey.pem)" >"$kept/modes"; chmod 0755 /etc/letsencrypt/archive; chmod 0644 $live/privkey.pem',
        mend='[ ! -s "$kept/modes" ] || while read -r mode file; do chmod "$mode" "$file"; done <"$kept/modes"',
        evidence=_LINEAGE + '[ "$(stat -Lc %a $live/privkey.pem)" = 644 ]',
    ),
    Fault(
        name="renewal-timer-off",
        title="certbot's timer is switched off",
        symptom="nothing for weeks, then the certificate expires",
        inject="systemctl disable --now --quiet certbot.timer",
        mend="systemctl enable --now --quiet certbot.timer",
        evidence="! systemctl is-active --quiet certbot.timer",
    ),
    Fault(
        name="renewal-broken",
        title="certbot puts its challenges where nginx does not serve them",
        symptom="nothing for weeks; every renewal fails",
        inject="""
keep /etc/letsencrypt/renewal/pazpaz.test.conf
edit /etc/letsencrypt/renewal/pazpaz.test.conf 's#/var/www/certbot#/var/www/elsewhere#'
mkdir -p /var/www/elsewhere
""",
        mend="give_back; rm -rf /var/www/elsewhere",
        evidence="grep -q /var/www/elsewhere /etc/letsencrypt/renewal/pazpaz.test.conf",
    ),
    Fault(
        name="renewal-link-lost",
        title="a copy has made a file of certbot's link live/pazpaz.test/cert.pem",
        symptom="nothing for weeks; certbot passes the certificate over at every renewal",
        inject=_LINEAGE
        + 'readlink $live/cert.pem >"$kept/link"; cp --remove-destination "$(realpath $live/cert.pem)" $live/cert.pem',
        mend=_LINEAGE + 'ln -sfn "$(cat "$kept/link")" $live/cert.pem',
        evidence=_LINEAGE + "[ ! -L $live/cert.pem ]",
    ),
    Fault(
        name="renewal-hook-gone",
        title="certbot's renewal runs a script that is no longer there",
        symptom="nothing for weeks; every renewal fails",
        inject="""
keep /etc/letsencrypt/renewal/pazpaz.test.conf
edit /etc/letsencrypt/renewal/pazpaz.test.conf '/renewalparams/a renew_hook = /usr/local/bin/reload-web now'
""",
        mend="give_back",
        evidence="grep -q reload-web /etc/letsencrypt/renewal/pazpaz.test.conf",
    ),
    Fault(
        name="internal-certificate-expired",
        title="the database's own certificate expired yesterday",
        symptom="login answers 503; the database itself is healthy",
        inject=_DB + "sign_db '-3650 days' '-1 day'; restart db",
        mend="give_back; restart db",
        evidence="! openssl x509 -in backend/certs/server.crt -checkend 0 -noout >/dev/null",
    ),
    Fault(
        name="internal-authority-changed",
        title="the internal certificates were made anew, and the services not restarted",
        symptom="nothing until a service restarts: then the application and the database do not trust each other",
        inject="keep backend/certs/*.crt backend/certs/*.key; scripts/production/regenerate-ssl-certs-v2.sh >/dev/null",
        mend="give_back; rm -f backend/certs/*.old",
        evidence='[ "$(docker exec pazpaz-api sha256sum </dev/null /certs/ca.crt | cut -c1-64)" != "$(sha256sum <backend/certs/ca.crt | cut -c1-64)" ]',
    ),
)
