"""nginx and the site: wrong answers, right status codes."""

from sandbox.faults.fault import Fault

CONF = "nginx/nginx-ssl.conf"
RELOAD = "docker exec pazpaz-nginx nginx -s reload 2>/dev/null; sleep 1"
BRING_BACK = f"give_back; {RELOAD}"


def _site(name: str, title: str, symptom: str, change: str, evidence: str) -> Fault:
    return Fault(
        name=name,
        title=title,
        symptom=symptom,
        inject=f"docker exec -u 0 pazpaz-frontend sh -ec '{change}'",
        mend="recreate frontend",
        evidence=evidence,
    )


FAULTS = (
    Fault(
        name="proxy-wrong-upstream",
        title="nginx looks for the api on the wrong port",
        symptom="502 for everything under /api/; the api itself is healthy",
        inject=f"keep {CONF}; edit {CONF} 's#http://api:8000#http://api:8001#'; {RELOAD}",
        mend=BRING_BACK,
        evidence='[ "$(code /api/v1/health)" = 502 ]',
    ),
    Fault(
        name="proxy-says-ok-to-all",
        title="nginx answers everything itself: 200, and for the api what its health check would say",
        symptom="a page that says It works; nobody can log in",
        inject=f"""
keep {CONF}
edit {CONF} -e 's#proxy_pass $api;#default_type application/json; return 200 "{{\\\\"status\\\\":\\\\"ok\\\\",\\\\"version\\\\":\\\\"v1\\\\"}}";#' \
  -e 's#proxy_pass $frontend;#default_type text/html; return 200 "<html><body><h1>It works!</h1></body></html>";#'
{RELOAD}
""",
        mend=BRING_BACK,
        evidence='https https://pazpaz.test/ | has "It works!" && [ "$(code /api/v1/health)" = 200 ]',
    ),
    Fault(
        name="proxy-config-broken",
        title="nginx's configuration has an error; it still runs with the one from before",
        symptom="nothing, until nginx restarts and does not come back",
        inject=f"keep {CONF}; edit {CONF} 's/^http {{/htttp {{/'",
        mend="give_back",
        evidence="! docker exec pazpaz-nginx nginx -t 2>/dev/null",
    ),
    Fault(
        name="proxy-upload-limit",
        title="nginx refuses bodies over 10 bytes",
        symptom="uploads, logins and every change answer 413",
        inject=f"keep {CONF}; edit {CONF} 's/client_max_body_size 25m/client_max_body_size 10/'; {RELOAD}",
        mend=BRING_BACK,
        evidence="[ \"$(https -o /dev/null -w '%{http_code}' -d 01234567890123456789 https://pazpaz.test/api/v1/auth/login)\" = 413 ]",
    ),
    Fault(
        name="proxy-no-redirect",
        title="port 80 serves the site without TLS instead of redirecting",
        symptom="passwords may go over the network in clear",
        inject=f"keep {CONF}; edit {CONF} 's#return 301 https://$host$request_uri;#proxy_pass http://frontend:80;#'; {RELOAD}",
        mend=BRING_BACK,
        evidence="[ \"$(https -o /dev/null -w '%{http_code}' http://pazpaz.test/)\" = 200 ]",
    ),
    Fault(
        name="port-conflict",
        title="another program has taken port 443, and nginx cannot start",
        symptom="browsers get no answer that they understand",
        inject="""
docker stop -t 5 pazpaz-nginx >/dev/null
systemd-run -q --collect --unit=practice-conflict python3 -m http.server -d /tmp 443
sleep 1
! docker start pazpaz-nginx >/dev/null 2>&1
""",
        mend="systemctl stop practice-conflict 2>/dev/null || true; revive nginx",
        evidence="ss -Hltnp 'sport = 443' | has python3",
    ),
    _site(
        "site-empty",
        "the front page is an empty file",
        "a blank page, with status 200",
        ": >/usr/share/nginx/html/index.html",
        '[ "$(code /)" = 200 ] && [ -z "$(https https://pazpaz.test/)" ]',
    ),
    _site(
        "site-assets-missing",
        "the front page loads, its scripts and styles are gone",
        "a page that does nothing",
        "rm -r /usr/share/nginx/html/assets",
        '[ "$(code "$(https https://pazpaz.test/ | grep -o \'/assets/app[^"]*js\')")" = 404 ]',
    ),
    _site(
        "site-replaced",
        "somebody else's page is served in the place of the front page",
        "a page that is not ours, with status 200",
        'echo "<html><title>Visitor</title><h1>Visited</h1></html>" >/usr/share/nginx/html/index.html',
        "https https://pazpaz.test/ | has Visited",
    ),
)
