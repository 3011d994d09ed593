#!/bin/sh
# Writes FOLDER/Commit.swift with the commit of the working tree ROOT, and only if it differs, so that nothing is rebuilt in vain.
# usage: stamp.sh ROOT FOLDER
set -eu
root=$1
file=$2/Commit.swift
mkdir -p "$2"

commit=unknown
# An unpacked archive is not a working tree, although a folder above it may be one.
if [ -e "$root/.git" ] && hash=$(git -C "$root" rev-parse --short=7 HEAD 2>/dev/null); then
    commit=$hash
    [ -z "$(git -C "$root" status --porcelain --untracked-files=no)" ] || commit=$hash+changes
fi

text="let stampedCommit = \"$commit\""
[ "$text" = "$(cat "$file" 2>/dev/null)" ] || printf '%s\n' "$text" >"$file"
