#include "node/mountinfo.h"

#include <fcntl.h>

#include "base/disk.h"

static bool is_octal(char c)
{
    return c >= '0' && c <= '7';
}

/* Blanks, line breaks and backslashes are \ and three octal digits. */
static struct str unescape(struct arena *arena, struct str text)
{
    char *out = arena_array(arena, text.len + 1, 1);
    size_t len = 0;
    for (size_t i = 0; i < text.len; i++) {
        const char *c = text.ptr + i;
        if (*c == '\\' && text.len - i > 3 && is_octal(c[1]) && is_octal(c[2]) && is_octal(c[3])) {
            out[len++] = (char)((c[1] - '0') << 6 | (c[2] - '0') << 3 | (c[3] - '0'));
            i += 3;
        } else {
            out[len++] = *c;
        }
    }
    return str_make(out, len);
}

/* A line begins with: id, parent's id, device, root, mount point. */
static bool parse_line(struct arena *arena, struct str line, struct mountinfo_entry *entry)
{
    const struct str mark = STR("//deleted");
    struct str word, rest = line, root, point;
    for (int i = 0; i < 3; i++) {
        if (!str_cut(rest, ' ', &word, &rest))
            return false;
    }
    if (!str_cut(rest, ' ', &root, &rest) || !str_cut(rest, ' ', &point, &rest) || point.len == 0)
        return false;
    entry->is_deleted = str_ends_with(root, mark);
    if (entry->is_deleted)
        root.len -= mark.len;
    entry->root = unescape(arena, root);
    entry->point = unescape(arena, point);
    return true;
}

static size_t count_lines(struct str text)
{
    size_t count = 0;
    for (size_t i = 0; i < text.len; i++)
        count += text.ptr[i] == '\n';
    return count + 1;
}

bool mountinfo_parse(struct arena *arena, struct str text, struct mountinfo *info,
                     struct error *err)
{
    struct mountinfo_entry *entries = arena_array(arena, count_lines(text), sizeof(*entries));
    struct str line, rest = text;
    *info = (struct mountinfo){entries, 0};
    while (rest.len > 0) {
        str_cut(rest, '\n', &line, &rest);
        if (!parse_line(arena, line, &entries[info->count]))
            return error_set(err, "line %zu is not one of mountinfo: %s", info->count + 1,
                             quote(line).text);
        info->count++;
    }
    return true;
}

bool mountinfo_read(struct arena *arena, struct mountinfo *info, struct error *err)
{
    /* A line has some 200 bytes, and the kernel allows 100,000 mounts. */
    enum { LIMIT = 256 * 1024 * 1024 };
    const char *path = "/proc/self/mountinfo";
    CLEANUP_BUF struct buf text = {0};
    if (disk_read(AT_FDCWD, path, true, LIMIT, &text, err) != DISK_READ)
        return false;
    return mountinfo_parse(arena, buf_str(&text), info, err) || error_prefix(err, "%s", path);
}
