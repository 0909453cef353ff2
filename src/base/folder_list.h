/* Private to folder_watch.c: the names of all the files of a folder, and of those that somebody knows of besides.
 */
#ifndef BASE_FOLDER_LIST_H
#define BASE_FOLDER_LIST_H

#include "base/folder_watch.h"

/* {0} is empty and valid. */
struct folder_list {
    struct list
        names; /* char *: those that are there, by the order of bytes; then the others, likewise */
    struct arena arena;
};

/* Fills it, with copies: whoever knows of a name may forget it while they are looked at. `known` is sorted for it. False, with errno:
 * the folder cannot be listed. */
bool folder_list_read(struct folder_list *list, int folder,
                      enum folder_interest (*interest)(const char *name), struct list *known);
void folder_list_free(struct folder_list *list);

#endif
