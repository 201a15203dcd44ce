#!/bin/sh
# After the files went. The user stays, as the owner of what stays: the journals, which
# say what was sent and may not be in the database yet, and the DKIM keys.
set -e
if [ -d /run/systemd/system ]; then
	systemctl daemon-reload
fi
case "$1" in
	purge | 0)
		rmdir /etc/enotify/dkim /etc/enotify /var/lib/enotify/journals /var/lib/enotify 2>/dev/null || true
		for folder in /etc/enotify /var/lib/enotify; do
			if [ -d "$folder" ]; then
				echo "enotify: $folder is not empty and stays; remove it when it is not needed any more"
			fi
		done
		;;
esac
