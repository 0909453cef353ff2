/* Private to folder_watch.c: what the events of one turn ask for: names, each once, in the order of their last events.
 */
#ifndef BASE_FOLDER_TURN_H
#define BASE_FOLDER_TURN_H

#include "base/map.h"
#include "base/mem.h"

struct folder_noted {
    struct folder_noted *prev, *next;
    bool is_again; /* noted by a timer, after a retry */
    char name[];
};

/* {0} is empty and valid. */
struct folder_turn {
    struct map names; /* -> struct folder_noted */
    struct folder_noted *first, *last;
    struct arena arena;
    bool all; /* look at everything */
};

/* Puts a name last. */
void folder_turn_note(struct folder_turn *turn, const char *name, bool is_again);
/* Takes it out again; false: it was not noted. */
bool folder_turn_forget(struct folder_turn *turn, const char *name);
void folder_turn_free(struct folder_turn *turn);

#endif
