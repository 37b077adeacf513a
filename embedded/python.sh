# Sourced by the commands in bin/: finds Python 3.11, whatever `python3` is, and works in the repository's root.
# shellcheck shell=bash
set -euo pipefail

root=$(cd -P "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)

# Folders that the caller named are relative to where the caller is.
for name in CAD_STATE_DIR CAD_DATA_DIR CAD_MODEL_STORE; do
    value=${!name:-}
    if [[ -n $value && $value != /* ]]; then
        export "$name=$PWD/$value"
    fi
done
unset PYTHONHOME PYTHONPATH
export PYTHONNOUSERSITE=1
cd "$root"

python=
for candidate in ${CAD_PYTHON:+"$CAD_PYTHON"} python3.11 python3 python /usr/local/bin/python3.11 /usr/bin/python3.11; do
    # Not this checkout's own environment, which set-up may have to replace.
    if "$candidate" -c 'import sys; sys.exit(sys.version_info[:2] != (3, 11) or sys.prefix == sys.argv[1])' \
        "$root/.venv" >/dev/null 2>&1; then
        python=$candidate
        break
    fi
done
if [[ -z $python ]]; then
    echo "Python 3.11 was not found: install it, or set CAD_PYTHON to where it is." >&2
    exit 1
fi
