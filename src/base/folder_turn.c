#include "base/folder_turn.h"

static void unlink_noted(struct folder_turn *turn, struct folder_noted *noted)
{
    if (noted->prev != NULL)
        noted->prev->next = noted->next;
    else
        turn->first = noted->next;
    if (noted->next != NULL)
        noted->next->prev = noted->prev;
    else
        turn->last = noted->prev;
}

void folder_turn_note(struct folder_turn *turn, const char *name, bool is_again)
{
    struct str text = str_from_c(name);
    struct folder_noted *noted = map_get(&turn->names, text);
    if (noted != NULL) {
        unlink_noted(turn, noted);
    } else {
        noted = arena_alloc(&turn->arena, sizeof(*noted) + text.len + 1);
        memcpy(noted->name, name, text.len + 1);
        map_set(&turn->names, str_make(noted->name, text.len), noted);
    }
    noted->is_again = is_again;
    noted->prev = turn->last;
    noted->next = NULL;
    if (turn->last != NULL)
        turn->last->next = noted;
    else
        turn->first = noted;
    turn->last = noted;
}

bool folder_turn_forget(struct folder_turn *turn, const char *name)
{
    struct folder_noted *noted = map_remove(&turn->names, str_from_c(name));
    if (noted != NULL)
        unlink_noted(turn, noted);
    return noted != NULL;
}

void folder_turn_free(struct folder_turn *turn)
{
    map_free(&turn->names);
    arena_free(&turn->arena);
}
