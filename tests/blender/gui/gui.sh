#!/bin/bash
# The extension in a real Blender window, driven with a real mouse and keyboard on a virtual screen.
#
#   gui.sh setup SUITE    once: a chroot with that Debian suite's Blender (sid: 5.2 LTS, trixie: 4.3). Root; 1.9 GB, 3 min.
#   gui.sh run SUITE      install the built extension there and drive it; exit 0 = passed
#   gui.sh umount SUITE   take the chroot's mounts away, before its folder is deleted
#
# Everything lies under $SA2VA_GUI (default: ~/.cache/sa2va-test/gui); screenshots and logs in result-SUITE there.
# The worker and the driver run in $SA2VA_TEST_PYTHON (default: the test environment of `python3 -m installer test`).
# The clip: $SA2VA_SHARED/footage/default_juggle.mp4.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
repository=$(cd "$here/../../.." && pwd)
work=${SA2VA_GUI:-$HOME/.cache/sa2va-test/gui}
command=${1:?setup, run or umount}
suite=${2:?sid or trixie}
root=$work/$suite
python=${SA2VA_TEST_PYTHON:-$repository/.sa2va/test-env/bin/python}
shared=${SA2VA_SHARED:-$repository/shared}
screen=${SA2VA_GUI_DISPLAY:-:97}

bind() { mountpoint -q "$2" || { mkdir -p "$2"; mount --bind "$1" "$2"; }; }

up() {
  mountpoint -q "$root/proc" || mount -t proc proc "$root/proc"
  for part in dev dev/shm dev/pts sys; do bind "/$part" "$root/$part"; done
  mkdir -p /tmp/.X11-unix "$work/result-$suite"
  bind /tmp/.X11-unix "$root/tmp/.X11-unix"
  # The same path inside and outside, so that Blender and the worker mean the same files.
  bind "$work/result-$suite" "$root$work/result-$suite"
}

down() {
  awk -v r="$root/" 'index($2, r) == 1 { print $2 }' /proc/mounts | sort -r | while read -r mounted; do umount "$mounted"; done
}

tools() {
  local packages=()
  for pair in debootstrap:debootstrap Xvfb:xvfb xdotool:xdotool openbox:openbox tesseract:tesseract-ocr import:imagemagick; do
    command -v "${pair%%:*}" >/dev/null || packages+=("${pair##*:}")
  done
  [ ${#packages[@]} = 0 ] ||
    { apt-get update -q && DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends "${packages[@]}"; }
}

case $command in
setup)
  mkdir -p "$work"
  tools
  if [ ! -e "$root/.made" ] && [ ! -e "$root/.debootstrapped" ]; then
    debootstrap --variant=minbase --include=ca-certificates "$suite" "$root"
    touch "$root/.made"
  fi
  cp /etc/resolv.conf "$root/etc/resolv.conf"
  # A mirror may be some weeks behind this machine's clock.
  printf 'Acquire::Check-Valid-Until "false";\nAcquire::Check-Date "false";\n' >"$root/etc/apt/apt.conf.d/99dates"
  up
  # python3-cattr: Debian's 5.2 needs it for extensions and does not ask for it.
  chroot "$root" env DEBIAN_FRONTEND=noninteractive bash -c 'apt-get update -q && apt-get install -y \
    --no-install-recommends blender libgl1 libgl1-mesa-dri libglx-mesa0 libegl1 libegl-mesa0 libxkbcommon0 \
    python3-numpy python3-requests python3-zstandard \
    $(apt-cache show python3-cattr >/dev/null 2>&1 && echo python3-cattr)'
  chroot "$root" blender --version | head -1
  ;;
run)
  tools
  up
  export DISPLAY=$screen
  Xvfb "$screen" -screen 0 1600x1000x24 +extension GLX -nolisten tcp >"$work/xvfb.log" 2>&1 &
  server=$!
  sleep 1.5
  openbox >"$work/openbox.log" 2>&1 &
  manager=$!
  trap 'kill $manager $server 2>/dev/null || true' EXIT
  SA2VA_SHARED=$shared "$python" "$here/drive.py" "$work/result-$suite" "$root"
  ;;
umount)
  down
  ;;
*)
  echo "unknown command $command" >&2
  exit 2
  ;;
esac
