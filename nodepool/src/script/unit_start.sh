# Enables and starts a unit of ours. One that runs is not interrupted: it does what its file says by now, and what it does
# not do any more is undone. $1 unit
set -eu
file=/etc/systemd/system/$1
remember "$file"
# Until it reloads, systemd has the unit as it was.
undo=$(systemctl show -p ExecStop --value "$1" 2>/dev/null | sed -n 's/.*argv\[\]=\([^;]*[^; ]\) *;.*/\1/p')
systemctl daemon-reload
systemctl enable -q "$1"
if systemctl is-active -q "$1"; then
  sed -n 's/^ExecStart=//p' "$file" | while read -r line; do $line; done
  printf '%s\n' "$undo" | while read -r line; do
    grep -qxF "ExecStop=-$line" "$file" || $line 2>/dev/null || true
  done
else
  systemctl start "$1"
fi
loaded
echo "started $1"
