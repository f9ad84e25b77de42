#!/bin/sh
# Run in the guest before, with and after the live patch: true where the fix is at work.
grep VmallocChunk /proc/meminfo || grep VMALLOCCHUNK /proc/meminfo
grep -q '^VMALLOCCHUNK:' /proc/meminfo
