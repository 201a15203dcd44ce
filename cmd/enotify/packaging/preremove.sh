#!/bin/sh
# Before the program goes for good, the service stops: mail under way is finished
# first. dpkg calls it with "remove", rpm with 0. An upgrade stops nothing.
set -e
case "$1" in
	remove | 0)
		if [ -d /run/systemd/system ]; then
			systemctl disable --now enotify.service
		fi
		;;
esac
