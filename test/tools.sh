#!/usr/bin/env bash
# Sees to what the tests need beside Go: a C compiler, redis-server, nginx, Chromium, and a Node that Vite runs on. Root on a
# Debian system has it installed; everybody else is told what is missing, all of it at once. Nothing is skipped later for
# want of it. More may be asked for by the name of a program, or PROGRAM:PACKAGE where its package has another.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

least=20.19 # of Node: Vite 8 asks for it
new_enough() {
	local have
	have=$(node --version 2>/dev/null) || return 1
	[ "$(printf '%s\n' "$least" "${have#v}" | sort -V | head -n 1)" = "$least" ]
}

packages=()
command -v gcc >/dev/null || packages+=(gcc libc6-dev) # the race detector is C
command -v redis-server >/dev/null || packages+=(redis-server)
command -v chromium >/dev/null || packages+=(chromium)
command -v node >/dev/null || packages+=(nodejs)
command -v npm >/dev/null || packages+=(npm)
command -v nginx >/dev/null || [ -x /usr/sbin/nginx ] || packages+=(nginx-light) # out of the way of a user's PATH
for more in "$@"; do
	command -v "${more%%:*}" >/dev/null || packages+=("${more##*:}")
done

if [ ${#packages[@]} -gt 0 ]; then
	if [ "$(id -u)" -ne 0 ] || ! command -v apt-get >/dev/null; then
		echo "The tests need these, and only root on a Debian system can have them installed by this: ${packages[*]}" >&2
		new_enough || echo "(of Node, $least or later)" >&2
		exit 1
	fi
	apt-get update -qq
	DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${packages[@]}" >/dev/null
fi
if ! new_enough; then
	# Debian 12 has Node 18. The same program comes as a package from npm; the Makefile puts its folder first in PATH.
	echo "node $(node --version) is older than $least: installing Node 22 under bin/node" >&2
	npm install --prefix bin/node --no-audit --no-fund --silent node@22.23.3
	PATH="$PWD/bin/node/node_modules/node/bin:$PATH"
	new_enough || { echo "Node $least or later is needed: install it, then run this again." >&2; exit 1; }
fi
