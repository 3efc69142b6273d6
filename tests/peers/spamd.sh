# A private spamd: SpamAssassin's rules as Debian ships them, no network tests (-L).

# start_spamd DIR: settings
#   port=1783           where it listens
#   children=2          --max-children and --min-children
#   user=               the Unix account to run as; empty: root, which changes to the account named by spamc -u
start_spamd() {
    local dir=$1 port children user
    known port children user
    port=$(setting port 1783) children=$(setting children 2) user=$(setting user '')
    mkdir -p "$dir/log"
    [[ -z $user ]] || make_user "$user" "$dir/home"
    spamd --local --daemonize --listen "127.0.0.1:$port" --pidfile "$dir/spamd.pid" --syslog "$dir/log/spamd.log" \
        --max-children "$children" --min-children "$children" ${user:+--username "$user"} >"$dir/log/start" 2>&1 ||
        { cat "$dir/log/start" >&2; fail "spamd does not start"; }
    wait_for "$port"
}

stop_spamd() {
    local pid
    pid=$(pid_spamd "$1")
    [[ -z $pid ]] || { kill "$pid" && wait_gone "$pid"; }
}

# The parent's process id, or nothing. spamd gives itself a name with its arguments; the kernel keeps the first 15 letters.
pid_spamd() {
    local pid=
    [[ ! -r $1/spamd.pid ]] || read -r pid <"$1/spamd.pid"
    if is_alive "$pid" spamd || is_alive "$pid" perl || is_alive "$pid" "/usr/sbin/spamd"; then echo "$pid"; fi
}
