# A private Dovecot 2.3, as Debian 12 has it (2.4 is not packaged there): IMAP, IMAPS and LMTP, virtual users of one Unix account.

# start_dovecot DIR: settings
#   imap=1143 imaps=1993 lmtp=1024   ports; 0 leaves a listener out
#   users=a,b           accounts; their Maildirs are HOME/NAME/Maildir
#   home=DIR/home       where the homes are
#   owner=dovemail      the Unix account that owns them
#   password=pass       of all accounts
#   scheme=ARGON2ID     how it is stored
#   cache=0             auth_cache_size, as shipped; 1M keeps successful log-ins as Pillarbox does
#   hibernate=0         imap_hibernate_timeout in seconds
#   dirty=no            maildir_very_dirty_syncs, as shipped
start_dovecot() {
    local dir=$1 imap imaps lmtp
    known imap imaps lmtp users home owner password scheme cache hibernate dirty
    imap=$(setting imap 1143) imaps=$(setting imaps 0) lmtp=$(setting lmtp 0)
    local home owner
    home=$(setting home "$dir/home") owner=$(setting owner dovemail)
    mkdir -p "$dir/etc" "$dir/run" "$dir/log" "$dir/state" "$home"
    id -u "$owner" >/dev/null 2>&1 || make_user "$owner" "$home"
    dovecot_accounts "$dir" "$home" "$owner"
    dovecot_certificate "$dir"
    {
        dovecot_main "$dir" "$home" "$owner"
        dovecot_listeners "$imap" "$imaps" "$lmtp" "$owner"
        dovecot_limits
    } >"$dir/etc/dovecot.conf"
    dovecot -c "$dir/etc/dovecot.conf" 2>"$dir/log/start" || { cat "$dir/log/start" >&2; fail "dovecot does not start"; }
    local port
    for port in "$imap" "$imaps" "$lmtp"; do
        ((port == 0)) || wait_for "$port"
    done
}

dovecot_accounts() {
    local name hash uid gid users
    users=$(setting users test)
    hash=$(doveadm -O pw -s "$(setting scheme ARGON2ID)" -p "$(setting password pass)")
    uid=$(id -u "$3") gid=$(id -g "$3")
    : >"$1/etc/passwd"
    chmod 640 "$1/etc/passwd"
    chgrp dovecot "$1/etc/passwd"
    for name in ${users//,/ }; do
        echo "$name:$hash:$uid:$gid::$2/$name::" >>"$1/etc/passwd"
        mkdir -p "$2/$name"
        chown "$3:" "$2/$name"
    done
}

dovecot_certificate() {
    [[ -e $1/etc/key.pem ]] || openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 3650 \
        -subj /CN=localhost -keyout "$1/etc/key.pem" -out "$1/etc/cert.pem" 2>/dev/null
}

dovecot_main() {
    cat <<END
base_dir = $1/run
state_dir = $1/state
log_path = $1/log/dovecot.log
instance_name = peer-$(cksum <<<"$1" | cut -d' ' -f1)
listen = 127.0.0.1
protocols = imap lmtp
mail_location = maildir:%h/Maildir
mail_plugins =
first_valid_uid = 1
auth_username_format = %Ln
auth_cache_size = $(setting cache 0)
disable_plaintext_auth = no
ssl = yes
ssl_cert = <$1/etc/cert.pem
ssl_key = <$1/etc/key.pem
imap_hibernate_timeout = $(setting hibernate 0)
maildir_very_dirty_syncs = $(setting dirty no)
mail_max_userip_connections = 20000
postmaster_address = postmaster@localhost
namespace inbox {
  inbox = yes
  separator = .
}
passdb {
  driver = passwd-file
  args = $1/etc/passwd
}
userdb {
  driver = passwd-file
  args = $1/etc/passwd
}
END
}

# LOGIN, PORT of each listener; 0 stands for none. Hibernation needs imap-hibernate to reach the imap service's sockets.
dovecot_listeners() {
    cat <<END
service imap-login {
  inet_listener imap {
    port = $1
  }
  inet_listener imaps {
    port = $2
    ssl = yes
  }
}
service lmtp {
  inet_listener lmtp {
    port = $3
  }
}
service imap {
  unix_listener imap-master {
    user = dovecot
  }
}
service imap-hibernate {
  unix_listener imap-hibernate {
    mode = 0660
    group = $4
  }
}
END
}

# Room for thousands of sessions, and login processes that serve many ("high-performance mode" of its manual).
dovecot_limits() {
    cat <<END
default_vsz_limit = 4G
service imap-login {
  service_count = 0
  process_min_avail = 2
  client_limit = 20000
}
service imap {
  process_limit = 20000
}
service auth {
  client_limit = 20000
}
service anvil {
  client_limit = 20000
}
service config {
  client_limit = 20000
}
service stats {
  client_limit = 20000
}
service imap-hibernate {
  client_limit = 20000
}
END
}

stop_dovecot() {
    local pid
    pid=$(pid_dovecot "$1")
    [[ -z $pid ]] || { kill "$pid" && wait_gone "$pid"; }
}

# The master's process id, or nothing.
pid_dovecot() {
    local pid=
    [[ ! -r $1/run/master.pid ]] || read -r pid <"$1/run/master.pid"
    if is_alive "$pid" dovecot; then echo "$pid"; fi
}
