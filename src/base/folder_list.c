#include "base/folder_list.h"

#include <errno.h>

#include "base/disk.h"

static int compare_names(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static void sort_names(struct list *names)
{
    if (names->count > 1)
        qsort(names->items, names->count, sizeof(*names->items), compare_names);
}

static void add_copy(struct folder_list *list, const char *name)
{
    list_add(&list->names, (void *)arena_copy(&list->arena, str_from_c(name)).ptr);
}

static bool read_folder(struct folder_list *list, int folder,
                        enum folder_interest (*interest)(const char *name))
{
    DIR *stream = disk_open_names(folder);
    struct dirent *item;
    if (stream == NULL)
        return false;
    do {
        errno = 0;
        item = readdir(stream);
        if (item != NULL && interest(item->d_name) == FOLDER_FILE)
            add_copy(list, item->d_name);
    } while (item != NULL);
    /* Half a list would be taken for the end of all that is not on it. */
    int error = errno;
    closedir(stream);
    errno = error;
    return error == 0;
}

bool folder_list_read(struct folder_list *list, int folder,
                      enum folder_interest (*interest)(const char *name), struct list *known)
{
    if (!read_folder(list, folder, interest))
        return false;
    sort_names(&list->names);
    sort_names(known);
    for (uint32_t i = 0, next = 0, there = list->names.count; i < known->count; i++) {
        const char *name = known->items[i];
        while (next < there && strcmp(list->names.items[next], name) < 0)
            next++;
        if (next == there || strcmp(list->names.items[next], name) != 0)
            add_copy(list, name);
    }
    return true;
}

void folder_list_free(struct folder_list *list)
{
    list_free(&list->names);
    arena_free(&list->arena);
}
