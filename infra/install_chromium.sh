#!/bin/sh
# Chromium and Chinese fonts from the system's own packages, for the browser tests.
set -e
if command -v apt-get >/dev/null 2>&1; then
  SUDO=""; [ "$(id -u)" = 0 ] || SUDO="sudo"
  $SUDO apt-get update -qq
  $SUDO apt-get install -y -qq chromium fonts-noto-cjk >/dev/null
elif command -v brew >/dev/null 2>&1; then
  brew install --cask chromium font-noto-sans-cjk
else
  echo "install Chromium and a CJK font with your system's packages, then run make test again" >&2
  exit 1
fi
