"""Networks and names: what stands between parts that are well themselves."""

from sandbox.faults.fault import Fault

_PID = "docker inspect -f '{{.State.Pid}}' pazpaz-"


def _hosts(service: str, name: str, address: str) -> tuple[str, str, str]:
    """Return inject, mend and evidence of a line in a container's list of hosts."""
    file = f"$(docker inspect -f '{{{{.HostsPath}}}}' pazpaz-{service})"
    return (
        f'echo "{address} {name}" >>"{file}"',
        f'hosts="{file}"; grep -v \'^{address} {name}$\' "$hosts" >"$kept/hosts" || true; cat "$kept/hosts" >"$hosts"',
        f"grep -q '^{address} {name}$' \"{file}\"",
    )


_DB_INJECT, _DB_MEND, _DB_EVIDENCE = _hosts("api", "db", "172.30.0.250")

FAULTS = (
    Fault(
        name="hosts-override",
        title="inside pazpaz-api the name db means an address that nobody has",
        symptom="login and everything behind it hang or fail",
        inject=f"{_DB_INJECT}\ndocker restart -t 5 pazpaz-api >/dev/null; grep -q '172.30.0.250' \"$(docker inspect -f '{{{{.HostsPath}}}}' pazpaz-api)\" || {{ {_DB_INJECT}; }}",
        mend=_DB_MEND,
        evidence=_DB_EVIDENCE,
    ),
    Fault(
        name="packets-dropped",
        title="packets for pazpaz-clamav are dropped in its own network",
        symptom="uploads fail after a while; the container is healthy",
        inject=f"nsenter -t $({_PID}clamav) -n iptables -I INPUT -p tcp --dport 3310 -j DROP",
        mend=f"nsenter -t $({_PID}clamav) -n iptables -D INPUT -p tcp --dport 3310 -j DROP 2>/dev/null || true",
        evidence=f"nsenter -t $({_PID}clamav) -n iptables -S INPUT | has 3310",
    ),
    Fault(
        name="forwarding-off",
        title="the host forwards no packets",
        symptom="the page cannot be reached from outside; the host answers",
        inject="sysctl -qw net.ipv4.ip_forward=0",
        mend="sysctl -qw net.ipv4.ip_forward=1",
        evidence='[ "$(sysctl -n net.ipv4.ip_forward)" = 0 ]',
    ),
    Fault(
        name="docker-user-drop",
        title="a rule in DOCKER-USER drops what is for port 443 of a container",
        symptom="the page cannot be reached; everything is healthy",
        inject="iptables -I DOCKER-USER -p tcp --dport 443 -j DROP",
        mend="iptables -D DOCKER-USER -p tcp --dport 443 -j DROP 2>/dev/null || true",
        evidence="iptables -S DOCKER-USER | has 'dport 443 -j DROP'",
    ),
    Fault(
        name="alias-taken",
        title="another container answers to the name redis, too",
        symptom="logins and jobs fail now and then",
        inject="""
network=$(docker inspect -f '{{range $name, $one := .NetworkSettings.Networks}}{{$name}}{{end}}' pazpaz-redis)
docker run -d --name practice-redis-too --network "$network" --network-alias redis localhost:5000/nginx:1.26 sleep 86400 >/dev/null
docker exec pazpaz-redis sh -c 'REDISCLI_AUTH="$REDIS_PASSWORD" redis-cli client kill type normal' >/dev/null
""",
        mend="docker rm -f practice-redis-too >/dev/null 2>&1 || true",
        evidence="docker inspect practice-redis-too >/dev/null",
    ),
    Fault(
        name="resolver-away",
        title="the host's name server does not answer",
        symptom="nothing at first; renewals, updates and mail fail",
        inject="keep /etc/resolv.conf; echo nameserver 192.0.2.53 >/etc/resolv.conf",
        mend="give_back",
        evidence="grep -q 192.0.2.53 /etc/resolv.conf",
    ),
)
