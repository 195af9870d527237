# shellcheck shell=bash
# Sourced by the set-up scripts: install system packages where that is allowed, else say which.

# Succeeds when this account may install packages without being asked for a password.
may_apt() {
  command -v apt-get >/dev/null || return 1
  [ "$(id -u)" -eq 0 ] || sudo -n true 2>/dev/null
}

# apt_install PACKAGE...: installs them, or stops with their names and the command to run.
apt_install() {
  if ! may_apt; then
    printf 'Missing system packages: %s\n' "$*" >&2
    printf 'This account may not install them. Ask an administrator to run:\n' >&2
    printf '  apt-get install %s\nthen run make again.\n' "$*" >&2
    exit 1
  fi
  local -a as_root=()
  [ "$(id -u)" -eq 0 ] || as_root=(sudo -n)
  printf 'Installing system packages: %s\n' "$*"
  # ${a[@]+…}: an empty array is unset to older bash.
  ${as_root[@]+"${as_root[@]}"} apt-get -o DPkg::Lock::Timeout=120 -qq update
  ${as_root[@]+"${as_root[@]}"} env DEBIAN_FRONTEND=noninteractive \
    apt-get -o DPkg::Lock::Timeout=120 -qq -y --no-install-recommends install "$@" >/dev/null
}
