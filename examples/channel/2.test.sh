#!/bin/sh
# True where the first two fixes are at work.
grep -q '^VMALLOCCHUNK:' /proc/meminfo && grep -q 'live.patched=2' /proc/cmdline
