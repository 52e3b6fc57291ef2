#!/bin/sh
# docker-entrypoint.sh COMMAND ...: run it as PUID:PGID, with the right to bind low ports and no
# other. Called `bootyard`, the command is Bootyard's own, so that `docker compose exec` and the
# health checks, which start as root, read what the services wrote.
set -eu

uid=${PUID:-1000}
gid=${PGID:-1000}
case $0 in
    */bootyard) set -- /opt/bootyard/bin/bootyard "$@" ;;
esac

if [ "$(id -u)" = 0 ]; then
    set -- setpriv --reuid "$uid" --regid "$gid" --clear-groups --no-new-privs \
        --inh-caps=-all,+net_bind_service --ambient-caps=-all,+net_bind_service -- "$@"
fi

exec "$@"
