#!/bin/sh
# True where all three fixes are at work.
grep -q '^VMALLOCCHUNK:' /proc/meminfo && grep -q 'live.patched=2' /proc/cmdline && grep -q '^live patched' /proc/version
