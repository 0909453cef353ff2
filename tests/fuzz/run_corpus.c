/* Runs a fuzz target over the files of a folder: what was found once stays tested, without a fuzzer. */
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/mem.h"
#include "fuzz.h"

static bool run_file(const char *folder, const char *name)
{
    CLEANUP_ARENA struct arena arena = {0};
    struct str path = arena_printf(&arena, "%s/%s", folder, name);
    FILE *file = fopen(path.ptr, "rb");
    if (file == NULL)
        return false;
    CLEANUP_BUF struct buf data = {0};
    size_t n;
    while ((n = fread(buf_reserve(&data, 4096), 1, 4096, file)) > 0)
        data.len += n;
    fclose(file);
    LLVMFuzzerTestOneInput((const uint8_t *)data.data, data.len);
    return true;
}

int main(int argc, char **argv)
{
    struct dirent **items;
    int count = argc == 2 ? scandir(argv[1], &items, NULL, alphasort) : -1, ran = 0;
    if (count < 0) {
        fprintf(stderr, "usage: %s FOLDER\n", argv[0]);
        return 2;
    }
    for (int i = 0; i < count; i++) {
        if (items[i]->d_name[0] != '.')
            ran += run_file(argv[1], items[i]->d_name);
        free(items[i]);
    }
    free(items);
    printf("%d inputs\n", ran);
    return ran > 0 ? 0 : 1;
}
