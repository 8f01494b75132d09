# shellcheck shell=bash
# For the hooks: commands that end. Source this file.

# limited <seconds> <command…>: runs a command, and ends it after that time.
limited() {
    local seconds=$1 status=0 command
    shift
    set -m # as a process group: az is a script that starts another process
    "$@" &
    command=$!
    set +m
    trap 'kill -TERM -- "-$command" 2> /dev/null; exit 130' INT TERM
    # Its output goes nowhere: azd waits until the last process has closed the pipe.
    (
        while [ "$seconds" -gt 0 ]; do
            sleep 1
            kill -0 "$command" || exit 0
            seconds=$((seconds - 1))
        done
        kill -TERM -- "-$command"
    ) > /dev/null 2>&1 < /dev/null &
    wait "$command" || status=$?
    trap - INT TERM
    [ "$status" -ne 143 ] || echo "No answer in time: $1 was ended." >&2
    return "$status"
}
