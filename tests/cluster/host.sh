#!/bin/bash
# One simulated host: PID, mount, UTS and network namespaces of its own, a home of its own, an sshd. Called by hosts.py.
#   host.sh NAME KEYS BASHRC       (KEYS: folder with id.pub and the host's key; BASHRC: what the host says of itself)
# The home and /tmp are what the machine has, with every change kept to this host and gone with it.
set -e
hostname "$1"
for folder in "$HOME" /tmp; do
  layer=/run/layer/$(basename "$folder")
  mkdir -p "$layer" && mount -t tmpfs tmpfs "$layer" && mkdir "$layer/upper" "$layer/work"
  mount -t overlay overlay -o "lowerdir=$folder,upperdir=$layer/upper,workdir=$layer/work" "$folder"
done
rm -rf "$HOME/.ssh" "$HOME/.ray" "$HOME/.bash_profile" "$HOME/.profile"
# Hidden, not removed: Ray may be at work in it outside of these namespaces.
mkdir -p /tmp/ray && mount -t tmpfs tmpfs /tmp/ray
mkdir -m 700 "$HOME/.ssh" && cp "$2/id.pub" "$HOME/.ssh/authorized_keys"
cp "$3" "$HOME/.bashrc"
# Not exec: as the first process of its namespace bash reaps what Ray leaves, and `ray stop` waits for that.
/usr/sbin/sshd -D -e -f /dev/null -h "$2/host" -o PidFile=none -o UsePAM=no -o StrictModes=no -o UseDNS=no \
  -o PermitRootLogin=prohibit-password -o "AuthorizedKeysFile=$HOME/.ssh/authorized_keys" -o "Subsystem=sftp internal-sftp" &
wait
