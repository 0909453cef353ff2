/* For tests that need files: a folder of the test's own, which is the working directory. */
#ifndef TESTS_FOLDER_H
#define TESTS_FOLDER_H

#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "check.h"

static char folder_path[] = "/tmp/dikast-test-XXXXXX";

static inline int folder_enter(void **state)
{
    (void)state;
    return mkdtemp(folder_path) == NULL || chdir(folder_path) != 0;
}

static inline int folder_remove_one(const char *path, const struct stat *info, int type,
                                    struct FTW *place)
{
    (void)info;
    (void)type;
    (void)place;
    return remove(path);
}

static inline int folder_leave(void **state)
{
    (void)state;
    return chdir("/") != 0 || nftw(folder_path, folder_remove_one, 8, FTW_DEPTH | FTW_PHYS) != 0;
}

/* By rename, so that whoever reads it meanwhile sees no half of it. */
static inline void folder_write(const char *name, struct str text, mode_t mode)
{
    FILE *file = fopen(".new", "w");
    assert_non_null(file);
    assert_int_equal(fwrite(text.ptr, 1, text.len, file), text.len);
    assert_int_equal(fclose(file), 0);
    assert_int_equal(chmod(".new", mode), 0);
    assert_int_equal(rename(".new", name), 0);
}

#endif
