#!/bin/sh
# After unpacking: the user, the folders, and what to do next. dpkg calls it with
# "configure" and the version before, rpm with the number of versions installed.
set -e

case "$1:$2" in
	configure: | 1:) first=yes ;;
	configure:* | [2-9]:) first=no ;;
	*) exit 0 ;;
esac

if command -v systemd-sysusers >/dev/null; then
	systemd-sysusers enotify.conf
elif ! getent passwd enotify >/dev/null; then
	useradd --system --user-group --home-dir /var/lib/enotify --shell /usr/sbin/nologin enotify
fi
if command -v systemd-tmpfiles >/dev/null; then
	systemd-tmpfiles --create enotify.conf
else
	chown root:enotify /etc/enotify/env && chmod 640 /etc/enotify/env
	install -d -o root -g enotify -m 2750 /etc/enotify/dkim
	install -d -o enotify -g enotify -m 750 /var/lib/enotify
fi
if [ -d /run/systemd/system ]; then
	systemctl daemon-reload
fi

# An upgrade restarts nothing: the new version migrates the database as it starts,
# and the nodes on other hosts have to stop before.
if [ "$first" = yes ]; then
	echo 'enotify is installed. Put the database and the addresses into /etc/enotify/env,'
	echo 'then: systemctl enable --now enotify. See man enotify-run and enotify help systemd.'
else
	echo 'enotify was upgraded; a running node is still the old version. Read enotify help'
	echo 'upgrade, then: systemctl restart enotify.'
fi
