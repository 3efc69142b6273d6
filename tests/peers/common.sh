# Helpers of the peers' scripts. Sourced by `peer`; every instance lives in one folder and listens on 127.0.0.1 only.

fail() {
    echo "peer: $*" >&2
    exit 1
}

# setting NAME DEFAULT: the value of NAME=... among the arguments of `start`, which are in the array `settings`.
setting() {
    local pair
    for pair in "${settings[@]}"; do
        if [[ $pair == "$1="* ]]; then
            echo "${pair#*=}"
            return
        fi
    done
    echo "$2"
}

# known NAME...: refuses settings that no one reads.
known() {
    local pair name
    for pair in "${settings[@]}"; do
        for name in "$@"; do
            [[ $pair == "$name="* ]] && continue 2
        done
        fail "unknown setting $pair; known are: $*"
    done
}

# wait_for PORT: until something listens there, at most 20 seconds.
wait_for() {
    local tries
    for ((tries = 0; tries < 400; tries++)); do
        if (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null; then
            return
        fi
        sleep 0.05
    done
    fail "nothing listens on port $1"
}

# wait_gone PID: until the process has ended; after a minute it is killed. Thousands of sessions take their time.
wait_gone() {
    local tries
    for ((tries = 0; tries < 1400; tries++)); do
        kill -0 "$1" 2>/dev/null || return 0
        ((tries != 1200)) || kill -KILL "$1" 2>/dev/null || true
        sleep 0.05
    done
    fail "process $1 does not end"
}

# is_alive PID NAME: whether the process runs and is the named program: numbers are used again after a reboot.
is_alive() {
    [[ -n ${1:-} && -r /proc/$1/comm && $(<"/proc/$1/comm") == "$2" ]]
}

# make_user NAME HOME: a Unix account for programs that insist on one (local(8), procmail, spamd -u).
make_user() {
    if id -u "$1" >/dev/null 2>&1; then
        [[ $(getent passwd "$1" | cut -d: -f6) == "$2" ]] || usermod -d "$2" "$1"
    else
        useradd --system --no-create-home --home-dir "$2" --shell /bin/sh "$1"
    fi
    mkdir -p "$2"
    chown "$1:" "$2"
}

# install_packages NAME...: Debian packages that are missing, without starting any service of theirs.
install_packages() {
    local missing=() name policy=/usr/sbin/policy-rc.d own=
    for name in "$@"; do
        dpkg-query -W -f '${Status}' "$name" 2>/dev/null | grep -q '^install ok installed' || missing+=("$name")
    done
    ((${#missing[@]})) || return 0
    if ((EUID)); then
        echo "peer: not installed, and only root can: ${missing[*]}" >&2
        return 77
    fi
    if [[ ! -e $policy ]]; then
        own=1
        printf '#!/bin/sh\nexit 101\n' >"$policy"
        chmod 755 "$policy"
    fi
    local result=0 log
    log=$(mktemp)
    {
        apt-get update -qq &&
            DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}"
    } </dev/null >"$log" 2>&1 || result=$?
    [[ -z $own ]] || rm -f "$policy"
    ((result == 0)) || tail -n 20 "$log" >&2
    rm -f "$log"
    return "$result"
}
