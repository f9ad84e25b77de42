#!/bin/sh
# True where the first fix is at work.
grep -q '^VMALLOCCHUNK:' /proc/meminfo
