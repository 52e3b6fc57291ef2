#!/bin/sh
# docker-entrypoint.sh COMMAND ...: run it as PUID:PGID, with the right to bind low ports and no
# other; proxydhcp keeps NET_RAW where the container has it, to notice other boot servers. Called
# `bootyard`, the command is Bootyard's own, so that `docker compose exec` and the health checks,
# which start as root, read what the services wrote.
set -eu

uid=${PUID:-1000}
gid=${PGID:-1000}
case $0 in
    */bootyard) set -- /opt/bootyard/bin/bootyard "$@" ;;
esac

rights=+net_bind_service
case "$*" in
    *services.proxydhcp*)
        capabilities=$(sed -n 's/^CapEff:[[:space:]]*//p' /proc/self/status)
        net_raw=13
        [ $((0x$capabilities >> net_raw & 1)) = 0 ] || rights=$rights,+net_raw
        ;;
esac

become=
if [ "$(id -u)" = 0 ]; then
    become="setpriv --reuid $uid --regid $gid --clear-groups --no-new-privs
        --inh-caps=-all,$rights --ambient-caps=-all,$rights --"
fi

case "$*" in
    *services.catalog*)
        # shellcheck disable=SC2086  # a list of words
        $become test -w /images || echo "The folder of images is read-only for uid $uid: what is" \
            "in it can be booted, but nothing downloaded or removed. To change that, on the host:" \
            "chown $uid images, or set PUID in .env to the folder's owner." >&2
        ;;
esac

# shellcheck disable=SC2086
exec $become "$@"
