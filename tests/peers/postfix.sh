# A private Postfix: own configuration, queue and data folders. The system's own Postfix is left alone.

# start_postfix DIR: settings
#   port=2500           where smtpd listens
#   hostname=NAME       myhostname and the one local domain
#   delivery=discard    accept and forget | hold | maildir (home_mailbox) | procmail (mailbox_command) | lmtp:PORT
#   users=a,b           accounts; for maildir and procmail they become Unix accounts with homes in DIR/home
#   virtual=FILE        virtual(5) text, compiled with postmap
#   processes=100       default_process_limit, as shipped
#   postscreen, milters and the like are off, as shipped by Debian.
start_postfix() {
    local dir=$1 port hostname delivery users processes virtual
    known port hostname delivery users virtual processes
    port=$(setting port 2500) hostname=$(setting hostname peer.example) delivery=$(setting delivery discard)
    users=$(setting users '') processes=$(setting processes 100) virtual=$(setting virtual '')
    mkdir -p "$dir/etc" "$dir/queue" "$dir/data" "$dir/log" "$dir/home"
    chown postfix "$dir/data"
    postfix_accounts "$dir" "$users" "$delivery"
    postfix_main "$dir" "$hostname" "$processes" >"$dir/etc/main.cf"
    postfix_delivery "$dir" "$hostname" "$delivery" >>"$dir/etc/main.cf"
    if [[ -n $virtual ]]; then
        cp "$virtual" "$dir/etc/virtual"
        echo "virtual_alias_maps = hash:$dir/etc/virtual" >>"$dir/etc/main.cf"
    fi
    postfix_services "$port" >"$dir/etc/master.cf"
    [[ -z $virtual ]] || postmap -c "$dir/etc" "hash:$dir/etc/virtual"
    : >"$dir/etc/aliases"
    postfix -c "$dir/etc" start >"$dir/log/start" 2>&1 || { cat "$dir/log/start" "$dir/log/mail.log" >&2; fail "postfix does not start"; }
    wait_for "$port"
}

postfix_accounts() {
    local name
    : >"$1/etc/users"
    for name in ${2//,/ }; do
        echo "$name x" >>"$1/etc/users"
        case $3 in maildir | procmail) make_user "$name" "$1/home/$name" ;; esac
    done
}

postfix_main() {
    cat <<END
compatibility_level = 3.6
queue_directory = $1/queue
data_directory = $1/data
maillog_file = $1/log/mail.log
maillog_file_prefixes = $1/log
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
myhostname = $2
myorigin = $2
mynetworks =
disable_dns_lookups = yes
biff = no
recipient_delimiter = +
alias_maps = texthash:$1/etc/aliases
alias_database =
default_process_limit = $3
message_size_limit = 104857600
mailbox_size_limit = 0
smtpd_client_connection_count_limit = 0
smtpd_client_connection_rate_limit = 0
smtpd_relay_restrictions = reject_unauth_destination
default_transport = error:no way out
END
}

postfix_delivery() {
    local dir=$1 hostname=$2
    case $3 in
        discard | hold)
            echo "mydestination = $hostname"
            echo "local_recipient_maps ="
            echo "local_transport = discard"
            [[ $3 == discard ]] || echo "smtpd_data_restrictions = check_client_access static:HOLD"
            ;;
        maildir)
            printf '%s\n' "mydestination = $hostname" "home_mailbox = Maildir/"
            ;;
        procmail)
            printf '%s\n' "mydestination = $hostname" "home_mailbox = Maildir/"
            # As the guides write it; the shell variables are local(8)'s.
            echo 'mailbox_command = /usr/bin/procmail -a "$EXTENSION" DEFAULT=$HOME/Maildir/ MAILDIR=$HOME/Maildir'
            ;;
        lmtp:*)
            printf '%s\n' "mydestination =" "virtual_mailbox_domains = $hostname" "virtual_mailbox_maps = texthash:$dir/etc/mailboxes" \
                "virtual_transport = lmtp:inet:127.0.0.1:${3#lmtp:}"
            sed "s/ x\$/@$hostname x/" "$dir/etc/users" >"$dir/etc/mailboxes"
            ;;
        *) fail "unknown delivery $3" ;;
    esac
}

postfix_services() {
    cat <<END
127.0.0.1:$1 inet n - n - - smtpd
pickup unix n - n 60 1 pickup
cleanup unix n - n - 0 cleanup
qmgr unix n - n 300 1 qmgr
rewrite unix - - n - - trivial-rewrite
bounce unix - - n - 0 bounce
defer unix - - n - 0 bounce
trace unix - - n - 0 bounce
verify unix - - n - 1 verify
flush unix n - n 1000? 0 flush
proxymap unix - - n - - proxymap
smtp unix - - n - - smtp
showq unix n - n - - showq
error unix - - n - - error
retry unix - - n - - error
discard unix - - n - - discard
local unix - n n - - local
lmtp unix - - n - - lmtp
anvil unix - - n - 1 anvil
scache unix - - n - 1 scache
postlog unix-dgram n - n - 1 postlogd
END
}

stop_postfix() {
    local pid
    pid=$(pid_postfix "$1")
    postfix -c "$1/etc" stop >/dev/null 2>&1 || true
    [[ -z $pid ]] || wait_gone "$pid"
}

# The master's process id, or nothing.
pid_postfix() {
    local pid=
    [[ ! -r $1/queue/pid/master.pid ]] || read -r pid <"$1/queue/pid/master.pid"
    if is_alive "$pid" master; then echo "$pid"; fi
}

# queued DIR: messages that are still in the queue.
queued_postfix() {
    find "$1/queue/incoming" "$1/queue/active" "$1/queue/deferred" "$1/queue/maildrop" -type f 2>/dev/null | wc -l
}
