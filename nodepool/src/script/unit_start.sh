# Enables and (re)starts a unit of ours. $1 unit
set -eu
remember "/etc/systemd/system/$1"
systemctl daemon-reload
systemctl enable -q "$1"
systemctl restart "$1"
loaded
echo "started $1"
