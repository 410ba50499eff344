# What goes on with the watchdog after a boot: a timer of systemd, or an entry that other systems run then.

name_entry() {
    unit=$(printf '%s' "$place" | sha256sum)
    unit=pleach-watchdog-$(printf '%.16s' "$unit")
}

for_systemd() {
    printf '%s' "$1" | sed 's/[\\"]/\\&/g; s/%/%%/g; s/\$/$$/g'
}

for_shell() {
    printf '%s' "$1" | sed "s/'/'\\\\''/g"
}

# Nobody reads these before a boot: they are there after a loss of power, too.
settle_entries() {
    for made do
        flush "$made" && flush "${made%/*}" || return 1
    done
}

# Makes the entry by which it goes on after a boot, and writes which kind it is into `entry`.
enter() {
    name_entry
    entry=none
    at_boot="sh '$(for_shell "$0")' boot '$(for_shell "${place%/*}")'"
    case $0$place in
        # No entry can hold a line end.
        *'
'*) ;;
        *)
            if [ -d "$system/run/systemd/system" ] && command -v systemctl >/dev/null && enter_systemd; then
                entry=systemd
            elif [ -w "$system/etc/cron.d" ] && { command -v cron || command -v crond; } >/dev/null; then
                printf '@reboot root %s\n' "$(printf '%s' "$at_boot" | sed 's/%/\\%/g')" \
                    >"$system/etc/cron.d/$unit" && settle_entries "$system/etc/cron.d/$unit" && entry=cron
            elif [ -w "$system/etc/local.d" ]; then
                printf '#!/bin/sh\n%s\n' "$at_boot" >"$system/etc/local.d/$unit.start" &&
                    chmod 755 "$system/etc/local.d/$unit.start" &&
                    settle_entries "$system/etc/local.d/$unit.start" && entry=local
            elif command -v crontab >/dev/null; then
                {
                    crontab -l 2>/dev/null | grep -v "# $unit\$"
                    printf '@reboot %s # %s\n' "$(printf '%s' "$at_boot" | sed 's/%/\\%/g')" "$unit"
                } | crontab - 2>/dev/null && sync && entry='crontab'
            fi
            ;;
    esac
    printf '%s\n' "$entry" >"$place/entry"
    settle_entries "$place/entry"
    if [ "$entry" = none ]; then
        note 'there is no way to go on after a boot'
    fi
}

# A timer, so that a watch that was killed is begun again.
enter_systemd() {
    units=$system/etc/systemd/system
    [ -w "$units" ] || return 1
    {
        printf '[Unit]\nDescription=Takes a target of Pleach back unless somebody confirms\n\n[Service]\n'
        # What a command of the way back has started is the service that was put back: it outlives the watch.
        # With a name it gets the variables of a login, as the deployer's commands had them.
        printf 'User=%s\nKillMode=process\n' "$(id -un)"
        printf 'ExecStart=/bin/sh "%s" watch "%s"\n' "$(for_systemd "$0")" "$(for_systemd "$place")"
    } >"$units/$unit.service" || return 1
    {
        printf '[Unit]\nDescription=Begins the watch again\n\n[Timer]\nOnActiveSec=0\nOnBootSec=0\n'
        printf 'OnUnitInactiveSec=5\nAccuracySec=1\n\n[Install]\nWantedBy=timers.target\n'
    } >"$units/$unit.timer" || return 1
    systemctl daemon-reload && systemctl enable --now "$unit.timer" &&
        settle_entries "$units/$unit.service" "$units/$unit.timer" "$units/timers.target.wants/$unit.timer"
} >/dev/null 2>&1

leave() {
    name_entry
    entry=none
    if [ -r "$place/entry" ]; then
        IFS= read -r entry <"$place/entry"
    fi
    case $entry in
        systemd)
            systemctl disable --now "$unit.timer" >/dev/null 2>&1
            # Not loaded anew: systemd forgets them once the watch has ended, and until then knows what that may leave behind.
            rm -f "$system/etc/systemd/system/$unit.timer" "$system/etc/systemd/system/$unit.service"
            ;;
        cron) rm -f "$system/etc/cron.d/$unit" ;;
        local) rm -f "$system/etc/local.d/$unit.start" ;;
        crontab) crontab -l 2>/dev/null | grep -v "# $unit\$" | crontab - ;;
    esac
}

