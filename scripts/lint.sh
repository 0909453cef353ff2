#!/bin/sh
# Formatting and static analysis; prints what is wrong and fails, or prints one line a step.
set -eu
build=$1
c_files=$(git ls-files 'src/*.c' 'bench/*.c')
all_files=$(git ls-files 'src/*.[ch]' 'tests/*.[ch]' 'bench/*.[ch]')

echo "clang-format"
# shellcheck disable=SC2086
clang-format-14 --dry-run --Werror $all_files

echo "gcc, all warnings as errors, -fanalyzer"
echo "$c_files" | xargs -P 2 -n 1 gcc -std=gnu17 -D_GNU_SOURCE -DDIKAST_VERSION='"lint"' -Isrc -O1 -fanalyzer \
    -Wall -Wextra -Wpedantic -Wshadow -Wconversion -Wstrict-prototypes -Wmissing-prototypes -Werror -c -o /dev/null

echo "clang-tidy"
# Findings go to standard output; the rest counts warnings of system headers, and is shown only if something failed.
if ! echo "$c_files" | xargs -P 2 -n 4 clang-tidy-14 --quiet -p "$build" 2>"$build/clang-tidy.log"; then
    cat "$build/clang-tidy.log"
    exit 1
fi

echo "cppcheck"
# shellcheck disable=SC2086
cppcheck --quiet --std=c11 --language=c -Isrc -DDIKAST_VERSION='"lint"' -D_GNU_SOURCE --error-exitcode=1 \
    --enable=warning,portability,performance --inline-suppr --suppressions-list=scripts/cppcheck.txt $c_files
echo "lint: clean"
